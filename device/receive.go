package device

import (
	"context"
	"errors"

	"github.com/hubwire/hubwire"
)

// Receive returns the next message for this identity: cloud-to-device, or for
// a module also what comes in by its inputs ([hubwire.Received].Input). The
// first call subscribes; on a hub that kept the subscription, messages that
// came before it wait here. Settle each message; the hub sends only so many ahead, and
// delivers again what was not settled when its connection was lost.
//
// Over HTTPS it asks the hub, again and again (see [HTTPS]).
//
// The error matches ctx's, says why the Client ended, or that the hub refuses the subscription.
func (c *Client) Receive(ctx context.Context) (*hubwire.Received, error) {
	l, err := c.ready(ctx, "receive")
	if err != nil {
		return nil, err
	}
	m, err := l.receive(ctx)
	return m, withOp("receive", err)
}

// HandleMessages calls h for each message, one at a time, in order, until ctx
// or the Client ends, and returns why. The context that h gets ends with either. nil from h completes the message; an
// error, or a panic, abandons it, or where the protocol cannot (see [MQTT]) leaves it
// unsettled. A message that h settled itself stays as it is.
//
// A completion that is lost with its connection is not reported: the hub
// delivers the message again.
func (c *Client) HandleMessages(ctx context.Context, h func(context.Context, *hubwire.Received) error) error {
	if _, err := c.ready(ctx, "receive"); err != nil {
		return err
	}
	if h == nil {
		return invalid("receive", "the handler is nil")
	}
	running, stop := c.until(ctx)
	defer stop()
	for {
		m, err := c.Receive(ctx)
		if err != nil {
			return err
		}
		d := hubwire.Complete
		if c.handle(running, m, h) != nil {
			d = hubwire.Abandon
		}
		c.settle(ctx, m, d)
	}
}

var errPanicked = errors.New("device: the handler panicked")

func (c *Client) handle(ctx context.Context, m *hubwire.Received, h func(context.Context, *hubwire.Received) error) error {
	err := errPanicked
	func() {
		defer contain(c.o.Hooks.panicked)
		err = h(ctx, m)
	}()
	return err
}

// settle settles what the handler did not. What comes of it, the hub's next delivery shows.
func (c *Client) settle(ctx context.Context, m *hubwire.Received, d hubwire.Disposition) {
	if m.Settled() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.OperationTimeout)
	defer cancel()
	_ = m.Settle(ctx, d)
}
