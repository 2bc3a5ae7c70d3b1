package interop

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// answers has a device answer a method, which the hub knows of when this returns.
func (w *way) answers(t *testing.T, c *peer, name string, status int, more map[string]any) {
	t.Helper()
	args := map[string]any{"name": name, "status": status, "echo": true}
	for k, v := range more {
		args[k] = v
	}
	c.do(t, "method", args)
	c.do(t, "send", sdkMessage{})
}

// calls is an address with a method, which waits for who is about to connect, and for its answer.
func (a address) calls(name string, payload any, connect, response int) address {
	a.Method = map[string]any{"methodName": name, "payload": payload, "connectTimeoutInSeconds": connect, "responseTimeoutInSeconds": response}
	return a
}

// TestNpmMethods has the service call devices.
func TestNpmMethods(t *testing.T) {
	p := join(t)
	for name, payload := range map[string]string{
		"an object": `{"a":[1,2.5,null,{"b":"ü <€> 😀"}],"c":""}`, "text": `"a/?$rid=1&b"`, "a number": `-1.5e3`, "null": `null`, "an empty list": `[]`,
		"100 KiB": `"` + strings.Repeat("x", 100<<10) + `"`,
	} {
		p.over(t, stays, "a method with "+name, func(t *testing.T, w *way) {
			id, c := w.open(t)
			w.answers(t, c, "echo", 200, nil)
			w.office.gives(t, `{"status":200,"payload":`+payload+`}`, "invoke", id.calls("echo", json.RawMessage(payload), 10, 30))
			sameValue(t, "the device saw", payload, nextInto[struct{ Payload any }](t, c, "method").Payload)
		})
	}
	p.over(t, stays, "a method with a status of its own", func(t *testing.T, w *way) {
		id, c := w.open(t)
		w.answers(t, c, "teapot", 418, map[string]any{"echo": false, "payload": "short and stout"})
		w.office.gives(t, `{"status":418,"payload":"short and stout"}`, "invoke", id.calls("teapot", 1, 10, 30))
	})
	p.over(t, stays, "a method with an awkward name", func(t *testing.T, w *way) {
		id, c := w.open(t)
		const name = "thermostat1*get_Max-Min.Report~1"
		w.answers(t, c, name, 200, nil)
		w.office.gives(t, `{"status":200,"payload":7}`, "invoke", id.calls(name, 7, 10, 30))
		if seen := nextInto[struct{ Name string }](t, c, "method"); seen.Name != name {
			t.Errorf("the device saw %q", seen.Name)
		}
	})
	p.over(t, stays, "a slow method, in time", func(t *testing.T, w *way) {
		id, c := w.open(t)
		w.answers(t, c, "slow", 200, map[string]any{"delay": 3000})
		start := time.Now()
		w.office.gives(t, `{"status":200,"payload":1}`, "invoke", id.calls("slow", 1, 0, 60))
		if took := time.Since(start); took < 2900*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
	p.over(t, stays, "a slow method, too late", func(t *testing.T, w *way) {
		id, c := w.open(t)
		w.answers(t, c, "slow", 200, map[string]any{"delay": 9000})
		w.answers(t, c, "echo", 200, nil)
		w.office.fails(t, "GatewayTimeoutError", "", "invoke", id.calls("slow", 1, 0, 5))
		w.office.gives(t, `{"status":200,"payload":2}`, "invoke", id.calls("echo", 2, 10, 30)) // its answer, not the late one
	})
	p.over(t, stays, "a method that the device does not have", func(t *testing.T, w *way) {
		id, c := w.open(t)
		w.answers(t, c, "echo", 200, nil)
		w.office.fails(t, "GatewayTimeoutError", "", "invoke", id.calls("unknown", 1, 0, 5))
		w.office.gives(t, `{"status":200,"payload":2}`, "invoke", id.calls("echo", 2, 10, 30))
		c.silent(t, "error")
	})
	p.over(t, stays, "a method of who is away", func(t *testing.T, w *way) {
		d := w.register(t, identity{})
		id := address{DeviceID: d.DeviceID}
		w.office.fails(t, "Error", "Not found", "invoke", id.calls("echo", 1, 0, 5)) // 404103, for which the SDK has no class
		c := w.client(t, deviceString(d))
		c.do(t, "open", nil)
		w.answers(t, c, "echo", 200, nil)
		w.office.gives(t, `{"status":200,"payload":2}`, "invoke", id.calls("echo", 2, 10, 30))
		c.do(t, "close", nil)
		poll(t, "it is connected", func() bool { return w.look(t, d.DeviceID).ConnectionState == "Disconnected" })
		w.office.fails(t, "Error", "Not found", "invoke", id.calls("echo", 1, 0, 5))
	})
	p.over(t, stays, "a method that waits for the device", func(t *testing.T, w *way) {
		d := w.register(t, identity{})
		id := address{DeviceID: d.DeviceID}
		early := make(chan error, 1)
		go func() {
			r, err := w.services.call(within(t), w.office.name, "invoke", id.calls("echo", 3, 60, 60))
			if err == nil && string(r) != `{"status":200,"payload":3}` {
				err = fmt.Errorf("answer %s", r)
			}
			early <- err
		}()
		c := w.client(t, deviceString(d))
		c.do(t, "open", nil)
		c.do(t, "method", map[string]any{"name": "echo", "status": 200, "echo": true})
		if err := <-early; err != nil {
			t.Error(err)
		}
	})
	p.over(t, stays, "twenty calls at once, each with its answer", func(t *testing.T, w *way) {
		id, c := w.open(t)
		w.answers(t, c, "echo", 200, map[string]any{"delay": 100})
		errs := make(chan error, 20)
		for i := range 20 {
			go func() {
				r, err := w.services.call(within(t), w.office.name, "invoke", id.calls("echo", i, 10, 60))
				if want := fmt.Sprintf(`{"status":200,"payload":%d}`, i); err == nil && string(r) != want {
					err = fmt.Errorf("answer %s, want %s", r, want)
				}
				errs <- err
			}()
		}
		for range 20 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
	p.over(t, everyTransport[4:], "there are no methods", func(t *testing.T, w *way) {
		id, c := w.open(t)
		c.fails(t, "NotImplementedError", "Direct methods", "method", map[string]any{"name": "x", "status": 200})
		c.do(t, "send", sdkMessage{})
		w.office.fails(t, "Error", "Not found", "invoke", id.calls("x", 1, 0, 5))
	})
}
