package links

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

// batch is what a partition has for who ranges over the events.
type batch struct {
	partition string
	events    []*amqp.Event
	start     amqp.Start // where it begins, if begins is set
	begins    bool
	err       error // the end; there is nothing else then
}

// maxBatch is how many events go from goroutine to goroutine at once, at most.
const maxBatch = 64

// start reads the partitions on goroutines of their own, which have ended when stop returns.
func (r *EventReader) start(ctx context.Context, h *EventHub) (batches <-chan batch, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	out := make(chan batch)
	var all sync.WaitGroup
	for _, id := range r.partitions {
		p := newPartition(h, &r.o, id, r.positionOf(id))
		_, known := r.positions[id]
		p.fresh = !known
		all.Go(func() { p.run(ctx, out) })
	}
	return out, func() {
		cancel()
		all.Wait()
	}
}

// partition reads one partition, over one link after the other.
type partition struct {
	h    *EventHub
	o    *EventOptions
	id   string
	next amqp.Start // behind the last event that was taken off a link
	link *receiver

	fresh bool          // nothing has come from it yet
	wake  chan struct{} // has one when there may be something in came

	mu   sync.Mutex
	came came
}

// came is what has come by an attachment and was not taken yet: as many events as it had credit for.
type came struct {
	gen    generation
	events []*amqp.Event
	err    error // why nothing comes behind them
}

func newPartition(h *EventHub, o *EventOptions, id string, next amqp.Start) *partition {
	p := &partition{h: h, o: o, id: id, next: next, wake: make(chan struct{}, 1)}
	address := amqp.Address{Node: amqp.Partition, EventHub: h.name, ConsumerGroup: o.ConsumerGroup, Partition: id}
	cfg := receiverConfig{
		// It is lazy so that all of one link is taken before the next one is asked for what follows, and frank
		// because a partition that somebody else has is not waited for.
		linkConfig: linkConfig{node: amqp.Partition, address: address.String(), lazy: true, frank: true, ended: p.lost},
		filter:     func() amqp10.Value { return amqp10.ValueOf(p.next.AppendFilter(nil)) },
		sendMode:   amqp10.Some(amqp10.SendSettled),
		credit:     uint32(o.Prefetch),
		delivery:   p.arrived,
	}
	if o.OwnerLevel != nil {
		cfg.properties = wire(amqp.LinkProperties{ClientVersion: h.version, Epoch: o.OwnerLevel})
	}
	if o.Metrics {
		cfg.wishes = amqp10.ValueOf(amqp10.AppendSymbol(nil, amqp.RuntimeMetric))
	}
	p.link = h.e.receiver(cfg)
	return p
}

// arrived is told of an event.
func (p *partition) arrived(gen generation, d *amqpclient.Delivery) {
	ev, err := p.parse(d.Message)
	if !d.Settled { // it was asked for settled
		_ = d.Link.Dispose(d.ID, d.ID, amqp10.Accepted())
	}
	p.put(gen, ev, err)
}

func (p *partition) parse(message []byte) (*amqp.Event, error) {
	m, err := amqp.ParseMessage(message)
	if err != nil {
		return nil, &unreadableError{p.id, "", err}
	}
	ev, err := amqp.ParseEvent(&m)
	if err != nil {
		v, _ := m.Annotations().Lookup(amqp.KeyOffset)
		offset, _ := v.Text()
		return nil, &unreadableError{p.id, string(offset), err}
	}
	ev.Partition = p.id
	return ev, nil
}

// lost is told that nothing more comes by an attachment.
func (p *partition) lost(gen generation, reason error) { p.put(gen, nil, reason) }

// put puts what has come where it is taken from. What is behind an end is not wanted.
func (p *partition) put(gen generation, ev *amqp.Event, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if gen > p.came.gen {
		p.came = came{gen: gen}
	}
	switch {
	case gen < p.came.gen || p.came.err != nil:
		return
	case err != nil:
		p.came.err = err
	default:
		p.came.events = append(p.came.events, ev)
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run hands out batches until ctx ends, or with an error as the last.
func (p *partition) run(ctx context.Context, out chan<- batch) {
	defer p.leave()
	if err := p.read(ctx, out); err != nil {
		p.hand(ctx, out, batch{err: err})
	}
}

// leave detaches the link. Nobody waits long for a peer that does not answer.
func (p *partition) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), p.h.e.c.o.CloseTimeout)
	defer cancel()
	_ = p.link.close(ctx)
}

