package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub"
)

// desk hands out to the cells what a hub has one queue of for all devices. Its goroutine ends with close.
type desk[R any] struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	records map[string][]R
	arrived chan struct{} // closed and made anew
	err     error         // why nothing arrives any more
}

// feedbackDesk has feedback by the id of the device.
type feedbackDesk = desk[httpsx.FeedbackRecord]

// fileDesk has the notifications of uploads by the id of the device.
type fileDesk = desk[*hub.FileNotification]

// openDesk begins to take records off a queue: what next returns belongs to whom of says.
func openDesk[R any](next func(context.Context) ([]R, error), of func(R) string) *desk[R] {
	ctx, cancel := context.WithCancel(context.Background())
	d := &desk[R]{cancel: cancel, done: make(chan struct{}), records: map[string][]R{}, arrived: make(chan struct{})}
	go func() {
		defer close(d.done)
		for {
			records, err := next(ctx)
			d.put(records, of, err)
			if err != nil {
				return
			}
		}
	}()
	return d
}

func (d *desk[R]) put(records []R, of func(R) string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range records {
		d.records[of(r)] = append(d.records[of(r)], r)
	}
	d.err = err
	close(d.arrived)
	d.arrived = make(chan struct{})
}

// await waits until there are n records of a device, and returns them all.
func (d *desk[R]) await(ctx context.Context, deviceID string, n int) ([]R, error) {
	for {
		d.mu.Lock()
		records, arrived, err := d.records[deviceID], d.arrived, d.err
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

func (d *desk[R]) close() { d.cancel(); <-d.done }
