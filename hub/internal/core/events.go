package core

import (
	"context"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// Readers imitate consumers of the Event Hubs-compatible endpoint, one for each
// call: they start at a time, a sequence number or the end. Left out: consumer
// groups, which hold no state here, and epochs.

// AllPartitions makes a reader that merges all partitions by enqueued time.
const AllPartitions = -1

// maxAhead is how many entries of a partition a reader takes at once.
const maxAhead = 64

// Start says where a reader begins. The zero Start is the oldest event there is. One
// field at most is set.
type Start struct {
	Latest   bool      // only what comes from now on
	Time     time.Time // the first event enqueued at or after this
	Sequence int64     // this sequence number, in each partition
	Offset   int64     // the first event at or after this offset
}

// EventReader reads events in order. When it is so slow that events were
// dropped before it came to them it goes on with the oldest that is left: the
// sequence numbers show the gap. It is not for concurrent use, holds nothing
// that must be closed, and may be left lying.
type EventReader struct {
	core  *Core
	parts []partReader
	dry   bool // some partition has nothing ahead that had when all were read
}

type partReader struct {
	eventDecoder
	next  int64
	page  store.Page
	ahead []store.Entry // what is left of the page
}

// Partitions returns the number of partitions; they are numbered from 0.
func (c *Core) Partitions() int { return c.store.Partitions() }

// Events returns a reader of a partition, or of [AllPartitions]. The code is
// PartitionNotFound when there is no such partition.
func (c *Core) Events(ctx context.Context, partition int, start Start) (*EventReader, error) {
	const op = "read events"
	if err := c.Open(op); err != nil {
		return nil, err
	}
	n := c.store.Partitions()
	if partition != AllPartitions {
		if err := c.checkPartition(op, partition); err != nil {
			return nil, err
		}
	}
	r := &EventReader{core: c, dry: true}
	for p := range n {
		if partition != AllPartitions && p != partition {
			continue
		}
		next, err := c.seek(ctx, p, start)
		if err != nil {
			return nil, broken(op, err)
		}
		r.parts = append(r.parts, partReader{eventDecoder: eventDecoder{partition: p}, next: next})
	}
	return r, nil
}

// seek returns the sequence number at which start is.
func (c *Core) seek(ctx context.Context, partition int, start Start) (int64, error) {
	switch {
	case start.Latest:
		b, err := c.store.Bounds(ctx, partition)
		return b.Next, err
	case !start.Time.IsZero():
		return c.store.Seek(ctx, partition, start.Time)
	case start.Offset > 0:
		return c.store.SeekOffset(ctx, partition, start.Offset)
	}
	return start.Sequence, nil
}

func (c *Core) checkPartition(op string, p int) error {
	if n := c.store.Partitions(); p < 0 || p >= n {
		return refuse(op, hubwire.PartitionNotFound, "partition %d is not 0 to %d", p, n-1)
	}
	return nil
}

// PartitionBounds returns what a partition's log holds. The code is
// PartitionNotFound when there is no such partition.
func (c *Core) PartitionBounds(ctx context.Context, partition int) (store.Bounds, error) {
	const op = "partition properties"
	if err := c.checkPartition(op, partition); err != nil {
		return store.Bounds{}, err
	}
	b, err := c.store.Bounds(ctx, partition)
	if err != nil {
		return b, broken(op, err)
	}
	return b, nil
}

// Next returns the next event, and waits for it until ctx ends.
func (r *EventReader) Next(ctx context.Context) (*Event, error) {
	if ev, err := r.TryNext(ctx); ev != nil || err != nil {
		return ev, err
	}
	for {
		arrived := r.core.arrived.wait()
		if ev, err := r.TryNext(ctx); ev != nil || err != nil {
			return ev, err
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, &hubwire.Error{Op: "read events", Outcome: hubwire.NotSent, Err: ctx.Err()}
		case <-r.core.life.Done():
			return nil, ended("read events", errClosing)
		}
	}
}

// TryNext returns the next event, or nil when there is none now.
func (r *EventReader) TryNext(ctx context.Context) (*Event, error) {
	const op = "read events"
	if err := r.core.Open(op); err != nil {
		return nil, err
	}
	if r.dry {
		if err := r.readAhead(ctx, op); err != nil {
			return nil, err
		}
	}
	var first *partReader
	for i := range r.parts {
		if p := &r.parts[i]; len(p.ahead) > 0 && (first == nil || p.ahead[0].Time.Before(first.ahead[0].Time)) {
			first = p
		}
	}
	if first == nil {
		return nil, nil
	}
	entry := &first.ahead[0]
	first.ahead = first.ahead[1:]
	first.next = entry.Sequence + 1
	r.dry = len(first.ahead) == 0
	ev := &Event{Received: &hubwire.Received{}}
	if err := first.decode(ev, entry); err != nil {
		return nil, broken(op, err)
	}
	return ev, nil
}

// readAhead reads on in all partitions that have nothing ahead. What comes into
// one of them later was enqueued later than all that is ahead in the others.
func (r *EventReader) readAhead(ctx context.Context, op string) error {
	for i := range r.parts {
		p := &r.parts[i]
		if len(p.ahead) > 0 {
			continue
		}
		if err := r.core.store.Read(ctx, p.partition, p.next, maxAhead, &p.page); err != nil {
			return broken(op, err)
		}
		p.ahead = p.page.Entries
	}
	return nil
}
