package interop

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// client tests the program's hub with one client of it, over one transport, and
// with the service that looks after that client.
type client struct {
	*program
	office    *peer
	transport string
}

// address names a device or module to the service, and what it is to get.
type address struct {
	DeviceID string `json:"deviceId"`
	ModuleID string `json:"moduleId,omitempty"`
	Patch    any    `json:"patch,omitempty"`
	ETag     string `json:"etag,omitempty"`
	Method   any    `json:"method,omitempty"`
}

// device registers a device over REST, and does all that it and its service can.
func (c *client) device(t *testing.T) {
	id := address{DeviceID: c.id("device-" + c.transport)}
	d := answered[identity](t, c.office, "create", id)
	cs := deviceString(d)
	c.judge.client(t, setup{ConnectionString: swapKey(cs, "SharedAccessKey=AAAA"), Transport: c.transport}).
		fails(t, "UnauthorizedError", refusal, "open", nil)
	p := c.judge.client(t, setup{ConnectionString: cs, Transport: c.transport})
	c.offline(t, id)
	p.do(t, "options", map[string]any{"tokenRenewal": map[string]int{"tokenValidTimeInSeconds": 60, "tokenRenewalMarginInSeconds": 56}})
	p.do(t, "open", nil)
	p.do(t, "messages", nil)
	first := c.look(t, id)
	if first.ConnectionState != "Connected" {
		t.Errorf("the registry says %q", first.ConnectionState)
	}
	p.gives(t, `{"desired":{"$version":1},"reported":{"$version":1}}`, "twin", nil)
	p.do(t, "desired", map[string]string{})
	p.do(t, "method", map[string]any{"name": "echo", "status": 201, "echo": true})
	p.do(t, "send", sdkMessage{}) // the hub has seen SUBSCRIBE when it acknowledges this
	for i, when := range []string{"before the renewal", "after the renewal"} {
		if i > 0 {
			poll(t, "the SDK does not renew its token", func() bool {
				now := c.look(t, id)
				return now.ConnectionState == "Connected" && now.ConnectionUpdated != first.ConnectionUpdated
			})
		}
		t.Run("telemetry "+when, func(t *testing.T) {
			p.gives(t, `"MessageEnqueued"`, "send", sdkMessage{Body: allBytes(), MessageID: when, Properties: awkward})
		})
		t.Run("cloud-to-device "+when, func(t *testing.T) { c.c2d(t, p, id, i) })
		t.Run("twin "+when, func(t *testing.T) { c.twin(t, p, id, int64(i)) })
		t.Run("direct methods "+when, func(t *testing.T) { c.methods(t, p, id) })
	}
	p.silent(t, "disconnect")
	c.office.do(t, "delete", id)
	p.next(t, "disconnect")
	c.office.fails(t, "DeviceNotFoundError", "", "twin", id)
	c.office.fails(t, "DeviceNotFoundError", "", "invoke", id.call("echo", nil))
}

// deviceString is the connection string of a device or module of the program's hub.
func deviceString(d identity) string {
	cs := "HostName=localhost;DeviceId=" + d.DeviceID
	if d.ModuleID != "" {
		cs += ";ModuleId=" + d.ModuleID
	}
	return cs + ";SharedAccessKey=" + d.Authentication.SymmetricKey.Primary
}

func (c *client) look(t *testing.T, id address) identity {
	t.Helper()
	return answered[identity](t, c.office, "get", id)
}

// call is a direct method call that waits as short as it may for its answer, which does not come.
func (a address) call(name string, payload any) address {
	a.Method = map[string]any{"methodName": name, "payload": payload, "responseTimeoutInSeconds": 5}
	return a
}

