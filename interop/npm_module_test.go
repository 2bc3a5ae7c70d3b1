package interop

import (
	"encoding/json"
	"testing"
)

// module makes a client of a module of a new device.
func (w *way) module(t *testing.T) (address, *peer) {
	t.Helper()
	d := w.register(t, identity{})
	m := answered[identity](t, w.office, "addModule", address{DeviceID: d.DeviceID, ModuleID: "mod-1"})
	p := w.client(t, deviceString(m))
	p.do(t, "open", nil)
	return address{DeviceID: d.DeviceID, ModuleID: m.ModuleID}, p
}

// TestNpmModules has what a module can do, with names of its own.
func TestNpmModules(t *testing.T) {
	p := join(t)
	from := func(t *testing.T, e told, id address) {
		t.Helper()
		if got, _ := e.System["iothub-connection-module-id"].(string); got != id.ModuleID {
			t.Errorf("the event is of module %q", got)
		}
	}
	p.over(t, stays, "telemetry of a module", func(t *testing.T, w *way) {
		id, c := w.module(t)
		m := sdkMessage{Body: []byte("x"), MessageID: "m-1", Properties: awkward}
		c.gives(t, `"MessageEnqueued"`, "send", m)
		from(t, w.reads(t, id.DeviceID, m), id)
	})
	p.over(t, stays, "an output of a module", func(t *testing.T, w *way) {
		id, c := w.module(t)
		m := sdkMessage{Body: []byte("y"), MessageID: "m-2", Properties: props("a", "b/")}
		c.gives(t, `"MessageEnqueued"`, "sendOutput", map[string]any{"output": "out put/1", "message": m})
		m.Properties = append(m.Properties, props("iothub-outputname", "out put/1")...) // where a reader has it
		from(t, w.reads(t, id.DeviceID, m), id)
	})
	p.over(t, stays, "the twin of a module", func(t *testing.T, w *way) {
		id, c := w.module(t)
		w.watches(t, c)
		c.do(t, "report", json.RawMessage(`{"m":1}`))
		w.desiring(t, id, `{"d":2}`)
		sameValue(t, "the change", `{"d":2,"$version":2}`, nextInto[desiredEvent](t, c, "desired").Value)
		w.holds(t, id, "{}", `{"d":2,"$version":2}`, `{"m":1,"$version":2}`)
		w.holds(t, address{DeviceID: id.DeviceID}, "{}", `{"$version":1}`, `{"$version":1}`)
	})
	p.over(t, stays, "a method of a module", func(t *testing.T, w *way) {
		id, c := w.module(t)
		c.do(t, "method", map[string]any{"name": "echo", "status": 200, "echo": true})
		w.office.gives(t, `{"status":200,"payload":"m"}`, "invoke", id.calls("echo", "m", 30, 30))
		w.office.fails(t, "Error", "Not found", "invoke", address{DeviceID: id.DeviceID}.calls("echo", "d", 0, 5)) // the device is away
	})
	p.over(t, stays, "a module calls its sibling, and no stranger", func(t *testing.T, w *way) {
		caller := w.register(t, identity{})
		m := answered[identity](t, w.office, "addModule", address{DeviceID: caller.DeviceID, ModuleID: "caller"})
		c := w.client(t, deviceString(m)+";GatewayHostName=localhost") // the SDK asks nobody but a gateway
		c.do(t, "send", sdkMessage{})
		m = answered[identity](t, w.office, "addModule", address{DeviceID: caller.DeviceID, ModuleID: "sibling"})
		sibling := w.client(t, deviceString(m))
		sibling.do(t, "open", nil)
		w.answers(t, sibling, "echo", 201, nil)
		stranger, _ := w.open(t)
		c.gives(t, `{"status":201,"payload":"s"}`, "invoke", address{DeviceID: caller.DeviceID, ModuleID: "sibling"}.calls("echo", "s", 30, 30))
		c.fails(t, "UnauthorizedError", "", "invoke", stranger.calls("echo", "d", 30, 30))
	})
	p.over(t, stays, "a module with another's key is refused", func(t *testing.T, w *way) {
		d := w.register(t, identity{})
		m := answered[identity](t, w.office, "addModule", address{DeviceID: d.DeviceID, ModuleID: "m"})
		w.denied(t, w.client(t, swapKey(deviceString(m), deviceString(d))))
	})
	p.over(t, stays, "a module that is removed is let go", func(t *testing.T, w *way) {
		id, c := w.module(t)
		w.works(t, id.DeviceID, c)
		w.office.do(t, "removeModule", id)
		c.next(t, "disconnect")
	})
	p.over(t, stays, "a device and its module at the same time", func(t *testing.T, w *way) {
		id, c := w.module(t)
		w.works(t, id.DeviceID, c)
		d := w.client(t, deviceString(w.look(t, id.DeviceID)))
		from(t, w.works(t, id.DeviceID, d), address{})
		from(t, w.works(t, id.DeviceID, c), id)
		d.silent(t, "disconnect")
		c.silent(t, "disconnect")
	})
}
