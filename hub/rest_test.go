package hub_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/mqtt"
)

// TestRESTConditions has every form of If-Match on what exists and on what does not.
func TestRESTConditions(t *testing.T) {
	tests := []struct {
		name, method, path, ifMatch string
		status                      int
	}{
		{"update with the etag", "PUT", "/devices/dev-1", `"ETAG"`, 200},
		{"update with the bare etag", "PUT", "/devices/dev-1", `ETAG`, 200},
		{"update with the weak etag", "PUT", "/devices/dev-1", `W/"ETAG"`, 200},
		{"update with a star", "PUT", "/devices/dev-1", `*`, 200},
		{"update with a star in quotes", "PUT", "/devices/dev-1", `"*"`, 200},
		{"update with another etag", "PUT", "/devices/dev-1", `"MA=="`, 412},
		{"update without a condition, which is to create", "PUT", "/devices/dev-1", ``, 409},
		{"update of a module", "PUT", "/devices/dev-1/modules/mod", `*`, 200},
		{"update of a module with another etag", "PUT", "/devices/dev-1/modules/mod", `"MA=="`, 412},
		{"update of what is not there", "PUT", "/devices/x", `*`, 404},
		{"update of a module that is not there", "PUT", "/devices/dev-1/modules/x", `*`, 404},
		{"delete with the etag", "DELETE", "/devices/dev-1", `"ETAG"`, 204},
		{"delete with a star", "DELETE", "/devices/dev-1", `"*"`, 204},
		{"delete without a condition", "DELETE", "/devices/dev-1", ``, 204},
		{"delete with another etag", "DELETE", "/devices/dev-1", `"MA=="`, 412},
		{"delete of a module", "DELETE", "/devices/dev-1/modules/mod", `*`, 204},
		{"delete of what is not there", "DELETE", "/devices/x", `*`, 404},
		{"delete of a module that is not there", "DELETE", "/devices/dev-1/modules/x", ``, 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := hubtest.Start(t, &hub.Config{InMemory: true})
			create(t, h, dev, mod)
			r := newREST(t, h, "registryReadWrite")
			d, err := h.Device(dev)
			if err != nil {
				t.Fatal(err)
			}
			match := strings.Replace(tt.ifMatch, "ETAG", d.ETag, 1)
			res, body := r.do(tt.method, tt.path+version, "{}", "If-Match", match)
			if res.StatusCode != tt.status {
				t.Errorf("%s %s", res.Status, body)
			}
			_, gone := h.Device(dev)
			if (gone != nil) != (tt.status == 204 && tt.path == "/devices/dev-1") {
				t.Errorf("the device: %v", gone)
			}
		})
	}
}

// TestRESTSeesAndEndsConnections has a device connect, whom the registry then disables.
func TestRESTSeesAndEndsConnections(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "iothubowner")
		p := connect(t, h, dev, func(m *mqtt.Connect) { m.KeepAlive = 0 })
		sendC2D(t, h, dev, "hi")
		_, before := r.do("GET", "/devices/dev-1"+version, "")
		if d := parseIdentity(t, before); d.ConnectionState != "Connected" || d.LastActivityTime != "2000-01-01T00:00:00Z" || d.CloudToDeviceMessageCount != 1 {
			t.Errorf("connected: %s", before)
		}
		p.ping()
		res, body := r.do("PUT", "/devices/dev-1"+version, `{"deviceId":"dev-1","status":"disabled"}`, "If-Match", "*")
		if d := parseIdentity(t, body); res.StatusCode != 200 || d.ConnectionState != "Disconnected" || d.Status != "disabled" {
			t.Errorf("disabled: %s", body)
		}
		p.closed()
		again := open(t, h, nil)
		again.write(connectPacket(t, h, dev))
		if ack := again.connack(); ack.Code != mqtt.NotAuthorized {
			t.Errorf("CONNACK %+v", ack)
		}
		r.do("DELETE", "/devices/dev-1"+version, "")
		synctest.Wait()
		if _, err := h.QueueLength(dev); err == nil {
			t.Error("the queue outlives its device")
		}
	})
}
