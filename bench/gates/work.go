package main

import (
	"math"
	"testing"
	"time"
)

// work is one way of doing something.
type work struct {
	name string      // for the table; "" if the row says it all
	run  func(n int) // does it n times, in a loop of its own; nil where a runner does

	allocs float64 // how many allocations it makes each time, once calibrated
	n      int     // how often a lap does it, once calibrated
}

// A round gives each work of a row 100 ms: turns of 20 ms, in which the works
// follow each other, so that a phase of the machine's clock meets all. What counts
// is the quickest lap. A lap is short, so that whatever else runs on the machine
// spoils a few of many; but one that makes garbage, a gigabyte a second as a rule,
// is so long that the collector runs in it more than once, and what counts is the
// processor time of the process: the collector does most of its work on other
// processors, which the time on the wall does not show.
const (
	turns    = 5
	turnTime = 20 * time.Millisecond
	shortLap = 2 * time.Millisecond
	longLap  = 20 * time.Millisecond
)

// calibrate finds out what w allocates, and how often it must run to fill a lap.
func (w *work) calibrate() {
	w.allocs = w.countAllocs()
	for w.n = 1; w.n < 1<<30; {
		took := w.lap()
		if took >= w.lapTime()*3/4 {
			return
		}
		// Towards the goal, but not by more than a hundredfold at a time: a
		// single run says little.
		w.n = int(math.Ceil(float64(w.n) * min(100, float64(w.lapTime())/float64(max(took, 1)))))
	}
}

func (w *work) lapTime() time.Duration {
	if w.allocs > 0 {
		return longLap
	}
	return shortLap
}

func (w *work) lap() time.Duration {
	if before, err := cpuTime(); err == nil && w.allocs > 0 {
		w.run(w.n)
		after, _ := cpuTime()
		return after - before
	}
	start := time.Now()
	w.run(w.n)
	return time.Since(start)
}

// turn returns the time of the quickest lap of one turn, in nanoseconds of one time.
func (w *work) turn() float64 {
	best := time.Duration(math.MaxInt64)
	for range turnTime / w.lapTime() {
		best = min(best, w.lap())
	}
	return float64(best) / float64(w.n)
}

// countAllocs runs w often enough for fractions to show. What the runtime
// allocates meanwhile, a handful in thousands, does not.
func (w *work) countAllocs() float64 {
	const runs = 1000
	return testing.AllocsPerRun(10, func() { w.run(runs) }) / runs
}

// works returns what r has, floor first.
func (r *row) works() []*work {
	var all []*work
	for _, w := range []*work{r.floor, r.peer, r.ours} {
		if w != nil {
			all = append(all, w)
		}
	}
	return all
}

func (r *row) calibrate() {
	for _, w := range r.works() {
		w.calibrate()
	}
}

// sample measures r once, in this process. What runs in processes of its own is
// a race.
func (r *row) sample() sample {
	best := make(map[*work]float64)
	for range turns {
		for _, w := range r.works() {
			each := w.turn()
			if old, ok := best[w]; !ok || each < old {
				best[w] = each
			}
		}
	}
	return sample{floor: best[r.floor], peer: best[r.peer], ours: best[r.ours]}
}
