package amqpserver

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
	var l *Link
	if p.Handle.Valid {
		// One behind the link's detach still counts for the session: go-amqp tops up its credit then, too.
		if l = s.handles[p.Handle.Value]; l == nil && uint64(p.Handle.Value) >= s.peerHandles {
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
	switch {
	case l != nil && l.state == linkAttached:
		l.flow(p)
	case l == nil && p.Echo.Or(false):
		s.appendOutcome()
		s.appendFlow(nil, false)
	}
	return nil
}

// flow acts on what a flow says about a link, and answers it. While the node is asked, by who writes, it waits until the
// message has gone out that it may get: there was credit for that.
func (l *Link) flow(p *amqp10.Flow) {
	if l.out != nil && l.calls > 0 {
		f := *p
		if l.later != nil && l.later.Echo.Or(false) {
			f.Echo = l.later.Echo
		}
		l.later = &f
		return
	}
	l.grant(p)
	if p.Echo.Or(false) {
		l.session.appendOutcome()
		l.session.appendFlow(l, false)
	}
}

// grant changes a link's credit.
func (l *Link) grant(p *amqp10.Flow) {
	if l.in != nil {
		// The sender may have given up some of its credit.
		if n := p.DeliveryCount.Or(l.deliveryCount) - l.deliveryCount; n <= l.credit {
			l.deliveryCount += n
			l.credit -= n
			l.topUp()
		}
		return
	}
	if p.LinkCredit.Valid {
		// What was sent after the peer counted takes up some of what it grants.
		sent := l.deliveryCount - p.DeliveryCount.Or(0)
		l.credit = p.LinkCredit.Value - min(sent, p.LinkCredit.Value)
	}
	l.drain = p.Drain.Or(false)
	l.wanted()
}

// appendFlow tells the peer the state of the session, and of l if that is not nil. It opens the window again.
func (s *Session) appendFlow(l *Link, drained bool) {
	s.windowIn, s.widen = max(s.windowIn, s.window()), false // what was granted stays
	f := amqp10.Flow{
		NextIncomingID: amqp10.Some(s.nextIn),
		IncomingWindow: s.windowIn,
		NextOutgoingID: s.nextOut,
		OutgoingWindow: s.conn.cfg.Window,
	}
	if l != nil {
		f.Handle, f.DeliveryCount, f.LinkCredit = amqp10.Some(l.handle), amqp10.Some(l.deliveryCount), amqp10.Some(l.credit)
	}
	if drained {
		f.Drain = amqp10.Some(true)
	}
	c := s.conn
	at := len(c.frames)
	c.frames = amqp10.CloseFrame(f.AppendTo(amqp10.OpenFrame(c.frames, amqp10.FrameAMQP, s.channel)), at)
}
