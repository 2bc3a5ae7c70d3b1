package amqpclient

import (
	"context"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// link is what senders and receivers have in common.
type link struct {
	session *Session
	name    string
	out     *Sender // one of both
	in      *Receiver
	onEnd   func(error)

	// Guarded by the lock of the connection.
	why        *Error
	gate       gate
	maxMessage uint64 // 0 is no limit
	handle     uint32 // ours
	remote     uint32 // the peer's, when answered is set
	calls      int32  // callbacks that have not returned

	// How many deliveries there have been, by the sender's count, and how many more there may be (part 2 section 2.6.7).
	deliveryCount uint32
	credit        uint32
	unsettled     uint32

	state     linkState
	answered  bool // the peer's attach has come
	attached  bool // and was no refusal, so the end of the link is told
	abandoned bool // who wanted it waits no more
	told      bool // of the end
	sendMode  uint8
}

// linkState is how far a link has come.
type linkState uint8

const (
	linkAttaching linkState = iota // our attach is out, the peer's is not in
	linkRefused                    // the peer has no terminus for it, and is to detach it
	linkAttached
	linkDetaching // our detach is out, the peer's is not in: the handles are taken
	linkGone
)

// Name returns the name of the link.
func (l *link) Name() string { return l.name }

// Session returns the session that the link belongs to.
func (l *link) Session() *Session { return l.session }

// Err returns nil while the link lives, then why it ended: an [*Error].
func (l *link) Err() error {
	c := l.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	return asError(l.why)
}

// Detach ends the link, with a detach that says closed and e, which may be nil, and waits for that of the peer until
// ctx ends: with a ctx that has ended it does not wait. The link is of no use from the first moment on.
//
// The error is that of ctx; nil when the peer has answered, or ended the link, its session or the connection itself.
func (l *link) Detach(ctx context.Context, e *amqp10.Error) error {
	c := l.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.state == linkAttached {
		l.sendDetach(e)
		l.end(ownError(LevelLink, e))
		c.wakeTeller()
		c.wakeWriter()
	}
	for l.state == linkDetaching {
		if err := c.wait(ctx, &l.gate); err != nil && l.state == linkDetaching {
			return err
		}
	}
	return nil
}

// detach ends a link on which the peer has broken the protocol, and tells it so.
func (l *link) detach(e *amqp10.Error) {
	if l.state == linkAttached {
		l.sendDetach(e)
		l.end(&Error{Level: LevelLink, Err: protocolError(e)})
	}
}

func (l *link) sendDetach(e *amqp10.Error) {
	l.session.append((&amqp10.Detach{Handle: l.handle, Closed: amqp10.Some(true), Error: e}).AppendTo)
}

// end takes a link out of work. Its handles stay taken until it is gone.
func (l *link) end(why *Error) {
	s := l.session
	l.state, l.why = linkDetaching, why
	if l.in != nil && l.in.partial != nil {
		s.conn.partial -= len(l.in.partial.Message)
		l.in.partial = nil
	}
	if s.rest != nil && &s.rest.link.link == l {
		s.rest = nil
	}
	if l.unsettled > 0 {
		s.conn.unsettled -= s.out.Open()
		s.in.Drop(l)
		s.out.Drop(l)
		s.conn.unsettled += s.out.Open()
		l.unsettled = 0
	}
	s.giveUpAnswers(l)
	l.gate.open()
	s.conn.farewell(l)
	s.unstall()
}

// gone frees the handles of a link that both ends have detached.
func (l *link) gone() {
	s := l.session
	l.state = linkGone
	s.links[l.handle] = nil
	if s.latest == l {
		s.latest = nil
	}
	l.gate.open()
}
