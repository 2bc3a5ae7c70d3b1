package hub_test

import (
	"sync"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

// TestRegisteringDoesNotUndoWhatOthersChange disables and enables a device while it registers again and again.
func TestRegisteringDoesNotUndoWhatOthersChange(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		key := enroll(t, h, &hub.Enrollment{ID: "reg-1"}).PrimaryKey
		provision(t, h, dpsConnect(h, "reg-1", key), nil).register("")
		d, err := h.Device(hubwire.Identity{DeviceID: "reg-1"})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		for range 4 {
			p := provision(t, h, dpsConnect(h, "reg-1", key), nil)
			wg.Go(func() {
				for range 500 {
					p.write(&mqtt.Publish{Topic: []byte(registerTopic + "1")})
				}
				p.ping()
			})
		}
		for range 5000 {
			d.Disabled = !d.Disabled
			if _, err := h.Update(t.Context(), d, "*"); err != nil {
				t.Fatal(err)
			}
			if now, err := h.Device(d.Identity); err != nil || now.Disabled != d.Disabled {
				t.Fatalf("disabled %v, it was made %v; %v", now.Disabled, d.Disabled, err)
			}
		}
	})
}
