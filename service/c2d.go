package service

import (
	"context"

	"github.com/hubwire/hubwire"
)

// SendC2D sends a message to a device or module, and returns when the hub has put it into the queue
// there. It goes over AMQP. Any number of goroutines may send at a time: their messages share one link,
// and none waits for the outcome of another.
//
// m.Expiry is when the hub drops it, and m.Ack the feedback that is wanted, which
// [Client.ReceiveFeedback] brings and m.ID identifies. m must pass [hubwire.Message.CheckC2D], and is not kept.
//
// The message is sent once, and what the hub says is returned: with outcome Refused
// [hubwire.QueueDepthExceeded] for a queue that is full, [hubwire.DeviceNotFound], [hubwire.MessageTooLarge],
// [hubwire.ArgumentInvalid], [hubwire.Throttled]. NotSent means that it has not left, Unknown that the connection
// was lost, or ctx ended, or [Options].RequestTimeout passed, before the hub had answered: the device may get it.
// ctx without a deadline gets [Options].OperationTimeout.
func (c *Client) SendC2D(ctx context.Context, to hubwire.Identity, m *hubwire.Message) error {
	const op = "send c2d"
	if err := c.ready(ctx, op); err != nil {
		return err
	}
	if err := to.Check(); err != nil {
		return withOp(op, err)
	}
	if err := m.CheckC2D(); err != nil {
		return withOp(op, err)
	}
	bounded, cancel := c.bounded(ctx, 0)
	defer cancel()
	s, err := c.back(bounded)
	if err == nil {
		err = s.SendC2D(bounded, to, m)
	}
	if err != nil {
		return c.wired(ctx, op, err)
	}
	return nil
}
