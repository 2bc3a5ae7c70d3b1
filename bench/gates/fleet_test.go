package main

import (
	"testing"
	"time"
)

func TestLatencyClasses(t *testing.T) {
	last := -1
	for us := uint64(0); us < 1<<20; us++ {
		c := latencyClass(us)
		if c != last && c != last+1 {
			t.Fatalf("%d µs is of class %d, after %d", us, c, last)
		}
		last = c
		limit := uint64(latencyLimit(c) / time.Microsecond)
		if us >= limit || float64(limit-us) > max(1, 0.13*float64(limit)) {
			t.Fatalf("%d µs is of class %d, which ends at %d", us, c, limit)
		}
	}
	if c := latencyClass(1<<63 - 1); c >= len(latencies{}) {
		t.Errorf("the longest time is of class %d", c)
	}
}

func TestPercentile(t *testing.T) {
	l := new(latencies)
	if got := l.percentile(0.99); got != 0 && got > time.Microsecond {
		t.Errorf("of nothing: %v", got)
	}
	for i := range 1000 {
		l.add(time.Duration(i) * time.Microsecond)
	}
	if got := l.percentile(0.99); got < 990*time.Microsecond || got > 1120*time.Microsecond {
		t.Errorf("%v, want 990 µs or up to 12 %% more", got)
	}
	if got := l.percentile(0.001); got != time.Microsecond {
		t.Errorf("the quickest: %v", got)
	}
}
