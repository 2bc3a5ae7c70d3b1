package main

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ratios makes samples of which ours costs so many times what the floor does, and
// the peer so many times what ours does.
func ratios(all ...float64) (samples []sample) {
	for _, x := range all {
		samples = append(samples, sample{floor: 10, ours: 10 * x, peer: 10 * x * x})
	}
	return samples
}

func TestJudge(t *testing.T) {
	const strict, lax, quiet, busy = true, false, true, false
	for _, tt := range []struct {
		name    string
		bound   bound
		samples []sample
		quiet   bool
		strict  bool
		want    verdict
	}{
		{"exactly as much faster than the peer as it must be", atLeast(5), ratios(5), quiet, strict, met},
		{"not quite as much", atLeast(5), ratios(4.99), quiet, strict, missed},
		{"exactly as close to the floor as it must be", atMost(2), ratios(2), quiet, strict, met},
		{"not quite as close", atMost(2), ratios(2.01), quiet, strict, missed},
		{"the median counts, not the mean", atLeast(5), ratios(1, 5, 5, 5, 6), quiet, strict, met},
		{"nor the best", atLeast(5), ratios(4, 4, 4, 90, 90), quiet, strict, missed},
		{"of an even number it is the mean of the middle two", atMost(2), ratios(1, 1, 3, 9), quiet, strict, met},
		{"which can be too much", atMost(2), ratios(1, 1, 3.1, 9), quiet, strict, missed},
		{"met on a busy machine says nothing", atLeast(5), ratios(9), busy, strict, noisy},
		{"and missed neither", atLeast(5), ratios(1), busy, strict, noisy},
		{"twice the room below", atLeast(5), ratios(2.5), quiet, lax, met},
		{"and no more", atLeast(5), ratios(2.49), quiet, lax, missed},
		{"twice the room above", atMost(2), ratios(4), quiet, lax, met},
		{"and no more above", atMost(2), ratios(4.01), quiet, lax, missed},
		{"four times for switches", atMost(2).ofSwitches(), ratios(8), quiet, lax, met},
		{"and no more for them", atMost(2).ofSwitches(), ratios(8.1), quiet, lax, missed},
		{"and none when strict", atMost(2).ofSwitches(), ratios(2.1), quiet, strict, missed},
		{"on a busy machine what there is counts", atLeast(5), ratios(3), busy, lax, met},
		{"both ways", atLeast(5), ratios(2), busy, lax, missed},
		{"of ours itself, exactly enough", oursAtLeast(20), ratios(2), quiet, strict, met},
		{"not quite enough", oursAtLeast(20.1), ratios(2), quiet, strict, missed},
		{"exactly not too much", oursAtMost(20), ratios(2), quiet, strict, met},
		{"too much", oursAtMost(19.9), ratios(2), quiet, strict, missed},
		{"eight times the room there, for a slow machine", oursAtMost(2.5), ratios(2), quiet, lax, met},
		{"and no more there", oursAtMost(2.4), ratios(2), quiet, lax, missed},
	} {
		if got := judge(tt.bound, tt.samples, tt.quiet, options{strict: tt.strict}); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestRowsThatAreJudgedInTheirOwnWay(t *testing.T) {
	const strict, lax, quiet, busy = true, false, 0, 1
	rounds := func(others float64, all ...sample) []round {
		return []round{{others: others, samples: [][]sample{all}}}
	}
	control := row{ours: &work{}, control: &work{}, gates: []bound{atMost(1.06)}}
	steady := row{ours: &work{}, steady: true, gates: []bound{oursAtMost(6)}}
	two := row{ours: &work{}, gates: []bound{atMost(4), atLeast(20)}}
	for _, tt := range []struct {
		name   string
		row    row
		rounds []round
		strict bool
		want   verdict
	}{
		{"the control is near enough", control, rounds(quiet, sample{floor: 100, control: 101.9, ours: 106}), strict, met},
		{"it is too far above", control, rounds(quiet, sample{floor: 100, control: 102.1, ours: 106}), strict, noisy},
		{"or below", control, rounds(quiet, sample{floor: 100, control: 97.9, ours: 200}), strict, noisy},
		{"its median counts", control, rounds(quiet, sample{floor: 100, control: 50, ours: 1}, sample{floor: 100, control: 100, ours: 1}, sample{floor: 100, control: 200, ours: 1}), strict, met},
		{"without -strict it is not asked", control, rounds(busy, sample{floor: 100, control: 300, ours: 212}), lax, met},
		{"steady on a busy machine", steady, rounds(busy, sample{ours: 6}), strict, met},
		{"and without slack", steady, rounds(busy, sample{ours: 6.1}), lax, missed},
		{"both gates hold", two, rounds(quiet, sample{floor: 1, ours: 4, peer: 80}), strict, met},
		{"one does not", two, rounds(quiet, sample{floor: 1, ours: 4, peer: 79}), strict, missed},
		{"nor the other", two, rounds(quiet, sample{floor: 1, ours: 4.1, peer: 90}), strict, missed},
	} {
		got := judgeRows([]*row{&tt.row}, tt.rounds, options{strict: tt.strict})
		if len(got) != 1 || got[0].verdict() != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got[0].verdict(), tt.want)
		}
	}
}

func TestAllocationsHaveNoSlack(t *testing.T) {
	for _, tt := range []struct {
		got   float64
		limit int
		want  verdict
	}{
		{0, 0, met}, {0.001, 0, missed}, {1, 0, missed}, {1, 1, met}, {41, uncounted, met},
	} {
		if got := judgeAllocs(tt.got, tt.limit); got != tt.want {
			t.Errorf("%v allocations of %d allowed: %v, want %v", tt.got, tt.limit, got, tt.want)
		}
	}
}

func TestTheQuietestRoundsCount(t *testing.T) {
	busy := func(all ...float64) (rounds []round) {
		for _, x := range all {
			rounds = append(rounds, round{others: x})
		}
		return rounds
	}
	for _, tt := range []struct {
		name  string
		in    []round
		want  []round
		quiet bool
	}{
		{"those with the least beside them", busy(0.9, 0.01, 0.3, 0.02), busy(0.01, 0.02), true},
		{"also when they were not quiet", busy(0.9, 0.01, 0.3), busy(0.01, 0.3), false},
		{"at five per cent of a core it is not quiet", busy(0.05, 0.9, 0), busy(0, 0.05), false},
		{"where that is not known it is not", busy(math.Inf(1), math.Inf(1)), busy(math.Inf(1), math.Inf(1)), false},
		{"all, when there are too few", busy(0.01), busy(0.01), true},
	} {
		got := quietest(tt.in, 2)
		if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(round{})); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
		if allQuiet(got) != tt.quiet {
			t.Errorf("%s: quiet is %v", tt.name, allQuiet(got))
		}
	}
}
