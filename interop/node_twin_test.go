package interop

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// reported checks what the hub holds.
func (c *court) reported(t *testing.T, id hubwire.Identity, version int64, want string) {
	t.Helper()
	twin, err := c.Twin(within(t), id)
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, "reported properties", want, twin.Reported.JSON)
	if twin.Reported.Version != version {
		t.Errorf("reported version %d, want %d", twin.Reported.Version, version)
	}
}

func (c *court) twin(t *testing.T) {
	id, p := c.open(t)
	p.gives(t, `{"desired":{"$version":1},"reported":{"$version":1}}`, "twin", nil)
	_, err := c.PatchTwin(within(t), id, hub.TwinUpdate{
		Tags:    json.RawMessage(`{"site":"b1"}`), // devices don't see tags
		Desired: json.RawMessage(`{"interval":5,"nested":{"a":{"b":[1,"ü €"]}},"text":"a\"b\\"}`),
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	p.gives(t, `{"desired":{"$version":2,"interval":5,"nested":{"a":{"b":[1,"ü €"]}},"text":"a\"b\\"},"reported":{"$version":1}}`, "refreshTwin", nil)

	p.do(t, "report", json.RawMessage(`{"fw":"1.0 ü €","n":-1.5e3,"b":true,"deep":{"a":{"b":1},"c":[]}}`))
	c.reported(t, id, 2, `{"fw":"1.0 ü €","n":-1.5e3,"b":true,"deep":{"a":{"b":1},"c":[]}}`)
	p.do(t, "report", json.RawMessage(`{"n":null,"deep":{"a":null,"d":"new"},"never":null}`))
	c.reported(t, id, 3, `{"fw":"1.0 ü €","b":true,"deep":{"c":[],"d":"new"}}`)
	p.gives(t, `{"desired":{"$version":2,"interval":5,"nested":{"a":{"b":[1,"ü €"]}},"text":"a\"b\\"},
		"reported":{"$version":3,"fw":"1.0 ü €","b":true,"deep":{"c":[],"d":"new"}}}`, "refreshTwin", nil)
}

func (c *court) twinRefusals(t *testing.T) {
	id, p := c.open(t)
	p.do(t, "twin", nil)
	for name, patch := range map[string]any{
		"more than 32 KB":           map[string]any{"big": strings.Repeat("x", 4000), "more": many(9, strings.Repeat("y", 4000))},
		"a name with a dollar sign": json.RawMessage(`{"$x":1}`),
		"a name with a dot":         json.RawMessage(`{"a.b":1}`),
		"twelve levels":             json.RawMessage(strings.Repeat(`{"a":`, 12) + "1" + strings.Repeat("}", 12)),
		"a string over 4 KB":        map[string]any{"s": strings.Repeat("x", 5000)},
		"no object":                 []int{1},
	} {
		t.Run(name, func(t *testing.T) { p.fails(t, "Error", "", "report", patch) })
	}
	c.reported(t, id, 1, "{}")
	p.do(t, "report", json.RawMessage(`{"ok":1}`))
	c.reported(t, id, 2, `{"ok":1}`)
}

func many(n int, value string) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint("k", i)] = value
	}
	return m
}

// desiredEvent is what the SDK tells of a change: of all, or of one path.
type desiredEvent struct {
	Path  string
	Value any
}

func sameValue(t *testing.T, what, want string, got any) {
	t.Helper()
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, what, want, b)
}

func (c *court) desired(t *testing.T) {
	id, p := c.open(t)
	c.patchDesired(t, id, `{"climate":{"min":1,"max":2}}`)
	p.do(t, "twin", nil)
	next := func(path, want string) {
		t.Helper()
		e := nextInto[desiredEvent](t, p, "desired")
		if e.Path != path {
			t.Errorf("event for %q, want %q", e.Path, path)
		}
		sameValue(t, "desired "+path, want, e.Value)
	}
	p.do(t, "desired", map[string]string{})
	next("", `{"$version":2,"climate":{"min":1,"max":2}}`) // what the SDK has already
	p.do(t, "desired", map[string]string{"path": "climate.max"})
	next("climate.max", "2")
	p.do(t, "send", sdkMessage{}) // the hub has seen SUBSCRIBE when it acknowledges this

	if v := c.patchDesired(t, id, `{"climate":{"max":3},"text":"ü €"}`); v != 3 {
		t.Errorf("version %d", v)
	}
	next("", `{"$version":3,"climate":{"max":3},"text":"ü €"}`)
	next("climate.max", "3")
	c.patchDesired(t, id, `{"text":null}`)
	next("", `{"$version":4,"text":null}`)
	for i := range 20 { // in order, each once
		c.patchDesired(t, id, fmt.Sprintf(`{"n":%d}`, i))
	}
	var got, want []float64
	for i := range 20 {
		e := nextInto[desiredEvent](t, p, "desired")
		got = append(got, e.Value.(map[string]any)["n"].(float64))
		want = append(want, float64(i))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got)\n%s", diff)
	}
	p.gives(t, `{"desired":{"$version":24,"climate":{"min":1,"max":3},"n":19},"reported":{"$version":1}}`, "refreshTwin", nil)
}

func (c *court) plugAndPlay(t *testing.T) {
	id, cs := c.device(t)
	const model = "dtmi:com:example:Thermostat;1"
	p := c.client(t, setup{ConnectionString: cs, Transport: c.transport})
	p.do(t, "options", map[string]string{"modelId": model, "productInfo": "hubwire interop (ü/?&=)"})
	p.do(t, "open", nil)
	events := c.events(t, id)
	p.do(t, "send", sdkMessage{Properties: props("dt-subject", "thermostat1")})
	if ev := arrives(t, events, hubwire.Message{Component: "thermostat1"}); ev.ModelID != model {
		t.Errorf("event of model %q", ev.ModelID)
	}
	if twin, err := c.Twin(within(t), id); err != nil || twin.ModelID != model {
		t.Errorf("twin of model %q, %v", twin.ModelID, err)
	}
}
