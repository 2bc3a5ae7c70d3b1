package interop

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

// desk is what the service has over AMQP, and the hub that it is for.
type desk struct {
	*site
	judge     *judge
	office    *peer
	transport string
}

// TestOfficeAMQP lets azure-iothub do what it does over AMQP: send messages, and
// hear of what became of them and of files. The devices are on other protocols.
func TestOfficeAMQP(t *testing.T) {
	wanted(t)
	s := openSite(t, hub.Config{})
	j := startJudge(t, s.caFile)
	for _, transport := range []string{"amqp", "amqp-ws"} {
		d := &desk{site: s, judge: j, transport: transport}
		d.office = d.open(t, "service")
		t.Run(transport, func(t *testing.T) {
			t.Run("messages to devices", d.sends)
			t.Run("a device with an awkward id", d.awkwardID)
			t.Run("messages that are refused", d.refuses)
			t.Run("feedback", d.feedback)
			t.Run("file notifications", d.files)
			t.Run("policies that may not", d.rights)
			t.Run("logins that are refused", d.denied)
		})
		d.office.do(t, "close", nil)
	}
}

// open makes an office with the key of a policy, and connects it.
func (d *desk) open(t *testing.T, policy string) *peer {
	t.Helper()
	cs, err := d.PolicyConnectionString(policy)
	if err != nil {
		t.Fatal(err)
	}
	p := d.judge.add(t, "new office", setup{ConnectionString: cs, Transport: d.transport})
	p.do(t, "open", nil)
	return p
}

// sending is a message and who it is for.
type sending struct {
	DeviceID string     `json:"deviceId"`
	Message  sdkMessage `json:"message"`
}

func (d *desk) sends(t *testing.T) {
	for _, transport := range []string{"mqtt", "amqp", "https"} {
		t.Run("to a device over "+transport, func(t *testing.T) {
			c := &court{d.site, d.judge, transport}
			id, p := c.open(t)
			body := allBytes()
			if transport == "https" {
				p.do(t, "options", polling(0.1, true))
				body = body[:128] // the SDK takes what it receives for UTF-8
			}
			p.do(t, "messages", nil)
			expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
			for i, m := range []sdkMessage{
				{Body: []byte("hello")}, {Body: body, MessageID: "m 1/%", CorrelationID: "c-1", Expiry: expiry.Format(time.RFC3339), Properties: props("a", "b", "c-d", "e=f&g")},
			} {
				d.office.gives(t, `"MessageEnqueued"`, "sendMessage", sending{id.DeviceID, m})
				got := nextInto[sdkMessage](t, p, "message")
				for i, p := range got.Properties { // as azure-iot-device-http has them
					got.Properties[i].Name = strings.TrimPrefix(p.Name, "iothub-app-")
				}
				if at, err := time.Parse(time.RFC3339Nano, got.Expiry); m.Expiry != "" && (err != nil || !at.Equal(expiry)) {
					t.Errorf("expiry %q, want %v", got.Expiry, expiry)
				}
				m.To, m.Expiry = path(id)+"/messages/devicebound", got.Expiry
				if diff := cmp.Diff(m, got, sameBytes, sameSetOfProps); diff != "" {
					t.Errorf("message (-want +got)\n%s", diff)
				}
				p.gives(t, `"MessageCompleted"`, "settle", settling("complete", i))
			}
			d.queueIsEmpty(t, id)
		})
	}
	t.Run("every system property that the SDK has", func(t *testing.T) {
		c := &court{d.site, d.judge, "mqtt"}
		id, p := c.open(t)
		p.do(t, "messages", nil)
		m := sdkMessage{MessageID: "m", ContentType: "application/json", ContentEncoding: "utf-8", Ack: "none", Properties: awkward}
		d.office.do(t, "sendMessage", sending{id.DeviceID, m})
		m.To, m.Ack, m.Properties = path(id)+"/messages/devicebound", "", append(props("iothub-ack", "none"), awkward...)
		if diff := cmp.Diff(m, nextInto[sdkMessage](t, p, "message"), sameBytes, sameSetOfProps); diff != "" {
			t.Errorf("message (-want +got)\n%s", diff)
		}
	})
}

