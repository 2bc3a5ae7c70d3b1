package testkit

import "testing"

// MaxAllocs calls its function in batches. [testing.AllocsPerRun] averages over
// them and rounds down: a few stray allocations of the runtime's do not show,
// and those of one call in twenty do. It counts those of the whole process, in
// which what earlier tests began may still be ending: so it has a few tries.
const (
	allocRuns  = 10
	allocBatch = 20
	allocTries = 5
)

// NoAllocs is [MaxAllocs] with none.
func NoAllocs(t testing.TB, name string, f func()) {
	t.Helper()
	MaxAllocs(t, name, 0, f)
}

// MaxAllocs fails t when f, called over and over, allocates more than most times a
// call. name says in the failure which of a test's claims broke. It does nothing under
// the race detector (see [RaceEnabled]), and must not be called from a parallel test.
func MaxAllocs(t testing.TB, name string, most int, f func()) {
	t.Helper()
	if RaceEnabled {
		return
	}
	limit := float64(most * allocBatch)
	n := limit + 1
	for try := 0; n > limit && try < allocTries; try++ {
		n = testing.AllocsPerRun(allocRuns, func() {
			for range allocBatch {
				f()
			}
		})
	}
	if n > limit {
		t.Errorf("%s: %v allocations in %d runs, want at most %v", name, n, allocBatch, limit)
	}
}
