package main

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

// desk hands out to the cells what a hub has one stream of for all devices. Its goroutines end with close.
type desk[R any] struct {
	cancel context.CancelFunc
	feeds  sync.WaitGroup
	of     func(R) string

	mu      sync.Mutex
	records map[string][]R
	arrived chan struct{} // closed and made anew
	err     error         // why nothing arrives any more
}

// openDesk begins to read from feeds: what they yield belongs to whom of says, or to nobody when that is "".
func openDesk[R any](of func(R) string, feeds ...func(context.Context) iter.Seq2[R, error]) *desk[R] {
	ctx, cancel := context.WithCancel(context.Background())
	d := &desk[R]{cancel: cancel, of: of, records: map[string][]R{}, arrived: make(chan struct{})}
	for _, feed := range feeds {
		d.feeds.Go(func() {
			for r, err := range feed(ctx) {
				d.put(r, err)
			}
		})
	}
	return d
}

func (d *desk[R]) put(r R, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.err = err
	} else if whose := d.of(r); whose != "" {
		d.records[whose] = append(d.records[whose], r)
	}
	close(d.arrived)
	d.arrived = make(chan struct{})
}

// await waits until there are n records of somebody, and returns them all.
func (d *desk[R]) await(ctx context.Context, whose string, n int) ([]R, error) {
	for {
		d.mu.Lock()
		records, arrived, err := d.records[whose], d.arrived, d.err
		d.mu.Unlock()
		if len(records) >= n || err != nil {
			return records, err
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return records, fmt.Errorf("the service was told %d times of %d: %w", len(records), n, ctx.Err())
		}
	}
}

// close ends a desk, or does nothing for nil.
func (d *desk[R]) close() {
	if d != nil {
		d.cancel()
		d.feeds.Wait()
	}
}

// event is what a back end reads of a device.
type event = service.Event

// events are those of one device or module, in order, from its first.
type events struct {
	desk  *desk[*event]
	whose string
	read  int
}

func (s *stage) events(id hubwire.Identity) *events {
	return &events{desk: s.back.events, whose: id.String()}
}

// next waits for the next event.
func (e *events) next(ctx context.Context) (*event, error) {
	all, err := e.desk.await(ctx, e.whose, e.read+1)
	if len(all) <= e.read {
		return nil, err
	}
	e.read++
	return all[e.read-1], nil
}
