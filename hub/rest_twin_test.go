package hub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/mqtt"
)

// restTwin is what tests look at.
type restTwin struct {
	DeviceID, ModuleID, ETag, DeviceETag string
	ConnectionState, ModelID             string
	Version                              int64
	Tags                                 map[string]any
	Properties                           struct{ Desired, Reported map[string]any }
}

func parseTwin(t testing.TB, res *http.Response, body string) restTwin {
	t.Helper()
	var tw restTwin
	if err := json.Unmarshal([]byte(body), &tw); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %v", res.Status, body, err)
	}
	if got, want := res.Header["Etag"], []string{`"` + tw.ETag + `"`}; !cmp.Equal(got, want) {
		t.Errorf("ETag %q, the body has %q", got, want)
	}
	return tw
}

// bare takes the metadata out of a section, and returns it.
func bare(section map[string]any) any {
	m := section["$metadata"]
	delete(section, "$metadata")
	return m
}

// TestRESTTwinLife writes a twin from both ends.
func TestRESTTwinLife(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "service")
		write := func(method, body string, header ...string) restTwin {
			t.Helper()
			res, got := r.do(method, "/twins/dev-1"+version, body, header...)
			return parseTwin(t, res, got)
		}
		same := func(what string, got restTwin, want string) {
			t.Helper()
			bare(got.Properties.Desired)
			bare(got.Properties.Reported)
			b, err := json.Marshal(map[string]any{
				"v": got.Version, "etag": got.ETag, "tags": got.Tags, "desired": got.Properties.Desired, "reported": got.Properties.Reported,
			})
			if err != nil || string(b) != want {
				t.Errorf("%s: %s, want %s", what, b, want)
			}
		}
		fresh := write("GET", "")
		d, err := h.Device(dev)
		if err != nil || fresh.DeviceID != "dev-1" || fresh.DeviceETag != d.ETag || fresh.ConnectionState != "Disconnected" {
			t.Errorf("fresh: %+v, %v", fresh, err)
		}
		same("fresh", fresh, `{"desired":{"$version":1},"etag":"AAAAAAAAAAE=","reported":{"$version":1},"tags":{},"v":2}`)

		p := connect(t, h, dev, func(m *mqtt.Connect) { m.UserName = append(m.UserName, "&model-id=dtmi%3Aa%3Bb%3B1"...) })
		p.subscribe(desiredFilter, twinResponses)
		got := write("PATCH", `{"tags":{"site":"b1"},"properties":{"desired":{"a":{"b":1,"c":"<ü>"}}}}`, "If-Match", `"`+fresh.ETag+`"`)
		if got.ConnectionState != "Connected" || got.ModelID != "dtmi:a;b;1" {
			t.Errorf("connected: %+v", got)
		}
		same("patched", got, `{"desired":{"$version":2,"a":{"b":1,"c":"\u003cü\u003e"}},"etag":"AAAAAAAAAAI=","reported":{"$version":1},"tags":{"site":"b1"},"v":3}`)
		if m := p.publish(); string(m.Payload) != `{"a":{"b":1,"c":"<ü>"},"$version":2}` {
			t.Errorf("the device got %s", m.Payload)
		}
		p.ask(patchTopic+"1", `{"fw":"1.0"}`, 1)
		same("reported", write("GET", ""), `{"desired":{"$version":2,"a":{"b":1,"c":"\u003cü\u003e"}},"etag":"AAAAAAAAAAI=","reported":{"$version":2,"fw":"1.0"},"tags":{"site":"b1"},"v":4}`)
		same("with a POST that is a PATCH", write("POST", `{"tags":{"site":null}}`, "X-HTTP-Method-Override", "PATCH"),
			`{"desired":{"$version":2,"a":{"b":1,"c":"\u003cü\u003e"}},"etag":"AAAAAAAAAAM=","reported":{"$version":2,"fw":"1.0"},"tags":{},"v":5}`)
		same("replaced", write("PUT", `{"tags":{"t":1},"properties":{"reported":{"fw":"2"}}}`),
			`{"desired":{"$version":3},"etag":"AAAAAAAAAAQ=","reported":{"$version":2,"fw":"1.0"},"tags":{"t":1},"v":6}`)
		if m := p.publish(); string(m.Payload) != `{"a":null,"$version":3}` {
			t.Errorf("the device got %s", m.Payload)
		}
		same("a patch with nothing in it", write("PATCH", `{"deviceId":"x","properties":null}`),
			`{"desired":{"$version":3},"etag":"AAAAAAAAAAQ=","reported":{"$version":2,"fw":"1.0"},"tags":{"t":1},"v":6}`)
		p.ping()
	})
}

// TestRESTTwinMetadata tells when and by which version each value changed.
func TestRESTTwinMetadata(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "service")
		res, body := r.do("PATCH", "/twins/dev-1/modules/mod"+version, `{"properties":{"desired":{"a":{"b":1}}}}`)
		tw := parseTwin(t, res, body)
		const at = "2000-01-01T00:00:00.0000000Z"
		stamp := func(more map[string]any) map[string]any {
			m := map[string]any{"$lastUpdated": at, "$lastUpdatedVersion": 2.0}
			for k, v := range more {
				m[k] = v
			}
			return m
		}
		want := stamp(map[string]any{"a": stamp(map[string]any{"b": stamp(nil)})})
		if diff := cmp.Diff(any(want), bare(tw.Properties.Desired)); diff != "" {
			t.Errorf("desired (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(any(map[string]any{"$lastUpdated": at}), bare(tw.Properties.Reported)); diff != "" {
			t.Errorf("reported (-want +got)\n%s", diff)
		}
		if tw.DeviceID != "dev-1" || tw.ModuleID != "mod" {
			t.Errorf("the twin of %q, %q", tw.DeviceID, tw.ModuleID)
		}
	})
}

