package mqtt

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/internal/testkit"
)

func TestAThousandSessionsThatAreAcceptedAndDroppedDoNotComeInStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		n := testkit.Fewer(1000)
		servers := make([]*fakeServer, n)
		for i := range servers {
			servers[i] = newFake(t, takes(0))
			servers[i].start(SessionOptions{MaxBackoff: 10 * time.Second})
		}
		time.Sleep(3 * time.Minute)
		var times []time.Duration
		for _, f := range servers {
			last := begin
			for k, at := range f.dials() {
				limit := min(10*time.Second, time.Second<<min(k, 5)/2) // the first is made at once
				if wait := at.Sub(last); wait > limit && k > 0 || wait > 0 && k == 0 {
					t.Fatalf("attempt %d was made after %v, the limit is %v", k, wait, limit)
				}
				last = at
				times = append(times, at.Sub(begin))
			}
		}
		testkit.NoSpike(t, times, time.Minute, 3*time.Minute, 100*time.Second/time.Duration(n))
		if each := len(times) / n; each < 30 || each > 50 { // 5 s on average, and a few more at first
			t.Errorf("%d attempts each in three minutes", each)
		}
	})
}

func TestBackOffStartsAnewAfterAStableConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(c *fakeConn) {
			if c.n%20 != 0 {
				takes(0)(c)
				return
			}
			c.accept()
			c.serve()
		})
		s := f.start(SessionOptions{StableAfter: time.Minute})
		for range 5 {
			for !strings.HasPrefix(s.State().String(), "connected") || f.connections()%20 != 0 {
				time.Sleep(10 * time.Second)
			}
			time.Sleep(2 * time.Minute)
			n := f.connections()
			s.mu.Lock()
			nc := s.link.nc
			s.mu.Unlock()
			nc.Close()
			time.Sleep(s.o.MinBackoff + 2*s.o.MinBackoff) // the first two waits
			if f.connections() < n+2 {
				t.Errorf("%d attempts soon after a stable connection, want 2", f.connections()-n)
			}
		}
	})
}
