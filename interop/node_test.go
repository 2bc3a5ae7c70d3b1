package interop

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// court is a hub and the judge of it, for all tests of one transport.
type court struct {
	*site
	*judge
	transport string
}

// amqp says whether the transport is AMQP, where the SDK does some things in another way.
func (c *court) amqp() bool { return strings.HasPrefix(c.transport, "amqp") }

// sent is what the hub is to see of a message. Over AMQP the SDK says where to
// for itself, and leaves out the user id.
func (c *court) sent(id hubwire.Identity, m hubwire.Message) hubwire.Message {
	if c.amqp() {
		m.UserID, m.To = "", path(id)+"/messages/events"
	}
	return m
}

// path is the address of a device or module.
func path(id hubwire.Identity) string {
	if id.ModuleID != "" {
		return "/devices/" + id.DeviceID + "/modules/" + id.ModuleID
	}
	return "/devices/" + id.DeviceID
}

// open makes a client of a new device and connects it.
func (c *court) open(t *testing.T) (hubwire.Identity, *peer) {
	t.Helper()
	id, cs := c.device(t)
	p := c.client(t, setup{ConnectionString: cs, Transport: c.transport})
	p.do(t, "open", nil)
	return id, p
}

// TestNode lets azure-iot-device talk to the hub over both of its MQTT transports.
func TestNode(t *testing.T) {
	wanted(t)
	s := openSite(t, hub.Config{})
	j := startJudge(t, s.caFile)
	for _, transport := range []string{"mqtt", "mqtt-ws"} {
		c := &court{s, j, transport}
		t.Run(transport, func(t *testing.T) {
			t.Run("telemetry", c.telemetry)
			t.Run("a burst of telemetry", c.burst)
			t.Run("what is too large", c.tooLarge)
			t.Run("cloud-to-device", c.c2d)
			t.Run("cloud-to-device to who is away", c.c2dAway)
			t.Run("twin", c.twin)
			t.Run("twin refusals", c.twinRefusals)
			t.Run("desired properties", c.desired)
			t.Run("direct methods", c.methods)
			t.Run("methods that nobody answers", c.methodsUnanswered)
			t.Run("module", c.moduleClient)
			t.Run("Plug and Play", c.plugAndPlay)
			t.Run("logins that are refused", c.refused)
			t.Run("logins of other kinds", c.logins)
			t.Run("X.509", c.x509)
			t.Run("file upload", c.notified)
			t.Run("an identity that is disabled or deleted", c.revoked)
			t.Run("a second client takes over", c.takeOver)
		})
	}
}

func props(pairs ...string) (ps []sdkProperty) {
	for i := 0; i < len(pairs); i += 2 {
		ps = append(ps, sdkProperty{pairs[i], pairs[i+1]})
	}
	return ps
}

// awkward are properties that an encoder or a parser could stumble over.
var awkward = props(
	"plain", "value", "empty", "", "a b", "c d", "=", "&", "&=", "a=b&c=d", "%41", "100%", "+", "1+1=2",
	"/", "a/b/", "?", "?x#y", "#", "$", "$.x", "$.unknown", "~!*'()", "-_.~!*'()", "quote", `"'\`, ";:@,", "<>[]{}|^`",
	"näme", "välue €", "emoji", "😀", "control", "\t\r\n", "Case", "1", "case", "2",
)

func hubProps(ps []sdkProperty) (out []hubwire.Property) {
	for _, p := range ps {
		out = append(out, hubwire.Property(p))
	}
	return out
}

