package testkit

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
)

func TestTheGoroutineOfSignalsIsNoLeak(t *testing.T) {
	before := Running()
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	signal.Stop(c)
	if left := Running().Beyond(before); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}
