package amqpserver

import (
	"fmt"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/unsettled"
)

// incoming is what a link has on which the peer sends.
type incoming struct {
	window     uint32 // deliveries that may be on their way or unsettled
	second     bool   // receiver-settle-mode second: the peer settles behind us
	paused     bool
	tellCredit bool // the link is in its session's credits
	maxMessage uint64
	partial    *amqp10.Partial // the message that has come in part
}

// Delivery is a message that has come in. It and its byte fields end with the call of [Receiver].Deliver.
type Delivery struct {
	Link    *Link
	Tag     []byte
	Format  uint32 // message-format; 0 is AMQP's own
	Settled bool   // the peer wants no word about it
	Message []byte // the sections, as they came

	id uint32
}

// transfer acts on a peer's transfer (part 2 sections 2.6.12 and 2.6.14).
func (s *Session) transfer(body []byte) error {
	c := s.conn
	t := &c.moved
	payload, err := t.Parse(body)
	if err != nil {
		return decodeError(err)
	}
	if s.windowIn == 0 {
		s.end(&amqp10.Error{Condition: amqp10.WindowViolation, Description: fmt.Sprintf("more than %d transfers", c.cfg.Window)})
		return nil
	}
	s.nextIn++
	s.windowIn--
	s.reopen()
	l := s.handles[t.Handle]
	switch {
	case l == nil:
		s.noLink(amqp10.DescTransfer, t.Handle)
	case l.state != linkAttached: // it was sent before the peer knew
	case l.in == nil:
		l.detach(&amqp10.Error{Condition: amqp10.NotAllowed, Description: "a transfer to the sender of the link"})
	case l.partial != nil:
		l.more(t, payload)
	default:
		l.first(t, payload)
	}
	return nil
}

// window is how many transfers the peer may send: none when too much is unsettled.
func (s *Session) window() uint32 {
	room := s.conn.cfg.MaxUnsettled - s.in.Open()
	return min(s.conn.cfg.Window, uint32(max(room, 0)))
}

// reopen sees to it that the peer is told of its window when half of it is used.
func (s *Session) reopen() {
	if s.windowIn <= s.conn.cfg.Window/2 && s.window() > s.windowIn {
		s.widen = true
		s.setDue()
		s.conn.urgent = true
	}
}

// first acts on the first frame of a delivery.
func (l *Link) first(t *amqp10.Transfer, payload []byte) {
	s := l.session
	switch {
	case !t.DeliveryID.Valid || t.DeliveryTag == nil:
		l.detach(&amqp10.Error{Condition: amqp10.InvalidField, Description: "the first transfer of a delivery has no delivery-id or no delivery-tag"})
		return
	case l.credit == 0:
		l.detach(&amqp10.Error{Condition: amqp10.TransferLimitExceeded, Description: "a transfer without credit"})
		return
	case s.anyIn && !unsettled.Before(s.lastIn, t.DeliveryID.Value):
		s.end(&amqp10.Error{Condition: amqp10.InvalidField, Description: fmt.Sprintf("delivery-id %d behind %d", t.DeliveryID.Value, s.lastIn)})
		return
	}
	s.anyIn, s.lastIn = true, t.DeliveryID.Value
	l.count()
	if !t.More.Or(false) && !t.Aborted.Or(false) {
		l.deliver(t, payload) // as most are: from the read buffer
		return
	}
	l.partial, s.conn.spare = amqp10.BeginPartial(s.conn.spare, t), nil
	l.add(t, payload)
}

// more acts on a further frame of a delivery.
func (l *Link) more(t *amqp10.Transfer, payload []byte) {
	if !l.partial.Continues(t) {
		l.detach(&amqp10.Error{Condition: amqp10.InvalidField, Description: "a delivery within another one"})
		return
	}
	l.add(t, payload)
}

// add adds to a message that comes in part.
func (l *Link) add(t *amqp10.Transfer, payload []byte) {
	c, p := l.session.conn, l.partial
	switch {
	case t.Aborted.Or(false):
		c.partial -= len(p.Message)
		l.partial = nil
		l.topUp()
		return
	case l.tooLarge(len(p.Message) + len(payload)):
		return
	case c.partial+len(payload) > c.cfg.MaxPartial:
		l.detach(&amqp10.Error{Condition: amqp10.ResourceLimitExceeded, Description: "too many bytes of incomplete messages"})
		return
	}
	c.partial += len(payload)
	if p.Add(t, payload) {
		c.partial -= len(p.Message)
		l.partial = nil
		l.deliver(&p.Head, p.Message)
		c.spare = p
	}
}

func (l *Link) tooLarge(size int) bool {
	if l.maxMessage == 0 || uint64(size) <= l.maxMessage {
		return false
	}
	l.detach(&amqp10.Error{Condition: amqp10.MessageSizeExceeded, Description: fmt.Sprintf("the message is larger than %d bytes", l.maxMessage)})
	return true
}

// count takes note of a delivery that has begun: a flow may come before it is whole, and counts it.
func (l *Link) count() {
	l.deliveryCount++
	l.credit--
}

// deliver hands a whole message to the node.
func (l *Link) deliver(t *amqp10.Transfer, message []byte) {
	s, c := l.session, l.session.conn
	if l.tooLarge(len(message)) {
		return
	}
	id, settled := t.DeliveryID.Value, t.Settled.Or(false)
	if !settled {
		e := s.in.Push(id, l, 0)
		e.Second = l.second && t.ReceiveMode.Or(amqp10.ReceiveSecond) == amqp10.ReceiveSecond
		l.unsettled++
	}
	d := &c.delivery
	*d = Delivery{Link: l, Tag: t.DeliveryTag, Format: t.MessageFormat.Or(0), Settled: settled, Message: message, id: id}
	c.called(l)
	l.in.Deliver(d)
	c.returned(l)
	*d = Delivery{}
	l.topUp()
}

// topUp grants credit when half of it is used: for what is neither under way nor unsettled.
func (l *Link) topUp() {
	held := l.unsettled
	if l.partial != nil {
		held++
	}
	if l.state != linkAttached || l.in == nil || l.paused || l.credit+held > l.window/2 {
		return
	}
	l.credit = l.window - held
	l.dueCredit()
}

// dueCredit sees to it that the peer is told of its credit.
func (l *Link) dueCredit() {
	if !l.tellCredit {
		l.tellCredit = true
		l.session.credits = append(l.session.credits, l)
		l.session.setDue()
		l.session.conn.urgent = true
	}
}

// Pause grants the peer no more credit until Resume. What it has, it may use. For links on which the peer sends.
func (l *Link) Pause() { l.pause(true) }

// Resume undoes Pause.
func (l *Link) Resume() { l.pause(false) }

func (l *Link) pause(on bool) {
	c := l.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	l.paused = on
	l.topUp()
	c.wakeWriter()
}
