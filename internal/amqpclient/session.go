package amqpclient

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/unsettled"
)

// SessionOptions are what a session is begun with. The zero value of each field means the default.
type SessionOptions struct {
	// Window is the incoming window, in transfer frames. Default 5000.
	Window uint32
	// OnEnd, if set, is told once why the session ended, after its links, when Begin has succeeded; it may be
	// told before Begin has returned. The reason is an [*Error] of [LevelSession] or [LevelConn].
	OnEnd func(reason error)
}

// Session is one session of a connection. Its methods may be called from any goroutine.
type Session struct {
	conn  *Conn
	onEnd func(error)

	// Guarded by the lock of the connection.
	channel   uint16 // ours
	remote    uint16 // the peer's, when begun is set
	state     sessionState
	begun     bool // the peer has begun it, so its end is told
	abandoned bool // who wanted it waits no more
	told      bool
	untold    int // links that have not been told of their end
	why       *Error
	gate      gate

	// Windows and ids of part 2 section 2.5.6, in transfer frames. All are serial numbers.
	window    uint32 // what the peer may send when nothing is under way
	nextIn    uint32 // next-incoming-id
	windowIn  uint32 // what the peer may still send
	nextOut   uint32 // next-outgoing-id
	windowOut uint32 // what we may still send: remote-incoming-window

	in, out      unsettled.Ring[*link]
	lastIn       uint32 // the latest delivery-id of the peer, if any
	anyIn        bool
	nextDelivery uint32 // our next delivery-id

	links     []*link // by our handle; nil is free
	handleMax uint32
	latest    *link // that the peer named last

	due     bool // in conn.due
	widen   bool // the peer is to be told of its window
	credits []*Receiver
	outcome unsettled.Outcome
	rest    *rest // of a message that takes more than one frame
	answers map[uint32]*answer
}

type sessionState uint8

const (
	sessionBeginning sessionState = iota // our begin is out, the peer's is not in
	sessionOpen
	sessionEnding // our end is out, the peer's is not in: the channels are taken
	sessionOver
)

// firstOut is the id of our first transfer. It could be any.
const firstOut = 1

// Conn returns the connection that the session belongs to.
func (s *Session) Conn() *Conn { return s.conn }

// Err returns nil while the session lives, then why it ended: an [*Error] of [LevelSession] or [LevelConn].
func (s *Session) Err() error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return asError(s.why)
}

// asError returns e as an error, which is nil when e is.
func asError(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}

// Begin begins a session, and waits for the peer's answer. When ctx ends first, the session is ended when the peer
// does answer, and its channel is taken until then. o may be nil.
//
// The error is that of ctx, [ErrLimit], or an [*Error] of [LevelSession] or [LevelConn].
func (c *Conn) Begin(ctx context.Context, o *SessionOptions) (*Session, error) {
	if o == nil {
		o = &SessionOptions{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return nil, c.cause
	}
	s := &Session{conn: c, onEnd: o.OnEnd, window: cmp.Or(o.Window, 5000), nextOut: firstOut}
	if !c.newChannel(s) {
		return nil, ErrLimit
	}
	s.windowIn = s.window
	c.appendFrame(s.channel, (&amqp10.Begin{
		NextOutgoingID: s.nextOut, IncomingWindow: s.windowIn, OutgoingWindow: s.window,
		HandleMax: amqp10.Some[uint32](maxHandle),
	}).AppendTo)
	c.wakeWriter()
	for s.state == sessionBeginning {
		if err := c.wait(ctx, &s.gate); err != nil && s.state == sessionBeginning {
			s.abandoned = true
			return nil, err
		}
	}
	if !s.begun {
		return nil, s.why
	}
	return s, nil
}

// maxHandle is the highest handle that this side uses.
const maxHandle = 1<<16 - 1

// newChannel gives s a channel of ours that is free.
func (c *Conn) newChannel(s *Session) bool {
	if n := len(c.free); n > 0 {
		s.channel, c.free = c.free[n-1], c.free[:n-1]
		c.channels[s.channel] = s
		return true
	}
	if len(c.channels) > int(c.peer.channelMax) {
		return false
	}
	s.channel = uint16(len(c.channels))
	c.channels = append(c.channels, s)
	return true
}

// begun acts on the peer's begin, which answers one of ours.
func (c *Conn) begun(channel uint16, body []byte) error {
	var p amqp10.Begin
	if err := p.Parse(body); err != nil {
		return decodeError(err)
	}
	var s *Session
	if ours := int(p.RemoteChannel.Value); p.RemoteChannel.Valid && ours < len(c.channels) {
		s = c.channels[ours]
	}
	switch {
	case s == nil || s.state != sessionBeginning:
		return &amqp10.Error{Condition: amqp10.NotAllowed, Description: fmt.Sprintf("the begin on channel %d answers none", channel)}
	case c.remotes[channel] != nil:
		return &amqp10.Error{Condition: amqp10.NotAllowed, Description: fmt.Sprintf("channel %d has a session", channel)}
	}
	c.remotes[channel], s.remote = s, channel
	s.state = sessionOpen
	s.nextIn, s.windowOut = p.NextOutgoingID, p.IncomingWindow
	s.handleMax = min(p.HandleMax.Or(math.MaxUint32), maxHandle)
	if s.abandoned {
		s.leave(nil, ownError(LevelSession, nil))
		return nil
	}
	s.begun = true
	s.gate.open()
	return nil
}

// End ends the session and all its links, with an end that carries e, which may be nil, and waits for that of the peer until
// ctx ends: with a ctx that has ended it does not wait. The session is of no use from the first moment on.
//
// The error is that of ctx; nil when the peer has answered, or ended the session or the connection itself.
func (s *Session) End(ctx context.Context, e *amqp10.Error) error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.state == sessionOpen {
		s.leave(e, ownError(LevelSession, e))
		c.wakeTeller()
		c.wakeWriter()
	}
	for s.state == sessionEnding {
		if err := c.wait(ctx, &s.gate); err != nil && s.state == sessionEnding {
			return err
		}
	}
	return nil
}

