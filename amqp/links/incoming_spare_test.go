package links

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/hub"
)

// givesUp is a call that nothing comes for, whose credit the hub keeps.
func (g *guest) givesUp() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Second)
	defer cancel()
	if _, err := g.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		g.t.Errorf("%v", err)
	}
}

// The hub sends to credit that a call has left behind.
func TestAMessageThatComesWhenNobodyWaitsIsForTheNextCall(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		g.givesUp()
		g.order("early")
		synctest.Wait()
		if in := g.inbox(); len(in.spare) != 1 || in.sources[0].credit != 0 {
			t.Errorf("%d messages are there, %d credits are out", len(in.spare), in.sources[0].credit)
		}
		begin := time.Now()
		if err := g.gets("early").Complete(g.soon()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("it took %v: that is a later delivery", took) // when the lock of the first was over
		}
	})
}

func TestWhatCameByALinkThatIsLostIsTheHubsAgain(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		g.givesUp()
		g.order("again")
		synctest.Wait()
		b.cut()
		synctest.Wait()
		if in := g.inbox(); len(in.spare) != 0 {
			t.Errorf("%d messages are there", len(in.spare))
		}
		if err := g.gets("again").Complete(g.soon()); err != nil {
			t.Error(err)
		}
	})
}
