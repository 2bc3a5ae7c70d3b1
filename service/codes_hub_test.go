package service_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/service"
)

// TestEachCodeThatTheHubRefusesWithComesThrough has a hub refuse a call of some kind with each code, in the
// form that the operation has: the program finds the code, whether to try again, when, and the tracking id.
func TestEachCodeThatTheHubRefusesWithComesThrough(t *testing.T) {
	var code atomic.Int64
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		if op.Kind != hub.OpRequest {
			return hub.Verdict{}
		}
		return hub.Verdict{Refuse: hubwire.Code(code.Load()), RetryAfter: 7 * time.Second}
	}}
	onHub(t, cfg, func(t *testing.T, h *hub.Hub, _ *service.Client) {
		c := clientOf(t, h, "iothubowner", func(o *service.Options) { o.MaxAttempts = 1 })
		hubtest.Device(t, h, "dev-1")
		names, turn := slices.Sorted(maps.Keys(kinds)), 0
		for _, want := range slices.Sorted(maps.Keys(testkit.Codes[hubwire.Code](t, "../testdata/codes.txt"))) {
			code.Store(int64(want))
			kind := names[turn%len(names)]
			turn++
			err := kinds[kind](t.Context(), c)
			var e *hubwire.Error
			if !errors.As(fmt.Errorf("the program's own: %w", err), &e) || !errors.Is(err, want) || errors.Is(err, hubwire.Code(404777)) {
				t.Errorf("%d, %s: %v", want, kind, err)
				continue
			}
			s := want.Status()
			mayRun := kind == "invokes" && (s == 408 || s == 502 || s == 504 || want == hubwire.ConnectionClosedRemotely) // by the device
			if e.Code != want || (e.Outcome == hubwire.Unknown) != mayRun || e.Retryable != (want.Retryable() || kind != "invokes" && (s == 502 || s == 504)) {
				t.Errorf("%d, %s: %+v", want, kind, e)
			}
			if e.RetryAfter != 7*time.Second || e.TrackingID == "" || !strings.Contains(err.Error(), e.TrackingID) {
				t.Errorf("%d, %s: retry after %v, tracking id %q in %v", want, kind, e.RetryAfter, e.TrackingID, err)
			}
		}
	})
}