// awkwardID has a device whose id the SDK has to encode.
func (d *desk) awkwardID(t *testing.T) {
	id := hubwire.Identity{DeviceID: "a:b.c+d#e?f,g@h$i'()" + d.transport}
	cs := hubtest.Device(t, d.Hub, id.DeviceID)
	p := d.judge.client(t, setup{ConnectionString: cs, Transport: d.transport})
	p.do(t, "messages", nil)
	d.office.gives(t, `"MessageEnqueued"`, "sendMessage", sending{id.DeviceID, sdkMessage{Body: []byte("x")}})
	if m := nextInto[sdkMessage](t, p, "message"); string(m.Body) != "x" {
		t.Errorf("message %+v", m)
	}
	p.do(t, "settle", settling("complete", 0))
	d.queueIsEmpty(t, id)
	events := d.events(t, id)
	p.do(t, "send", sdkMessage{Body: []byte("y")})
	arrives(t, events, hubwire.Message{Body: []byte("y"), To: path(id) + "/messages/events"})
}

func (d *desk) refuses(t *testing.T) {
	id, _ := d.device(t)
	t.Run("to nobody", func(t *testing.T) {
		d.office.fails(t, "DeviceNotFoundError", "amqp:not-found", "sendMessage", sending{"nobody", sdkMessage{}})
	})
	t.Run("over 64 KiB", func(t *testing.T) {
		d.office.fails(t, "MessageTooLargeError", "amqp:link:message-size-exceeded", "sendMessage", sending{id.DeviceID, sdkMessage{Body: make([]byte, 64<<10+1)}})
	})
	t.Run("the fifty-first", func(t *testing.T) {
		for range 50 {
			d.office.do(t, "sendMessage", sending{id.DeviceID, sdkMessage{}})
		}
		d.office.fails(t, "DeviceMaximumQueueDepthExceededError", "amqp:resource-limit-exceeded", "sendMessage", sending{id.DeviceID, sdkMessage{}})
	})
	t.Run("an acknowledgement that there is not", func(t *testing.T) {
		d.office.fails(t, "ArgumentError", "com.microsoft:argument-error", "sendMessage", sending{id.DeviceID, sdkMessage{Ack: "perhaps"}})
	})
}

// notice is a message to the service.
type notice struct {
	sdkMessage
	Annotations map[string]any `json:"annotations"`
}

// record is what the service is told of one message.
type record struct {
	OriginalMessageID  string `json:"originalMessageId"`
	Description        string `json:"description"`
	DeviceGenerationID string `json:"deviceGenerationId"`
	DeviceID           string `json:"deviceId"`
	EnqueuedTime       string `json:"enqueuedTimeUtc"`
	StatusCode         string `json:"statusCode"`
}

// feedback has messages of each fate. The SDK accepts what it receives by itself.
func (d *desk) feedback(t *testing.T) {
	c := &court{d.site, d.judge, "amqp"}
	id, p := c.open(t)
	device, err := d.Device(id)
	if err != nil {
		t.Fatal(err)
	}
	d.office.do(t, "hear", map[string]string{"what": "feedback"})
	p.do(t, "messages", nil)
	for _, m := range []sdkMessage{
		{MessageID: "done", Ack: "positive"}, {MessageID: "refused", Ack: "negative"}, {MessageID: "full", Ack: "full"},
		{MessageID: "quiet", Ack: "negative"}, {MessageID: "none"},
	} {
		d.office.do(t, "sendMessage", sending{id.DeviceID, m})
	}
	for i, how := range []string{"complete", "reject", "complete", "complete", "complete"} {
		p.next(t, "message")
		p.do(t, "settle", settling(how, i))
	}
	d.queueIsEmpty(t, id)
	told := map[string]string{}
	for len(told) < 3 {
		n := nextInto[notice](t, d.office, "feedback")
		if n.ContentType != "application/vnd.microsoft.iothub.feedback.json" || n.Annotations["iothub-enqueuedtime"] == nil {
			t.Errorf("notice of type %q with annotations %v", n.ContentType, n.Annotations)
		}
		var records []record
		if err := json.Unmarshal(n.Body, &records); err != nil {
			t.Fatalf("%s: %v", n.Body, err)
		}
		for _, r := range records {
			told[r.OriginalMessageID] = r.StatusCode
			if _, err := time.Parse(time.RFC3339Nano, r.EnqueuedTime); err != nil || r.DeviceID != id.DeviceID || r.DeviceGenerationID != device.GenerationID || !strings.EqualFold(r.Description, r.StatusCode) {
				t.Errorf("record %+v, %v", r, err)
			}
		}
	}
	if diff := cmp.Diff(map[string]string{"done": "Success", "refused": "Rejected", "full": "Success"}, told); diff != "" {
		t.Errorf("feedback (-want +got)\n%s", diff)
	}
	d.office.silent(t, "feedback")
	d.office.do(t, "deafen", map[string]string{"what": "feedback"})
}

