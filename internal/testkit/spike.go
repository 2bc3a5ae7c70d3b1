package testkit

import (
	"testing"
	"time"
)

// NoSpike fails t when of the times in [from, to) more than three times as many
// fall into one bucket of that width as into each on average. There should be some ten
// to a bucket, or chance alone will.
func NoSpike(t testing.TB, times []time.Duration, from, to, width time.Duration) {
	t.Helper()
	buckets := make([]int, (to-from)/width)
	n := 0
	for _, at := range times {
		if i := int((at - from) / width); at >= from && i < len(buckets) {
			buckets[i]++
			n++
		}
	}
	mean, most, where := float64(n)/float64(len(buckets)), 0, 0
	for i, k := range buckets {
		if k > most {
			most, where = k, i
		}
	}
	t.Logf("%d between %v and %v: %.1f in %v on average, %d at most", n, from, to, mean, width, most)
	if n == 0 || float64(most) > 3*mean {
		t.Errorf("testkit: %d of %d within %v from %v on, %.1f on average", most, n, width, from+time.Duration(where)*width, mean)
	}
}
