package core

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// Consumers imitate the receivers of the Event Hubs-compatible endpoint: each reads one
// partition for one consumer group, and takes nothing away. Groups keep no position, as
// those of Event Hubs do not; they are what owner levels and the bound on readers count by.
// Left out: groups that come and go while the hub runs.

// DefaultGroup is the consumer group that there always is.
const DefaultGroup = "$Default"

// maxReaders is how many consumers without an owner level may read a partition for a
// group at the same time. Source: Event Hubs quotas and limits.
const maxReaders = 5

// ConsumerLink is a front's end of a consumer. Neither method may block; Arrived must not
// call the Core either.
type ConsumerLink interface {
	// Arrived says that [Consumer.Next], which had nothing, may have an event.
	Arrived()

	// Displaced says that a consumer of the same or a higher owner level has taken over. The
	// code is ConnectionClosedOnNew.
	Displaced(*hubwire.Error)
}

// ConsumerOptions say what a consumer reads, and as whom.
type ConsumerOptions struct {
	Group     string // compared without case
	Partition int
	Start     Start
	Level     *int64 // owner level ("epoch"); nil for none
	Name      string // for the error of the sixth; may be empty
}

// Consumer reads a partition by being asked. What it has not read waits in the log, and
// when the log has dropped it, is passed over.
type Consumer struct {
	core  *Core
	group string
	opts  ConsumerOptions
	link  ConsumerLink
	watch Watch

	// For Next alone.
	decoder eventDecoder
	next    int64
	ahead   *eventPage // nil when there was nothing
}

// eventPage is a page of the log that is being read.
type eventPage struct {
	store.Page
	at   int    // entries read
	text string // of what is not read yet: an offset, a blank, and the record behind its body
	ev   Event
}

// consumers are those of a partition.
type consumers struct {
	bell bell

	mu  sync.Mutex
	all []*Consumer
}