// offline has a service that tries to reach a client that is not there.
func (c *client) offline(t *testing.T, id address) {
	t.Helper()
	c.office.fails(t, "Error", "Not found", "invoke", id.call("echo", nil))
	c.office.fails(t, "ArgumentError", "responseTimeoutInSeconds", "invoke",
		address{DeviceID: id.DeviceID, Method: map[string]any{"methodName": "echo", "responseTimeoutInSeconds": 301}})
	c.send(t, id, "while away") // waits in the queue
	if n := c.look(t, id).Waiting; n != 1 {
		t.Errorf("%d messages wait", n)
	}
}

// send sends a cloud-to-device message over the one door that no SDK knows: this hub's own.
func (c *client) send(t *testing.T, id address, body string, header ...string) {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t), http.MethodPost,
		"https://localhost/devices/"+id.DeviceID+"/messages/deviceBound?api-version=2021-04-12", bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	req.Header.Set("Authorization", token(t, c.env["HUBWIRE_CONNECTION_STRING"], "localhost", "iothubowner", time.Now().Add(time.Hour)))
	pem, err := os.ReadFile(c.env["HUBWIRE_CA_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
	res, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); res.StatusCode != http.StatusNoContent || err != nil {
		t.Fatalf("%s %s, %v", res.Status, b, err)
	}
}

// c2d has the device receive messages and complete them. The first time, one has waited for it.
func (c *client) c2d(t *testing.T, p *peer, id address, round int) {
	to := "/devices/" + id.DeviceID + "/messages/devicebound"
	expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	c.send(t, id, string(allBytes()),
		"iothub-messageid", "m 1", "iothub-correlationid", "c/%", "iothub-userid", "ü", "iothub-contenttype", "application/json", "iothub-contentencoding", "utf-8",
		"iothub-expiry", expiry.Format(time.RFC3339), "iothub-ack", "full", "iothub-app-plain", "value", "iothub-app-%41", "a=b&c=d", "iothub-app-b", "välue € 😀")
	var want []sdkMessage
	if round == 0 {
		want = append(want, sdkMessage{Body: []byte("while away"), To: to})
	}
	want = append(want, sdkMessage{
		Body: allBytes(), MessageID: "m 1", CorrelationID: "c/%", UserID: "ü", To: to, ContentType: "application/json", ContentEncoding: "utf-8",
		Expiry:     expiry.Format("2006-01-02T15:04:05.0000000Z"),
		Properties: props("iothub-ack", "full", "%41", "a=b&c=d", "b", "välue € 😀", "plain", "value"),
	})
	for i, w := range want {
		got := nextInto[sdkMessage](t, p, "message")
		if diff := cmp.Diff(w, got, sameBytes, sameProps); diff != "" {
			t.Errorf("message (-want +got)\n%s", diff)
		}
		p.gives(t, `"MessageCompleted"`, "settle", settling("complete", 2*round+i))
	}
	poll(t, "cloud-to-device messages are unsettled", func() bool { return c.look(t, id).Waiting == 0 })
}

// twinOfService is of a twin what the service sees and is looked at here.
type twinOfService struct {
	DeviceID   string         `json:"deviceId"`
	ModuleID   string         `json:"moduleId"`
	ETag       string         `json:"etag"`
	Tags       map[string]any `json:"tags"`
	Properties struct {
		Desired  map[string]any `json:"desired"`
		Reported map[string]any `json:"reported"`
	} `json:"properties"`
}

// holds checks the twin that the service sees.
func (p *program) holds(t *testing.T, id address, tags, desired, reported string) twinOfService {
	t.Helper()
	tw := answered[twinOfService](t, p.office, "twin", id)
	if tw.DeviceID != id.DeviceID || tw.ModuleID != id.ModuleID || tw.ETag == "" {
		t.Errorf("the twin of %q, %q, etag %q", tw.DeviceID, tw.ModuleID, tw.ETag)
	}
	for _, half := range []map[string]any{tw.Properties.Desired, tw.Properties.Reported} {
		if m, _ := half["$metadata"].(map[string]any); m["$lastUpdated"] == nil {
			t.Errorf("no metadata in %v", half)
		}
		delete(half, "$metadata")
	}
	sameValue(t, "tags", tags, tw.Tags)
	sameValue(t, "desired properties", desired, tw.Properties.Desired)
	sameValue(t, "reported properties", reported, tw.Properties.Reported)
	return tw
}

