package hub_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

const (
	eventsOfDev = "/devices/dev-1/messages/events" + version
	eventsOfMod = "/devices/dev-1/modules/mod/messages/events" + version
)

// as is header with the token of a device or module.
func as(t testing.TB, h *hub.Hub, id hubwire.Identity, header ...string) []string {
	t.Helper()
	d, err := h.Device(id)
	if err != nil {
		t.Fatal(err)
	}
	resource := "localhost/devices/" + id.DeviceID
	if id.IsModule() {
		resource += "/modules/" + id.ModuleID
	}
	return append(header, "Authorization", token(d.PrimaryKey, resource, "", time.Now().Add(time.Hour)))
}

// bodies are those of all telemetry so far.
func bodies(t testing.TB, h *hub.Hub) (got []string) {
	t.Helper()
	for _, ev := range events(t, h) {
		got = append(got, string(ev.Body))
	}
	return got
}

func TestRESTTelemetry(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "")
		res, body := r.do("POST", eventsOfMod, "h\x00\xff", as(t, h, mod,
			"iothub-messageid", "m 1", "IoTHub-CorrelationId", "c", "iothub-contenttype", "text/plain", "Content-Type", "application/octet-stream",
			"dt-subject", "thermostat1", "iothub-app-Some-Key", "a b/ü%20+=")...)
		if res.StatusCode != 204 || body != "" {
			t.Fatalf("%s %s", res.Status, body)
		}
		m, err := h.Device(mod)
		if err != nil {
			t.Fatal(err)
		}
		want := hubwire.Message{
			Body: []byte("h\x00\xff"), ID: "m 1", CorrelationID: "c", ContentType: "text/plain", Component: "thermostat1",
			Properties: []hubwire.Property{{Name: "some-key", Value: "a b/ü%20+="}},
		}
		ev := events(t, h)[0]
		if diff := cmp.Diff(want, ev.Message); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if ev.Source != mod || ev.GenerationID != m.GenerationID || ev.AuthMethod != `{"scope":"module","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}` {
			t.Errorf("stamped %+v", ev)
		}
		if m.Connected || !m.ConnectionUpdated.IsZero() || !m.LastActivity.Equal(time.Now()) {
			t.Errorf("the module: %+v", m)
		}
		if d, _ := h.Device(dev); !d.LastActivity.IsZero() {
			t.Errorf("the device was active at %v", d.LastActivity)
		}
	})
}

// TestRESTTelemetryByOthers has the credentials that are not the device's own key.
func TestRESTTelemetryByOthers(t *testing.T) {
	own := certificate(t, "x", nil)
	sum := sha256.Sum256(own.Leaf.Raw)
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	create(t, h, dev)
	if _, err := h.Create(t.Context(), &hub.Device{Identity: other, Auth: hub.AuthSelfSigned, PrimaryThumbprint: hex.EncodeToString(sum[:])}); err != nil {
		t.Fatal(err)
	}
	r := newREST(t, h, "device")
	if res, body := r.do("POST", eventsOfDev, "by a policy"); res.StatusCode != 204 {
		t.Errorf("a policy for devices: %s %s", res.Status, body)
	}
	cfg := h.ClientTLS()
	cfg.Certificates = []tls.Certificate{*own}
	tr := &http.Transport{DialContext: h.Dial, TLSClientConfig: cfg}
	defer tr.CloseIdleConnections()
	r.client = &http.Client{Transport: tr}
	if res, body := r.do("POST", "/devices/dev-2/messages/events"+version, "by a certificate", "Authorization", ""); res.StatusCode != 204 {
		t.Errorf("a certificate: %s %s", res.Status, body)
	}
	res, body := r.do("POST", eventsOfDev, "", "Authorization", "")
	refusedAs(t, res, body, 401, "IotHubUnauthorized")
	want := []string{`{"scope":"hub","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`, `{"scope":"device","type":"x509","issuer":"iothub","acceptingIpFilterRule":null}`}
	var got []string
	for _, ev := range events(t, h) {
		got = append(got, ev.AuthMethod)
	}
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("methods (-want +got)\n%s", diff)
	}
}

