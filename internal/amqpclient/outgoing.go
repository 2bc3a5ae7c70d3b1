package amqpclient

import (
	"encoding/binary"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// maxUnsettled bounds the deliveries of a session that have no outcome: no more are sent until the peer settles some.
const maxUnsettled = 32 << 10

// blocked reports whether the session can begin no delivery.
func (s *Session) blocked() bool {
	return s.state != sessionOpen || s.windowOut == 0 || s.rest != nil || s.out.Open() >= maxUnsettled
}

// trySend is TrySend with the lock held.
func (l *Sender) trySend(msg []byte, o *Outgoing) (ok bool, err error) {
	s := l.session
	c := s.conn
	switch {
	case l.why != nil:
		return false, l.why
	case l.maxMessage > 0 && uint64(len(msg)) > l.maxMessage:
		return false, ErrMessageSize
	case l.credit == 0 || s.blocked():
		l.waits = true
		return false, nil
	case c.waiting() >= roomLimit:
		l.waits = true
		if !l.crowded {
			l.crowded = true
			c.crowded = append(c.crowded, l)
		}
		return false, nil
	}
	l.send(msg, o)
	return true, nil
}

// send begins a delivery.
func (l *Sender) send(msg []byte, o *Outgoing) {
	s := l.session
	c := s.conn
	s.appendOutcome()
	l.credit--
	l.deliveryCount++
	settled := o.Settled
	if l.sendMode != amqp10.SendMixed {
		settled = l.sendMode == amqp10.SendSettled
	}
	id := s.nextDelivery
	s.nextDelivery++
	if c.unsettled > 0 {
		c.alone = 0
	} else if c.alone < lonely {
		c.alone++
	}
	if !settled {
		s.out.Push(id, &l.link, o.Token)
		l.unsettled++
		c.unsettled++
	}
	t := &c.sent
	*t = amqp10.Transfer{
		Handle: l.handle, DeliveryID: amqp10.Some(id), DeliveryTag: binary.BigEndian.AppendUint32(c.tag[:0], id),
		MessageFormat: amqp10.Some(o.Format), Settled: amqp10.Some(settled),
	}
	at := c.openFrame(amqp10.FrameAMQP, s.channel)
	c.frames.b = t.AppendTo(c.frames.b)
	if len(c.frames.b)-at+len(msg) > int(c.peer.maxFrame) {
		c.frames.b = c.frames.b[:at]
		s.rest = &rest{link: l, head: *t, tag: c.tag, buf: append([]byte(nil), msg...)}
		s.appendRest()
		return
	}
	s.moved()
	l.closeTransfer(at, msg)
}

// moved takes note of a transfer frame that is sent.
func (s *Session) moved() {
	s.nextOut++
	s.windowOut--
}

// closeTransfer ends a transfer frame with what it carries.
func (l *Sender) closeTransfer(at int, payload []byte) {
	c := l.session.conn
	head := len(c.frames.b)
	c.frames.b = append(c.frames.b, payload...)
	if l.secret {
		c.closeMasked(at, func(dst []byte) []byte { return append(dst, c.frames.b[at+amqp10.FrameHead:head]...) })
		return
	}
	c.closeFrame(at)
}

// rest is a delivery that takes more than one frame, or what is left of it. There is one in a session, and no other
// one begins before it is sent.
type rest struct {
	link *Sender
	head amqp10.Transfer
	tag  [4]byte
	buf  []byte // the whole message
	sent int    // of it
}

// appendRest appends as many frames as window and room allow.
func (s *Session) appendRest() {
	r, c := s.rest, s.conn
	for s.windowOut > 0 {
		if c.waiting() >= roomLimit {
			s.setDue() // behind what waits
			return
		}
		if r.sent == 0 {
			r.head.DeliveryTag = r.tag[:]
		}
		left := r.buf[r.sent:]
		at := c.openFrame(amqp10.FrameAMQP, s.channel)
		for _, more := range []bool{false, true} {
			r.head.More = amqp10.Some(more)
			c.frames.b = r.head.AppendTo(c.frames.b[:at+amqp10.FrameHead])
			if len(c.frames.b)-at+len(left) <= int(c.peer.maxFrame) {
				break // it is the last one
			}
		}
		n := min(len(left), int(c.peer.maxFrame)-(len(c.frames.b)-at))
		s.moved()
		r.link.closeTransfer(at, left[:n])
		r.sent += n
		// What is left out is as in the first frame.
		r.head.DeliveryID, r.head.DeliveryTag, r.head.MessageFormat = amqp10.Opt[uint32]{}, nil, amqp10.Opt[uint32]{}
		if r.sent == len(r.buf) {
			s.rest = nil
			s.unstall()
			return
		}
	}
}

// unstall tells links that something has changed that they may have waited for: the session's window, or a message that
// took more than one frame.
func (s *Session) unstall() {
	if s.rest != nil && s.windowOut > 0 {
		s.setDue()
	}
	if s.blocked() {
		return
	}
	for _, l := range s.links {
		if l != nil && l.out != nil {
			l.out.wake()
		}
	}
}

// wake tells who waits to send that it may be possible now.
func (l *Sender) wake() {
	if !l.waits || l.state != linkAttached || l.credit == 0 || l.session.blocked() {
		return
	}
	l.waits = false
	l.gate.open()
	if l.onReady != nil {
		l.calls++
		l.session.conn.tellLater(tale{ready: l})
	}
}
