package testkit

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"
)

// leakPatience is how long goroutines get to end after the test has.
const leakPatience = 5 * time.Second

// LeakCheck fails t when goroutines that did not exist at the call still do,
// five seconds after t and the cleanups registered later than this call are
// done; the failure shows their stacks. Call it first in a test. It sees the
// whole process, so it is not for tests that run in parallel with others.
func LeakCheck(t testing.TB) {
	t.Helper()
	before := goroutines()
	t.Cleanup(func() {
		t.Helper()
		if left := leftovers(before); len(left) > 0 {
			t.Errorf("testkit: %d goroutines leaked:\n\n%s", len(left), strings.Join(left, "\n\n"))
		}
	})
}

// leftovers returns the stacks of the goroutines that are not in before and do
// not end within leakPatience.
func leftovers(before map[string]string) []string {
	left := others(before)
	end := time.Now().Add(leakPatience)
	for pause := time.Millisecond; len(left) > 0 && time.Now().Before(end); pause = min(2*pause, 100*time.Millisecond) {
		time.Sleep(pause)
		left = others(before)
	}
	return left
}

// others returns the stacks of the goroutines that are not in before.
func others(before map[string]string) []string {
	var left []string
	for id, stack := range goroutines() {
		if _, ok := before[id]; !ok {
			left = append(left, stack)
		}
	}
	return left
}

// goroutines returns the stack of each goroutine of the process by its number,
// which the runtime never gives out twice.
func goroutines() map[string]string {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	all := make(map[string]string)
	for stack := range bytes.SplitSeq(buf, []byte("\n\n")) {
		// "goroutine 18 [chan receive]:"
		rest, ok := bytes.CutPrefix(stack, []byte("goroutine "))
		if !ok {
			continue
		}
		id, _, _ := bytes.Cut(rest, []byte(" "))
		all[string(id)] = string(bytes.TrimSpace(stack))
	}
	return all
}
