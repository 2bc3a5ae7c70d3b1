package links

import (
	"context"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// Notification is a batch of feedback, or a notification of a file, as the hub wrote it. It is
// under a lock, for a minute by default, until it is settled: Complete or Abandon, at any time, from any
// goroutine. The first that succeeds decides, and any later one returns nil and does nothing. One that is
// not settled, or whose link was lost before, comes again.
//
// A settlement fails with [hubwire.MessageLockLost] when the lock is over, or its link lost.
type Notification struct {
	amqp.Notification
	delivery hubwire.Received // of which only the settlement is used
}

// Complete takes the notification off the hub's queue.
func (n *Notification) Complete(ctx context.Context) error { return n.settle(ctx, hubwire.Complete) }

// Abandon gives the notification back, which comes again, at most ten times by default.
func (n *Notification) Abandon(ctx context.Context) error { return n.settle(ctx, hubwire.Abandon) }

func (n *Notification) settle(ctx context.Context, d hubwire.Disposition) error {
	if n == nil {
		return invalid(d.String(), "the notification is nil")
	}
	return n.delivery.Settle(ctx, d)
}

// ReceiveFeedback returns the next batch of feedback on messages that were sent with an Ack. It
// waits for it until ctx ends. What cannot be read is an error with [hubwire.FormatError], and is given
// back to the hub.
//
// Source: spec/amqp.md 5.2.
func (s *Service) ReceiveFeedback(ctx context.Context) (*Notification, error) {
	if err := s.ready(ctx, "receive feedback"); err != nil {
		return nil, err
	}
	return s.feedback.notification(ctx)
}

// ReceiveFileNotification returns the next notification of a file that a device has uploaded, as
// [Service.ReceiveFeedback] does.
//
// Source: spec/amqp.md 5.3.
func (s *Service) ReceiveFileNotification(ctx context.Context) (*Notification, error) {
	if err := s.ready(ctx, "receive file notification"); err != nil {
		return nil, err
	}
	return s.files.notification(ctx)
}

// newNotifications makes the link from a queue of them. The second mode has the hub answer each settlement.
func newNotifications(e *entity, op string, node amqp.Node) *inbox {
	b := &inbox{op: op, e: e}
	b.add(linkTo(node), true)
	return b
}

// notification returns the next notification.
func (b *inbox) notification(ctx context.Context) (*Notification, error) {
	d, err := b.next(ctx)
	if err != nil {
		return nil, err
	}
	content, err := read(d.message, amqp.ParseNotification)
	d.message, d.tag = nil, nil
	note := &Notification{Notification: content}
	note.delivery.OnSettle(d.settle)
	if err != nil {
		_ = note.Abandon(ctx) // and if that fails, its lock will end
		return nil, withOp(b.op, err)
	}
	return note, nil
}
