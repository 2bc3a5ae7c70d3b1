package mqttfront

import (
	"bytes"
	"context"
	"strconv"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/topics"
)

// Publishing imitates the guide's "Communicate with your IoT hub using the MQTT
// protocol": telemetry at QoS 0 or 1 to the peer's own topic, RETAIN as a
// property, the will as telemetry with the property iothub-MessageType. PUBACK means
// that the message is in the log; over the rate of the throttle it is late. Whether
// the service marks a message that came with DUP, as Protocol Gateway can, is not
// documented: it is an option.

// publish acts on a PUBLISH: telemetry, a twin operation, or the answer to a
// direct method. Any other topic, also another identity's, closes the
// connection, and so does QoS 2.
func (c *conn) publish(p mqtt.Packet) error {
	m, err := mqtt.ParsePublish(p)
	if err != nil {
		return err
	}
	if m.QoS > mqtt.AtLeastOnce {
		return violation("PUBLISH at QoS 2")
	}
	t, err := topics.Parse(m.Topic)
	if err != nil {
		return err
	}
	switch t.Kind {
	case topics.Telemetry:
		return c.telemetry(&m, &t)
	case topics.TwinGet:
		return c.twinGet(&m, &t)
	case topics.TwinReported:
		return c.twinReport(&m, &t)
	case topics.MethodResponse:
		return c.methodResponse(&m, &t)
	}
	return violation("topic %s is not for a device to publish to", quote(m.Topic))
}

// acknowledgement returns what appends the PUBACK for a message, nil at QoS 0.
func acknowledgement(m *mqtt.Publish) func([]byte) []byte {
	if m.QoS == mqtt.AtMostOnce {
		return nil
	}
	return (&mqtt.Puback{ID: m.ID}).AppendTo
}

// The properties that the hub adds to telemetry.
var (
	retainProperty = hubwire.Property{Name: "mqtt-retain", Value: "true"}
	dupProperty    = hubwire.Property{Name: "mqtt-dup", Value: "true"} // an option
	willProperty   = hubwire.Property{Name: "iothub-MessageType", Value: "Will"}
)

func (c *conn) telemetry(m *mqtt.Publish, t *topics.Topic) error {
	if !t.Is(c.id) {
		return violation("topic %s is where another identity sends telemetry", quote(m.Topic))
	}
	var r hubwire.Received
	if err := mqtt.ParseMessage(t, nil, &r); err != nil {
		return err
	}
	r.Body = m.Payload // a view, which the core does not keep
	if m.Retain {
		r.Properties = append(r.Properties, retainProperty) // nothing is retained
	}
	if m.Dup && c.server.opt.GatewayProperties {
		r.Properties = append(r.Properties, dupProperty)
	}
	seen := c.forOthers(&r.Message)
	v, err := c.intercept(core.OpPublish, "", seen, nil)
	if err != nil {
		return err // MQTT 3.1.1 has no negative PUBACK
	}
	if c.server.core.Throttles() {
		if err := c.awaitTurn(r.Size()); err != nil {
			return err
		}
	}
	return c.respond(v, func() error {
		if err := c.session.Telemetry(c.ctx, &r.Message); err != nil {
			return err
		}
		c.published(c.ctx, seen)
		return nil
	}, acknowledgement(m))
}

// forOthers returns what the functions that see telemetry may look at: a copy
// that is no view of the read buffer. It is nil when there are none.
func (c *conn) forOthers(m *hubwire.Message) *hubwire.Message {
	if c.server.opt.Published == nil && !c.server.core.Intercepts() {
		return nil
	}
	seen := *m
	seen.Body = bytes.Clone(m.Body)
	return &seen
}

// awaitTurn holds telemetry back as the throttle wants it: its PUBACK is late, and
// so is all that comes behind it. What was answered before is not.
func (c *conn) awaitTurn(size int) error {
	wait, err := c.server.core.TelemetryTurn(size)
	if err != nil {
		return err
	}
	if wait > 0 {
		c.out.flush()
	}
	return c.server.core.Wait(c.ctx, wait)
}

// published tells of a message that is in the log.
func (c *conn) published(ctx context.Context, m *hubwire.Message) {
	if f := c.server.opt.Published; f != nil {
		f(ctx, c.id, m)
	}
}

// willMessage returns the message that is published when the connection of id
// ends without DISCONNECT. Its topic must be where id sends telemetry, and it is one that the hub takes there.
func willMessage(id hubwire.Identity, w *mqtt.Will) (*hubwire.Message, error) {
	if w.QoS > mqtt.AtLeastOnce {
		return nil, violation("will at QoS 2")
	}
	t, err := topics.Parse(w.Topic)
	if err != nil {
		return nil, err
	}
	if t.Kind != topics.Telemetry || !t.Is(id) {
		return nil, violation("the will topic, of %d bytes, is not where the identity sends telemetry", len(w.Topic))
	}
	r := new(hubwire.Received)
	if err := mqtt.ParseMessage(&t, w.Payload, r); err != nil {
		return nil, err
	}
	if w.Retain {
		r.Properties = append(r.Properties, retainProperty)
	}
	r.Properties = append(r.Properties, willProperty)
	return &r.Message, r.CheckTelemetry() // who is gone cannot be told
}

// lastWill is the will as the core takes it; nil for none. To all who read it, it is telemetry, though no operation of
// the peer: nothing intercepts it.
func (c *conn) lastWill() *core.Will {
	if c.will == nil {
		return nil
	}
	return &core.Will{Message: c.will, Published: func() { c.published(context.WithoutCancel(c.ctx), c.will) }}
}

// methodResponse passes on the answer to a direct method. One that nobody
// waits for is ignored.
func (c *conn) methodResponse(m *mqtt.Publish, t *topics.Topic) error {
	v, err := c.intercept(core.OpMethodResponse, "", nil, m.Payload)
	if err != nil {
		return err
	}
	return c.respond(v, func() error {
		id, err := strconv.ParseUint(string(t.RequestID()), 16, 64)
		if err != nil {
			err = violation("a request id of %d bytes is not the hub's", len(t.RequestID())) // what it was stays out of the log
		} else {
			err = c.session.MethodResponse(id, &hubwire.MethodResponse{Status: t.Status(), Payload: m.Payload})
		}
		if err != nil {
			c.server.opt.Log.Info("mqtt: method response", "device", c.id, "error", err)
		}
		return nil
	}, acknowledgement(m))
}
