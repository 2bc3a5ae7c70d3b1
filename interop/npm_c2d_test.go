package interop

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sends has the service send a message.
func (w *way) sends(t *testing.T, id address, m sdkMessage) {
	t.Helper()
	w.desk().gives(t, `"MessageEnqueued"`, "sendMessage", sending{id.DeviceID, m})
}

// receives waits for a message to the device, and gives it as any transport has
// it: over MQTT the SDK has the acknowledgement among the properties, and over HTTPS it
// has these by the names of their headers.
func (w *way) receives(t *testing.T, p *peer) sdkMessage {
	t.Helper()
	m := nextInto[sdkMessage](t, p, "message")
	var kept []sdkProperty
	for _, p := range m.Properties {
		if p.Name = strings.TrimPrefix(p.Name, "iothub-app-"); p.Name == "iothub-ack" {
			m.Ack = p.Value
		} else {
			kept = append(kept, p)
		}
	}
	m.Properties = kept
	return m
}

// inOrder compares what was to be received with what was: over HTTPS without its order (see polling).
func (w *way) inOrder(t *testing.T, want, got []string) {
	t.Helper()
	if w.transport == "https" {
		slices.Sort(got)
		slices.Sort(want)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got)\n%s", diff)
	}
}

// TestNpmC2D has the service send, over AMQP, and devices receive over each transport.
func TestNpmC2D(t *testing.T) {
	p := join(t)
	p.over(t, everyTransport, "complete", func(t *testing.T, w *way) {
		id, c := w.open(t)
		w.listens(t, c)
		w.sends(t, id, sdkMessage{Body: []byte("x")})
		if m := w.receives(t, c); string(m.Body) != "x" || m.To != "/devices/"+id.DeviceID+"/messages/devicebound" {
			t.Errorf("message %+v", m)
		}
		c.gives(t, `"MessageCompleted"`, "settle", settling("complete", 0))
		w.settled(t, id.DeviceID)
	})
	p.over(t, everyTransport, "system and other properties", func(t *testing.T, w *way) {
		id, c := w.open(t)
		w.listens(t, c)
		expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
		sent := sdkMessage{
			Body: []byte(`{"a":1}`), MessageID: "m 1/%", CorrelationID: "c-1&=", ContentType: "application/json", ContentEncoding: "utf-8",
			Expiry: expiry.Format(time.RFC3339), Properties: props("a", "b", "c-d", "e=f&g", "blank", " x y", "percent", "100%41"),
		}
		w.sends(t, id, sent)
		got := w.receives(t, c)
		if at, err := time.Parse(time.RFC3339Nano, got.Expiry); err != nil || !at.Equal(expiry) {
			t.Errorf("expiry %q, want %v", got.Expiry, expiry)
		}
		sent.To, sent.Expiry, sent.Ack = got.To, got.Expiry, got.Ack
		if w.transport == "https" { // of which the SDK knows no others
			sent.ContentType, sent.ContentEncoding = "", ""
			sent.Properties[2].Value = "x y" // what HTTP leaves of it
		}
		if diff := cmp.Diff(sent, got, sameBytes, sameSetOfProps); diff != "" {
			t.Errorf("message (-want +got)\n%s", diff)
		}
		c.do(t, "settle", settling("complete", 0))
	})
	p.over(t, everyTransport, "a body of 64,000 bytes", func(t *testing.T, w *way) {
		id, c := w.open(t)
		w.listens(t, c)
		body := bytes.Repeat([]byte("0123456789abcdef"), 4000)
		w.sends(t, id, sdkMessage{Body: body})
		if m := w.receives(t, c); !bytes.Equal(m.Body, body) {
			t.Errorf("%d bytes", len(m.Body))
		}
		c.do(t, "settle", settling("complete", 0))
	})
	p.over(t, everyTransport, "twenty, each once and in their order", func(t *testing.T, w *way) {
		id, c := w.open(t)
		w.listens(t, c)
		var got, want []string
		for i := range 20 {
			want = append(want, fmt.Sprint(i))
			w.sends(t, id, sdkMessage{MessageID: want[i]})
		}
		for i := range 20 {
			got = append(got, w.receives(t, c).MessageID)
			c.do(t, "settle", settling("complete", i))
		}
		w.inOrder(t, want, got)
		w.settled(t, id.DeviceID)
	})
	p.over(t, everyTransport, "queued while the device is away", func(t *testing.T, w *way) {
		d := w.register(t, identity{})
		id := address{DeviceID: d.DeviceID}
		heard := func(c *peer, names ...string) {
			t.Helper()
			var got []string
			for i := range names {
				got = append(got, w.receives(t, c).MessageID)
				c.do(t, "settle", settling("complete", i))
			}
			w.inOrder(t, names, got)
			w.settled(t, d.DeviceID)
			c.do(t, "close", nil)
		}
		w.sends(t, id, sdkMessage{MessageID: "never there"})
		w.sends(t, id, sdkMessage{MessageID: "still not"})
		first := w.client(t, deviceString(d))
		first.do(t, "open", nil)
		w.listens(t, first)
		heard(first, "never there", "still not")
		if w.transport != "https" {
			poll(t, "it is connected", func() bool { return w.look(t, d.DeviceID).ConnectionState == "Disconnected" })
		}
		w.sends(t, id, sdkMessage{MessageID: "gone"})
		if n := w.look(t, d.DeviceID).Waiting; n != 1 {
			t.Errorf("%d messages wait", n)
		}
		second := w.client(t, deviceString(d))
		w.listens(t, second)
		heard(second, "gone")
	})
	p.over(t, everyTransport, "reject", func(t *testing.T, w *way) {
		id, c := w.open(t)
		w.listens(t, c)
		w.sends(t, id, sdkMessage{Body: []byte("x")})
		w.receives(t, c)
		if w.mqtt() { // which cannot
			c.fails(t, "NotImplementedError", "rejecting", "settle", settling("reject", 0))
		} else {
			c.gives(t, `"MessageRejected"`, "settle", settling("reject", 0))
		}
		w.settled(t, id.DeviceID)
		c.silent(t, "message")
	})
	p.over(t, everyTransport, "abandon", func(t *testing.T, w *way) {
		id, c := w.open(t)
		w.listens(t, c)
		w.sends(t, id, sdkMessage{MessageID: "again"})
		w.receives(t, c)
		if w.mqtt() { // which cannot
			c.fails(t, "NotImplementedError", "abandoning", "settle", settling("abandon", 0))
			return
		}
		for i := range 3 {
			c.gives(t, `"MessageAbandoned"`, "settle", settling("abandon", i))
			m := w.receives(t, c)
			if m.MessageID != "again" || w.amqp() && m.DeliveryCount != i+1 {
				t.Errorf("message %+v after %d deliveries", m, i+1)
			}
		}
		c.do(t, "settle", settling("complete", 3))
		w.settled(t, id.DeviceID)
	})
	p.over(t, everyTransport, "an expired message is not delivered", func(t *testing.T, w *way) {
		d := w.register(t, identity{})
		id := address{DeviceID: d.DeviceID}
		at := time.Now().Add(time.Second)
		w.sends(t, id, sdkMessage{MessageID: "too late", Expiry: at.UTC().Format(time.RFC3339Nano)})
		time.Sleep(time.Until(at.Add(100 * time.Millisecond)))
		w.sends(t, id, sdkMessage{MessageID: "in time"})
		c := w.client(t, deviceString(d))
		c.do(t, "open", nil)
		w.listens(t, c)
		if m := w.receives(t, c); m.MessageID != "in time" {
			t.Errorf("message %q", m.MessageID)
		}
		c.do(t, "settle", settling("complete", 0))
		w.settled(t, d.DeviceID)
	})
	p.over(t, amqpTransports, "the service is refused", func(t *testing.T, w *way) {
		id, _ := w.open(t)
		desk := w.desk()
		desk.fails(t, "DeviceNotFoundError", "amqp:not-found", "sendMessage", sending{w.id("nobody"), sdkMessage{}})
		desk.fails(t, "MessageTooLargeError", "amqp:link:message-size-exceeded", "sendMessage", sending{id.DeviceID, sdkMessage{Body: make([]byte, 64<<10+1)}})
		for range 50 {
			w.sends(t, id, sdkMessage{})
		}
		desk.fails(t, "DeviceMaximumQueueDepthExceededError", "amqp:resource-limit-exceeded", "sendMessage", sending{id.DeviceID, sdkMessage{}})
	})
}

