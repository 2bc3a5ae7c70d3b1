package faults_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"strings"
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
	flag.Parse()
	finish := func() int { return 0 }
	if testkit.RaceEnabled {
		// The race detector's own code crashes in one of ten such runs (SIGSEGV in __tsan::SlotLock), in bubbles
		// and on more than one thread: golang/go#78156 is much like it. It sees races without that, and
		// without it the suite runs on all processors.
		runtime.GOMAXPROCS(1)
		finish = amqpBeside()
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
	os.Exit(max(code, finish()))
}

// amqpBeside leaves the columns of AMQP, which are half of the work, to a process of their own, where this one
// was asked for the whole suite. The result waits for it, shows what it printed, and returns its exit code.
func amqpBeside() (finish func() int) {
	const columns = "/^amqp" // of whatever test
	args := []string{"-test.run=" + columns}
	whole := true
	flag.Visit(func(f *flag.Flag) {
		switch name := strings.TrimPrefix(f.Name, "test."); name {
		case "run", "skip", "list", "bench", "fuzz":
			whole = whole && f.Value.String() == f.DefValue
		case "v", "count", "timeout", "short", "failfast", "fullpath", "shuffle", "paniconexit0":
			args = append(args, "-"+f.Name+"="+f.Value.String())
		}
	})
	if !whole {
		return func() int { return 0 }
	}
	out, err := os.CreateTemp("", "faults-amqp-")
	if err == nil {
		err = flag.Set("test.skip", columns)
	}
	beside := exec.Command(os.Args[0], args...)
	beside.Stdout, beside.Stderr = out, out
	if err == nil {
		err = beside.Start()
	}
	if err != nil {
		fmt.Println("faults: FAIL: the columns of AMQP:", err)
		os.Exit(1)
	}
	return func() int {
		defer os.Remove(out.Name())
		failed := beside.Wait()
		_, err := out.Seek(0, io.SeekStart)
		if err == nil {
			_, err = io.Copy(os.Stdout, out)
		}
		if err = errors.Join(failed, err); err != nil {
			fmt.Println("faults: FAIL: the columns of AMQP:", err)
			return 1
		}
		return 0
	}
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
