package amqpclient

import (
	"fmt"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/unsettled"
)

// transfer acts on a peer's transfer (part 2 sections 2.6.12 and 2.6.14).
func (s *Session) transfer(body []byte) error {
	t := &s.conn.moved
	payload, err := t.Parse(body)
	if err != nil {
		return decodeError(err)
	}
	if s.windowIn == 0 {
		s.end(&amqp10.Error{Condition: amqp10.WindowViolation, Description: fmt.Sprintf("more than %d transfers", s.window)})
		return nil
	}
	s.nextIn++
	s.windowIn--
	if s.windowIn <= s.window/2 && !s.widen {
		s.widen = true
		s.setDue()
	}
	l := s.byHandle(t.Handle)
	switch {
	case l == nil:
		s.noLink(amqp10.DescTransfer, t.Handle)
	case l.state != linkAttached: // it was sent before the peer knew
	case l.in == nil:
		l.detach(&amqp10.Error{Condition: amqp10.NotAllowed, Description: "a transfer to the sender of the link"})
	case l.in.partial != nil:
		l.in.continued(t, payload)
	default:
		l.in.first(t, payload)
	}
	return nil
}

// first acts on the first frame of a delivery.
func (r *Receiver) first(t *amqp10.Transfer, payload []byte) {
	s := r.session
	switch {
	case !t.DeliveryID.Valid || t.DeliveryTag == nil:
		r.detach(&amqp10.Error{Condition: amqp10.InvalidField, Description: "the first transfer of a delivery has no delivery-id or no delivery-tag"})
		return
	case r.credit == 0:
		r.detach(&amqp10.Error{Condition: amqp10.TransferLimitExceeded, Description: "a transfer without credit"})
		return
	case s.anyIn && !unsettled.Before(s.lastIn, t.DeliveryID.Value):
		s.end(&amqp10.Error{Condition: amqp10.InvalidField, Description: fmt.Sprintf("delivery-id %d behind %d", t.DeliveryID.Value, s.lastIn)})
		return
	}
	s.anyIn, s.lastIn = true, t.DeliveryID.Value
	r.count()
	if !t.More.Or(false) && !t.Aborted.Or(false) {
		r.deliver(t, payload) // as most are: from the read buffer
		return
	}
	r.partial, s.conn.spare = amqp10.BeginPartial(s.conn.spare, t), nil
	r.add(t, payload)
}

// continued acts on a further frame of a delivery.
func (r *Receiver) continued(t *amqp10.Transfer, payload []byte) {
	if !r.partial.Continues(t) {
		r.detach(&amqp10.Error{Condition: amqp10.InvalidField, Description: "a delivery within another one"})
		return
	}
	r.add(t, payload)
}

// add adds to a message that comes in part.
func (r *Receiver) add(t *amqp10.Transfer, payload []byte) {
	c, p := r.session.conn, r.partial
	switch {
	case t.Aborted.Or(false):
		c.partial -= len(p.Message)
		r.partial = nil
		r.drained()
		return
	case r.tooLarge(len(p.Message) + len(payload)):
		return
	case c.partial+len(payload) > c.o.MaxPartial:
		r.detach(&amqp10.Error{Condition: amqp10.ResourceLimitExceeded, Description: "too many bytes of incomplete messages"})
		return
	}
	c.partial += len(payload)
	if p.Add(t, payload) {
		c.partial -= len(p.Message)
		r.partial = nil
		r.deliver(&p.Head, p.Message)
		if c.spare = p; cap(p.Message) > keptBuffer {
			c.spare = nil
		}
	}
}

func (r *Receiver) tooLarge(size int) bool {
	if uint64(size) <= r.maxMessage {
		return false
	}
	r.detach(&amqp10.Error{Condition: amqp10.MessageSizeExceeded, Description: fmt.Sprintf("the message is larger than %d bytes", r.maxMessage)})
	return true
}

// count takes note of a delivery that has begun: a flow may come before it is whole, and counts it.
func (r *Receiver) count() {
	r.deliveryCount++
	r.credit--
	r.topUp()
}

// drained has who drains look again, when the peer has used up its credit.
func (r *Receiver) drained() {
	if r.credit == 0 {
		r.gate.open()
	}
}

// deliver hands a whole message over.
func (r *Receiver) deliver(t *amqp10.Transfer, message []byte) {
	s, c := r.session, r.session.conn
	if r.tooLarge(len(message)) {
		return
	}
	id, settled := t.DeliveryID.Value, t.Settled.Or(false)
	if !settled {
		e := s.in.Push(id, &r.link, 0)
		e.Second = r.second && t.ReceiveMode.Or(amqp10.ReceiveSecond) == amqp10.ReceiveSecond
		r.unsettled++
	}
	r.drained()
	if r.onDelivery == nil {
		return
	}
	d := &c.delivery
	*d = Delivery{Link: r, ID: id, Tag: t.DeliveryTag, Format: t.MessageFormat.Or(0), Settled: settled, Message: message}
	c.called(&r.link)
	r.onDelivery(d)
	c.returned(&r.link)
	*d = Delivery{}
}