func (p *partition) hand(ctx context.Context, out chan<- batch, b batch) bool {
	b.partition = p.id
	select {
	case out <- b:
		return true
	case <-ctx.Done():
		return false
	}
}

// read returns what waiting cannot mend, or nil when ctx has ended.
func (p *partition) read(ctx context.Context, out chan<- batch) error {
	if p.next.At == amqp.Latest {
		if err := p.pin(ctx); err != nil {
			return err
		}
		if !p.hand(ctx, out, batch{start: p.next, begins: true}) {
			return nil
		}
	}
	for gen := generation(0); ; {
		var link *amqpclient.Receiver
		var err error
		if link, gen, err = p.await(ctx, gen); err != nil {
			if err = p.ended(err); p.waitsFor(err) {
				continue
			}
			return err
		}
		p.fresh = false
		for err == nil {
			var events []*amqp.Event
			if events, err = p.take(ctx, gen); len(events) > 0 {
				if !p.hand(ctx, out, batch{events: events}) {
					return nil
				}
				link.AddCredit(uint32(len(events)))
			}
		}
		if unreadable, ok := errors.AsType[*unreadableError](err); ok {
			return unreadable.as()
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := p.ended(err); errors.Is(err, ErrDisplaced) {
			return err
		}
	}
}

// waitsFor reports whether p goes on trying to attach after err: the peer has refused it for what can
// pass. Of a partition that has as many readers as it may have, that is only so for one of them, whom a lost
// link may still count for.
func (p *partition) waitsFor(err error) bool {
	e, ok := err.(*hubwire.Error)
	if !ok || !e.Retryable || e.Outcome != hubwire.Refused {
		return false
	}
	_, moved := redirectOf(err)
	return !moved && !(p.fresh && errors.Is(err, amqp.ResourceLimitExceeded))
}

// pin makes of the end of the partition the position that it is at now, so that what comes while a link is
// lost is not missed.
func (p *partition) pin(ctx context.Context) error {
	i, err := p.h.Partition(ctx, p.id)
	if err != nil {
		return p.ended(err)
	}
	p.next = amqp.Start{}
	if i.LastSequence >= 0 && i.LastOffset != "" && i.LastOffset != "-1" {
		p.next = amqp.Start{At: amqp.AtOffset, Offset: i.LastOffset}
	}
	return nil
}

// await waits for a link, later than after.
func (p *partition) await(ctx context.Context, after generation) (*amqpclient.Receiver, generation, error) {
	if p.o.Patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.o.Patience)
		defer cancel()
	}
	link, gen, err := p.link.link(ctx, after)
	return link, max(gen, after), err
}

// take waits for what comes by an attachment, and returns a batch of what is there: at least one event, or an error. Events may
// come with an error.
func (p *partition) take(ctx context.Context, gen generation) ([]*amqp.Event, error) {
	for {
		events, err := p.taken(gen)
		if len(events) > 0 {
			p.next = after(events[len(events)-1])
		}
		if len(events) > 0 || err != nil {
			return events, err
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (p *partition) taken(gen generation) (events []*amqp.Event, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.came.gen != gen {
		return nil, nil
	}
	if n := len(p.came.events); n > maxBatch {
		events, p.came.events = p.came.events[:maxBatch:maxBatch], p.came.events[maxBatch:]
		return events, nil
	}
	events, p.came.events = p.came.events, nil
	return events, p.came.err
}

// ended is the error that reading ends with.
func (p *partition) ended(err error) error {
	e := *asError(opRead, amqp.Partition, err)
	e.Op = opRead
	switch {
	case errors.Is(&e, amqp.ArgumentOutOfRange): // there is no such partition, which IoT Hub has as a 503
		e.Retryable = false
	case errors.Is(&e, amqp.Stolen):
		e.Retryable = false
		e.Err = fmt.Errorf("%w: partition %s: %w", ErrDisplaced, p.id, e.Err)
	}
	return &e
}

// unreadableError is an event that is none.
type unreadableError struct {
	partition string
	offset    string
	err       error
}

func (e *unreadableError) Error() string {
	return fmt.Sprintf("the event at offset %.40q of partition %s cannot be read: %v", e.offset, e.partition, e.err)
}

func (e *unreadableError) Unwrap() error { return e.err }

func (e *unreadableError) as() error {
	return &hubwire.Error{Op: opRead, Code: hubwire.DeserializationError, Outcome: hubwire.Refused, Err: e}
}
