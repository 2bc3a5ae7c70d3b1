package testkit

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Growth watches whether something that is repeated piles up goroutines or
// memory. The zero Growth has no samples.
type Growth struct {
	goroutines, heap []float64
}

// Sample takes note of how many goroutines there are, and of the bytes that
// are live after a garbage collection.
func (g *Growth) Sample() {
	runtime.GC()
	runtime.GC() // what finalizers and pools held on to in the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	g.goroutines = append(g.goroutines, float64(runtime.NumGoroutine()))
	g.heap = append(g.heap, float64(m.HeapAlloc))
}

// Least samples n times, each after next, and keeps the least: of what comes and goes, as the buffers of
// one connection do, that is the part that stays.
func (g *Growth) Least(n int, next func()) {
	var s Growth
	for range n {
		next()
		s.Sample()
	}
	g.goroutines = append(g.goroutines, slices.Min(s.goroutines))
	g.heap = append(g.heap, slices.Min(s.heap))
}

// The drift that Check forgives, from the first sample to the last.
const (
	heapDrift      = 0.01 // of the mean
	heapNoise      = 100 << 10
	goroutineDrift = 4
)

// Check logs what was sampled and fails t when the line through the samples (least
// squares) rises by more than 1 % of the live heap, where 100 KiB are noise, or by
// more than four goroutines.
func (g *Growth) Check(t testing.TB) {
	t.Helper()
	rise, drift := slope(g.goroutines), slope(g.heap)
	t.Logf("goroutines %.0f, drift %+.1f; live heap %s KiB, drift %+.1f KiB (%+.2f %%)",
		g.goroutines, rise, inKiB(g.heap), drift/1024, 100*drift/mean(g.heap))
	if rise > goroutineDrift {
		t.Errorf("testkit: goroutines pile up: %.0f", g.goroutines)
	}
	if drift > max(heapDrift*mean(g.heap), heapNoise) {
		t.Errorf("testkit: the live heap grows: %s KiB", inKiB(g.heap))
	}
}

func inKiB(bytes []float64) string {
	var s []string
	for _, b := range bytes {
		s = append(s, fmt.Sprintf("%.1f", b/1024))
	}
	return "[" + strings.Join(s, " ") + "]"
}

func mean(ys []float64) (m float64) {
	for _, y := range ys {
		m += y / float64(len(ys))
	}
	return m
}

// slope is how far the line through ys, by least squares, rises from the first to the last.
func slope(ys []float64) float64 {
	x0, y0 := float64(len(ys)-1)/2, mean(ys)
	var xy, xx float64
	for i, y := range ys {
		dx := float64(i) - x0
		xy += dx * (y - y0)
		xx += dx * dx
	}
	if xx == 0 {
		return 0
	}
	return xy / xx * float64(len(ys)-1)
}
