package interop

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProgramAMQP has the SDKs of a device, of the service and of a reader of
// events on AMQP, at the program itself.
func TestProgramAMQP(t *testing.T) {
	wanted(t)
	p := join(t)
	for _, transport := range amqpTransports {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			c := &client{p, p.desks[transport], transport}
			t.Run("device", c.deviceAMQP)
			t.Run("module", c.module)
		})
	}
}

// deviceAMQP registers a device, and does what it and its service can.
func (c *client) deviceAMQP(t *testing.T) {
	id := address{DeviceID: c.id("device-" + c.transport)}
	d := answered[identity](t, c.office, "create", id)
	cs := deviceString(d)
	c.judge.client(t, setup{ConnectionString: swapKey(cs, "SharedAccessKey=AAAA"), Transport: c.transport}).fails(t, "UnauthorizedError", "", "open", nil)
	p := c.judge.client(t, setup{ConnectionString: cs, Transport: c.transport})
	c.offline(t, id)
	p.do(t, "options", map[string]any{"tokenRenewal": map[string]int{"tokenValidTimeInSeconds": 60, "tokenRenewalMarginInSeconds": 58}})
	p.do(t, "open", nil)
	if got := c.look(t, id).ConnectionState; got != "Disconnected" { // it has shown a token, and asked for nothing
		t.Errorf("the registry says %q", got)
	}
	p.do(t, "messages", nil)
	if m := nextInto[sdkMessage](t, p, "message"); string(m.Body) != "while away" {
		t.Errorf("message %+v", m)
	}
	p.do(t, "settle", settling("complete", 0))
	if got := c.look(t, id).ConnectionState; got != "Connected" {
		t.Errorf("the registry says %q", got)
	}
	p.gives(t, `{"desired":{"$version":1},"reported":{"$version":1}}`, "twin", nil)
	p.do(t, "desired", map[string]string{})
	p.do(t, "method", map[string]any{"name": "echo", "status": 201, "echo": true})
	t.Run("telemetry, as a reader has it", func(t *testing.T) { c.read(t, p, id) })
	t.Run("cloud-to-device, and feedback", func(t *testing.T) { c.exchange(t, p, id) })
	t.Run("twin", func(t *testing.T) { c.twin(t, p, id, 0) })
	t.Run("direct methods", func(t *testing.T) { c.methods(t, p, id) })
	p.silent(t, "disconnect")
	c.office.do(t, "delete", id)
	p.next(t, "disconnect")
	c.office.fails(t, "DeviceNotFoundError", "amqp:not-found", "sendMessage", sending{id.DeviceID, sdkMessage{}})
}

// read sends a message, and looks at what a reader has of it.
func (c *client) read(t *testing.T, p *peer, id address) {
	m := sdkMessage{Body: allBytes(), MessageID: "m-1", Properties: props("a", "ü €")}
	p.do(t, "send", m)
	c.reads(t, id.DeviceID, m)
}

// exchange has the service send three messages, and hear what became of them.
func (c *client) exchange(t *testing.T, p *peer, id address) {
	c.alone(t, "feedback")
	ear := c.hears(t, c.transport, "feedback")
	for i, how := range []string{"complete", "reject", "complete"} {
		m := sdkMessage{Body: allBytes(), MessageID: fmt.Sprint("m-", i), Ack: "full", Properties: props("a", "b")}
		c.office.gives(t, `"MessageEnqueued"`, "sendMessage", sending{id.DeviceID, m})
		m.To = "/devices/" + id.DeviceID + "/messages/devicebound"
		if diff := cmp.Diff(m, nextInto[sdkMessage](t, p, "message"), sameBytes, sameProps); diff != "" {
			t.Errorf("message (-want +got)\n%s", diff)
		}
		p.do(t, "settle", settling(how, i+1))
	}
	fates := map[string]string{}
	for len(fates) < 3 {
		r := ear.record(t, id.DeviceID)
		fates[r.OriginalMessageID] = r.StatusCode
	}
	if diff := cmp.Diff(map[string]string{"m-0": "Success", "m-1": "Rejected", "m-2": "Success"}, fates); diff != "" {
		t.Errorf("feedback (-want +got)\n%s", diff)
	}
}
