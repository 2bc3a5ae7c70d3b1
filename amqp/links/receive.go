package links

import (
	"context"
	"slices"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

// inbox is where messages come in that are settled one by one: a device's by one link, a module's also by one for its inputs;
// a back end's feedback.
//
// They are pulled: the hub gets credit for as many as there are calls that wait, and no more. It locks
// a message for a minute from when it sends it, so one that lay here while the program is busy with
// others would be held for nothing: its lock would be lost, and it would come again, to lie here
// again. Credit that is out when a call gives up stays with the hub, for the next call.
type inbox struct {
	op      string // of the calls
	e       *entity
	sources []*source

	mu    sync.Mutex    // is taken behind Conn.mu
	calls []chan result // those that wait, the oldest first; each has room for one
	spare []*delivery   // came when no call waited
}

// result is what a call of an inbox returns.
type result struct {
	d   *delivery
	err error
}

// source is one link of an inbox.
type source struct {
	in *receiver

	// Guarded by inbox.mu.
	link   *amqpclient.Receiver // what stands; nil: nothing
	gen    generation           // of link
	credit int                  // that is out
}

// add gives b another link, whose messages are unsettled.
func (b *inbox) add(cfg linkConfig, second bool) {
	s := &source{}
	cfg.refused = b.refused
	cfg.ended = func(gen generation, _ error) { b.ended(s, gen) }
	s.in = b.e.receiver(receiverConfig{
		linkConfig: cfg, second: second,
		attached: func(gen generation, r *amqpclient.Receiver) { b.attached(s, gen, r) },
		delivery: func(gen generation, d *amqpclient.Delivery) { b.delivered(s, gen, d) },
	})
	b.sources = append(b.sources, s)
}

// next returns the next message. Its errors are *hubwire.Error.
func (b *inbox) next(ctx context.Context) (*delivery, error) {
	if ctx.Err() != nil {
		return nil, b.gaveUp(ctx)
	}
	answer := make(chan result, 1)
	if d := b.enter(answer); d != nil {
		return d, nil
	}
	b.want()
	select {
	case r := <-answer:
		return r.d, r.err
	case <-ctx.Done():
	case <-b.e.life.Done():
	}
	b.leave(answer)
	select {
	case r := <-answer: // in that moment
		return r.d, r.err
	default:
	}
	return nil, b.gaveUp(ctx)
}

// gaveUp is the error of a call that ends without a message, because ctx has, or the entity.
func (b *inbox) gaveUp(ctx context.Context) error {
	if b.e.life.Err() != nil {
		return ended(b.op, context.Cause(b.e.life))
	}
	b.e.c.mu.Lock()
	defer b.e.c.mu.Unlock()
	var last error
	for _, s := range b.sources {
		if last == nil {
			last = s.in.core.lackLocked()
		}
	}
	return gaveUp(b.op, ctx.Err(), last)
}

// enter returns a spare message, or has the call wait, and the hub give it one.
func (b *inbox) enter(answer chan result) *delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.spare) > 0 {
		d := b.spare[0]
		b.spare = b.spare[1:]
		return d
	}
	b.calls = append(b.calls, answer)
	for _, s := range b.sources {
		s.topUp(len(b.calls))
	}
	return nil
}

// leave takes back a call.
func (b *inbox) leave(answer chan result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = slices.DeleteFunc(b.calls, func(c chan result) bool { return c == answer })
}

// want sees to it that the links are attached.
func (b *inbox) want() {
	b.e.c.mu.Lock()
	defer b.e.c.mu.Unlock()
	for _, s := range b.sources {
		if s.in.core.live.Load() == nil {
			s.in.core.wantLocked()
		}
	}
}

// topUp gives the hub credit for as many messages as there are calls.
func (s *source) topUp(calls int) {
	if s.link != nil && s.credit < calls {
		s.link.AddCredit(uint32(calls - s.credit))
		s.credit = calls
	}
}

// attached is told of a link that stands.
func (b *inbox) attached(s *source, gen generation, r *amqpclient.Receiver) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.Err() == nil { // or ended may have been told already
		s.link, s.gen, s.credit = r, gen, 0
		s.topUp(len(b.calls))
	}
}

// ended is told that a link has ended: what it had brought is the hub's again.
func (b *inbox) ended(s *source, gen generation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.gen == gen {
		s.link = nil
	}
	b.spare = slices.DeleteFunc(b.spare, func(d *delivery) bool { return d.s == s && d.gen == gen })
}

// refused is told that the hub does not attach a link: no call is to wait for it.
func (b *inbox) refused(reason error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, answer := range b.calls {
		own := *asError(b.op, 0, reason)
		own.Op = b.op
		answer <- result{err: &own}
	}
	b.calls = nil
}

// delivered is told of a message.
func (b *inbox) delivered(s *source, gen generation, from *amqpclient.Delivery) {
	d := &delivery{s: s, arrival: arrived(gen, from)}
	b.mu.Lock()
	defer b.mu.Unlock()
	s.credit--
	if len(b.calls) == 0 {
		b.spare = append(b.spare, d)
		return
	}
	b.calls[0] <- result{d: d}
	b.calls = b.calls[1:]
}

// delivery is a message of the hub's on one attachment.
type delivery struct {
	s *source
	arrival
	doubt bool                // the hub may have got a settlement, whose answer is not known
	told  hubwire.Disposition // that settlement
}

// init makes the links of a device: that of C2D in receiver settle mode second.
func (in *incoming) init(b *inbox) {
	b.op, b.e = "receive", in.d.e
	b.add(linkConfig{node: amqp.C2D, address: in.d.address(amqp.C2D)}, true)
	if in.d.id.IsModule() {
		b.add(linkConfig{node: amqp.Input, address: in.d.address(amqp.Input)}, false)
	}
}

// receive returns the next message. Its errors are *hubwire.Error.
func (in *incoming) receive(ctx context.Context) (*hubwire.Received, error) {
	for {
		d, err := in.d.inbox().next(ctx)
		if err != nil {
			return nil, err
		}
		r, err := d.received()
		if err == nil {
			return r, nil
		}
		in.unexpected(err)
		// It would come again and again as it is, so the hub is to put it away. What comes of
		// that, its next delivery shows.
		_ = d.settle(ctx, hubwire.Reject)
	}
}

// received returns what d says, for the program to settle.
func (d *delivery) received() (*hubwire.Received, error) {
	r, err := read(d.message, func(m *amqp.Message) (*hubwire.Received, error) {
		r := new(hubwire.Received)
		return r, amqp.ParseC2D(m, d.tag, r)
	})
	d.message, d.tag = nil, nil
	if err != nil {
		return nil, err
	}
	r.Redelivered = r.DeliveryCount > 0
	r.OnSettle(d.settle)
	return r, nil
}
