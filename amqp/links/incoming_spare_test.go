package links

import (
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// A call of a module waits on two links, and may get a message by each at once.
func TestAMessageTooManyForOneCallGoesToAnotherThatWaits(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(mod)
		g.order("one too many")
		s := g.inbox().sources[0]
		d, err := s.next(g.soon())
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan *hubwire.Received, 1)
		go func() {
			m, err := g.Receive(g.soon())
			if err != nil {
				t.Error(err)
			}
			got <- m
		}()
		synctest.Wait()
		s.keep(d)
		if m := <-got; m == nil || string(m.Body) != "one too many" || m.Redelivered {
			t.Errorf("got %v", m)
		}
	})
}
