package links

import (
	"context"

	"github.com/hubwire/hubwire"
)

// send sends m and returns when it has an outcome.
func (b *outbox) send(ctx context.Context, m *hubwire.Message) error {
	if err := b.mayWait(); err != nil {
		return err
	}
	wait := make(chan error, 1)
	_, seq, err := b.accept(ctx, []order{{m: m, size: m.Size() + messageRoom, wait: wait}})
	if err != nil {
		return err
	}
	select {
	case err := <-wait:
		return err
	case <-ctx.Done():
		return b.withdraw(seq, wait, ctx.Err())
	}
}

// sendAsync sends m and returns when it has a place in the window.
func (b *outbox) sendAsync(ctx context.Context, m *hubwire.Message, done func(error)) error {
	_, _, err := b.accept(ctx, []order{{m: m, size: m.Size() + messageRoom, done: done}})
	return err
}
