package links

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// batch is what a partition has for who ranges over the events.
type batch struct {
	partition string
	events    []*amqp.Event
	start     amqp.Start // where it begins, if begins is set
	begins    bool
	err       error // the end; there is nothing else then
}

// maxBatch is how many events go from goroutine to goroutine at once, at most. Before it hands over fewer, the
// goroutine steps back so often.
const (
	maxBatch = 64
	patient  = 6
)

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

	fresh bool         // nothing has come from it yet
	tries atomic.Int32 // attaches since the last link
}

func newPartition(h *EventHub, o *EventOptions, id string, next amqp.Start) *partition {
	p := &partition{h: h, o: o, id: id, next: next}
	address := amqp.Address{Node: amqp.Partition, EventHub: h.name, ConsumerGroup: o.ConsumerGroup, Partition: id}
	// It is lazy so that all of one link is taken before the next one is asked for what follows, and frank
	// because a partition that somebody else has is not waited for.
	p.link = h.e.receiver(receiverConfig{
		linkConfig: linkConfig{node: amqp.Partition, address: address.String(), lazy: true, frank: true},
		options:    p.attach,
	})
	return p
}

// attach is what each link is asked for.
func (p *partition) attach() goamqp.ReceiverOptions {
	o := goamqp.ReceiverOptions{
		Credit:  int32(p.o.Prefetch),
		Filters: []goamqp.LinkFilter{goamqp.NewSelectorFilter(p.next.String())},
	}
	if p.tries.Add(1)%2 == 1 { // go-amqp takes no link of a peer that answers with another mode
		o.RequestedSenderSettleMode = goamqp.SenderSettleModeSettled.Ptr()
	}
	if p.o.OwnerLevel != nil {
		o.Properties = map[string]any{amqp.LinkEpoch: *p.o.OwnerLevel}
	}
	if p.o.Metrics {
		o.DesiredCapabilities = []string{amqp.RuntimeMetric}
	}
	return o
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
	for {
		link, gen, err := p.await(ctx)
		if err != nil {
			if err = p.ended(err); p.waitsFor(err) {
				continue
			}
			return err
		}
		p.fresh = false
		p.tries.Store(0)
		for err == nil {
			var events []*amqp.Event
			if events, err = p.take(ctx, link); len(events) > 0 && !p.hand(ctx, out, batch{events: events}) {
				return nil
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
		p.link.failed(gen, err)
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

// await waits for a link.
func (p *partition) await(ctx context.Context) (*goamqp.Receiver, generation, error) {
	if p.o.Patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.o.Patience)
		defer cancel()
	}
	return p.link.link(ctx)
}

// take returns what has come over a link, in a batch: at least one event, or an error. Events may come
// with an error.
func (p *partition) take(ctx context.Context, link *goamqp.Receiver) ([]*amqp.Event, error) {
	msg, err := link.Receive(ctx, nil)
	if err != nil {
		return nil, err
	}
	events := make([]*amqp.Event, 0, 16)
	for ; msg != nil; msg = another(link) {
		ev, err := eventOf(msg)
		if err != nil {
			return events, &unreadableError{p.id, msg.Annotations[amqp.KeyOffset], err}
		}
		_ = link.AcceptMessage(ctx, msg) // for a peer that sends unsettled what it was asked to send settled
		ev.Partition = p.id
		p.next = after(ev)
		if events = append(events, ev); len(events) == maxBatch {
			break
		}
	}
	return events, nil
}

// another returns a message that has come, or comes in a moment: go-amqp's goroutines may be about to bring it.
func another(link *goamqp.Receiver) *goamqp.Message {
	msg := link.Prefetched()
	for range patient {
		if msg != nil {
			break
		}
		runtime.Gosched()
		msg = link.Prefetched()
	}
	return msg
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
	offset    any
	err       error
}

func (e *unreadableError) Error() string {
	return fmt.Sprintf("the event at offset %.40q of partition %s cannot be read: %v", fmt.Sprint(e.offset), e.partition, e.err)
}

func (e *unreadableError) Unwrap() error { return e.err }

func (e *unreadableError) as() error {
	return &hubwire.Error{Op: opRead, Code: hubwire.DeserializationError, Outcome: hubwire.Refused, Err: e}
}
