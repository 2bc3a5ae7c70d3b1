package device

import (
	"context"

	"github.com/hubwire/hubwire"
)

func (l *amqpLink) twin(ctx context.Context) (*hubwire.Twin, error) {
	var body []byte
	err := l.during(ctx, func(ctx context.Context) (err error) {
		body, err = l.device.Twin(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return parseTwin(body)
}

func (l *amqpLink) report(ctx context.Context, patch []byte) (version int64, err error) {
	err = l.during(ctx, func(ctx context.Context) error {
		version, err = l.device.Report(ctx, patch)
		return err
	})
	return version, err
}

func (l *amqpLink) watchDesired(ctx context.Context, change func(int64, []byte), reset func()) (stop func(), err error) {
	err = l.during(ctx, func(ctx context.Context) error {
		stop, err = l.device.WatchDesired(ctx, change, reset)
		return err
	})
	return stop, err
}