func TestRESTTelemetryRefusals(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	create(t, h, dev, mod, other)
	if _, err := h.Create(t.Context(), &hub.Device{Identity: hubwire.Identity{DeviceID: "off"}, Disabled: true}); err != nil {
		t.Fatal(err)
	}
	full := strings.Repeat("x", hubwire.MaxTelemetrySize)
	tests := []struct {
		name, path, body string
		header           []string
		status           int
		code             string
	}{
		{"no api-version", "/devices/dev-1/messages/events", "", as(t, h, dev), 400, "InvalidProtocolVersion"},
		{"no authorization", eventsOfDev, "", []string{"Authorization", ""}, 401, "IotHubUnauthorizedAccess"},
		{"a bearer token", eventsOfDev, "", []string{"Authorization", "Bearer x"}, 401, "IotHubUnauthorized"},
		{"another device's token", eventsOfDev, "", as(t, h, other), 401, "IotHubUnauthorized"},
		{"a device's token for its module", eventsOfMod, "", as(t, h, dev), 401, "IotHubUnauthorized"},
		{"a module's token for its device", eventsOfDev, "", as(t, h, mod), 401, "IotHubUnauthorized"},
		{"a policy without the right", eventsOfDev, "", nil, 401, "IotHubUnauthorized"},
		{"an unknown device", "/devices/x/messages/events" + version, "", as(t, h, dev), 401, "IotHubUnauthorized"},
		{"a device that is disabled", "/devices/off/messages/events" + version, "", as(t, h, hubwire.Identity{DeviceID: "off"}), 403, "DeviceDisabled"},
		{"a byte too many", eventsOfDev, full + "x", as(t, h, dev), 413, "MessageTooLarge"},
		{"a byte too many with properties", eventsOfDev, full[1:], as(t, h, dev, "iothub-app-a", "b"), 413, "MessageTooLarge"},
		{"a property without a name", eventsOfDev, "", as(t, h, dev, "iothub-app-", "x"), 400, "ArgumentInvalid"},
		{"a property that is not UTF-8", eventsOfDev, "", as(t, h, dev, "iothub-app-a", "\xff"), 400, "ArgumentInvalid"},
		{"a message id that is too long", eventsOfDev, "", as(t, h, dev, "iothub-messageid", strings.Repeat("x", 129)), 400, "ArgumentInvalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, body := newREST(t, h, "service").do("POST", tt.path, tt.body, tt.header...)
			refusedAs(t, res, body, tt.status, tt.code)
		})
	}
	if got := bodies(t, h); len(got) != 0 {
		t.Errorf("taken: %q", got)
	}
	if res, body := newREST(t, h, "").do("POST", eventsOfDev, full, as(t, h, dev)...); res.StatusCode != 204 {
		t.Errorf("one that fits: %s %s", res.Status, body)
	}
}

func TestRESTTelemetryIsThrottled(t *testing.T) {
	bubble(t, &hub.Config{Throttle: hub.Throttle{Telemetry: 1, MaxDelay: 3 * time.Second, MessagesADay: 7}}, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "")
		for i, want := range []time.Duration{0, time.Second, time.Second} {
			start := time.Now()
			if res, body := r.do("POST", eventsOfDev, fmt.Sprint(i), as(t, h, dev)...); res.StatusCode != 204 || time.Since(start) != want {
				t.Errorf("message %d: %s %s after %v", i, res.Status, body, time.Since(start))
			}
		}
		done := make(chan *http.Response)
		for range 4 {
			go func() {
				res, _ := r.do("POST", eventsOfDev, "", as(t, h, dev)...)
				done <- res
			}()
		}
		var refused *http.Response
		for range 4 {
			if res := <-done; res.StatusCode != 204 {
				refused = res
			}
		}
		if refused == nil || refused.StatusCode != 429 || refused.Header.Get("Retry-After") != "4" {
			t.Errorf("too many at once: %+v", refused)
		}
		time.Sleep(time.Minute)
		r.do("POST", eventsOfDev, "", as(t, h, dev)...)
		res, body := r.do("POST", eventsOfDev, "", as(t, h, dev)...)
		refusedAs(t, res, body, 403, "IotHubQuotaExceeded")
		if got := len(bodies(t, h)); got != 7 {
			t.Errorf("%d messages were taken", got)
		}
	})
}
