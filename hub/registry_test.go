package hub_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

func TestRegistry(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	ctx := t.Context()
	create(t, h, dev, mod)
	if _, err := h.Create(ctx, &hub.Device{Identity: dev}); !errors.Is(err, hubwire.DeviceAlreadyExists) {
		t.Errorf("create twice: %v", err)
	}
	d, err := h.Device(dev)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := h.Update(ctx, &hub.Device{Identity: dev, PrimaryKey: d.SecondaryKey, StatusReason: "rolled"}, d.ETag)
	if err != nil {
		t.Fatal(err)
	}
	if !changed.PrimaryKey.Equal(d.SecondaryKey) || changed.SecondaryKey.IsZero() || changed.StatusReason != "rolled" || changed.GenerationID != d.GenerationID {
		t.Errorf("update: %+v", changed)
	}
	if _, err := h.Update(ctx, changed, d.ETag); !errors.Is(err, hubwire.PreconditionFailed) {
		t.Errorf("update with an old etag: %v", err)
	}
	modules, err := h.Modules("dev-1")
	if err != nil || len(modules) != 1 || modules[0].Identity != mod {
		t.Errorf("modules %v, %v", modules, err)
	}
	if err := h.Delete(ctx, dev); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"device":       second(h.Device(mod)),
		"modules":      second(h.Modules("dev-1")),
		"delete":       h.Delete(ctx, dev),
		"queue length": second(h.QueueLength(dev)),
		"purge":        second(h.Purge(ctx, dev)),
		"send":         h.SendC2D(ctx, dev, &hubwire.Message{}),
	} {
		if !errors.Is(err, hubwire.DeviceNotFound) {
			t.Errorf("%s of a deleted device: %v", what, err)
		}
	}
	if h.Connected(dev) || h.Disconnect(dev) {
		t.Error("a deleted device is connected")
	}
}

// TestUpdateKeepsWhatItGot writes back what the registry says, as one does to
// change a single field.
func TestUpdateKeepsWhatItGot(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	ctx := t.Context()
	edge, err := h.Create(ctx, &hub.Device{Identity: other, Edge: true, ParentScopes: []string{"ms-azure-iot-edge://above-1"}})
	if err != nil || !strings.HasPrefix(edge.Scope, "ms-azure-iot-edge://dev-2-") {
		t.Fatalf("edge device: %+v, %v", edge, err)
	}
	leaf, err := h.Create(ctx, &hub.Device{Identity: dev, Scope: edge.Scope})
	if err != nil {
		t.Fatal(err)
	}
	module, err := h.Create(ctx, &hub.Device{Identity: mod, ManagedBy: "IotEdge"})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*hub.Device{edge, leaf, module} {
		got, err := h.Update(ctx, d, d.ETag)
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(d, got, cmpopts.IgnoreFields(hub.Device{}, "ETag")); diff != "" {
			t.Errorf("%s (-want +got)\n%s", d.Identity, diff)
		}
	}
}

func second[T any](_ T, err error) error { return err }
