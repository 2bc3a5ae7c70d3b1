package amqpclient

import (
	"math"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// flow acts on a peer's flow (part 2 sections 2.5.6 and 2.6.7).
func (s *Session) flow(body []byte) error {
	p := &s.conn.flowed
	if err := p.Parse(body); err != nil {
		return decodeError(err)
	}
	var l *link
	if p.Handle.Valid {
		if l = s.byHandle(p.Handle.Value); l == nil {
			s.noLink(amqp10.DescFlow, p.Handle.Value)
			return nil
		}
	}
	// What is under way takes up some of the window that the peer had in mind.
	underWay := s.nextOut - p.NextIncomingID.Or(firstOut)
	if underWay > math.MaxInt32 {
		underWay = 0 // it counts otherwise than we do
	}
	s.windowOut = p.IncomingWindow - min(underWay, p.IncomingWindow)
	s.unstall()
	if l != nil && l.state != linkAttached {
		return nil
	}
	if l != nil {
		l.flow(p)
	}
	if p.Echo.Or(false) {
		s.appendOutcome()
		s.appendFlow(l)
	}
	return nil
}

// flow acts on what a flow says about a link.
func (l *link) flow(p *amqp10.Flow) {
	if r := l.in; r != nil {
		// The sender may have given up some of its credit.
		if n := p.DeliveryCount.Or(r.deliveryCount) - r.deliveryCount; n > 0 && n <= r.credit {
			r.deliveryCount += n
			r.credit -= n
			r.topUp()
			r.gate.open()
		}
		return
	}
	if p.LinkCredit.Valid {
		// What was sent after the peer counted takes up some of what it grants.
		sent := l.deliveryCount - p.DeliveryCount.Or(0)
		if sent > math.MaxInt32 {
			sent = 0 // it counts otherwise than we do
		}
		l.credit = p.LinkCredit.Value - min(sent, p.LinkCredit.Value)
	}
	l.out.wake()
	if p.Drain.Or(false) && l.credit > 0 {
		l.deliveryCount += l.credit // there is nothing here that waits to be sent
		l.credit = 0
		l.session.appendOutcome()
		l.session.appendFlow(l)
	}
}

// appendFlow tells the peer the state of the session, and of l if that is not nil. It opens the window again.
func (s *Session) appendFlow(l *link) {
	s.windowIn, s.widen = s.window, false
	f := amqp10.Flow{
		NextIncomingID: amqp10.Some(s.nextIn),
		IncomingWindow: s.windowIn,
		NextOutgoingID: s.nextOut,
		OutgoingWindow: s.window,
	}
	if l != nil {
		f.Handle, f.DeliveryCount, f.LinkCredit = amqp10.Some(l.handle), amqp10.Some(l.deliveryCount), amqp10.Some(l.credit)
		if l.in != nil && l.in.drain {
			f.Drain = amqp10.Some(true)
		}
	}
	c := s.conn
	at := c.openFrame(amqp10.FrameAMQP, s.channel)
	c.frames.b = f.AppendTo(c.frames.b)
	c.closeFrame(at)
}
