package device_test

import (
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

func TestTelemetryArrives(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		if err := c.Send(t.Context(), &hubwire.Message{Body: []byte("21")}); err != nil {
			t.Fatal(err)
		}
		events, err := b.hub.Events(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ev, err := events.Next(t.Context())
		if err != nil || string(ev.Body) != "21" || ev.Source != dev {
			t.Errorf("%+v, %v", ev, err)
		}
	})
}