// TestRESTTwinRoundTrip sends back what it got, as SDKs do to change one member.
func TestRESTTwinRoundTrip(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	create(t, h, dev)
	r := newREST(t, h, "service")
	many := map[string]any{}
	for i := range 3000 {
		many[fmt.Sprint(i)] = map[string]any{}
	}
	b, err := json.Marshal(map[string]any{"tags": map[string]any{"a": 1}, "properties": map[string]any{"desired": many}})
	if err != nil {
		t.Fatal(err)
	}
	res, first := r.do("PATCH", "/twins/dev-1"+version, string(b))
	before := parseTwin(t, res, first)
	for _, method := range []string{"PATCH", "PUT"} {
		res, body := r.do(method, "/twins/dev-1"+version, first)
		after := parseTwin(t, res, body)
		bare(before.Properties.Desired)
		bare(after.Properties.Desired)
		delete(before.Properties.Desired, "$version")
		delete(after.Properties.Desired, "$version")
		if diff := cmp.Diff(before.Properties.Desired, after.Properties.Desired); diff != "" || !cmp.Equal(before.Tags, after.Tags) {
			t.Errorf("%s (-want +got)\n%s", method, diff)
		}
	}
}

func TestRESTTwinRefusals(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	create(t, h, dev, mod)
	long := strings.Repeat("x", 4097)
	tests := []struct {
		name, policy, method, path, body, ifMatch string
		status                                    int
		code                                      string
	}{
		{"a policy that may only read the registry", "registryReadWrite", "GET", "/twins/dev-1", "", "", 401, "IotHubUnauthorizedAccess"},
		{"a policy for devices", "device", "PATCH", "/twins/dev-1", "{}", "", 401, "IotHubUnauthorizedAccess"},
		{"an unknown device", "service", "GET", "/twins/x", "", "", 404, "DeviceNotFound"},
		{"an id in other letters", "service", "GET", "/twins/Dev-1", "", "", 404, "DeviceNotFound"},
		{"a patch of an unknown device", "service", "PATCH", "/twins/x", `{"tags":{}}`, "", 404, "DeviceNotFound"},
		{"an unknown module", "service", "PUT", "/twins/dev-1/modules/x", "{}", "", 404, "ModuleNotFound"},
		{"a module of an unknown device", "service", "GET", "/twins/x/modules/mod", "", "", 404, "DeviceNotFound"},
		{"a patch under another etag", "service", "PATCH", "/twins/dev-1", `{"tags":{"a":1}}`, `"AAAAAAAAAAA="`, 412, "PreconditionFailed"},
		{"a replacement under another etag", "service", "PUT", "/twins/dev-1", `{}`, `AAAAAAAAAAA=`, 412, "PreconditionFailed"},
		{"a body that is not JSON", "service", "PATCH", "/twins/dev-1", `{"tags":`, "", 400, "IotHubFormatError"},
		{"no body", "service", "PATCH", "/twins/dev-1", ``, "", 400, "IotHubFormatError"},
		{"a body that is no object", "service", "PUT", "/twins/dev-1", `[]`, "", 400, "IotHubFormatError"},
		{"a body that is not UTF-8", "service", "PATCH", "/twins/dev-1", "{\"tags\":{\"a\":\"\xff\"}}", "", 400, "IotHubFormatError"},
		{"tags that are no object", "service", "PATCH", "/twins/dev-1", `{"tags":[1]}`, "", 400, "ArgumentInvalid"},
		{"desired properties that are no object", "service", "PUT", "/twins/dev-1", `{"properties":{"desired":1}}`, "", 400, "ArgumentInvalid"},
		{"properties that are no object", "service", "PATCH", "/twins/dev-1", `{"properties":1}`, "", 400, "IotHubFormatError"},
		{"a key with a dot", "service", "PATCH", "/twins/dev-1", `{"tags":{"a.b":1}}`, "", 400, "ArgumentInvalid"},
		{"a string over the limit", "service", "PATCH", "/twins/dev-1", `{"properties":{"desired":{"a":"` + long + `"}}}`, "", 400, "ArgumentInvalid"},
		{"tags over the limit", "service", "PATCH", "/twins/dev-1", `{"tags":{"a":"` + long[:4000] + `","b":"` + long[:4000] + `","c":"` + long[:4000] + `"}}`, "", 400, "ArgumentInvalid"},
		{"a body over the limit", "service", "PATCH", "/twins/dev-1", `{"tags":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`, "", 413, "MessageTooLarge"},
		{"a method that the resource has not", "service", "DELETE", "/twins/dev-1", "", "", 405, "GenericMethodNotAllowed"},
		{"the collection", "service", "GET", "/twins", "", "", 404, "GenericNotFound"},
		{"an empty id", "service", "GET", "/twins//modules/mod", "", "", 404, "GenericNotFound"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, body := newREST(t, h, tt.policy).do(tt.method, tt.path+version, tt.body, "If-Match", tt.ifMatch)
			refusedAs(t, res, body, tt.status, tt.code)
		})
	}
	for _, path := range []string{"/twins/dev-1", "/twins/dev-1/modules/mod"} {
		res, body := newREST(t, h, "service").do("GET", path+version, "")
		if tw := parseTwin(t, res, body); tw.Version != 2 || tw.ETag != "AAAAAAAAAAE=" {
			t.Errorf("%s has changed: %s", path, body)
		}
	}
}
