package main

import (
	"errors"
	"fmt"
	"sync"
)

// holding is a contest of clients that only hold connections: how much memory and
// how many goroutines each takes. These are no times, so they are measured before
// the rounds, all at once, and a busy machine changes nothing of them.
type holding struct {
	sessions int
	times    int // how often it is measured; each is a sample
	of       []*row
	works    map[*work]held
	done     []map[*work]stretch
}

// held is how the connections of a work come about.
type held struct {
	role string
	s    setup
}

var (
	residentSet = figure{"KiB", func(s stretch) float64 { return float64(s.client.RSS) / 1024 / float64(s.n) }}
	goroutines  = figure{"goroutines", func(s stretch) float64 { return hundredths(float64(s.client.Goroutines) / float64(s.n)) }}
)

// client has a role, whose run opens connections, take part.
func (c *holding) client(name, role string, s setup) *work {
	w := &work{name: name}
	if c.works == nil {
		c.works = make(map[*work]held)
	}
	c.works[w] = held{role, s}
	return w
}

func (c *holding) rows() []*row { return c.of }

func (c *holding) ready() error {
	c.done = nil
	for range c.times {
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
	server, err := launch("sink", setup{}, false)
	if err != nil {
		return s, err
	}
	defer server.close()
	h.s.Door = server.door
	client, err := launch(h.role, h.s, false)
	if err != nil {
		return s, err
	}
	defer client.close()
	s.n = n
	if s.client, err = client.run(n); err == nil && s.client.Count != int64(n) {
		err = fmt.Errorf("%s: %d of %d connections are up", h.role, s.client.Count, n)
	}
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
