package amqpserver

import (
	"encoding/binary"
	"slices"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// outgoing is what a link has on which the peer receives.
type outgoing struct {
	sendMode uint8
	woken    bool // the node may have a message
	drain    bool // the peer wants its credit used or given up
	queued   bool // in conn.ready or session.stalled
	next     *Link
	later    *amqp10.Flow // came while the node was asked; of several the last
	head     int          // bytes of the last transfer frame before its payload: the next one is likely the same
	tags     uint32       // delivery-tags made so far
}

// Wake says that the node of a link on which the peer receives may have a message again.
func (l *Link) Wake() {
	c := l.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	l.woken = true
	l.wanted()
	c.wakeWriter()
}

// wanted puts a link into the queue of those that may have something to write.
func (l *Link) wanted() {
	if l.state == linkAttached && l.out != nil && !l.queued && (l.drain || l.askable()) {
		l.queued = true
		l.session.conn.ready.push(l)
	}
}

// askable reports whether the node is to be asked for a message.
func (l *Link) askable() bool { return l.woken && l.credit > 0 }

// blocked reports whether the session can begin no delivery.
func (s *Session) blocked() bool {
	return s.windowOut == 0 || s.rest.link != nil || s.full()
}

// full reports whether the peer must settle something first.
func (s *Session) full() bool { return s.out.Open() >= s.conn.cfg.MaxUnsettled }

// unstall lets the links go on that had to wait, when something has changed.
func (s *Session) unstall() {
	if l := s.rest.link; l != nil && s.windowOut > 0 && !l.queued {
		l.queued = true
		s.conn.ready.push(l)
	}
	if s.blocked() {
		return
	}
	for _, l := range s.stalled {
		s.conn.ready.push(l)
	}
	s.stalled = s.stalled[:0]
}

// pull gives a link its turn: it appends frames of one message to b, if there is one.
func (c *Conn) pull(l *Link, b []byte) []byte {
	s := l.session
	l.queued = false
	switch {
	case l.state != linkAttached:
		return b
	case s.rest.link == l:
		b = s.appendRest(b)
	case !l.askable(): // it is to give up its credit
	case l.drain && s.full(): // the peer may want to drain before it settles
		l.drained()
	case s.blocked():
		l.queued = true
		s.stalled = append(s.stalled, l)
		return b
	default:
		b = c.ask(l, b)
		if p := l.later; p != nil && l.state == linkAttached {
			l.later = nil
			l.flow(p)
		}
	}
	if s.rest.link == l {
		s.unstall() // as soon as there is room to write
		return b
	}
	if l.drain && !l.askable() && l.state == linkAttached {
		l.drained()
	}
	l.wanted()
	return b
}

// drained gives up the credit that there are no messages for (part 2 section 2.6.7).
func (l *Link) drained() {
	l.drain = false
	l.deliveryCount += l.credit
	l.credit = 0
	l.session.appendOutcome()
	l.session.appendFlow(l, true)
}

// ask asks a node for a message, which it appends right into the write buffer, behind room for the head
// of its frame.
func (c *Conn) ask(l *Link, b []byte) []byte {
	start := len(b)
	b = append(b, c.head[:l.head]...)
	l.woken = false
	c.called(l)
	msg, out, ok := l.out.Next(b)
	c.returned(l)
	c.wakeTeller() // it may have ended meanwhile
	if !ok || l.state != linkAttached || len(msg) < len(b) {
		return b[:start]
	}
	l.woken = true
	if most := l.maxMessage; most > 0 && uint64(len(msg)-len(b)) > most {
		l.detach(&amqp10.Error{Condition: amqp10.MessageSizeExceeded, Description: "the next message is larger than the peer takes"})
		c.wakeTeller()
		return b[:start]
	}
	return c.begun(l, msg, start, out)
}

// begun makes what a node appended at start a delivery.
func (c *Conn) begun(l *Link, b []byte, start int, out Outgoing) []byte {
	s := l.session
	l.credit--
	l.deliveryCount++
	if l.sendMode != amqp10.SendMixed {
		out.Settled = l.sendMode == amqp10.SendSettled
	}
	if out.Tag = out.Tag[:min(len(out.Tag), amqp10.MaxDeliveryTag)]; len(out.Tag) == 0 {
		l.tags++
		out.Tag = binary.BigEndian.AppendUint32(c.tag[:0], l.tags)
	}
	t := &c.sent
	*t = amqp10.Transfer{
		Handle: l.handle, DeliveryID: amqp10.Some(s.nextDelivery), DeliveryTag: out.Tag,
		MessageFormat: amqp10.Some(out.Format), Settled: amqp10.Some(out.Settled),
	}
	head := t.AppendTo(amqp10.OpenFrame(c.head[:0], amqp10.FrameAMQP, s.channel))
	message := b[start+l.head:]
	if len(head)+len(message) > int(c.peer.maxFrame) || s.windowOut == 0 { // which the peer may have shut meanwhile
		s.rest.keep(l, t, message, out.Token)
		return s.appendRest(b[:start])
	}
	// What came up while the node was asked goes first: an outcome that it told before, a flow that says how much was sent.
	if c.gather(); len(c.frames) > 0 {
		b = slices.Insert(b, start, c.frames...)
		start += len(c.frames)
		c.frames = c.frames[:0]
	}
	b = slices.Replace(b, start, start+l.head, head...)
	l.head = len(head)
	s.moved(1)
	s.delivered(l, out.Settled, out.Token)
	return amqp10.CloseFrame(b, start)
}

// moved takes note of transfer frames that are sent.
func (s *Session) moved(frames uint32) {
	s.nextOut += frames
	s.windowOut -= frames
}

// delivered takes note of a delivery that has begun: it has its id now, so there are no gaps.
func (s *Session) delivered(l *Link, settled bool, token uint64) {
	if !settled {
		s.out.Push(s.nextDelivery, l, token)
		l.unsettled++
	}
	s.nextDelivery++
}

// rest is a delivery that takes more than one frame, or what is left of it. There is one in a session, and no other
// one begins before it is sent.
type rest struct {
	link  *Link
	head  amqp10.Transfer
	tag   [amqp10.MaxDeliveryTag]byte
	token uint64
	begun bool
	buf   []byte // the whole message
	sent  int    // of it
}

func (r *rest) keep(l *Link, t *amqp10.Transfer, message []byte, token uint64) {
	*r = rest{link: l, head: *t, token: token, buf: append(r.buf[:0], message...)}
	r.head.DeliveryTag = r.tag[:copy(r.tag[:], t.DeliveryTag)]
}

// appendRest appends as many frames as the window and the write buffer have room for.
func (s *Session) appendRest(b []byte) []byte {
	r, c := &s.rest, s.conn
	for first := true; r.link != nil && s.windowOut > 0 && (first || len(b) < burst); first = false {
		c.gather()
		b, c.frames = append(b, c.frames...), c.frames[:0]
		start := len(b)
		left := r.buf[r.sent:]
		for _, more := range []bool{false, true} {
			r.head.More = amqp10.Some(more)
			b = r.head.AppendTo(amqp10.OpenFrame(b[:start], amqp10.FrameAMQP, s.channel))
			if len(b)-start+len(left) <= int(c.peer.maxFrame) {
				break // it is the last one
			}
		}
		n := min(len(left), int(c.peer.maxFrame)-(len(b)-start))
		b = amqp10.CloseFrame(append(b, left[:n]...), start)
		r.sent += n
		s.moved(1)
		if !r.begun {
			r.begun = true
			s.delivered(r.link, r.head.Settled.Value, r.token)
			// What is left out is as in the first frame.
			r.head.DeliveryID, r.head.DeliveryTag, r.head.MessageFormat = amqp10.Opt[uint32]{}, nil, amqp10.Opt[uint32]{}
		}
		if r.sent == len(r.buf) {
			*r = rest{buf: r.buf[:0]}
			s.unstall()
		}
	}
	return b
}
