package device

import (
	"context"
	"errors"

	"github.com/hubwire/hubwire"
)

func (l *amqpLink) receive(ctx context.Context) (m *hubwire.Received, err error) {
	err = l.during(ctx, func(ctx context.Context) error {
		m, err = l.device.Receive(ctx)
		return err
	})
	return m, err
}

// during runs f with a context that ends with ctx and with the Client, and says which of them did.
func (l *amqpLink) during(ctx context.Context, f func(context.Context) error) error {
	if ctx.Err() != nil || l.cfg.life.Err() != nil {
		return ended(ctx, l.cfg.life)
	}
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.cfg.life, cancel)()
	err := f(running)
	e, ok := errors.AsType[*hubwire.Error](err)
	if !ok || running.Err() == nil || e.Outcome == hubwire.Refused {
		return err
	}
	own := ended(ctx, l.cfg.life)
	own.Outcome, own.Message = e.Outcome, e.Message
	return own
}
