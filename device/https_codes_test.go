package device_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

// TestHTTPSEachCodeThatTheHubRefusesWithComesThrough has a hub refuse a message with each code: what can pass is
// tried again until it has, all else surfaces, and who is shut out is told so by every later call.
func TestHTTPSEachCodeThatTheHubRefusesWithComesThrough(t *testing.T) {
	for _, code := range slices.Sorted(maps.Keys(testkit.Codes[hubwire.Code](t, "../testdata/codes.txt"))) {
		t.Run(fmt.Sprint(int(code)), func(t *testing.T) {
			var r refuser
			overHTTPS(t, device.HTTPSOptions{}, hub.Config{Intercept: r.intercept}, func(t *testing.T, b *bench) {
				c := b.dial(b.device, nil)
				r.refuse(hub.OpPublish, code, 2)
				start := time.Now()
				err := c.Send(t.Context(), &hubwire.Message{ID: "a"})
				took := time.Since(start)
				r.refuse(hub.OpPublish, code, 0)
				s := code.Status()
				// A time-out or a gateway is not that of a method, which may have run.
				if passes := (code.Retryable() || s == 502 || s == 504) && s != 403; passes {
					if err != nil || b.next().ID != "a" || took < 14*time.Second { // the hub's Retry-After, twice
						t.Errorf("after %v: %v", took, err)
					}
					return
				}
				e, ok := errors.AsType[*hubwire.Error](err)
				if !ok || !errors.Is(err, code) || e.Op != "send" || e.Outcome != hubwire.Refused || e.Retryable != code.Retryable() || e.RetryAfter != 7*time.Second {
					t.Errorf("%+v", err)
				}
				if ok && (e.TrackingID == "" || !strings.Contains(err.Error(), e.TrackingID)) {
					t.Errorf("tracking id %q in %v", e.TrackingID, err)
				}
				if s == 401 || c.Err() != nil {
					again := c.Send(context.Background(), &hubwire.Message{})
					if c.State() != device.Closed || !errors.Is(again, code) || !errors.Is(c.Err(), code) {
						t.Errorf("afterwards %v: %v, %v", c.State(), c.Err(), again)
					}
					return
				}
				b.works(c, "b")
			})
		})
	}
}
