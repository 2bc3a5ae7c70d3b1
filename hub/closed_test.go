package hub_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// TestAClosedHubSaysSo makes every call of the Go API that can fail.
func TestAClosedHubSaysSo(t *testing.T) {
	h, err := hub.Start(t.Context(), &hub.Config{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	mod := hubwire.Identity{DeviceID: dev.DeviceID, ModuleID: "m"}
	for _, id := range []hubwire.Identity{dev, mod} {
		if _, err := h.Create(t.Context(), &hub.Device{Identity: id}); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := h.Events(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SendC2D(t.Context(), dev, &hubwire.Message{Ack: hubwire.AckFull}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Purge(t.Context(), dev); err != nil { // which leaves feedback
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(context.Context) error{
		"Create":  func(ctx context.Context) error { _, err := h.Create(ctx, &hub.Device{Identity: dev}); return err },
		"Update":  func(ctx context.Context) error { _, err := h.Update(ctx, &hub.Device{Identity: dev}, ""); return err },
		"Delete":  func(ctx context.Context) error { return h.Delete(ctx, dev) },
		"Device":  func(context.Context) error { _, err := h.Device(dev); return err },
		"Modules": func(context.Context) error { _, err := h.Modules(dev.DeviceID); return err },
		"a stranger": func(context.Context) error {
			_, err := h.Device(hubwire.Identity{DeviceID: "nobody"})
			return err
		},
		"SendC2D":   func(ctx context.Context) error { return h.SendC2D(ctx, dev, &hubwire.Message{}) },
		"SendInput": func(ctx context.Context) error { return h.SendInput(ctx, mod, "in", &hubwire.Message{}) },
		"Purge":     func(ctx context.Context) error { _, err := h.Purge(ctx, dev); return err },
		"QueueLength": func(context.Context) error {
			_, err := h.QueueLength(dev)
			return err
		},
		"Feedback": func(ctx context.Context) error { _, err := h.Feedback(ctx); return err },
		"Invoke": func(ctx context.Context) error {
			_, err := h.Invoke(ctx, dev, hubwire.MethodRequest{Name: "m"}, nil)
			return err
		},
		"Twin":        func(ctx context.Context) error { _, err := h.Twin(ctx, dev); return err },
		"PatchTwin":   func(ctx context.Context) error { _, err := h.PatchTwin(ctx, dev, hub.TwinUpdate{}, ""); return err },
		"ReplaceTwin": func(ctx context.Context) error { _, err := h.ReplaceTwin(ctx, dev, hub.TwinUpdate{}, ""); return err },
		"Events":      func(ctx context.Context) error { _, err := h.Events(ctx, nil); return err },
		"Next":        func(ctx context.Context) error { _, err := reader.Next(ctx); return err },
		"TryNext":     func(ctx context.Context) error { _, err := reader.TryNext(ctx); return err },
		"All": func(ctx context.Context) (last error) {
			for _, err := range reader.All(ctx) {
				last = err
			}
			return last
		},
		"Enroll":           func(context.Context) error { _, err := h.Enroll(&hub.Enrollment{ID: "a"}); return err },
		"ConnectionString": func(context.Context) error { _, err := h.ConnectionString(dev); return err },
	} {
		t.Run(name, func(t *testing.T) {
			err := call(t.Context())
			if !errors.Is(err, hubwire.ServiceUnavailable) || !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "the hub is closed") {
				t.Errorf("%v, want 503001: the hub is closed", err)
			}
		})
	}
}
