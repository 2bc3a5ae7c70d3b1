package links

import (
	"context"
	"sync"

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

// notifications is the link from a queue of them. Each is asked for when somebody waits for it, as
// its lock begins when the hub sends it.
type notifications struct {
	op   string
	link *receiver

	mu      sync.Mutex
	gen     generation
	waiting int // calls that wait on the link of that generation
	asked   int // notifications that it was asked for, and has not brought
}

func newNotifications(e *entity, op string, node amqp.Node) *notifications {
	return &notifications{op: op, link: e.receiver(receiverConfig{
		linkConfig: linkTo(node),
		options: func() goamqp.ReceiverOptions {
			// The second mode has the hub answer each settlement.
			return goamqp.ReceiverOptions{Credit: -1, SettlementMode: goamqp.ReceiverSettleModeSecond.Ptr()}
		},
	})}
}

func (n *notifications) receive(ctx context.Context) (*Notification, error) {
	for {
		link, gen, err := n.link.link(ctx)
		if err != nil {
			return nil, withOp(n.op, err)
		}
		msg, err := n.next(ctx, link, gen)
		if err == nil {
			return n.read(ctx, link, gen, msg)
		}
		if ctx.Err() != nil {
			return nil, gaveUp(n.op, ctx.Err(), nil)
		}
		n.link.failed(gen, err)
	}
}

// next returns the next message of an attachment.
func (n *notifications) next(ctx context.Context, link *goamqp.Receiver, gen generation) (*goamqp.Message, error) {
	if err := n.ask(link, gen); err != nil {
		return nil, err
	}
	msg, err := link.Receive(ctx, nil)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gen == gen {
		n.waiting--
		if err == nil {
			n.asked--
		}
	}
	return msg, err
}

// ask sees to it that as many are asked for as calls wait.
func (n *notifications) ask(link *goamqp.Receiver, gen generation) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case gen < n.gen:
		return ErrPeerEnded // and there is another
	case gen > n.gen:
		n.gen, n.waiting, n.asked = gen, 0, 0
	}
	n.waiting++
	if n.asked >= n.waiting {
		return nil
	}
	n.asked++
	return link.IssueCredit(1)
}

// read returns what msg says.
func (n *notifications) read(ctx context.Context, link *goamqp.Receiver, gen generation, msg *goamqp.Message) (*Notification, error) {
	content, err := decode(msg, amqp.ParseNotification)
	note := &Notification{Notification: content}
	note.delivery.OnSettle(func(ctx context.Context, d hubwire.Disposition) error {
		return settle(ctx, n.link, link, gen, msg, d)
	})
	if err != nil {
		_ = note.Abandon(ctx) // and if that fails, its lock will end
		return nil, withOp(n.op, err)
	}
	return note, nil
}

// settle tells the hub what became of msg, on the attachment that it came over, and waits for the
// answer.
func settle(ctx context.Context, r *receiver, link *goamqp.Receiver, gen generation, msg *goamqp.Message, d hubwire.Disposition) error {
	op := d.String()
	if at := r.core.live.Load(); at == nil || at.gen != gen {
		return &hubwire.Error{Op: op, Code: hubwire.MessageLockLost, Outcome: hubwire.NotSent, Message: "the link that the message came over is lost, and the hub sends it again"}
	}
	inTime, cancel := context.WithTimeout(ctx, r.core.e.c.o.OperationTimeout)
	defer cancel()
	var err error
	switch d {
	case hubwire.Complete:
		err = link.AcceptMessage(inTime, msg)
	case hubwire.Reject:
		err = link.RejectMessage(inTime, msg, nil)
	default:
		err = link.ReleaseMessage(inTime, msg)
	}
	if err == nil {
		return nil
	}
	r.failed(gen, err)
	return asError(op, r.core.cfg.node, err)
}
