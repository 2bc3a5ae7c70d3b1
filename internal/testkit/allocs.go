package testkit

import "testing"

// allocRuns is large enough that a stray allocation of the runtime's, averaged
// and rounded down by [testing.AllocsPerRun], does not show.
const allocRuns = 200

// NoAllocs fails t when f, called over and over, allocates. name says in the
// failure which of a test's claims broke. It does nothing under the race
// detector (see [RaceEnabled]), and must not be called from a parallel test.
func NoAllocs(t testing.TB, name string, f func()) {
	t.Helper()
	if RaceEnabled {
		return
	}
	if n := testing.AllocsPerRun(allocRuns, f); n != 0 {
		t.Errorf("%s: %v allocations per run, want 0", name, n)
	}
}
