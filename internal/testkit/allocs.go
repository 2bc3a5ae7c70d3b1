package testkit

import "testing"

// NoAllocs calls its function in batches. [testing.AllocsPerRun] averages over
// them and rounds down: a few stray allocations of the runtime's do not show,
// and those of one call in twenty do.
const (
	allocRuns  = 10
	allocBatch = 20
)

// NoAllocs fails t when f, called over and over, allocates. name says in the
// failure which of a test's claims broke. It does nothing under the race
// detector (see [RaceEnabled]), and must not be called from a parallel test.
func NoAllocs(t testing.TB, name string, f func()) {
	t.Helper()
	if RaceEnabled {
		return
	}
	n := testing.AllocsPerRun(allocRuns, func() {
		for range allocBatch {
			f()
		}
	})
	if n != 0 {
		t.Errorf("%s: %v allocations in %d runs, want 0", name, n, allocBatch)
	}
}
