package main

import (
	"cmp"
	"math"
	"slices"
)

// round is what was measured in one round.
type round struct {
	samples [][]sample // of each row
	others  float64    // what the rest of the machine used meanwhile, in cores
}

// idle is how much of a core the rest of the machine may use in a round.
const idle = 0.05

func (r round) quiet() bool { return r.others < idle }

// quietest returns the n rounds with the least going on beside them, or all
// there are.
func quietest(rounds []round, n int) []round {
	sorted := slices.SortedStableFunc(slices.Values(rounds), func(a, b round) int { return cmp.Compare(a.others, b.others) })
	return sorted[:min(n, len(sorted))]
}

func allQuiet(rounds []round) bool {
	return !slices.ContainsFunc(rounds, func(r round) bool { return !r.quiet() })
}

// verdict is what can be said of a row or a bound.
type verdict int

const (
	met verdict = iota
	noisy
	missed
)

func (v verdict) String() string { return [...]string{"met", "noisy", "missed"}[v] }

// slack is the room that b has when not strict. What ours costs by itself says as much of the machine, which may be
// slow or busy, as of ours: then only what would be far off on any machine is missed.
func (o options) slack(b bound) float64 {
	switch {
	case o.strict:
		return 1
	case b.on == itself:
		return 8
	case b.switches: // which cost more than twice as much on some processors, where the floor, the kernel's work, does not
		return 4
	}
	return 2
}

// tries is how many rounds may be run for one that counts. Without -strict noisy
// ones can count, so it is not worth as long.
func (o options) tries() int {
	if o.strict {
		return 3
	}
	return 2
}

// judge says whether b held in these samples of a row: whether the median of
// what it is on does. Strictly, nothing can be said when the samples are not
// sure: when not all are from a quiet machine, or the control was off.
func judge(b bound, samples []sample, sure bool, o options) verdict {
	switch {
	case o.strict && !sure:
		return noisy
	case b.holds(median(samples, b.on.of), o.slack(b)):
		return met
	}
	return missed
}

// tolerance is how far the control may be from the floor.
const tolerance = 0.02

// controlled reports whether the control, if r has one, cost what the floor did.
func (r *row) controlled(samples []sample) bool {
	if r.control == nil {
		return true
	}
	return math.Abs(median(samples, sample.offControl)) <= tolerance
}

// judgeAllocs needs no quiet machine and gives no slack.
func judgeAllocs(got float64, limit int) verdict {
	if limit == uncounted || got <= float64(limit) {
		return met
	}
	return missed
}

// median of f over the samples, of which there is one at least.
func median(samples []sample, f func(sample) float64) float64 {
	var all []float64
	for _, s := range samples {
		all = append(all, f(s))
	}
	slices.Sort(all)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}
