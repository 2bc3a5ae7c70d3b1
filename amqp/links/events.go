package links

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// EventHub is an Event Hubs-compatible endpoint on a [Conn], which is one to its host: see
// [Service.EventsAt]. Its methods may be called from any goroutine. Every error is a
// [*hubwire.Error]; one that wraps an [*amqp.Error] with a Redirect says that the endpoint has moved.
type EventHub struct {
	e       *entity
	name    string
	version string // of the client
	manager *manager
}

// EventHub puts a token for the endpoint of that name, and returns when its host has accepted it, or
// surely will not. There is one EventHub of a name on a Conn at a time.
func (c *Conn) EventHub(ctx context.Context, name string, o *ServiceOptions) (*EventHub, error) {
	if name == "" {
		return nil, invalid("connect", "the event hub has no name")
	}
	e, err := c.open(ctx, "event hub "+name, "sb://"+c.host()+"/"+name, o)
	if err != nil {
		return nil, err
	}
	return &EventHub{e: e, name: name, version: o.ClientVersion, manager: newManager(e, name)}, nil
}

// ready returns why no call can begin.
func (h *EventHub) ready(ctx context.Context, op string) error {
	switch {
	case ctx == nil:
		return invalid(op, "the context is nil")
	case h == nil || h.e == nil:
		return invalid(op, "an EventHub comes from Conn.EventHub")
	}
	return nil
}

// Close ends the EventHub and who reads from it, and leaves the Conn alone.
func (h *EventHub) Close(ctx context.Context) error {
	if err := h.ready(ctx, "close"); err != nil {
		return err
	}
	return h.e.close(ctx)
}

// Err returns nil while the EventHub lives, and then why it has ended, as [Service.Err].
func (h *EventHub) Err() error {
	if h == nil || h.e == nil {
		return nil
	}
	return h.e.err()
}

// EventOptions say what to read. nil means all events that are still there, and all to come.
type EventOptions struct {
	// ConsumerGroup is whose view of the events it is. Empty means "$Default".
	ConsumerGroup string

	// Partitions are the ids of those to read. None means all.
	Partitions []string

	// Start is where to begin in each partition, but for those that Starts has. The zero Start is the
	// oldest event.
	Start  amqp.Start
	Starts map[string]amqp.Start

	// OwnerLevel, when not nil, has the reader own the partitions in its consumer group: others with a
	// lower level, or none, are sent away and not let in. A reader of a higher level ends it with
	// [ErrDisplaced].
	OwnerLevel *int64

	// Prefetch is how many events of each partition may wait to be read. 0 means 300.
	Prefetch int

	// Metrics asks for [amqp.Event.Metric] with each event.
	Metrics bool

	// Patience is how long a partition may be without its link before reading ends with an error
	// that is Retryable. 0 means for ever.
	Patience time.Duration
}

// ErrDisplaced is why a reader ended that another one took its partition from, by its owner level.
var ErrDisplaced = errors.New("links: another reader owns the partition")

const (
	opRead          = "read events"
	defaultGroup    = "$Default"
	defaultPrefetch = 300
	maxPrefetch     = 5000 // as many frames as a session lets the peer send ahead
)

// EventReader reads the events of an endpoint and knows how far it has come: what it has given out,
// and nothing else. So it can go on where it was, after whatever was lost, and at another endpoint.
// It is not for concurrent use, and needs no closing.
type EventReader struct {
	o          EventOptions
	partitions []string
	positions  map[string]amqp.Start // where to go on; none: at the start
}

