package service_test

import (
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/service"
)

// TestOverSockets has what no bubble has: a dial, a port, and a hub that goes away.
func TestOverSockets(t *testing.T) {
	testkit.LeakCheck(t)
	h := hubtest.Start(t, nil)
	hubtest.Device(t, h, "dev-1")
	_, port, err := net.SplitHostPort(h.HTTPSAddr())
	if err != nil {
		t.Fatal(err)
	}
	c := clientOf(t, h, "service", func(o *service.Options) {
		o.Dial, o.MaxAttempts = nil, 1
		if o.Port, err = strconv.Atoi(port); err != nil {
			t.Fatal(err)
		}
	})
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			for range 10 {
				if tw, err := c.Twin(t.Context(), dev); err != nil || tw.Identity != dev {
					t.Errorf("%v, %v", tw, err)
				}
			}
		})
	}
	calls.Wait()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	_, err = c.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "m"}, nil)
	if e := errorOf(t, err); !e.Retryable || e.Outcome == hubwire.Refused {
		t.Errorf("after the hub's end: %v", err)
	}
	_, err = c.Twin(t.Context(), dev)
	if e := errorOf(t, err); e.Outcome != hubwire.NotSent || !e.Retryable {
		t.Errorf("after the hub's end: %v", err)
	}
}