// Consume begins to read a partition. A consumer with an owner level displaces those of
// its group and partition with the same or a lower level, and those without. Codes:
// AMQPAddressNotFound for an unknown group, PartitionNotFound, ConnectionClosedOnNew when one with a
// higher level is there, or any level and this has none, QuotaExceeded for the sixth without,
// ArgumentInvalid for a start behind the end of the log.
func (c *Core) Consume(ctx context.Context, o *ConsumerOptions, l ConsumerLink) (*Consumer, error) {
	const op = "consume"
	if err := c.Open(op); err != nil {
		return nil, err
	}
	if err := c.checkPartition(op, o.Partition); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.cfg.ConsumerGroups, func(name string) bool { return strings.EqualFold(name, o.Group) })
	if i < 0 {
		return nil, refuse(op, hubwire.AMQPAddressNotFound, "there is no consumer group %.50q", o.Group)
	}
	next, err := c.place(ctx, op, o.Partition, o.Start)
	if err != nil {
		return nil, err
	}
	p := &c.consumers[o.Partition]
	r := &Consumer{core: c, group: c.cfg.ConsumerGroups[i], opts: *o, link: l, next: next, decoder: eventDecoder{partition: o.Partition}}
	r.watch = Watch{bell: &p.bell, wake: l.Arrived}
	displaced, err := p.join(op, r)
	for _, d := range displaced {
		d.link.Displaced(refuse("consumer", hubwire.ConnectionClosedOnNew,
			"a consumer with owner level %d reads partition %d for %q now", *o.Level, o.Partition, r.group))
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// place is seek of a start that lies in the log or at its end. Who kept a position of an
// earlier hub would wait for ever behind it; Event Hubs refuses so.
func (c *Core) place(ctx context.Context, op string, partition int, start Start) (int64, error) {
	next, err := c.seek(ctx, partition, start)
	if err != nil {
		return 0, broken(op, err)
	}
	b, err := c.store.Bounds(ctx, partition)
	switch {
	case err != nil:
		return 0, broken(op, err)
	case start.Sequence > b.Next:
		return 0, refuse(op, hubwire.ArgumentInvalid, "the sequence number %d is invalid, the last one of partition %d is %d", start.Sequence, partition, b.Next-1)
	case start.Offset > b.Last.Offset+1:
		return 0, refuse(op, hubwire.ArgumentInvalid, "the offset %d is invalid, the last one of partition %d is %d", start.Offset, partition, b.Last.Offset)
	}
	return next, nil
}

// join adds r, and returns who has to go for it.
func (p *consumers) join(op string, r *Consumer) (displaced []*Consumer, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for _, other := range p.all {
		switch level := other.opts.Level; {
		case other.group != r.group:
		case level != nil && (r.opts.Level == nil || *level > *r.opts.Level):
			return nil, refuse(op, hubwire.ConnectionClosedOnNew,
				"a consumer with owner level %d reads partition %d for %q", *level, r.opts.Partition, r.group)
		case r.opts.Level != nil:
			displaced = append(displaced, other)
		default:
			names = append(names, other.opts.Name)
		}
	}
	if len(names) >= maxReaders {
		return nil, refuse(op, hubwire.QuotaExceeded, "the consumer group %q has %d consumers of partition %d, which is the limit: %.40q", r.group, maxReaders, r.opts.Partition, names)
	}
	for _, d := range displaced {
		p.leave(d)
	}
	p.all = append(p.all, r)
	p.bell.add(&r.watch)
	return displaced, nil
}

// leave takes r out, if it is there. The caller holds the lock.
func (p *consumers) leave(r *Consumer) {
	p.all = slices.DeleteFunc(p.all, func(other *Consumer) bool { return other == r })
	r.watch.Stop()
}

// Close ends it, and may be called twice, and with Next.
func (r *Consumer) Close() {
	p := &r.core.consumers[r.opts.Partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave(r)
}

// Next returns the next event, or nil when there is none now: its link hears when that
// has changed. The event is a view: it holds until the next call, but its texts may be kept. It is
// not for concurrent use, and allocates only for each page of the log, of many events.
func (r *Consumer) Next(ctx context.Context) (*Event, error) {
	const op = "read events"
	if err := r.core.Open(op); err != nil {
		return nil, err
	}
	if r.ahead == nil || r.ahead.at == len(r.ahead.Entries) {
		if err := r.turn(ctx, op); r.ahead == nil {
			return nil, err
		}
	}
	p := r.ahead
	entry := &p.Entries[p.at]
	p.at, r.next = p.at+1, entry.Sequence+1
	p.ev.OffsetText, p.text, _ = strings.Cut(p.text, " ")
	n := len(behindBody(entry.Value))
	text := p.text[:n]
	p.text = p.text[n:]
	if err := r.decoder.view(&p.ev, entry, text); err != nil {
		return nil, broken(op, err)
	}
	return &p.ev, nil
}

// turn goes on to the next page. When there is none it has no page, and waits for its link's
// sake. Who waits holds no memory but its own.
func (r *Consumer) turn(ctx context.Context, op string) error {
	p := r.ahead
	if p == nil {
		if p, _ = r.core.pages.Get().(*eventPage); p == nil {
			p = &eventPage{ev: Event{Received: new(hubwire.Received)}}
		}
	}
	r.ahead = nil
	err := r.read(ctx, p)
	if err == nil && len(p.Entries) == 0 {
		r.watch.Arm()
		err = r.read(ctx, p) // what came before the watch was armed
	}
	if err != nil || len(p.Entries) == 0 {
		r.core.pages.Put(p)
		if err != nil {
			return broken(op, err)
		}
		return nil
	}
	r.watch.disarm()
	values := len(p.Bytes)
	for i := range p.Entries {
		p.Bytes = append(strconv.AppendInt(p.Bytes, p.Entries[i].Offset, 10), ' ')
		p.Bytes = append(p.Bytes, behindBody(p.Entries[i].Value)...)
	}
	p.at, p.text = 0, string(p.Bytes[values:])
	r.ahead = p
	return nil
}

func (r *Consumer) read(ctx context.Context, p *eventPage) error {
	return r.core.store.Read(ctx, r.opts.Partition, r.next, maxAhead, &p.Page)
}