// end ends a session on which the peer has broken the protocol, and tells it so.
func (s *Session) end(e *amqp10.Error) {
	if s.state == sessionOpen {
		s.leave(e, &Error{Level: LevelSession, Err: protocolError(e)})
	}
}

func (s *Session) leave(e *amqp10.Error, why *Error) {
	s.append((&amqp10.End{Error: e}).AppendTo)
	s.drop(sessionEnding, why)
}

// ended acts on the peer's end.
func (s *Session) ended(channel uint16, body []byte) error {
	var p amqp10.End
	if err := p.Parse(body); err != nil {
		return decodeError(err)
	}
	if s.state == sessionOpen {
		s.append((&amqp10.End{}).AppendTo)
		s.drop(sessionOver, remoteError(LevelSession, p.Error))
	}
	s.state = sessionOver
	s.gate.open()
	delete(s.conn.remotes, channel)
	s.conn.channels[s.channel] = nil
	s.conn.free = append(s.conn.free, s.channel)
	return nil
}

// append adds a frame of the session behind the outcomes that were told before.
func (s *Session) append(body func(dst []byte) []byte) {
	s.appendOutcome()
	s.conn.appendFrame(s.channel, body)
}

// drop ends all that the session has.
func (s *Session) drop(state sessionState, why *Error) {
	if s.state >= sessionEnding {
		return
	}
	s.state, s.why = state, why
	s.conn.unsettled -= s.out.Open()
	s.in, s.out = unsettled.Ring[*link]{}, unsettled.Ring[*link]{}
	s.credits, s.rest, s.outcome = nil, nil, unsettled.Outcome{}
	for _, l := range s.links {
		if l == nil {
			continue
		}
		if l.state < linkDetaching {
			l.end(why)
		}
		l.state = linkGone
		l.gate.open()
	}
	s.links, s.latest = nil, nil
	s.gate.open()
	s.conn.farewellSession(s)
}

// dropSessions ends all sessions, with the connection.
func (c *Conn) dropSessions(why *Error) {
	for _, s := range c.channels {
		if s != nil {
			s.drop(sessionOver, why)
			s.state = sessionOver
			s.gate.open()
		}
	}
	c.channels = nil
	clear(c.remotes)
}

// appendDue makes the frames of the session that are due.
func (s *Session) appendDue() {
	if s.state != sessionOpen {
		return
	}
	s.appendOutcome()
	for _, r := range s.credits {
		r.tellCredit = false
		if r.state == linkAttached {
			r.credit, r.more = r.credit+r.more, 0
			s.appendFlow(&r.link)
		}
	}
	s.credits = s.credits[:0]
	if s.widen {
		s.appendFlow(nil)
	}
	if s.rest != nil {
		s.appendRest()
	}
}

// setDue sees to it that appendDue is called before more is written.
func (s *Session) setDue() {
	if !s.due {
		s.due = true
		s.conn.due = append(s.conn.due, s)
	}
}
