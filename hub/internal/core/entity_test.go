package core

import (
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire/internal/goroutine"
)

// TestACallIsNotHeldByOthers has changes come as fast as they are told of. The call that was
// the first to tell returns all the same, and the link gets them all, in order.
func TestACallIsNotHeldByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		_, l := connect(t, c, dev)
		patch := func() {
			if _, err := c.PatchTwin(ctx, dev, &TwinUpdate{Desired: json.RawMessage(`{"a":1}`)}, ""); err != nil {
				t.Error(err)
			}
		}
		const all = 10 * maxOwnCalls
		caller, own := goroutine.ID(), 0
		l.onDesired = func() {
			if goroutine.ID() == caller {
				own++
			}
			if len(l.changes) < all {
				patch() // by somebody else, as far as the first caller is concerned
			}
		}
		patch()
		synctest.Wait()
		if own > maxOwnCalls {
			t.Errorf("the caller told the link %d times of changes that were not its own", own)
		}
		if len(l.changes) != all {
			t.Fatalf("%d changes, want %d", len(l.changes), all)
		}
		for i, d := range l.changes {
			if want := int64(i + 2); d.Version != want {
				t.Fatalf("change %d has version %d, want %d", i, d.Version, want)
			}
		}
	})
}