// fate is how a message ends, and what the service hears of it.
type fate struct {
	name, ack string
	how       []string // how the device settles it, each time that it comes
	expires   bool     // before the device is there
	status    string   // empty for nothing
}

// TestNpmFeedback has messages of each fate. The service hears of those that it asked to hear of.
func TestNpmFeedback(t *testing.T) {
	p := join(t)
	ten := strings.Split(strings.Repeat("abandon ", 10), " ")[:10]
	for _, transport := range everyTransport {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			w := &way{p, transport}
			w.alone(t, "feedback")
			over := amqpTransports[0]
			if strings.HasSuffix(transport, "s") {
				over = amqpTransports[1]
			}
			e := w.hears(t, over, "feedback")
			for _, f := range []fate{
				{"expired", "negative", nil, true, "Expired"},
				{"expired, of which only good news was asked for", "positive", nil, true, ""},
				{"completed", "full", []string{"complete"}, false, "Success"},
				{"completed, with news of that alone", "positive", []string{"complete"}, false, "Success"},
				{"completed, of which only bad news was asked for", "negative", []string{"complete"}, false, ""},
				{"completed, of which nothing was asked", "none", []string{"complete"}, false, ""},
				{"rejected", "full", []string{"reject"}, false, "Rejected"},
				{"rejected, of which only good news was asked for", "positive", []string{"reject"}, false, ""},
				{"abandoned ten times", "negative", ten, false, "DeliveryCountExceeded"},
			} {
				if w.mqtt() && len(f.how) > 0 && f.how[0] != "complete" {
					continue // it cannot
				}
				t.Run("a message that is "+f.name+" over "+transport, func(t *testing.T) { w.meets(t, e, f) })
			}
		})
	}
}