// files has the service told of files that are uploaded over HTTPS.
func (d *desk) files(t *testing.T) {
	c := &court{d.site, d.judge, "https"}
	id, p := c.open(t)
	d.office.do(t, "hear", map[string]string{"what": "files"})
	for i, name := range []string{"a.bin", "folder/b c.bin"} {
		size := 1000 + i
		p.do(t, "upload", map[string]any{"name": name, "size": size})
		n := nextInto[notice](t, d.office, "files")
		if n.ContentType != "application/vnd.microsoft.iothub.filenotification.json" {
			t.Errorf("notice of type %q", n.ContentType)
		}
		var f struct {
			DeviceID string `json:"deviceId"`
			URI      string `json:"blobUri"`
			Name     string `json:"blobName"`
			Updated  string `json:"lastUpdatedTime"`
			Size     int    `json:"blobSizeInBytes"`
			Enqueued string `json:"enqueuedTimeUtc"`
		}
		if err := json.Unmarshal(n.Body, &f); err != nil {
			t.Fatalf("%s: %v", n.Body, err)
		}
		if f.DeviceID != id.DeviceID || f.Name != id.DeviceID+"/"+name || f.Size != size || !strings.HasPrefix(f.URI, "https://localhost/") || f.Updated == "" || f.Enqueued == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	d.office.do(t, "deafen", map[string]string{"what": "files"})
	d.office.silent(t, "files")
}

// rights: a service that may do other things has a good token, but no link.
func (d *desk) rights(t *testing.T) {
	id, _ := d.device(t)
	for _, policy := range []string{"registryRead", "registryReadWrite", "device"} {
		t.Run(policy, func(t *testing.T) {
			d.open(t, policy).fails(t, "UnauthorizedError", "amqp:unauthorized-access", "sendMessage", sending{id.DeviceID, sdkMessage{}})
			for _, what := range []string{"feedback", "files"} {
				p := d.open(t, policy)
				p.do(t, "hear", map[string]string{"what": what}) // the SDK is told too late for this
				p.next(t, "disconnect")                          // which comes without the reason
			}
		})
	}
	owner := d.open(t, "iothubowner")
	owner.gives(t, `"MessageEnqueued"`, "sendMessage", sending{id.DeviceID, sdkMessage{}})
	owner.do(t, "close", nil)
}

func (d *desk) denied(t *testing.T) {
	cs, err := d.PolicyConnectionString("service")
	if err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour)
	for name, s := range map[string]setup{
		"another key":                      {ConnectionString: swapKey(cs, "SharedAccessKey=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")},
		"a policy that there is not":       {ConnectionString: strings.Replace(cs, "SharedAccessKeyName=service", "SharedAccessKeyName=nobody", 1)},
		"a token that expired an hour ago": {Token: token(t, cs, d.HostName(), "service", past)},
	} {
		t.Run(name, func(t *testing.T) {
			s.Transport = d.transport
			// The SDK tells of a token that is refused by its text alone.
			d.judge.add(t, "new office", s).fails(t, "Error", "authentication failed", "open", nil)
		})
	}
}
