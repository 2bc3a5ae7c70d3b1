package device

import (
	"context"
	"errors"

	"github.com/hubwire/hubwire"
)

func (l *amqpLink) twin(context.Context) (*hubwire.Twin, error) {
	return nil, &hubwire.Error{Code: hubwire.InvalidOperation, Outcome: hubwire.NotSent, Err: errors.ErrUnsupported}
}

func (l *amqpLink) report(context.Context, []byte) (int64, error) {
	return 0, &hubwire.Error{Code: hubwire.InvalidOperation, Outcome: hubwire.NotSent, Err: errors.ErrUnsupported}
}

func (l *amqpLink) watchDesired(context.Context, func(int64, []byte), func()) (func(), error) {
	return nil, &hubwire.Error{Code: hubwire.InvalidOperation, Outcome: hubwire.NotSent, Err: errors.ErrUnsupported}
}
