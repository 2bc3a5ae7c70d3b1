package links

import (
	"context"

	"github.com/hubwire/hubwire"
)

// Send sends a telemetry message and returns when the hub has accepted it. It keeps nothing of m.
//
// What a lost link, session or connection cuts off is sent again on the next one, in order and ahead
// of what is new, so a message may arrive twice. What the hub gives back (released, or
// modified) is sent again after a while, in which messages behind it may overtake it.
//
// Every error is a [*hubwire.Error]. A message that the hub rejects has its code, and is Refused. When ctx ends
// first the error matches ctx's, and the message is not sent any more: it is NotSent if it never left,
// else its outcome is Unknown. What ended with the Device matches [net.ErrClosed]. In a done function, or a
// callback of the Conn, it returns [ErrWouldDeadlock] at once.
func (d *Device) Send(ctx context.Context, m *hubwire.Message) error {
	if err := d.sendable(ctx, m); err != nil {
		return err
	}
	return d.out.send(ctx, m)
}

// SendAsync sends a telemetry message as [Device.Send] does, and returns when it has a place in the window; ctx
// bounds that wait only. Messages are sent in the order of the calls.
//
// done, which may be nil, is called exactly once when SendAsync returns nil, and never when it does
// not, with what Send would return, in the order of the calls. It runs on a goroutine of the Device, never inside
// SendAsync, so it must not block. m must not change until then.
func (d *Device) SendAsync(ctx context.Context, m *hubwire.Message, done func(error)) error {
	if err := d.sendable(ctx, m); err != nil {
		return err
	}
	return d.out.sendAsync(ctx, m, done)
}

// SendBatch sends messages as SendAsync does, but several in a transfer, as far as the link's limit goes and IoT
// Hub's for a batch, 256 KiB. It returns when all have a place in the window, or how many of them
// have, from the first on, and why not the next. done is called with the outcome of each of those, and its place in ms.
//
// What shares a transfer is accepted or given back together. When it is rejected, and no later attempt could do
// better, each message is sent once more by itself, so that its outcome is its own.
func (d *Device) SendBatch(ctx context.Context, ms []*hubwire.Message, done func(i int, err error)) (n int, err error) {
	if err := d.started(ctx); err != nil {
		return 0, err
	}
	for i, m := range ms {
		if err = d.sendable(ctx, m); err != nil {
			ms = ms[:i]
			break
		}
	}
	if len(ms) == 0 {
		return 0, err
	}
	n, failed := d.out.sendBatch(ctx, ms, done)
	if failed != nil {
		err = failed
	}
	return n, err
}

// MayWait returns nil, or [ErrWouldDeadlock] within a callback in which Send would return it.
func (d *Device) MayWait() error {
	if d == nil || d.e == nil {
		return nil
	}
	return d.out.mayWait()
}

// sendable refuses what cannot be sent.
func (d *Device) sendable(ctx context.Context, m *hubwire.Message) error {
	if err := d.started(ctx); err != nil {
		return err
	}
	return m.CheckTelemetry()
}

// started returns nil for a Device that can send, and a context.
func (d *Device) started(ctx context.Context) error {
	if d == nil || d.e == nil || ctx == nil {
		return invalid("send", "there is no context, or the Device is not from Conn.Device")
	}
	return nil
}

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

// sendBatch sends ms, several in a transfer, and returns when they have places in the window.
func (b *outbox) sendBatch(ctx context.Context, ms []*hubwire.Message, done func(i int, err error)) (n int, err error) {
	orders := make([]order, len(ms))
	for i, m := range ms {
		orders[i] = order{m: m, size: m.Size() + messageRoom, each: done, i: i, share: true}
	}
	n, _, err = b.accept(ctx, orders)
	return n, err
}