// twin has both ends write the twin, and each see what the other wrote. round is how often they did before.
func (c *client) twin(t *testing.T, p *peer, id address, round int64) {
	reported := fmt.Sprintf(`{"$version":%d,"fw":{"a":[1,"ü"],"n":%d}}`, round+2, round)
	p.do(t, "report", map[string]any{"fw": map[string]any{"a": []any{1, "ü"}, "n": round}})
	before := answered[twinOfService](t, c.office, "twin", id)

	id.Patch = json.RawMessage(fmt.Sprintf(`{"tags":{"site":"ü"},"properties":{"desired":{"climate":{"max":%d,"min":null},"text":"a\"b\\<€>"}}}`, round))
	id.ETag = before.ETag
	c.office.do(t, "updateTwin", id)
	c.office.fails(t, "InvalidEtagError", "", "updateTwin", id) // the etag is another by now
	p.next(t, "desired")                                        // what the SDK has already, told when one asks for changes and again with each refresh
	change := nextInto[desiredEvent](t, p, "desired")
	sameValue(t, "the device saw", fmt.Sprintf(`{"$version":%d,"climate":{"max":%d,"min":null},"text":"a\"b\\<€>"}`, round+2, round), change.Value)

	desired := fmt.Sprintf(`{"$version":%d,"climate":{"max":%d},"text":"a\"b\\<€>"}`, round+2, round)
	c.holds(t, id, `{"site":"ü"}`, desired, reported)
	p.gives(t, `{"desired":`+desired+`,"reported":`+reported+`}`, "refreshTwin", nil)
	id.Patch, id.ETag = json.RawMessage(`{"properties":{"desired":{"a.b":1}}}`), "*"
	c.office.fails(t, "ArgumentError", "a.b", "updateTwin", id)
}

// methods has the service call what the client has, and what it has not.
func (c *client) methods(t *testing.T, p *peer, id address) {
	for _, payload := range []string{`{"a":[1,2.5,null,{"b":"ü <€>"}],"c":""}`, `"a/?$rid=1"`, `-1.5e3`, `null`} {
		c.office.gives(t, `{"status":201,"payload":`+payload+`}`, "invoke", id.calls("echo", json.RawMessage(payload), 0, 60))
		seen := nextInto[struct{ Payload any }](t, p, "method")
		sameValue(t, "the client saw", payload, seen.Payload)
	}
}

// module does with a module what differs from a device: it is addressed in another way.
func (c *client) module(t *testing.T) {
	dev := address{DeviceID: c.id("with-module-" + c.transport)}
	id := address{DeviceID: dev.DeviceID, ModuleID: "mod-1"}
	c.office.do(t, "create", dev)
	m := answered[identity](t, c.office, "addModule", id)
	p := c.judge.client(t, setup{ConnectionString: deviceString(m), Transport: c.transport, Module: true})
	p.do(t, "open", nil)
	p.gives(t, `{"desired":{"$version":1},"reported":{"$version":1}}`, "twin", nil)
	p.do(t, "desired", map[string]string{})
	p.do(t, "method", map[string]any{"name": "echo", "status": 201, "echo": true})
	p.do(t, "send", sdkMessage{})
	c.twin(t, p, id, 0)
	c.methods(t, p, id)
	c.holds(t, dev, "{}", `{"$version":1}`, `{"$version":1}`) // is not the device's own
	if c.transport == "mqtt" {                                // once is enough: it takes five seconds
		c.office.fails(t, "GatewayTimeoutError", "", "invoke", id.call("unknown", nil))
	}
	c.office.do(t, "removeModule", id)
	p.next(t, "disconnect")
	c.office.fails(t, "Error", "Not found", "twin", id)
	c.office.do(t, "delete", dev)
}
