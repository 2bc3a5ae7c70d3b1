package backoff

import (
	"math"
	"testing"
	"time"

	"github.com/hubwire/hubwire/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestWaitsAreExponentialWithFullJitter(t *testing.T) {
	const clients, attempts = 10_000, 12 // so many that chance alone never fails it
	const least, most = 100 * time.Millisecond, time.Minute
	var buckets [100]int
	for n := range attempts {
		limit := min(most, least<<n)
		var sum time.Duration
		for range clients {
			d := Wait(n, least, most)
			if d <= 0 || d > limit {
				t.Fatalf("attempt %d waits %v, the limit is %v", n, d, limit)
			}
			sum += d
			if n == 9 { // 51.2 s at most
				buckets[d*100/(limit+1)]++
			}
		}
		if mean := float64(sum) / clients; math.Abs(mean/float64(limit)-0.5) > 0.05 {
			t.Errorf("attempt %d waits %v on average, the limit is %v", n, time.Duration(mean), limit)
		}
	}
	for i, n := range buckets {
		if n > 3*clients/len(buckets) {
			t.Errorf("%d of %d clients in bucket %d", n, clients, i)
		}
	}
}

func TestNoWaitIsOutOfBounds(t *testing.T) {
	for _, least := range []time.Duration{1, time.Second, 3 * time.Hour, math.MaxInt64} {
		for _, n := range []int{0, 1, 20, 31, 32, 63, 64, math.MaxInt} {
			longest := time.Duration(0)
			for range 100 {
				d := Wait(n, least, math.MaxInt64)
				if d <= 0 {
					t.Fatalf("attempt %d of %v waits %v", n, least, d)
				}
				longest = max(longest, d)
			}
			if n >= 32 && longest < time.Hour {
				t.Errorf("attempt %d of %v waits %v at most", n, least, longest)
			}
		}
	}
}
