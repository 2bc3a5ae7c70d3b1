package testkit

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"
)

// leakLooks is how often it is looked for goroutines that have not ended, within some five
// seconds. By count, for on a busy machine seconds pass in which nobody runs.
const leakLooks = 60

// LeakCheck fails t when goroutines that did not exist at the call still do,
// some five seconds after t and the cleanups registered later than this call are
// done; the failure shows their stacks. Call it first in a test. It sees the
// whole process, so it is not for tests that run in parallel with others.
func LeakCheck(t testing.TB) {
	t.Helper()
	before := Running()
	t.Cleanup(func() {
		t.Helper()
		if left := Leftovers(before); len(left) > 0 {
			t.Errorf("testkit: %d goroutines leaked:\n\n%s", len(left), strings.Join(left, "\n\n"))
		}
	})
}

// Leftovers returns the stacks of the goroutines that are not in before, once there are
// none, or some five seconds have passed.
func Leftovers(before Goroutines) []string {
	left := Running().Beyond(before)
	pause := time.Millisecond
	for look := 1; len(left) > 0 && look < leakLooks; look++ {
		time.Sleep(pause)
		pause = min(2*pause, 100*time.Millisecond)
		left = Running().Beyond(before)
	}
	return left
}

// Goroutines are the stacks of goroutines by their numbers, which the runtime never gives out twice.
type Goroutines map[string]string

// Beyond returns the stacks of the goroutines that are not in before.
func (g Goroutines) Beyond(before Goroutines) []string {
	var more []string
	for id, stack := range g {
		if _, ok := before[id]; !ok {
			more = append(more, stack)
		}
	}
	return more
}

// Running returns the goroutines of the process, but for those that Go itself
// starts and keeps.
func Running() Goroutines {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	all := make(Goroutines)
	for stack := range bytes.SplitSeq(buf, []byte("\n\n")) {
		// "goroutine 18 [chan receive]:"
		rest, ok := bytes.CutPrefix(stack, []byte("goroutine "))
		if !ok || nobodys(stack) {
			continue
		}
		id, _, _ := bytes.Cut(rest, []byte(" "))
		all[string(id)] = string(bytes.TrimSpace(stack))
	}
	return all
}

// nobodys reports whether a goroutine is one in which the runtime runs
// finalizers and cleanups, the one that waits for signals, which fuzzing starts, or
// the one in which a browser's or Node's events are handled.
func nobodys(stack []byte) bool {
	for _, function := range []string{"runtime.run", "os/signal.loop(", "runtime.handleEvent("} {
		if bytes.Contains(stack, []byte("\n"+function)) {
			return true
		}
	}
	return false
}
