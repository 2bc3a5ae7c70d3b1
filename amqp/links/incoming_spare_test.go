package links

import (
	"testing"
	"testing/synctest"
	"time"

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
		begin := time.Now()
		s.keep(d)
		if m := <-got; m == nil || string(m.Body) != "one too many" {
			t.Errorf("got %v", m)
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("it took %v: that is a later delivery", took) // when the lock of the first was over
		}
	})
}
