package links

import (
	"context"
	"sync"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// inbox is where messages come in: a device's by one link, a module's also by one for its inputs.
//
// They are pulled: the hub gets credit for as many as there are calls that wait, and no more. It locks
// a message for a minute from when it sends it, so one that lay here while the program is busy with
// others would be held for nothing: its lock would be lost, and it would come again, to lie here
// again. Credit that is out when a call gives up stays with the hub, for the next call.
type inbox struct {
	sources    []*source
	unexpected func(error)
}

// init makes the links: all unsettled, and that of C2D in receiver settle mode second.
func (b *inbox) init(in *incoming) {
	b.unexpected = in.unexpected
	b.add(in, amqp.C2D, goamqp.ReceiverOptions{Credit: -1, SettlementMode: goamqp.ReceiverSettleModeSecond.Ptr()})
	if in.d.id.IsModule() {
		b.add(in, amqp.Input, goamqp.ReceiverOptions{Credit: -1})
	}
}

func (b *inbox) add(in *incoming, node amqp.Node, o goamqp.ReceiverOptions) {
	r := in.d.e.receiver(receiverConfig{
		linkConfig: linkConfig{node: node, address: in.d.address(node)},
		options:    func() goamqp.ReceiverOptions { return o },
	})
	b.sources = append(b.sources, newSource("receive", r))
}

// source is one link that messages come by, each asked for by a call that waits for it.
type source struct {
	op string // of the calls
	in *receiver

	mu      sync.Mutex
	gen     generation      // whose are the credit and the spare messages
	credit  uint32          // is out
	waiting uint32          // calls
	spare   []*delivery     // came for a call that had got another message
	look    context.Context // ends when there is one more of them
	tell    context.CancelFunc
}

func newSource(op string, in *receiver) *source {
	s := &source{op: op, in: in}
	s.look, s.tell = context.WithCancel(context.Background())
	return s
}

// receive returns the next message. Its errors are *hubwire.Error.
func (b *inbox) receive(ctx context.Context) (*hubwire.Received, error) {
	for {
		d, err := b.next(ctx)
		if err != nil {
			return nil, err
		}
		r, err := d.received()
		if err == nil {
			return r, nil
		}
		b.unexpected(err)
		// It would come again and again as it is, so the hub is to put it away. What comes of
		// that, its next delivery shows.
		_ = d.settle(ctx, hubwire.Reject)
	}
}

// next returns the next message of whatever source.
func (b *inbox) next(ctx context.Context) (*delivery, error) {
	if len(b.sources) == 1 {
		return b.sources[0].next(ctx)
	}
	type result struct {
		from *source
		d    *delivery
		err  error
	}
	racing, stop := context.WithCancel(ctx)
	defer stop()
	results := make(chan result, len(b.sources))
	for _, s := range b.sources {
		go func() {
			d, err := s.next(racing)
			results <- result{s, d, err}
		}()
	}
	first := <-results
	stop()
	for range len(b.sources) - 1 {
		switch other := <-results; {
		case first.d == nil && other.d != nil:
			first = other
		case other.d != nil:
			other.from.keep(other.d)
		}
	}
	return first.d, first.err
}

// next waits for a message of this source.
func (s *source) next(ctx context.Context) (*delivery, error) {
	for {
		r, gen, err := s.in.link(ctx)
		if err != nil {
			return nil, unattached(s.op, s.in.core.e, err)
		}
		spare, look := s.enter(r, gen)
		if spare != nil {
			return spare, nil
		}
		m, err := receiveOr(ctx, look, r)
		s.leave(gen, err == nil)
		if err == nil {
			return s.delivery(r, gen, m), nil
		}
		if ctx.Err() != nil {
			return nil, gaveUp(s.op, ctx.Err(), nil)
		}
		s.in.failed(gen, err)
	}
}

// receiveOr receives a message, until ctx or look ends.
func receiveOr(ctx, look context.Context, r *goamqp.Receiver) (*goamqp.Message, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(look, stop)()
	return r.Receive(ctx, nil)
}

// enter returns a spare message, or gives the hub credit for the caller, who must leave, and look again
// when the context has ended.
func (s *source) enter(r *goamqp.Receiver, gen generation) (*delivery, context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if gen > s.gen {
		s.gen, s.credit, s.spare = gen, 0, nil // what an attachment had is the hub's again
	}
	if len(s.spare) > 0 && gen == s.gen {
		d := s.spare[0]
		s.spare = s.spare[1:]
		return d, nil
	}
	s.waiting++
	if s.credit < s.waiting && r.IssueCredit(s.waiting-s.credit) == nil {
		s.credit = s.waiting
	}
	return nil, s.look
}

// leave is told of what came of a call: a message has used up some credit.
func (s *source) leave(gen generation, got bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
	if got && gen == s.gen && s.credit > 0 {
		s.credit--
	}
}

// keep takes back a message that nobody has seen, for a call that waits, or the next one.
func (s *source) keep(d *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.gen != s.gen {
		return
	}
	s.spare = append(s.spare, d)
	s.tell()
	s.look, s.tell = context.WithCancel(context.Background())
}

// delivery is a message of the hub's on one attachment.
type delivery struct {
	s       *source
	link    *goamqp.Receiver
	gen     generation
	message *goamqp.Message
	handle  goamqp.Message // of message, without what it says: all that settling it needs
	doubt   bool           // the hub may have got a settlement, whose answer is not known
}

func (s *source) delivery(r *goamqp.Receiver, gen generation, m *goamqp.Message) *delivery {
	handle := *m
	handle.DeliveryAnnotations, handle.Annotations, handle.Properties, handle.ApplicationProperties = nil, nil, nil, nil
	handle.Data, handle.Value, handle.Sequence, handle.Footer = nil, nil, nil, nil
	return &delivery{s: s, link: r, gen: gen, message: m, handle: handle}
}

// received returns what d says, for the program to settle.
func (d *delivery) received() (*hubwire.Received, error) {
	tag := d.message.DeliveryTag
	r, err := decode(d.message, func(m *amqp.Message) (*hubwire.Received, error) {
		r := new(hubwire.Received)
		return r, amqp.ParseC2D(m, tag, r)
	})
	d.message = nil
	if err != nil {
		return nil, err
	}
	r.Redelivered = r.DeliveryCount > 0
	r.OnSettle(d.settle)
	return r, nil
}
