package interop

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// moduleClient goes once through all that a module can do.
func (c *court) moduleClient(t *testing.T) {
	id, cs := c.module(t)
	p := c.client(t, setup{ConnectionString: cs, Transport: c.transport, Module: true})
	p.do(t, "open", nil)
	if c.amqp() {
		p.do(t, "send", sdkMessage{}) // which attaches the first link
	}
	c.connected(t, id, true)
	events := c.events(t, id)

	t.Run("telemetry", func(t *testing.T) {
		p.gives(t, `"MessageEnqueued"`, "send", sdkMessage{Body: []byte("x"), Properties: awkward})
		ev := arrives(t, events, c.sent(id, hubwire.Message{Body: []byte("x"), Properties: hubProps(awkward)}))
		if ev.Source != id {
			t.Errorf("source %v", ev.Source)
		}
	})
	t.Run("output", func(t *testing.T) {
		send := func(m sdkMessage) {
			t.Helper()
			p.gives(t, `"MessageEnqueued"`, "sendOutput", map[string]any{"output": "out put/1", "message": m})
		}
		send(sdkMessage{Body: []byte("y"), MessageID: "1", Properties: props("a", "b/")})
		arrives(t, events, c.sent(id, hubwire.Message{Body: []byte("y"), ID: "1", Output: "out put/1", Properties: hubProps(props("a", "b/"))}))
		send(sdkMessage{})
		arrives(t, events, c.sent(id, hubwire.Message{Output: "out put/1"}))
	})
	t.Run("input", func(t *testing.T) {
		p.do(t, "inputs", nil)
		type input struct {
			Input   string
			Message sdkMessage
		}
		ps := append(props("first", "1"), awkward...)
		m := hubwire.Message{Body: allBytes(), ID: "i-1", Properties: hubProps(ps)}
		if err := c.SendInput(within(t), id, "in-1", &m); err != nil {
			t.Fatal(err)
		}
		want := input{"in-1", sdkMessage{
			Body: allBytes(), MessageID: "i-1", To: path(id) + "/inputs/in-1", Properties: ps,
		}}
		if c.amqp() { // which names the input in a place of its own
			want.Message.To = ""
		}
		if diff := cmp.Diff(want, nextInto[input](t, p, "input"), sameProps); diff != "" {
			t.Errorf("input (-want +got)\n%s", diff)
		}
		p.gives(t, `"MessageCompleted"`, "settle", settling("complete", 0))
		c.queueIsEmpty(t, id)
	})
	t.Run("twin", func(t *testing.T) {
		p.gives(t, `{"desired":{"$version":1},"reported":{"$version":1}}`, "twin", nil)
		p.do(t, "report", json.RawMessage(`{"m":1}`))
		c.reported(t, id, 2, `{"m":1}`)
		c.reported(t, hubwire.Identity{DeviceID: id.DeviceID}, 1, "{}")
	})
	t.Run("direct method", func(t *testing.T) {
		p.do(t, "method", map[string]any{"name": "echo", "status": 201, "echo": true})
		p.do(t, "send", sdkMessage{})
		// Over AMQP the links for methods may come after what goes out on a link that is there.
		r, err := c.Invoke(within(t), id, hubwire.MethodRequest{Name: "echo", Payload: []byte(`"m"`)}, &hub.InvokeOptions{ConnectTimeout: patience})
		if err != nil || r.Status != 201 || string(r.Payload) != `"m"` {
			t.Errorf("answer %+v, %v", r, err)
		}
	})
}
