// Package hubtest starts a hub for a test, and stops it with the test.
//
//	h := hubtest.Start(t, nil)
//	c, err := device.Dial(ctx, hubtest.Device(t, h, "dev-1"), device.MQTT(nil), &device.Options{
//		Dial:      h.Dial,
//		TLSConfig: h.ClientTLS(),
//	})
//
// A hub is ready in milliseconds and shares nothing with another: each test
// has its own. Inside a testing/synctest bubble give it
// [hub.Config].InMemory, since real sockets stall the bubble's clock.
//
// What the test wants to see or to say as a service are methods of [hub.Hub]: Events, SendC2D, Invoke,
// PatchTwin. Trouble comes from its Config: Intercept refuses, delays or cuts any operation,
// Throttle bounds rates. Programs in other languages have `hubwire hub` for it.
package hubtest

import (
	"context"
	"runtime/debug"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// Start starts a hub and closes it in t's cleanup. cfg nil means the defaults: free
// ports of 127.0.0.1, and [hub.Hub.Dial]. A panic of its Intercept fails t.
func Start(t testing.TB, cfg *hub.Config) *hub.Hub {
	t.Helper()
	h, err := hub.Start(context.Background(), watched(t, cfg))
	if err != nil {
		t.Fatalf("hubtest: %v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		if err := h.Close(); err != nil {
			t.Errorf("hubtest: %v", err)
		}
	})
	return h
}

// watched returns cfg with an Intercept whose panics t hears of.
func watched(t testing.TB, cfg *hub.Config) *hub.Config {
	if cfg == nil || cfg.Intercept == nil {
		return cfg
	}
	own := *cfg
	own.Intercept = func(ctx context.Context, op *hub.Op) (v hub.Verdict) {
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("hubtest: Intercept panicked: %v\n%s", p, debug.Stack())
				v.DropBefore = true
			}
		}()
		return cfg.Intercept(ctx, op)
	}
	return &own
}

// Device registers a device with generated keys and returns its connection string.
func Device(t testing.TB, h *hub.Hub, deviceID string) string {
	t.Helper()
	return register(t, h, hubwire.Identity{DeviceID: deviceID})
}

// Module registers a module of a registered device with generated keys and
// returns its connection string.
func Module(t testing.TB, h *hub.Hub, deviceID, moduleID string) string {
	t.Helper()
	return register(t, h, hubwire.Identity{DeviceID: deviceID, ModuleID: moduleID})
}

func register(t testing.TB, h *hub.Hub, id hubwire.Identity) string {
	t.Helper()
	d, err := h.Create(context.Background(), &hub.Device{Identity: id})
	if err != nil {
		t.Fatalf("hubtest: %v", err)
	}
	s, err := h.ConnectionString(d.Identity)
	if err != nil {
		t.Fatalf("hubtest: %v", err)
	}
	return s
}
