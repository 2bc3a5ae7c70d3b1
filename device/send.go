package device

import (
	"context"
	"errors"
	"sync"

	"github.com/hubwire/hubwire"
)

// Send sends a telemetry message and returns when the hub has acknowledged it.
// It keeps nothing of m.
//
// When ctx ends first the error matches ctx's, and its Outcome says whether the message
// never left ([hubwire.NotSent]: it will not be sent) or the answer is not known
// ([hubwire.Unknown]: it may be sent once more when the connection is
// restored). A message that IoT Hub would refuse is refused here
// ([hubwire.Message.CheckTelemetry]), with code [hubwire.ArgumentInvalid] or [hubwire.MessageTooLarge].
func (c *Client) Send(ctx context.Context, m *hubwire.Message) error {
	l, err := c.sendable(ctx, m)
	if err != nil {
		return err
	}
	return withOp("send", l.send(ctx, m))
}

// sendable refuses what IoT Hub would.
func (c *Client) sendable(ctx context.Context, m *hubwire.Message) (link, error) {
	l, err := c.ready(ctx, "send")
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, invalid("send", "the message is nil")
	}
	if err := m.CheckTelemetry(); err != nil {
		return nil, withOp("send", err)
	}
	return l, nil
}

// SendAsync sends a telemetry message and returns when it has a place in the
// window ([Options].Window); ctx bounds that wait only. Messages are sent in the order of the calls.
//
// done, which may be nil, is called exactly once, with the
// acknowledgement's outcome, unless SendAsync returns an error, when it is not called. It runs on a
// goroutine of the connection, so it must not block. m must not change until then.
// Over MQTT it does not allocate in the steady state.
func (c *Client) SendAsync(ctx context.Context, m *hubwire.Message, done func(error)) error {
	l, err := c.sendable(ctx, m)
	if err != nil {
		return err
	}
	return withOp("send", l.sendAsync(ctx, m, done))
}

// SendAll sends messages in order, pipelined, and returns when the hub has
// acknowledged all. It fails message by message: what is not acceptable is left
// out, the others are sent. The error joins a [*SendError] for each that failed.
//
// When ctx ends first, a message that had a place in the window counts as
// [hubwire.Unknown], and may still be sent; the others are [hubwire.NotSent].
// The messages must not change until they are acknowledged. In a hook or a done function
// SendAll would wait for itself, and returns an error at once.
func (c *Client) SendAll(ctx context.Context, ms []*hubwire.Message) error {
	l, err := c.ready(ctx, "send")
	if err != nil {
		return err
	}
	if err := l.mayWait(); err != nil {
		return withOp("send", err)
	}
	b := &burst{outcome: make([]error, len(ms)), acked: make(chan struct{})}
	for i := range b.outcome {
		b.outcome[i] = errPending
	}
	b.left = len(ms) + 1 // one for this function, so that it does not end too soon
	if batches, ok := l.(batcher); ok {
		c.sendBatch(ctx, batches, ms, b)
	} else {
		for i, m := range ms {
			if err := c.SendAsync(ctx, m, func(err error) { b.set(i, err) }); err != nil {
				b.set(i, err)
			}
		}
	}
	b.set(-1, nil)
	select {
	case <-b.acked:
	case <-ctx.Done():
	}
	return b.result(ctx)
}

// sendBatch sends what of ms is acceptable as a batch.
func (c *Client) sendBatch(ctx context.Context, l batcher, ms []*hubwire.Message, b *burst) {
	good, at := make([]*hubwire.Message, 0, len(ms)), make([]int, 0, len(ms))
	for i, m := range ms {
		if _, err := c.sendable(ctx, m); err != nil {
			b.set(i, err)
			continue
		}
		good, at = append(good, m), append(at, i)
	}
	n, err := l.sendBatch(ctx, good, func(i int, err error) { b.set(at[i], withOp("send", err)) })
	for _, i := range at[n:] {
		b.set(i, withOp("send", err))
	}
}

// burst is the state of one SendAll.
type burst struct {
	acked chan struct{} // closed when nothing is pending

	mu      sync.Mutex
	left    int
	outcome []error // errPending until known
}

var errPending = errors.New("device: not acknowledged yet")

func (b *burst) set(i int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i >= 0 {
		b.outcome[i] = err
	}
	if b.left--; b.left == 0 {
		close(b.acked)
	}
}

// result joins what failed.
func (b *burst) result(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var failed []error
	for i, err := range b.outcome {
		if err == errPending {
			err = &hubwire.Error{Op: "send", Outcome: hubwire.Unknown, Retryable: true, Err: ctx.Err()}
		}
		if err != nil {
			failed = append(failed, &SendError{i, err})
		}
	}
	return errors.Join(failed...)
}
