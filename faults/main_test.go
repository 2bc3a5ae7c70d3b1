package faults_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire/internal/testkit"
)

// cases counts the venues of a run.
var cases atomic.Int64

// maxGrowth is how much more memory may be in use after the suite than before it:
// what the runtime and the libraries keep once they have been used.
const maxGrowth = 2 << 20

// TestMain prints the figures, and holds that nothing is left behind.
func TestMain(m *testing.M) {
	if testkit.RaceEnabled {
		// The race detector's own code crashes in one of ten such runs (SIGSEGV in __tsan::SlotLock), in bubbles
		// and on more than one thread: golang/go#78156 is much like it. It sees races without that, and
		// without it the suite runs on all processors.
		runtime.GOMAXPROCS(1)
	}
	before := testkit.Running()
	goroutines, heap := footprint()
	start := time.Now()
	code := m.Run()
	left := testkit.Leftovers(before) // and not those that are about to end
	goroutinesAfter, heapAfter := footprint()
	fmt.Printf("faults: %d cases in %v; goroutines %d before, %d after; heap %d KiB before, %d KiB after, in use after GC\n",
		cases.Load(), time.Since(start).Round(time.Millisecond), goroutines, goroutinesAfter, heap>>10, heapAfter>>10)
	if code == 0 && (len(left) > 0 || heapAfter > heap+maxGrowth) {
		fmt.Println("faults: FAIL: something was left behind")
		_ = pprof.Lookup("goroutine").WriteTo(os.Stdout, 1)
		code = 1
	}
	os.Exit(code)
}

// footprint returns how many goroutines there are, and how much memory they hold.
func footprint() (goroutines int, heap uint64) {
	var s runtime.MemStats
	for range 3 { // what pools hold lives for two collections
		runtime.GC()
	}
	runtime.ReadMemStats(&s)
	return runtime.NumGoroutine(), s.HeapAlloc
}
