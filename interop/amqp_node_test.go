package interop

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// TestNodeAMQP lets azure-iot-device talk to the hub over both of its AMQP
// transports, and do there all that it does over MQTT.
func TestNodeAMQP(t *testing.T) {
	wanted(t)
	s := openSite(t, hub.Config{})
	j := startJudge(t, s.caFile)
	for _, transport := range []string{"amqp", "amqp-ws"} {
		c := &court{s, j, transport}
		t.Run(transport, func(t *testing.T) {
			t.Run("telemetry", c.telemetry)
			t.Run("ids that are UUIDs", c.uuids)
			t.Run("a burst of telemetry", c.burst)
			t.Run("what is too large", c.tooLargeAMQP)
			t.Run("cloud-to-device", c.c2dAMQP)
			t.Run("cloud-to-device that is abandoned", c.c2dAbandoned)
			t.Run("cloud-to-device to who is away", c.c2dAway)
			t.Run("twin", c.twin)
			t.Run("twin refusals", c.twinRefusals)
			t.Run("desired properties", c.desired)
			t.Run("direct methods", c.methods)
			t.Run("methods that nobody answers", c.methodsUnanswered)
			t.Run("module", c.moduleClient)
			t.Run("logins that are refused", c.refused)
			t.Run("logins of other kinds", c.logins)
			t.Run("X.509", c.x509)
			t.Run("an identity that is disabled or deleted", c.revoked)
			t.Run("a second client takes over", c.takeOver)
		})
	}
}

// uuids has ids that the SDK sends with AMQP's own type for them.
func (c *court) uuids(t *testing.T) {
	id, p := c.open(t)
	events := c.events(t, id)
	const one, two = "6f3a5d0e-7c1b-4a52-9e0f-1b2c3d4e5f60", "00112233-4455-4677-8899-aabbccddeeff"
	p.gives(t, `"MessageEnqueued"`, "send", sdkMessage{MessageID: one, CorrelationID: two})
	arrives(t, events, c.sent(id, hubwire.Message{ID: one, CorrelationID: two}))
}

// tooLargeAMQP has a message that the hub refuses, which costs no connection here.
func (c *court) tooLargeAMQP(t *testing.T) {
	id, p := c.open(t)
	events := c.events(t, id)
	p.gives(t, `"MessageEnqueued"`, "send", sdkMessage{Body: make([]byte, 255<<10)})
	arrives(t, events, c.sent(id, hubwire.Message{Body: make([]byte, 255<<10)}))
	p.fails(t, "MessageTooLargeError", "", "send", sdkMessage{Body: make([]byte, 256<<10+1)})
	p.gives(t, `"MessageEnqueued"`, "send", sdkMessage{Body: []byte("small")})
	arrives(t, events, c.sent(id, hubwire.Message{Body: []byte("small")}))
	p.silent(t, "disconnect")
}

