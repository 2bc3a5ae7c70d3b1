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

// TestNodeHTTPS lets azure-iot-device-http talk to a hub inside the test, which
// looks at what arrives.
func TestNodeHTTPS(t *testing.T) {
	wanted(t)
	s := openSite(t, hub.Config{})
	c := &court{s, startJudge(t, s.caFile), "https"}
	t.Run("telemetry", c.telemetryHTTPS)
	t.Run("a batch of telemetry", c.batchHTTPS)
	t.Run("what became of messages", c.feedbackHTTPS)
	t.Run("what became of files", c.notified)
	t.Run("rights of policies", c.rights)
	t.Run("export and import", c.transfers)
}

// inHeaders are properties that a header can carry as they are: the SDK encodes
// none. They are sorted as the hub has them, since headers have no order.
var inHeaders = props("!#$%&'*+-.^_`|~", "name", "a-b", "c d", "amp", "a=b&c=d", "empty", "", "hundred", "100%", "marks", ";:@,<>[]{}|^`",
	"percent", "%41", "plain", "value", "plus", "1+1=2", "quote", `"'\`)

func (c *court) telemetryHTTPS(t *testing.T) {
	id, p := c.open(t)
	events := c.events(t, id)
	expiry := time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC)
	to := "/devices/" + id.DeviceID + "/messages/events" // the SDK says it with each
	tests := []struct {
		name string
		send sdkMessage
		want hubwire.Message
	}{
		{"text", sdkMessage{Body: []byte("hello")}, hubwire.Message{Body: []byte("hello"), To: to}},
		{"no body", sdkMessage{}, hubwire.Message{To: to}},
		{"every byte", sdkMessage{Body: allBytes()}, hubwire.Message{Body: allBytes(), To: to}},
		{"200 KiB", sdkMessage{Body: bytes.Repeat(allBytes(), 800)}, hubwire.Message{Body: bytes.Repeat(allBytes(), 800), To: to}},
		{"every system property that the SDK has", sdkMessage{
			Body: []byte(`{"t":1}`), MessageID: "m-1:/?&=", CorrelationID: "c 1%", UserID: "u", To: "/devices/x/messages/events",
			ContentType: "application/json;charset=utf-8", ContentEncoding: "utf-8", Expiry: "2030-01-02T03:04:05.678Z", Security: true,
			Properties: props("dt-subject", "thermostat1", "a", "b"),
		}, hubwire.Message{
			Body: []byte(`{"t":1}`), ID: "m-1:/?&=", CorrelationID: "c 1%", UserID: "u", To: "/devices/x/messages/events",
			ContentType: "application/json;charset=utf-8", ContentEncoding: "utf-8", Expiry: expiry,
			InterfaceID: "urn:azureiot:Security:SecurityAgent:1", Component: "thermostat1",
			Properties: []hubwire.Property{{Name: "a", Value: "b"}},
		}},
		{"awkward properties", sdkMessage{Properties: inHeaders}, hubwire.Message{To: to, Properties: hubProps(inHeaders)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.gives(t, `"MessageEnqueued"`, "send", tt.send)
			ev := arrives(t, events, tt.want)
			sameJSON(t, "auth method", `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`, []byte(ev.AuthMethod))
		})
	}
}

// batchHTTPS has messages of a batch, of which the SDK sends the properties of the application alone.
func (c *court) batchHTTPS(t *testing.T) {
	id, p := c.open(t)
	events := c.events(t, id)
	p.gives(t, `"MessageEnqueued"`, "sendBatch", []sdkMessage{
		{Body: []byte("a"), MessageID: "lost"}, {Body: allBytes(), Properties: props("dt-subject", "thermostat1", "x", "ü €", "y", "")}, {},
	})
	arrives(t, events, hubwire.Message{Body: []byte("a")})
	arrives(t, events, hubwire.Message{Body: allBytes(), Component: "thermostat1", Properties: hubProps(props("x", "ü €", "y", ""))})
	arrives(t, events, hubwire.Message{})
}

// feedbackHTTPS is what the service is told of messages that the SDK completes and rejects.
func (c *court) feedbackHTTPS(t *testing.T) {
	id, p := c.open(t)
	for _, how := range []string{"complete", "reject"} {
		c.sendC2D(t, id, hubwire.Message{ID: how, Ack: hubwire.AckFull})
	}
	p.do(t, "options", polling(0.1, true))
	p.do(t, "messages", nil)
	got := map[string]string{}
	for i := range 2 {
		m := nextInto[sdkMessage](t, p, "message")
		p.do(t, "settle", settling(m.MessageID, i))
		fb, err := c.Feedback(within(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fb {
			got[f.MessageID] = f.Status
		}
	}
	if diff := cmp.Diff(map[string]string{"complete": "Success", "reject": "Rejected"}, got); diff != "" {
		t.Errorf("feedback (-want +got)\n%s", diff)
	}
	c.queueIsEmpty(t, id)
}

// notified is what the service is told of files that the SDK uploads.
func (c *court) notified(t *testing.T) {
	id, p := c.open(t)
	sent := answered[blobSum](t, p, "upload", map[string]any{"name": "of two blocks", "size": 5 << 20})
	n, err := c.FileNotification(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if n.DeviceID != id.DeviceID || n.BlobName != id.DeviceID+"/of two blocks" || n.Size != int64(sent.Size) || !strings.HasPrefix(n.BlobURI, "https://localhost/") {
		t.Errorf("notification %+v of %+v", n, sent)
	}
	failed := answered[slot](t, p, "slot", map[string]string{"name": "failed"})
	p.do(t, "notify", end{CorrelationID: failed.CorrelationID, Status: 500, Text: "failed"})
	p.do(t, "upload", map[string]any{"name": "next", "size": 1})
	if n, err := c.FileNotification(within(t)); err != nil || n.BlobName != id.DeviceID+"/next" {
		t.Errorf("of the failed one: %+v, %v", n, err)
	}
}

// rights are what each policy may do, by what the service's SDK gets for it.
func (c *court) rights(t *testing.T) {
	id, _ := c.device(t)
	a := address{DeviceID: id.DeviceID}
	read := map[string]any{"get": a, "list": nil, "statistics": nil, "modules": a}
	write := map[string]any{"update": a, "delete": address{DeviceID: "nobody"}}
	connect := map[string]any{"twin": a, "invoke": a.call("x", nil)}
	// what an operation that is allowed fails with, as there is no such device
	allowed := map[string]string{"delete": "DeviceNotFoundError", "invoke": "Error"}
	for policy, may := range map[string][]map[string]any{
		"registryRead": {read}, "registryReadWrite": {read, write}, "service": {connect}, "device": nil, "iothubowner": {read, write, connect},
	} {
		t.Run(policy, func(t *testing.T) {
			cs, err := c.PolicyConnectionString(policy)
			if err != nil {
				t.Fatal(err)
			}
			office := c.office(t, cs)
			can := map[string]bool{}
			for _, m := range may {
				for action := range m {
					can[action] = true
				}
			}
			for _, m := range []map[string]any{read, write, connect} {
				for action, args := range m {
					switch class := allowed[action]; {
					case !can[action]:
						office.fails(t, "UnauthorizedError", "", action, args)
					case class != "":
						office.fails(t, class, "", action, args)
					default:
						office.do(t, action, args)
					}
				}
			}
		})
	}
}
