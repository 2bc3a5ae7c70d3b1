package amqpclient

import (
	"context"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/unsettled"
)

// answer is what a call waits for that settles in receiver-settle-mode second. One that comes late is kept for the next call.
type answer struct {
	link  *link
	calls int // that wait
	known bool
	state amqp10.State
	gate  gate
}

// Dispose tells the peer the outcome of the deliveries first to last of the link, by [Delivery].ID, and settles them;
// null means accepted. In receiver-settle-mode second the peer has yet to settle them, of which nothing is told. What is settled
// already, or is another link's, is passed over. It does not wait: dispositions that are neighbours are joined
// until they are written. state is not kept. The error is why the link ended.
func (r *Receiver) Dispose(first, last uint32, state amqp10.State) error {
	c := r.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.why != nil {
		return r.why
	}
	s := r.session
	for i := s.in.Search(first); i < s.in.Len() && !unsettled.Before(last, s.in.At(i).ID); i = s.in.Search(first) {
		e := s.in.At(i)
		first = e.ID + 1
		if e.Open && !e.Told && e.Link == &r.link {
			s.tell(e, state)
		}
	}
	c.wakeWriter()
	return nil
}

// tell tells the peer the outcome of a delivery that came in.
func (s *Session) tell(e *unsettled.Entry[*link], state amqp10.State) {
	if state.IsNull() {
		state = amqp10.Accepted()
	}
	s.say(amqp10.RoleReceiver, !e.Second, e.ID, e.ID, state)
	if e.Second {
		e.Told = true
	} else {
		s.settleIn(e)
	}
}

// Settle is Dispose for one delivery that, in receiver-settle-mode second, waits for the peer to settle it, and returns the
// state that it gives then: null if none. In mode first it returns state at once.
//
// The error is that of ctx, [ErrNotUnsettled], or why the link ended. After an end of ctx Settle may be called again, with
// whatever state: it tells the peer nothing more, and returns the answer, for which it waits if it has not come.
func (r *Receiver) Settle(ctx context.Context, id uint32, state amqp10.State) (amqp10.State, error) {
	c, s := r.session.conn, r.session
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.why != nil {
		return amqp10.State{}, r.why
	}
	if a := s.answers[id]; a != nil && a.link == &r.link && a.known { // it came late
		delete(s.answers, id)
		return a.state, nil
	}
	e := s.in.Find(id)
	if e == nil || e.Link != &r.link {
		return amqp10.State{}, ErrNotUnsettled
	}
	second := e.Second
	if !e.Told {
		s.tell(e, state)
		c.wakeWriter()
	}
	if !second {
		return state, nil
	}
	return r.await(ctx, s.answer(id, &r.link))
}

// answer returns where the peer's answer about a delivery is to be.
func (s *Session) answer(id uint32, l *link) *answer {
	a := s.answers[id]
	if a == nil || a.known { // or it is that of a delivery long ago
		a = &answer{link: l}
		if s.answers == nil {
			s.answers = make(map[uint32]*answer)
		}
		s.answers[id] = a
	}
	return a
}

// await waits for the peer's answer.
func (r *Receiver) await(ctx context.Context, a *answer) (amqp10.State, error) {
	a.calls++
	defer func() { a.calls-- }()
	for !a.known {
		if r.why != nil {
			return amqp10.State{}, r.why
		}
		if err := r.session.conn.wait(ctx, &a.gate); err != nil && !a.known {
			return amqp10.State{}, err
		}
	}
	return a.state, nil
}

// keptAnswers is how many answers a session has at most when it keeps one that nobody waits for.
const keptAnswers = 64

// answered gives the peer's answer to who waits for it.
func (s *Session) answered(id uint32, state amqp10.State) {
	if a := s.answers[id]; a != nil {
		a.known, a.state = true, state.Clone()
		a.gate.open()
		if a.calls > 0 || len(s.answers) > keptAnswers {
			delete(s.answers, id)
		}
	}
}

// giveUpAnswers has those look again who wait for answers on a link that has ended.
func (s *Session) giveUpAnswers(l *link) {
	for id, a := range s.answers {
		if a.link == l {
			a.gate.open()
			delete(s.answers, id)
		}
	}
}

// settleIn ends a delivery that came in.
func (s *Session) settleIn(e *unsettled.Entry[*link]) {
	e.Link.unsettled--
	s.in.Settle(e)
}

// say tells the peer of the outcome of deliveries, together with their neighbours if it is the same.
func (s *Session) say(role amqp10.Role, settled bool, first, last uint32, state amqp10.State) {
	if !s.outcome.Join(role, settled, first, last, state) {
		s.appendOutcome()
		s.outcome.Join(role, settled, first, last, state)
	}
	s.setDue()
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
	at := c.openFrame(amqp10.FrameAMQP, s.channel)
	c.frames.b = d.AppendTo(c.frames.b)
	c.closeFrame(at)
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
			s.settledByPeer(first, last, d.State)
		}
		return nil
	}
	if d.Settled.Or(false) || d.State.Terminal() {
		s.outcomes(first, last, d)
	}
	return nil
}

// settledByPeer acts on a sender that settles what it sent: behind our word, or without waiting for it.
func (s *Session) settledByPeer(first, last uint32, state amqp10.State) {
	for i := s.in.Search(first); i < s.in.Len() && !unsettled.Before(last, s.in.At(i).ID); {
		e := s.in.At(i)
		id := e.ID
		if e.Open {
			s.settleIn(e)
			s.answered(id, state)
		}
		i = s.in.Search(id + 1)
	}
}

// outcomes acts on a receiver's word about what we sent. Deliveries that follow each other are told of together.
func (s *Session) outcomes(first, last uint32, d *amqp10.Disposition) {
	settled, full := d.Settled.Or(false), s.out.Open() >= maxUnsettled
	for i := s.out.Search(first); i < s.out.Len() && !unsettled.Before(last, s.out.At(i).ID); i = s.out.Search(first) {
		e := s.out.At(i)
		first = e.ID + 1
		if !e.Open {
			continue
		}
		l, id, from := e.Link, e.ID, e.Token
		n := s.settleRun(i, last)
		first = id + n
		if !settled {
			s.say(amqp10.RoleSender, true, id, id+n-1, d.State)
		}
		if f := l.out.onSettled; f != nil {
			s.conn.called(l)
			f(from, from+uint64(n)-1, d.State)
			s.conn.returned(l)
		}
		if s.state != sessionOpen {
			return
		}
	}
	if full {
		s.unstall()
	}
}

// settleRun settles the delivery at i and those of the same link, up to last, whose ids and tokens follow it, and
// returns how many.
func (s *Session) settleRun(i, last uint32) (n uint32) {
	e := s.out.At(i)
	l, id, token := e.Link, e.ID, e.Token
	for ; i+n < s.out.Len(); n++ {
		e := s.out.At(i + n)
		if !e.Open || e.Link != l || e.ID != id+n || e.Token != token+uint64(n) || unsettled.Before(last, e.ID) {
			break
		}
		s.out.Close(e)
	}
	l.unsettled -= n
	s.conn.unsettled -= int(n)
	s.out.Trim()
	return n
}
