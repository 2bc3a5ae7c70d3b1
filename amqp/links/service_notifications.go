package links

import (
	"context"

	goamqp "github.com/Azure/go-amqp"

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
	return s.feedback.receive(ctx)
}

// ReceiveFileNotification returns the next notification of a file that a device has uploaded, as
// [Service.ReceiveFeedback] does.
//
// Source: spec/amqp.md 5.3.
func (s *Service) ReceiveFileNotification(ctx context.Context) (*Notification, error) {
	if err := s.ready(ctx, "receive file notification"); err != nil {
		return nil, err
	}
	return s.files.receive(ctx)
}

// notifications is the link from a queue of them.
type notifications struct{ *source }

func newNotifications(e *entity, op string, node amqp.Node) notifications {
	return notifications{newSource(op, e.receiver(receiverConfig{
		linkConfig: linkTo(node),
		options: func() goamqp.ReceiverOptions {
			// The second mode has the hub answer each settlement.
			return goamqp.ReceiverOptions{Credit: -1, SettlementMode: goamqp.ReceiverSettleModeSecond.Ptr()}
		},
	}))}
}

// receive returns the next notification.
func (n notifications) receive(ctx context.Context) (*Notification, error) {
	d, err := n.next(ctx)
	if err != nil {
		return nil, err
	}
	content, err := decode(d.message, amqp.ParseNotification)
	d.message = nil
	note := &Notification{Notification: content}
	note.delivery.OnSettle(d.settle)
	if err != nil {
		_ = note.Abandon(ctx) // and if that fails, its lock will end
		return nil, withOp(n.op, err)
	}
	return note, nil
}