func allBytes() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func (c *court) telemetry(t *testing.T) {
	id, p := c.open(t)
	events := c.events(t, id)
	expiry := time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC)
	tests := []struct {
		name string
		send sdkMessage
		want hubwire.Message
	}{
		{"text", sdkMessage{Body: []byte("hello")}, hubwire.Message{Body: []byte("hello")}},
		{"no body", sdkMessage{}, hubwire.Message{}},
		{"every byte", sdkMessage{Body: allBytes()}, hubwire.Message{Body: allBytes()}},
		{"200 KiB", sdkMessage{Body: bytes.Repeat(allBytes(), 800)}, hubwire.Message{Body: bytes.Repeat(allBytes(), 800)}},
		{"every system property that the SDK has", sdkMessage{
			Body: []byte(`{"t":1}`), MessageID: "m-1:/?&=", CorrelationID: "c 1%", UserID: "ü", To: "/devices/x/messages/events",
			ContentType: "application/json;charset=utf-8", ContentEncoding: "utf-8", Expiry: "2030-01-02T03:04:05.678Z", Security: true,
			Properties: props("dt-subject", "thermostat1", "a", "b"),
		}, hubwire.Message{
			Body: []byte(`{"t":1}`), ID: "m-1:/?&=", CorrelationID: "c 1%", UserID: "ü", To: "/devices/x/messages/events",
			ContentType: "application/json;charset=utf-8", ContentEncoding: "utf-8", Expiry: expiry,
			InterfaceID: "urn:azureiot:Security:SecurityAgent:1", Component: "thermostat1",
			Properties: []hubwire.Property{{Name: "a", Value: "b"}},
		}},
		{"awkward properties", sdkMessage{Properties: awkward}, hubwire.Message{Properties: hubProps(awkward)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := time.Now()
			p.gives(t, `"MessageEnqueued"`, "send", tt.send)
			ev := arrives(t, events, c.sent(id, tt.want))
			if ev.EnqueuedTime.Before(before.Add(-time.Second)) || ev.EnqueuedTime.After(time.Now()) {
				t.Errorf("enqueued at %v", ev.EnqueuedTime)
			}
			sameJSON(t, "auth method", `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`, []byte(ev.AuthMethod))
		})
	}
}

func (c *court) burst(t *testing.T) {
	id, p := c.open(t)
	events := c.events(t, id)
	var ms []sdkMessage
	for i := range 300 {
		ms = append(ms, sdkMessage{Body: fmt.Append(nil, i), MessageID: fmt.Sprint(i)})
	}
	p.do(t, "sendAll", ms)
	for _, m := range ms {
		arrives(t, events, c.sent(id, hubwire.Message{Body: m.Body, ID: m.MessageID}))
	}
	p.fails(t, "NotImplementedError", "batching", "sendBatch", ms[:2])
}

// tooLarge has a message that the SDK refuses itself, and one whose packet is
// over the hub's limit: that has no answer in MQTT but the end of the connection.
func (c *court) tooLarge(t *testing.T) {
	id, p := c.open(t)
	events := c.events(t, id)
	p.fails(t, "MessageTooLargeError", "256KiB", "send", sdkMessage{Body: make([]byte, 256<<10+1)})
	p.fails(t, "NotConnectedError", "", "send", sdkMessage{Body: make([]byte, 256<<10)})
	p.next(t, "disconnect")
	p.gives(t, `"MessageEnqueued"`, "send", sdkMessage{Body: []byte("small")})
	arrives(t, events, hubwire.Message{Body: []byte("small")})
}

