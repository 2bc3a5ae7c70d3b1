package amqpserver

import (
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/unsettled"
)

// Receipt is a delivery that is to be settled. It can be kept, copied and compared.
type Receipt struct {
	link *Link
	id   uint32
}

// Receipt returns what settles d, now or later.
func (d *Delivery) Receipt() Receipt { return Receipt{d.Link, d.id} }

// Settle settles d with an outcome.
func (d *Delivery) Settle(state amqp10.State) { d.Receipt().Settle(state) }

// Settle settles a delivery with an outcome; null means accepted. It may be called from any goroutine and in any
// order. For a delivery that is settled, or that the peer sent so, or whose link has ended, it does nothing.
// state is not kept.
func (r Receipt) Settle(state amqp10.State) {
	if r.link == nil {
		return
	}
	s := r.link.session
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	e := s.in.Find(r.id)
	if e == nil || e.Link != r.link || e.Told {
		return
	}
	if state.IsNull() {
		state = amqp10.Accepted()
	}
	s.say(amqp10.RoleReceiver, !e.Second, r.id, state)
	if e.Second {
		e.Told = true
	} else {
		s.settleIn(e)
	}
	c.wakeWriter()
}

// settleIn ends a delivery that came in.
func (s *Session) settleIn(e *unsettled.Entry[*Link]) {
	l := e.Link
	s.in.Settle(e)
	l.unsettled--
	l.topUp()
	s.reopen()
}

// say tells the peer of the outcome of a delivery, together with its neighbours if it is the same.
func (s *Session) say(role amqp10.Role, settled bool, id uint32, state amqp10.State) {
	if !s.outcome.Join(role, settled, id, id, state) {
		s.appendOutcome()
		s.outcome.Join(role, settled, id, id, state)
	}
	s.setDue()
	s.conn.said++
	if role == amqp10.RoleSender {
		s.conn.urgent = true // a peer that wants our word waits for it
	}
	if s.outcome.Borrowed() {
		s.appendOutcome()
	}
}

// appendOutcome makes the disposition that is due.
func (s *Session) appendOutcome() {
	d, ok := s.outcome.Take()
	if !ok {
		return
	}
	c := s.conn
	at := len(c.frames)
	c.frames = amqp10.CloseFrame(d.AppendTo(amqp10.OpenFrame(c.frames, amqp10.FrameAMQP, s.channel)), at)
}

// disposition acts on what the peer says about deliveries (part 2 section 2.7.6). Of a range it may mean those only
// that there are.
func (s *Session) disposition(body []byte) error {
	d := &s.conn.told
	if err := d.Parse(body); err != nil {
		return decodeError(err)
	}
	first, last := d.First, d.Last.Or(d.First)
	if unsettled.Before(last, first) {
		s.end(&amqp10.Error{Condition: amqp10.InvalidField, Description: "a disposition whose last is before its first"})
		return nil
	}
	if d.Role == amqp10.RoleSender {
		if d.Settled.Or(false) {
			s.settledByPeer(first, last)
		}
		return nil
	}
	if d.Settled.Or(false) || d.State.Terminal() {
		s.outcomes(first, last, d)
	}
	return nil
}

// settledByPeer acts on a sender that settles what it sent: behind our word, or without waiting for it.
func (s *Session) settledByPeer(first, last uint32) {
	for i := s.in.Search(first); i < s.in.Len() && !unsettled.Before(last, s.in.At(i).ID); {
		e := s.in.At(i)
		next := e.ID + 1
		if e.Open {
			s.settleIn(e)
		}
		i = s.in.Search(next)
	}
}

// outcomes acts on a receiver's word about what we sent.
func (s *Session) outcomes(first, last uint32, d *amqp10.Disposition) {
	c, settled := s.conn, d.Settled.Or(false)
	for i := s.out.Search(first); i < s.out.Len() && !unsettled.Before(last, s.out.At(i).ID); i = s.out.Search(first) {
		e := s.out.At(i)
		id, l, token := e.ID, e.Link, e.Token
		first = id + 1
		if !e.Open {
			continue
		}
		s.out.Settle(e)
		l.unsettled--
		c.called(l)
		answer := l.out.Settled(token, d.State, settled)
		c.returned(l)
		if s.state != sessionOpen {
			return
		}
		if !settled {
			if answer.IsNull() {
				answer = amqp10.Accepted()
			}
			s.say(amqp10.RoleSender, true, id, answer)
		}
	}
	s.unstall()
}
