package device

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hubwire/hubwire/internal/goroutine"
)

// status is the state of a link that has no connection to ask: what its last
// request came to. It tells of changes one at a time, in order, whoever makes them.
type status struct {
	tell func(State, error)

	current atomic.Uint32 // a State
	teller  atomic.Uint64 // the goroutine that is inside of tell; 0 for none

	mu      sync.Mutex
	pending []change
}

type change struct {
	state  State
	reason error
}

// maxPending bounds the changes that wait for a hook; of more than that the oldest two, which
// make up for each other, are passed over.
const maxPending = 16

func (s *status) now() State { return State(s.current.Load()) }

// set changes the state and tells of it, unless somebody is telling already, who then
// goes on. Closed is the last.
func (s *status) set(state State, reason error) {
	if state == Connected && s.now() == Connected {
		return // as usual
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now() == Closed || state == Connected && s.now() == Connected {
		return
	}
	s.current.Store(uint32(state))
	if last := len(s.pending) - 1; last >= 0 && state == Connecting && s.pending[last].state == Connecting {
		s.pending[last].reason = reason
	} else {
		s.pending = append(s.pending, change{state, reason})
	}
	if len(s.pending) > maxPending {
		s.pending = slices.Delete(s.pending, 0, 2)
	}
	if s.teller.Load() == 0 {
		s.teller.Store(goroutine.ID())
		s.tellPending()
	}
}

// tellPending tells of all that waits. The caller holds the lock, which is not held while it tells.
func (s *status) tellPending() {
	defer s.teller.Store(0)
	for len(s.pending) > 0 {
		c := s.pending[0]
		s.pending = s.pending[1:]
		func() {
			s.mu.Unlock()
			defer s.mu.Lock() // also when the hook ends the goroutine
			s.tell(c.state, c.reason)
		}()
	}
	s.pending = nil
}

// mine reports whether the caller is inside of tell.
func (s *status) mine() bool {
	teller := s.teller.Load()
	return teller != 0 && teller == goroutine.ID()
}

// busy counts what Close gives a moment.
type busy struct {
	mu   sync.Mutex
	n    int
	less chan struct{} // closed when n falls; nil while nobody waits for it
}

func (b *busy) begin() {
	b.mu.Lock()
	b.n++
	b.mu.Unlock()
}

func (b *busy) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n--
	if b.less != nil {
		close(b.less)
		b.less = nil
	}
}

// wait reports whether no more than spare were left before limit.
func (b *busy) wait(spare int, limit <-chan struct{}) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.n > spare {
		if b.less == nil {
			b.less = make(chan struct{})
		}
		less := b.less
		b.mu.Unlock()
		over := false
		select {
		case <-less:
		case <-limit:
			over = true
		}
		b.mu.Lock()
		if over {
			return b.n <= spare
		}
	}
	return true
}
