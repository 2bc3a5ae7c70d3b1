package service

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp/links"
	"github.com/hubwire/hubwire/httpsx"
)

// Feedback is a batch of records of what became of messages that were sent with an Ack. It is
// under a lock, of a minute by default, until it is settled: Complete or Abandon, at any time, from
// any goroutine. The first that succeeds decides, and any later one returns nil and does nothing. What is not
// settled comes again.
type Feedback struct {
	EnqueuedTime time.Time        // of the oldest record
	Records      []FeedbackRecord // at least one
	locked
}

// FileNotification says that a device has uploaded a file. It is under a lock as [Feedback] is.
type FileNotification struct {
	httpsx.FileNotification
	locked
}

// locked is how either is settled.
type locked struct {
	c *Client
	n *links.Notification
}

// Complete takes f off the hub's queue. It fails with [hubwire.MessageLockLost] when the lock is
// over, or the link lost that f came over: then it comes again.
func (f *Feedback) Complete(ctx context.Context) error { return f.lock().settle(ctx, hubwire.Complete) }

// Abandon gives f back to the hub, and it comes again. It fails as Complete does.
func (f *Feedback) Abandon(ctx context.Context) error { return f.lock().settle(ctx, hubwire.Abandon) }

func (f *Feedback) lock() *locked {
	if f == nil {
		return nil
	}
	return &f.locked
}

// Complete is as [Feedback.Complete].
func (f *FileNotification) Complete(ctx context.Context) error {
	return f.lock().settle(ctx, hubwire.Complete)
}

// Abandon is as [Feedback.Abandon].
func (f *FileNotification) Abandon(ctx context.Context) error {
	return f.lock().settle(ctx, hubwire.Abandon)
}

func (f *FileNotification) lock() *locked {
	if f == nil {
		return nil
	}
	return &f.locked
}

func (l *locked) settle(ctx context.Context, d hubwire.Disposition) error {
	op := d.String()
	if l == nil || l.n == nil {
		return invalid(op, "what is settled comes from a Client")
	}
	if err := l.c.ready(ctx, op); err != nil {
		return err
	}
	bounded, cancel := l.c.bounded(ctx, 0)
	defer cancel()
	how := l.n.Complete
	if d == hubwire.Abandon {
		how = l.n.Abandon
	}
	if err := how(bounded); err != nil {
		return l.c.wired(ctx, op, err)
	}
	return nil
}

// ReceiveFeedback waits for the next batch of feedback, for as long as ctx lasts. Several calls, and
// several Clients, share what there is. The link is attached on the first call and restored when it
// is lost. It goes over AMQP.
//
// What the hub says that is no feedback is an error with [hubwire.FormatError], and given back to it.
func (c *Client) ReceiveFeedback(ctx context.Context) (*Feedback, error) {
	f := new(Feedback)
	n, err := c.receive(ctx, "receive feedback", (*links.Service).ReceiveFeedback, &f.Records)
	if err != nil {
		return nil, err
	}
	f.EnqueuedTime, f.locked = n.EnqueuedTime, locked{c, n}
	return f, nil
}

// Feedback yields what ReceiveFeedback returns, until an error, which it yields last: that of ctx, once
// it has ended.
//
//	for f, err := range c.Feedback(ctx) {
//		if err != nil { … }
//		for _, r := range f.Records { … }
//		err = f.Complete(ctx)
//	}
func (c *Client) Feedback(ctx context.Context) iter.Seq2[*Feedback, error] {
	return again(ctx, c.ReceiveFeedback)
}

// ReceiveFileNotification waits for the next notification of a file, as ReceiveFeedback does.
func (c *Client) ReceiveFileNotification(ctx context.Context) (*FileNotification, error) {
	f := new(FileNotification)
	n, err := c.receive(ctx, "receive file notification", (*links.Service).ReceiveFileNotification, &f.FileNotification)
	if err != nil {
		return nil, err
	}
	f.locked = locked{c, n}
	return f, nil
}

// FileNotifications yields what ReceiveFileNotification returns, as Feedback does.
func (c *Client) FileNotifications(ctx context.Context) iter.Seq2[*FileNotification, error] {
	return again(ctx, c.ReceiveFileNotification)
}

// again yields what receive returns, until an error.
func again[T any](ctx context.Context, receive func(context.Context) (*T, error)) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for {
			v, err := receive(ctx)
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// receive waits for a notification, and reads its body into doc.
func (c *Client) receive(ctx context.Context, op string, next func(*links.Service, context.Context) (*links.Notification, error), doc any) (*links.Notification, error) {
	if err := c.ready(ctx, op); err != nil {
		return nil, err
	}
	s, err := c.back(ctx)
	if err != nil {
		return nil, c.wired(ctx, op, err)
	}
	n, err := next(s, ctx)
	if err != nil {
		return nil, c.wired(ctx, op, err)
	}
	if err := json.Unmarshal(n.Body, doc); err != nil {
		_ = n.Abandon(ctx) // and if that fails, its lock will end
		return nil, &hubwire.Error{Op: op, Code: hubwire.FormatError, Outcome: hubwire.Refused, Err: err}
	}
	return n, nil
}