// meets has a message meet its fate.
func (w *way) meets(t *testing.T, e *ear, f fate) {
	d := w.register(t, identity{})
	id := address{DeviceID: d.DeviceID}
	m := sdkMessage{MessageID: "m", Ack: f.ack}
	if f.expires {
		m.Expiry = time.Now().Add(time.Second).UTC().Format(time.RFC3339Nano)
	}
	w.sends(t, id, m)
	if f.expires {
		w.settled(t, d.DeviceID)
	}
	c := w.client(t, deviceString(d))
	c.do(t, "open", nil)
	w.listens(t, c)
	for i, how := range f.how {
		w.receives(t, c)
		c.do(t, "settle", settling(how, i))
	}
	w.settled(t, d.DeviceID)
	// One more, of which the service always hears: records come in their order.
	w.sends(t, id, sdkMessage{MessageID: "last", Ack: "full"})
	w.receives(t, c)
	c.do(t, "settle", settling("complete", len(f.how)))
	var got, want []string
	if f.status != "" {
		want = append(want, "m "+f.status)
	}
	for r := e.record(t, d.DeviceID); r.OriginalMessageID != "last"; r = e.record(t, d.DeviceID) {
		got = append(got, r.OriginalMessageID+" "+r.StatusCode)
		if r.DeviceGenerationID != d.GenerationID || r.EnqueuedTime == "" || !strings.EqualFold(r.Description, r.StatusCode) {
			t.Errorf("record %+v", r)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("feedback (-want +got)\n%s", diff)
	}
}
