package links

import (
	"context"
	"errors"
	"time"

	goamqp "github.com/Azure/go-amqp"
)

// handover is the context that go-amqp's senders get: its end ends the wait for credit and nothing else. go-amqp
// that finds a context over when it is to write wants the link to take the message back, and waits for that for
// ever when the link has ended (v1.7.0, Sender.send). What is written is bounded by the tap.
type handover struct{ context.Context }

// Deadline says that there is none.
func (handover) Deadline() (time.Time, bool) { return time.Time{}, false }

// Err says that it is not over.
func (handover) Err() error { return nil }

// desk hands messages to go-amqp, one at a time. go-amqp has a mutex for that, whose wait has no end of its
// own; and once it has begun with a message it waits, whatever its context says, for a peer whose session's window is full.
type desk struct {
	c    *Conn
	turn chan struct{} // whose holder may write
}

func newDesk(c *Conn) desk { return desk{c, make(chan struct{}, 1)} }

// errNotWritten is why a message was not sent whose context has ended.
var errNotWritten = errors.New("links: not written")

// beginTime is how long after the end of its context go-amqp may take to say that it has not begun with a message.
const beginTime = 100 * time.Millisecond

// send returns when m is written, or when ctx ends: the error matches errNotWritten when m never will be. receipt
// is nil when the peer takes only what is settled, of which there is none.
func (d desk) send(ctx context.Context, s *goamqp.Sender, m *goamqp.Message) (receipt *goamqp.SendReceipt, err error) {
	if ctx.Err() != nil {
		return nil, errors.Join(errNotWritten, ctx.Err())
	}
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, errors.Join(errNotWritten, ctx.Err())
	}
	written := make(chan struct{})
	var r goamqp.SendReceipt
	var failed error
	d.c.mu.Lock()
	d.c.startLocked(func() {
		defer func() { <-d.turn }()
		defer close(written)
		r, failed = s.SendWithReceipt(handover{ctx}, m, nil)
	})
	d.c.mu.Unlock()
	select {
	case <-written:
	case <-ctx.Done():
		timer := time.NewTimer(beginTime)
		defer timer.Stop()
		select {
		case <-written:
		case <-timer.C:
			return nil, ctx.Err()
		}
	}
	level, _ := ending(failed)
	switch {
	case failed == nil:
		return &r, nil
	case level > levelRefusal:
		return nil, failed
	case ctx.Err() != nil:
		return nil, errors.Join(errNotWritten, ctx.Err())
	case level == levelNone:
		return nil, s.Send(handover{ctx}, m, nil)
	}
	return nil, errors.Join(errNotWritten, failed)
}