func (c *court) c2d(t *testing.T) {
	id, p := c.open(t)
	p.do(t, "messages", nil)
	to := "/devices/" + id.DeviceID + "/messages/devicebound"
	expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	tests := []struct {
		name string
		send hubwire.Message
		want sdkMessage
	}{
		{"text", hubwire.Message{Body: []byte("hello")}, sdkMessage{Body: []byte("hello")}},
		{"no body", hubwire.Message{}, sdkMessage{}},
		{"every byte", hubwire.Message{Body: allBytes()}, sdkMessage{Body: allBytes()}},
		{"64,000 bytes", hubwire.Message{Body: bytes.Repeat(allBytes(), 250)}, sdkMessage{Body: bytes.Repeat(allBytes(), 250)}},
		{"every system property that the SDK has", hubwire.Message{
			ID: "m-1", CorrelationID: "c 1/%", UserID: "ü", ContentType: "application/json", ContentEncoding: "utf-8",
			Expiry: expiry, Ack: hubwire.AckFull, Properties: hubProps(props("a", "b")),
		}, sdkMessage{
			MessageID: "m-1", CorrelationID: "c 1/%", UserID: "ü", ContentType: "application/json", ContentEncoding: "utf-8",
			Expiry: expiry.Format("2006-01-02T15:04:05.0000000Z"), Properties: props("iothub-ack", "full", "a", "b"),
		}},
		{"awkward properties", hubwire.Message{Properties: hubProps(awkward)}, sdkMessage{Properties: awkward}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c.sendC2D(t, id, tt.send)
			tt.want.To = to
			got := nextInto[sdkMessage](t, p, "message")
			if diff := cmp.Diff(tt.want, got, sameBytes, sameProps); diff != "" {
				t.Errorf("message (-want +got)\n%s", diff)
			}
			p.gives(t, `"MessageCompleted"`, "settle", settling("complete", i))
		})
	}
	c.queueIsEmpty(t, id)
	fb, err := c.Feedback(within(t))
	if err != nil || len(fb) != 1 || fb[0].MessageID != "m-1" || fb[0].Status != "Success" || fb[0].Identity != id {
		t.Errorf("feedback %+v, %v", fb, err)
	}
	p.fails(t, "NotImplementedError", "rejecting", "settle", settling("reject", 0))
	p.fails(t, "NotImplementedError", "abandoning", "settle", settling("abandon", 0))
}

// settling says how to settle which message of those received.
func settling(how string, index int) map[string]any {
	return map[string]any{"how": how, "index": index}
}

var sameProps = cmp.Comparer(func(a, b []sdkProperty) bool { return fmt.Sprint(a) == fmt.Sprint(b) })

// c2dAway has messages that wait: for a device that was never there, for one
// that stopped listening, and for one whose session the hub keeps.
func (c *court) c2dAway(t *testing.T) {
	id, cs := c.device(t)
	heard := map[*peer]int{}
	expect := func(p *peer, bodies ...string) {
		t.Helper()
		for _, want := range bodies {
			if m := nextInto[sdkMessage](t, p, "message"); string(m.Body) != want {
				t.Errorf("message %q, want %q", m.Body, want)
			}
			p.gives(t, `"MessageCompleted"`, "settle", settling("complete", heard[p]))
			heard[p]++
		}
		c.queueIsEmpty(t, id)
	}
	send := func(bodies ...string) {
		for _, b := range bodies {
			c.sendC2D(t, id, hubwire.Message{Body: []byte(b)})
		}
	}
	send("a", "b")
	p := c.client(t, setup{ConnectionString: cs, Transport: c.transport})
	p.do(t, "open", nil)
	p.do(t, "messages", nil)
	expect(p, "a", "b")

	p.do(t, "noMessages", nil)
	p.do(t, "send", sdkMessage{}) // the hub has seen UNSUBSCRIBE when it acknowledges this
	send("c")
	p.do(t, "send", sdkMessage{})
	p.silent(t, "message")
	p.do(t, "messages", nil)
	expect(p, "c")

	p.do(t, "close", nil)
	c.connected(t, id, false)
	send("d", "e")
	p = c.client(t, setup{ConnectionString: cs, Transport: c.transport})
	p.do(t, "messages", nil) // the listener connects, and the hub delivers before it subscribes
	expect(p, "d", "e")
}

