package interop

import (
	"encoding/json"
	"testing"
)

// dt is a question about a digital twin, a change of it, or a command.
type dt struct {
	DeviceID  string `json:"deviceId"`
	Patch     any    `json:"patch,omitempty"`
	ETag      string `json:"etag,omitempty"`
	Component string `json:"component,omitempty"`
	Name      string `json:"name,omitempty"`
	Payload   any    `json:"payload,omitempty"`
	Options   any    `json:"options,omitempty"`
}

// dtAnswer is what the SDK makes of the hub's answers.
type dtAnswer struct {
	Twin     map[string]any `json:"twin"`
	ETag     string         `json:"etag"`
	Location string         `json:"location"`

	Payload any    `json:"payload"`
	Status  int    `json:"status"`
	Request string `json:"request"`
}

// digitalTwin has a device that says what model it has, and answers commands.
func (s *service) digitalTwin(t *testing.T) {
	const model = "dtmi:com:example:Thermostat;1"
	d := s.register(t, identity{DeviceID: s.id("dt")})
	id := d.DeviceID
	p := s.judge.client(t, setup{ConnectionString: deviceString(d), Transport: "mqtt"})
	p.do(t, "options", map[string]string{"modelId": model})
	p.do(t, "open", nil)
	p.do(t, "twin", nil)
	p.do(t, "report", json.RawMessage(`{"serial":"ü","thermostat1":{"__t":"c","max":20}}`))
	p.do(t, "method", map[string]any{"name": "reboot", "status": 202, "echo": true})
	p.do(t, "method", map[string]any{"name": "thermostat1*getReport", "status": 200, "echo": true})
	p.do(t, "send", sdkMessage{}) // the hub has seen SUBSCRIBE when it acknowledges this

	got := answered[dtAnswer](t, s.office, "digitalTwin", dt{DeviceID: id})
	t.Run("get", func(t *testing.T) {
		meta, _ := got.Twin["$metadata"].(map[string]any)
		part, _ := got.Twin["thermostat1"].(map[string]any)
		if got.Twin["$dtId"] != id || meta["$model"] != model || got.ETag == "" || got.Twin["serial"] != "ü" || part["max"] != 20.0 || part["$metadata"] == nil {
			t.Errorf("got %v, etag %q", got.Twin, got.ETag)
		}
	})
	patch := []map[string]any{{"op": "add", "path": "/target", "value": 21.5}, {"op": "add", "path": "/thermostat1/limit", "value": 30}}
	t.Run("update", func(t *testing.T) {
		now := answered[dtAnswer](t, s.office, "updateDigitalTwin", dt{DeviceID: id, Patch: patch, ETag: got.ETag})
		if now.ETag == "" || now.ETag == got.ETag || now.Location == "" {
			t.Errorf("answer %+v, the etag was %q", now, got.ETag)
		}
		s.desires(t, address{DeviceID: id}, `{"target":21.5,"thermostat1":{"__t":"c","limit":30}}`)
	})
	t.Run("update with the old etag", func(t *testing.T) {
		s.office.fails(t, "Error", "PreconditionFailed", "updateDigitalTwin", dt{DeviceID: id, Patch: patch, ETag: got.ETag})
	})
	t.Run("update with nonsense", func(t *testing.T) {
		s.office.fails(t, "Error", "InvalidDigitalTwinPatch", "updateDigitalTwin", dt{DeviceID: id, Patch: []map[string]any{{"op": "turn", "path": "/target"}}})
	})
	t.Run("a command", func(t *testing.T) {
		a := answered[dtAnswer](t, s.office, "command", dt{DeviceID: id, Name: "reboot", Payload: map[string]any{"delay": 3}})
		sameValue(t, "payload", `{"delay":3}`, a.Payload)
		if a.Status != 202 || a.Request == "" {
			t.Errorf("answer %+v", a)
		}
	})
	t.Run("a command of a component", func(t *testing.T) {
		a := answered[dtAnswer](t, s.office, "command", dt{DeviceID: id, Component: "thermostat1", Name: "getReport", Payload: "2026-01-01",
			Options: map[string]int{"responseTimeoutInSeconds": 60, "connectTimeoutInSeconds": 5}})
		if a.Payload != "2026-01-01" || a.Status != 200 {
			t.Errorf("answer %+v", a)
		}
	})
	p.do(t, "close", nil)
	t.Run("of who is away", func(t *testing.T) {
		s.office.fails(t, "Error", "404103", "command", dt{DeviceID: id, Name: "reboot", Payload: map[string]any{}})
	})
	t.Run("of nobody", func(t *testing.T) {
		s.office.fails(t, "Error", "DeviceNotFound", "digitalTwin", dt{DeviceID: "nobody"})
	})
}

// desires waits until the desired properties of a device or module are these.
func (s *service) desires(t *testing.T, id address, want string) twinOfService {
	t.Helper()
	var w map[string]any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	var tw twinOfService
	poll(t, "the desired properties are others", func() bool {
		tw = answered[twinOfService](t, s.office, "twin", id)
		delete(tw.Properties.Desired, "$metadata")
		delete(tw.Properties.Desired, "$version")
		got, err := json.Marshal(tw.Properties.Desired)
		if err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(w)
		return err == nil && string(got) == string(again)
	})
	return tw
}
