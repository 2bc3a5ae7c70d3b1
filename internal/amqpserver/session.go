package amqpserver

import (
	"fmt"
	"math"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/unsettled"
)

// Session is one session of a connection. Its methods may be called from any goroutine.
type Session struct {
	conn    *Conn
	channel uint16

	// Guarded by the lock of the connection.
	state sessionState
	why   error // why it ended, when it has
	nodes int   // that have not been told of their end
	told  bool  // the handler has been told, or is about to be

	// Windows and ids of part 2 section 2.5.6, in transfer frames. All are serial numbers.
	nextIn    uint32 // next-incoming-id
	windowIn  uint32 // what the peer may still send
	nextOut   uint32 // next-outgoing-id
	windowOut uint32 // what we may still send: remote-incoming-window

	in, out      unsettled.Ring[*Link]
	lastIn       uint32 // the latest delivery-id of the peer, if any
	anyIn        bool
	nextDelivery uint32 // our next delivery-id

	handles       map[uint32]*Link // by the peer's handle
	names         map[linkKey]*Link
	peerHandles   uint64 // above the highest handle that the peer has used
	peerHandleMax uint32
	handlesMade   uint32   // ours so far
	handlesFree   []uint32 // of them that can be used again

	due     bool // in conn.due
	widen   bool // the peer is to be told of its window
	credits []*Link
	outcome unsettled.Outcome
	rest    rest
	stalled []*Link // that had their turn when nothing could be sent
}

// linkKey is what tells the links of a session apart: some clients use the same names in all sessions, and the
// same for both directions.
type linkKey struct {
	name string
	role amqp10.Role
}

type sessionState uint8

const (
	sessionOpen   sessionState = iota
	sessionEnding              // our end is out, the peer's is not in: the channel is taken
	sessionOver
)

// firstOut is the id of our first transfer. It could be any.
const firstOut = 1

// Conn returns the connection that the session belongs to.
func (s *Session) Conn() *Conn { return s.conn }

// Channel returns the number of the session's channel, which is used again when the session is over.
func (s *Session) Channel() uint16 { return s.channel }

// End ends the session and all its links, with an end that carries err, which may be nil.
func (s *Session) End(err *amqp10.Error) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	s.end(err)
	c.wakeTeller()
	c.wakeWriter()
}

// end is End for who holds the lock.
func (s *Session) end(err *amqp10.Error) {
	if s.state == sessionOpen {
		s.append((&amqp10.End{Error: err}).AppendTo)
		s.drop(sessionEnding, asError(err))
	}
}

// begin acts on a peer's begin. Our channel has the same number as the peer's.
func (c *Conn) begin(channel uint16, body []byte) error {
	var p amqp10.Begin
	if err := p.Parse(body); err != nil {
		return decodeError(err)
	}
	switch {
	case channel > c.cfg.ChannelMax:
		return &amqp10.Error{Condition: amqp10.FramingError, Description: fmt.Sprintf("channel %d, the limit is %d", channel, c.cfg.ChannelMax)}
	case p.RemoteChannel.Valid:
		return &amqp10.Error{Condition: amqp10.NotAllowed, Description: "begin answers no begin"}
	case c.sessions[channel] != nil:
		return &amqp10.Error{Condition: amqp10.NotAllowed, Description: fmt.Sprintf("channel %d has a session", channel)}
	}
	s := &Session{
		conn: c, channel: channel,
		nextIn: p.NextOutgoingID, windowIn: c.cfg.Window, nextOut: firstOut, windowOut: p.IncomingWindow,
		handles: map[uint32]*Link{}, names: map[linkKey]*Link{}, peerHandleMax: p.HandleMax.Or(math.MaxUint32),
	}
	c.sessions[channel] = s
	s.append((&amqp10.Begin{
		RemoteChannel:  amqp10.Some(channel),
		NextOutgoingID: s.nextOut,
		IncomingWindow: s.windowIn,
		OutgoingWindow: c.cfg.Window,
		HandleMax:      amqp10.Some(c.cfg.HandleMax),
	}).AppendTo)
	if begun := c.handler.Begun; begun != nil {
		c.mu.Unlock()
		begun(s)
		c.mu.Lock()
	}
	return nil
}

// ended acts on a peer's end.
func (s *Session) ended(body []byte) error {
	var p amqp10.End
	if err := p.Parse(body); err != nil {
		return decodeError(err)
	}
	if s.state == sessionOpen {
		s.append((&amqp10.End{}).AppendTo)
		s.drop(sessionOver, asError(p.Error))
	}
	delete(s.conn.sessions, s.channel)
	return nil
}

// append adds a frame of the session behind the outcomes that were told before.
func (s *Session) append(body func(dst []byte) []byte) {
	s.appendOutcome()
	s.conn.appendFrame(s.channel, body)
}

// drop ends all that the session has.
func (s *Session) drop(state sessionState, why error) {
	if s.state != sessionOpen {
		return
	}
	s.state, s.why = state, why
	s.conn.links -= len(s.handles)
	s.names, s.credits, s.stalled, s.rest = nil, nil, nil, rest{}
	s.in, s.out = unsettled.Ring[*Link]{}, unsettled.Ring[*Link]{}
	for _, l := range s.handles {
		if l.state < linkDetaching {
			l.end(linkGone, why)
		}
		l.state = linkGone
	}
	s.handles = nil
	s.farewell()
}

// dropSessions ends all sessions, with the connection.
func (c *Conn) dropSessions(why error) {
	for channel, s := range c.sessions {
		s.drop(sessionOver, why)
		delete(c.sessions, channel)
	}
}

// appendDue makes the frames of the session that are due.
func (s *Session) appendDue() {
	if s.state != sessionOpen {
		return
	}
	s.appendOutcome()
	for _, l := range s.credits {
		l.tellCredit = false
		if l.state != linkAttached {
			continue
		}
		if !l.paused {
			l.credit = max(l.credit, l.window-l.unsettled) // more may have been settled since
		}
		s.appendFlow(l, false)
	}
	s.credits = s.credits[:0]
	if s.widen && s.window() > s.windowIn {
		s.appendFlow(nil, false)
	}
}

// setDue sees to it that appendDue is called before more is written.
func (s *Session) setDue() {
	if !s.due {
		s.due = true
		s.conn.due = append(s.conn.due, s)
	}
}