// NewEventReader returns a reader of the events that o says. The error is a [*hubwire.Error] with
// [hubwire.ArgumentInvalid].
func NewEventReader(o *EventOptions) (*EventReader, error) {
	r := &EventReader{positions: map[string]amqp.Start{}}
	if o != nil {
		r.o = *o
	}
	if r.o.ConsumerGroup == "" {
		r.o.ConsumerGroup = defaultGroup
	}
	if r.o.Prefetch == 0 {
		r.o.Prefetch = defaultPrefetch
	}
	if r.o.Prefetch < 1 || r.o.Prefetch > maxPrefetch {
		return nil, invalid(opRead, "Prefetch is %d, not within 1 and %d", r.o.Prefetch, maxPrefetch)
	}
	if slices.Contains(r.o.Partitions, "") {
		return nil, invalid(opRead, "a partition has no id")
	}
	if !isStart(r.o.Start) {
		return nil, invalid(opRead, "Start is none: %+v", r.o.Start)
	}
	for partition, s := range r.o.Starts {
		if !isStart(s) {
			return nil, invalid(opRead, "the start of partition %q is none: %+v", partition, s)
		}
	}
	r.partitions = slices.Compact(slices.Sorted(slices.Values(r.o.Partitions)))
	return r, nil
}

// isStart reports whether a filter can say s.
func isStart(s amqp.Start) bool {
	_, err := amqp.ParseSelector(s.String())
	return err == nil && s.At <= amqp.AtTime
}

// positionOf returns where reading of a partition goes on.
func (r *EventReader) positionOf(partition string) amqp.Start {
	if s, ok := r.positions[partition]; ok {
		return s
	}
	if s, ok := r.o.Starts[partition]; ok {
		return s
	}
	return r.o.Start
}

// after returns the position behind an event.
func after(ev *amqp.Event) amqp.Start {
	if ev.Offset != "" {
		return amqp.Start{At: amqp.AtOffset, Offset: ev.Offset}
	}
	return amqp.Start{At: amqp.AtSequence, Sequence: ev.SequenceNumber}
}

// All yields the events of all partitions, those of each in order, and waits for more. After a
// link, session or connection is lost it goes on behind the last event, without one lost or twice.
// It ends with an error, which it yields last: when ctx has ended, when h has, or for what
// waiting cannot mend. The next call goes on behind the last event that was yielded.
//
// It has a goroutine for each partition, all of which have ended when it returns.
func (r *EventReader) All(ctx context.Context, h *EventHub) iter.Seq2[*amqp.Event, error] {
	return func(yield func(*amqp.Event, error) bool) {
		if err := r.read(ctx, h, yield); err != nil {
			yield(nil, err)
		}
	}
}

// read is All. It returns nil when the range has been stopped.
func (r *EventReader) read(ctx context.Context, h *EventHub, yield func(*amqp.Event, error) bool) error {
	switch {
	case r == nil || r.positions == nil:
		return invalid(opRead, "an EventReader comes from NewEventReader")
	case ctx == nil:
		return invalid(opRead, "the context is nil")
	}
	if err := h.ready(ctx, opRead); err != nil {
		return err
	}
	if err := r.find(ctx, h); err != nil {
		return err
	}
	batches, stop := r.start(ctx, h)
	defer stop()
	for {
		select {
		case b := <-batches:
			if b.err != nil {
				return b.err
			}
			if more := r.hand(b, yield); !more {
				return nil
			}
		case <-ctx.Done():
			return gaveUp(opRead, ctx.Err(), nil)
		}
	}
}

// find learns which partitions there are, unless that is known.
func (r *EventReader) find(ctx context.Context, h *EventHub) error {
	if len(r.partitions) > 0 {
		return nil
	}
	i, err := h.Info(ctx)
	switch {
	case err != nil:
		return withOp(opRead, err)
	case len(i.Partitions) == 0:
		return &hubwire.Error{Op: opRead, Code: hubwire.FormatError, Outcome: hubwire.Refused, Message: "the event hub says that it has no partitions"}
	}
	r.partitions = i.Partitions
	return nil
}

// hand yields what a batch has, and reports whether there may be more.
func (r *EventReader) hand(b batch, yield func(*amqp.Event, error) bool) bool {
	if b.begins {
		r.positions[b.partition] = b.start
	}
	for _, ev := range b.events {
		r.positions[b.partition] = after(ev)
		if !yield(ev, nil) {
			return false
		}
	}
	return true
}
