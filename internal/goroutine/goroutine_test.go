package goroutine

import (
	"sync"
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
)

func TestEachGoroutineHasAnIDOfItsOwn(t *testing.T) {
	ids := make(chan uint64, 100)
	var all sync.WaitGroup
	for range cap(ids) {
		all.Go(func() {
			id := ID()
			if id != ID() {
				t.Error("one goroutine has two ids")
			}
			ids <- id
		})
	}
	all.Wait()
	close(ids)
	seen := map[uint64]bool{0: true, ID(): true}
	for id := range ids {
		if seen[id] {
			t.Errorf("the id %d is nobody's, or another's", id)
		}
		seen[id] = true
	}
}

func TestIDDoesNotAllocate(t *testing.T) {
	testkit.NoAllocs(t, "ID", func() { ID() })
}
