package main

import (
	"errors"
	"fmt"
	"sync"
)

// holding is a contest of clients that only hold connections, or links: how much memory and
// how many goroutines each takes, on either side. These are no times, so they are measured before
// the rounds, all at once, and a busy machine changes nothing of them: as often as there are rounds, three times at most.
type holding struct {
	sessions int
	of       []*row
	works    map[*work]held
	done     []map[*work]stretch
}

// held is how the connections of a work come about.
type held struct {
	server, client string // roles
	s              setup  // of both
}

var (
	residentSet = figure{"KiB", func(s stretch) float64 { return float64(s.client.RSS) / 1024 / float64(s.n) }}
	goroutines  = figure{"goroutines", func(s stretch) float64 { return hundredths(float64(s.client.Goroutines) / float64(s.n)) }}

	heap               = figure{"KiB of heap", func(s stretch) float64 { return float64(s.client.Heap) / 1024 / float64(s.n) }}
	hubHeap            = figure{"KiB of the hub's heap", func(s stretch) float64 { return float64(s.server.Heap) / 1024 / float64(s.n) }}
	hubGoroutinesInAll = figure{"goroutines of the hub, in all", func(s stretch) float64 { return float64(s.server.Goroutines) }}
)

// client has a role, whose run opens connections to a sink, take part.
func (c *holding) client(name, role string, s setup) *work {
	w := &work{name: name}
	if c.works == nil {
		c.works = make(map[*work]held)
	}
	c.works[w] = held{"sink", role, s}
	return w
}

// serve has a work's connections lead to another server than the sink.
func (c *holding) serve(w *work, role string) {
	h := c.works[w]
	h.server = role
	c.works[w] = h
}

func (c *holding) rows() []*row { return c.of }

func (c *holding) ready(rounds int) error {
	c.done = nil
	for range min(rounds, 3) {
		done, err := c.measure()
		if err != nil {
			return err
		}
		c.done = append(c.done, done)
	}
	return nil
}

// measure measures all works once.
func (c *holding) measure() (map[*work]stretch, error) {
	var mu sync.Mutex
	var measuring sync.WaitGroup
	var failure error
	done := make(map[*work]stretch)
	for w, h := range c.works {
		measuring.Go(func() {
			s, err := h.measure(c.sessions)
			mu.Lock()
			defer mu.Unlock()
			done[w], failure = s, errors.Join(failure, err)
		})
	}
	measuring.Wait()
	return done, failure
}

// measure has processes of its own for each: one that has held connections
// before has the memory for more.
func (h held) measure(n int) (s stretch, err error) {
	server, err := launch(h.server, h.s, false)
	if err != nil {
		return s, err
	}
	defer server.close()
	h.s.Door = server.door
	client, err := launch(h.client, h.s, false)
	if err != nil {
		return s, err
	}
	defer client.close()
	before, err := server.rest()
	if err != nil {
		return s, err
	}
	s.n = n
	if s.client, err = client.run(n); err != nil {
		return s, err
	}
	if s.client.Count != int64(n) {
		return s, fmt.Errorf("%s: %d of %d are up", h.client, s.client.Count, n)
	}
	s.server, err = server.rest()
	s.server = s.server.since(before)
	return s, err
}

func (c *holding) round() ([][]sample, error) {
	all := make([][]sample, len(c.of))
	for i, r := range c.of {
		for _, done := range c.done {
			all[i] = append(all[i], r.compare(done))
		}
	}
	return all, nil
}

func (c *holding) close() {}