// c2dAMQP settles each way, of which the service is told.
func (c *court) c2dAMQP(t *testing.T) {
	id, p := c.open(t)
	p.do(t, "messages", nil)
	expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	tests := []struct {
		name, how, result string
		send              hubwire.Message
		want              sdkMessage
	}{
		{"text", "complete", "MessageCompleted", hubwire.Message{Body: []byte("hello")}, sdkMessage{Body: []byte("hello")}},
		{"no body", "complete", "MessageCompleted", hubwire.Message{}, sdkMessage{}},
		{"every byte", "reject", "MessageRejected", hubwire.Message{Body: allBytes()}, sdkMessage{Body: allBytes()}},
		{"64,000 bytes", "complete", "MessageCompleted", hubwire.Message{Body: bytes.Repeat(allBytes(), 250)}, sdkMessage{Body: bytes.Repeat(allBytes(), 250)}},
		{"every system property that the SDK has", "complete", "MessageCompleted", hubwire.Message{
			ID: "m-1", CorrelationID: "c 1/%", UserID: "ü", ContentType: "application/json", ContentEncoding: "utf-8",
			Expiry: expiry, Ack: hubwire.AckFull, Properties: hubProps(props("a", "b")),
		}, sdkMessage{
			MessageID: "m-1", CorrelationID: "c 1/%", ContentType: "application/json", ContentEncoding: "utf-8",
			Expiry: expiry.Format("2006-01-02T15:04:05.000Z"), Ack: "full", Properties: props("a", "b"),
		}},
		{"that is rejected", "reject", "MessageRejected", hubwire.Message{ID: "m-2", Ack: hubwire.AckFull}, sdkMessage{MessageID: "m-2", Ack: "full"}},
		{"awkward properties", "complete", "MessageCompleted", hubwire.Message{Properties: hubProps(awkward)}, sdkMessage{Properties: awkward}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c.sendC2D(t, id, tt.send)
			tt.want.To = path(id) + "/messages/devicebound"
			got := nextInto[sdkMessage](t, p, "message")
			if diff := cmp.Diff(tt.want, got, sameBytes, sameProps); diff != "" {
				t.Errorf("message (-want +got)\n%s", diff)
			}
			p.gives(t, `"`+tt.result+`"`, "settle", settling(tt.how, i))
		})
	}
	c.queueIsEmpty(t, id)
	told := map[string]string{}
	for len(told) < 2 {
		fb, err := c.Feedback(within(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fb {
			told[f.MessageID] = f.Status
		}
	}
	if diff := cmp.Diff(map[string]string{"m-1": "Success", "m-2": "Rejected"}, told); diff != "" {
		t.Errorf("feedback (-want +got)\n%s", diff)
	}
}

// c2dAbandoned has a message come back until it is completed, and one that is
// abandoned for as often as the hub hands it out.
func (c *court) c2dAbandoned(t *testing.T) {
	id, p := c.open(t)
	p.do(t, "messages", nil)
	next := 0
	settle := func(how, result string) {
		t.Helper()
		if m := nextInto[sdkMessage](t, p, "message"); m.MessageID != "again" {
			t.Errorf("message %+v", m)
		}
		p.gives(t, `"`+result+`"`, "settle", settling(how, next))
		next++
	}
	c.sendC2D(t, id, hubwire.Message{ID: "again"})
	settle("abandon", "MessageAbandoned")
	settle("abandon", "MessageAbandoned")
	settle("complete", "MessageCompleted")
	c.queueIsEmpty(t, id)

	c.sendC2D(t, id, hubwire.Message{ID: "again", Ack: hubwire.AckNegative})
	for range 10 { // the most that the hub is told to, unless told otherwise
		settle("abandon", "MessageAbandoned")
	}
	c.queueIsEmpty(t, id)
	fb, err := c.Feedback(within(t))
	if err != nil || len(fb) != 1 || fb[0].MessageID != "again" || fb[0].Status != "DeliveryCountExceeded" {
		t.Errorf("feedback %+v, %v", fb, err)
	}
	p.silent(t, "message")
}

// TestNodeSessionAMQP is about what outlives a token, and a connection. The hub
// ends connections as soon as their token does.
func TestNodeSessionAMQP(t *testing.T) {
	wanted(t)
	l := &log{seen: map[hubwire.Identity][]string{}}
	s := openSite(t, hub.Config{Intercept: l.intercept, Skew: -1})
	j := startJudge(t, s.caFile)
	for _, transport := range []string{"amqp", "amqp-ws"} {
		c := &court{s, j, transport}
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			t.Run("token renewal", func(t *testing.T) {
				t.Parallel()
				c.renewalAMQP(t, l)
			})
			t.Run("reconnect after a cut", func(t *testing.T) {
				t.Parallel()
				c.reconnect(t, l)
			})
		})
	}
}

// renewalAMQP: a token is renewed on the connection that it is for, which goes on after the first one's end.
func (c *court) renewalAMQP(t *testing.T, l *log) {
	id, cs := c.device(t)
	p := c.client(t, setup{ConnectionString: cs, Transport: c.transport})
	const valid = 12 // of which a busy machine has most for the renewal
	p.do(t, "options", map[string]any{"tokenRenewal": map[string]int{"tokenValidTimeInSeconds": valid, "tokenRenewalMarginInSeconds": valid - 2}})
	listenToAll(t, p)
	c.hearsAll(t, id, p, "with the first token")
	time.Sleep((valid + 1) * time.Second)
	c.hearsAll(t, id, p, "with another")
	p.silent(t, "disconnect")
	p.silent(t, "error")
	if n := countOf(l.of(id), "connect "); n != 1 {
		t.Errorf("%d connections: %s", n, strings.Join(l.of(id), ", "))
	}
}
