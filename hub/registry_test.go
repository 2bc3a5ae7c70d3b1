package hub_test

import (
	"errors"
	"testing"

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

func second[T any](_ T, err error) error { return err }
