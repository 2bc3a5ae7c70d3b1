package testkit

import (
	"os"
	"os/signal"
	"testing"
)

// TestSignalsAreNoLeak asks for a signal, as go test -fuzz does, whose goroutine stays.
func TestSignalsAreNoLeak(t *testing.T) {
	before := Running()
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt)
	signal.Stop(c)
	if left := Leftovers(before); len(left) != 0 {
		t.Errorf("%q", left)
	}
}
