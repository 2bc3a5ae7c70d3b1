package interop

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// desiring has the service patch desired properties, and gives their version.
func (p *program) desiring(t *testing.T, id address, patch string) float64 {
	t.Helper()
	id.Patch, id.ETag = json.RawMessage(`{"properties":{"desired":`+patch+`}}`), "*"
	return answered[twinOfService](t, p.office, "updateTwin", id).Properties.Desired["$version"].(float64)
}

// watches has a device ask for its twin, and then be told of changes. The first is what it has already.
func (w *way) watches(t *testing.T, c *peer) {
	t.Helper()
	c.do(t, "twin", nil)
	c.do(t, "desired", map[string]string{})
	c.next(t, "desired")
	c.do(t, "send", sdkMessage{}) // the hub has seen the subscription when it acknowledges this
}

// TestNpmTwin has both ends of a twin.
func TestNpmTwin(t *testing.T) {
	p := join(t)
	const rich = `{"s":"a\"b\\<€> ü 😀","n":-1.5e3,"b":true,"deep":{"a":{"b":[1,"x",{"c":2}]}},"empty":{},"none":""}`
	p.over(t, stays, "get", func(t *testing.T, w *way) {
		id, c := w.open(t)
		c.gives(t, `{"desired":{"$version":1},"reported":{"$version":1}}`, "twin", nil)
		id.Patch, id.ETag = json.RawMessage(`{"tags":{"site":"ü"},"properties":{"desired":`+rich+`}}`), "*"
		w.office.do(t, "updateTwin", id)
		c.gives(t, `{"desired":`+rich[:len(rich)-1]+`,"$version":2},"reported":{"$version":1}}`, "refreshTwin", nil) // it has no tags
	})
	p.over(t, stays, "reported properties", func(t *testing.T, w *way) {
		id, c := w.open(t)
		c.do(t, "twin", nil)
		c.do(t, "report", json.RawMessage(rich))
		w.holds(t, id, "{}", `{"$version":1}`, rich[:len(rich)-1]+`,"$version":2}`)
		c.do(t, "report", json.RawMessage(`{"n":null,"deep":{"a":null,"d":1},"never":null}`))
		want := `{"s":"a\"b\\<€> ü 😀","b":true,"deep":{"d":1},"empty":{},"none":"","$version":3}`
		w.holds(t, id, "{}", `{"$version":1}`, want)
		c.gives(t, `{"desired":{"$version":1},"reported":`+want+`}`, "refreshTwin", nil)
	})
	p.over(t, stays, "desired properties, as they change", func(t *testing.T, w *way) {
		id, c := w.open(t)
		w.watches(t, c)
		for i, patch := range []string{rich, `{"s":null}`, `{"deep":{"a":null,"x":1}}`} {
			v := w.desiring(t, id, patch)
			if v != float64(i+2) {
				t.Errorf("version %v", v)
			}
			sameValue(t, "the change", patch[:len(patch)-1]+fmt.Sprintf(`,"$version":%v}`, v), nextInto[desiredEvent](t, c, "desired").Value)
		}
	})
	p.over(t, stays, "twenty changes in their order", func(t *testing.T, w *way) {
		id, c := w.open(t)
		w.watches(t, c)
		for i := range 20 {
			w.desiring(t, id, fmt.Sprintf(`{"i":%d}`, i))
		}
		for i := range 20 {
			sameValue(t, "the change", fmt.Sprintf(`{"i":%d,"$version":%d}`, i, i+2), nextInto[desiredEvent](t, c, "desired").Value)
		}
	})
	p.over(t, stays, "what changed while the device was away", func(t *testing.T, w *way) {
		d := w.register(t, identity{})
		id := address{DeviceID: d.DeviceID}
		c := w.client(t, deviceString(d))
		c.do(t, "open", nil)
		w.watches(t, c)
		c.do(t, "close", nil)
		poll(t, "it is connected", func() bool { return w.look(t, d.DeviceID).ConnectionState == "Disconnected" })
		w.desiring(t, id, `{"while":"away"}`)
		again := w.client(t, deviceString(d))
		again.do(t, "open", nil)
		again.gives(t, `{"desired":{"while":"away","$version":2},"reported":{"$version":1}}`, "twin", nil)
		c.silent(t, "desired")
	})
	p.over(t, stays, "an etag that is old by now", func(t *testing.T, w *way) {
		id, c := w.open(t)
		c.do(t, "twin", nil)
		before := answered[twinOfService](t, w.office, "twin", id)
		id.ETag, id.Patch = before.ETag, json.RawMessage(`{"tags":{"a":1}}`)
		after := answered[twinOfService](t, w.office, "updateTwin", id)
		if after.ETag == before.ETag {
			t.Errorf("the etag is still %q", after.ETag)
		}
		w.office.fails(t, "InvalidEtagError", "", "updateTwin", id)
		id.ETag = after.ETag
		c.do(t, "report", json.RawMessage(`{"a":1}`)) // is another half of it
		w.office.do(t, "updateTwin", id)
	})
	p.over(t, stays, "what is refused", func(t *testing.T, w *way) {
		id, c := w.open(t)
		c.do(t, "twin", nil)
		for name, patch := range map[string]any{
			"more than 32 KB":           map[string]any{"big": many(9, strings.Repeat("y", 4000))},
			"a name with a dollar sign": json.RawMessage(`{"$x":1}`),
			"a name with a dot":         json.RawMessage(`{"a.b":1}`),
			"twelve levels":             json.RawMessage(strings.Repeat(`{"a":`, 12) + "1" + strings.Repeat("}", 12)),
			"a string over 4 KB":        map[string]any{"s": strings.Repeat("x", 5000)},
		} {
			t.Run(name, func(t *testing.T) { c.fails(t, "Error", "", "report", patch) })
		}
		w.holds(t, id, "{}", `{"$version":1}`, `{"$version":1}`)
		c.do(t, "report", json.RawMessage(`{"ok":1}`))
	})
	p.over(t, everyTransport[4:], "there are no twins", func(t *testing.T, w *way) {
		_, c := w.open(t)
		c.fails(t, "NotImplementedError", "Twin", "twin", nil)
	})
}