func (c *court) methods(t *testing.T) {
	id, p := c.open(t)
	p.do(t, "method", map[string]any{"name": "echo", "status": 200, "echo": true})
	p.do(t, "method", map[string]any{"name": "teapot", "status": 418, "payload": map[string]any{"short": true, "stout": []int{1, 2}}})
	p.do(t, "method", map[string]any{"name": "thermostat1*getMaxMinReport", "status": 200})
	p.do(t, "send", sdkMessage{}) // the hub has seen SUBSCRIBE when it acknowledges this
	tests := []struct{ name, method, payload, seen, answer string }{
		{"an object", "echo", `{"a":[1,2.5,null,{"b":"ü €"}],"c":""}`, `{"a":[1,2.5,null,{"b":"ü €"}],"c":""}`, `{"a":[1,2.5,null,{"b":"ü €"}],"c":""}`},
		{"a string", "echo", `"a/?$rid=1"`, `"a/?$rid=1"`, `"a/?$rid=1"`},
		{"a number", "echo", "-1.5e3", "-1.5e3", "-1.5e3"},
		{"null", "echo", "null", "null", "null"},
		{"100 KiB", "echo", `"` + strings.Repeat("x", 100<<10) + `"`, `"` + strings.Repeat("x", 100<<10) + `"`, `"` + strings.Repeat("x", 100<<10) + `"`},
		{"another method with a status of its own", "teapot", "{}", "{}", `{"short":true,"stout":[1,2]}`},
		{"a method of a component", "thermostat1*getMaxMinReport", `"2026-01-01"`, `"2026-01-01"`, ""},
	}
	status := map[string]int{"teapot": 418}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := c.Invoke(within(t), id, hubwire.MethodRequest{Name: tt.method, Payload: []byte(tt.payload)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			seen := nextInto[struct {
				Name    string
				Payload any
			}](t, p, "method")
			if seen.Name != tt.method {
				t.Errorf("the device saw method %q", seen.Name)
			}
			sameValue(t, "the device saw", tt.seen, seen.Payload)
			if want := max(status[tt.method], 200); r.Status != want {
				t.Errorf("status %d, want %d", r.Status, want)
			}
			if tt.answer == "" {
				if len(r.Payload) != 0 {
					t.Errorf("payload %s", r.Payload)
				}
				return
			}
			sameJSON(t, "the service saw", tt.answer, r.Payload)
		})
	}
	t.Run("no payload, which the SDK takes for bad JSON, but over AMQP", func(t *testing.T) {
		r, err := c.Invoke(within(t), id, hubwire.MethodRequest{Name: "echo"}, nil)
		if c.amqp() {
			if err != nil || r.Status != 200 || len(r.Payload) != 0 {
				t.Errorf("%+v, %v", r, err)
			}
			return
		}
		if err != nil || r.Status != 400 || !strings.Contains(string(r.Payload), "Invalid request format") {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func (c *court) methodsUnanswered(t *testing.T) {
	id, cs := c.device(t)
	invoke := func(name string, o hub.InvokeOptions) (*hubwire.MethodResponse, error) {
		return c.Invoke(within(t), id, hubwire.MethodRequest{Name: name, Payload: []byte("1")}, &o)
	}
	if _, err := invoke("echo", hub.InvokeOptions{}); !errors.Is(err, hubwire.DeviceNotOnline) {
		t.Errorf("a device that is offline: %v", err)
	}
	p := c.client(t, setup{ConnectionString: cs, Transport: c.transport})
	p.do(t, "open", nil)
	if _, err := invoke("echo", hub.InvokeOptions{}); !errors.Is(err, hubwire.DeviceNotOnline) {
		t.Errorf("a device without methods: %v", err)
	}
	early := make(chan error, 1)
	go func() {
		r, err := invoke("echo", hub.InvokeOptions{ConnectTimeout: patience})
		if err == nil && (r.Status != 200 || string(r.Payload) != "1") {
			err = fmt.Errorf("answer %+v", r)
		}
		early <- err
	}()
	p.do(t, "method", map[string]any{"name": "echo", "status": 200, "echo": true})
	if err := <-early; err != nil {
		t.Errorf("a call that waits for the device: %v", err)
	}
	if _, err := invoke("unknown", hub.InvokeOptions{ResponseTimeout: 300 * time.Millisecond}); !errors.Is(err, hubwire.GatewayTimeout) {
		t.Errorf("a method that the device does not have: %v", err)
	}
	if _, err := invoke("echo", hub.InvokeOptions{}); err != nil {
		t.Errorf("after all that: %v", err)
	}
}
