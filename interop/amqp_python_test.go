package interop

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
)

// agent is who uAMQP is, and how it says so.
type agent struct {
	Transport string `json:"transport"`
	Audience  string `json:"audience,omitempty"`
	Token     string `json:"token,omitempty"`
	Expires   int64  `json:"expires,omitempty"`
	Username  string `json:"username,omitempty"` // for SASL PLAIN, else it is MSSBCBS
	Password  string `json:"password,omitempty"`
}

// letter is a message as uAMQP has it.
type letter struct {
	Body            []byte            `json:"body"`
	MessageID       string            `json:"messageId,omitempty"`
	CorrelationID   string            `json:"correlationId,omitempty"`
	To              string            `json:"to,omitempty"`
	UserID          string            `json:"userId,omitempty"`
	ContentType     string            `json:"contentType,omitempty"`
	ContentEncoding string            `json:"contentEncoding,omitempty"`
	Application     map[string]string `json:"application,omitempty"`
	Annotations     map[string]any    `json:"annotations,omitempty"`
}

// postbag is what to send and where to.
type postbag struct {
	Target   string   `json:"target"`
	Messages []letter `json:"messages"`
	Batch    bool     `json:"batch,omitempty"`
}

// TestUAMQP lets uAMQP, which the SDKs for Python and C stand on, be a device, the
// service and a reader of events. It is in no hurry: its clients take a second each.
func TestUAMQP(t *testing.T) {
	wanted(t)
	s := openSite(t, hub.Config{})
	j := startPython(t, s.caFile)
	for _, transport := range []string{"amqp", "amqp-ws"} {
		u := &post{s, j, transport}
		t.Run(transport, func(t *testing.T) {
			t.Run("telemetry", u.telemetry)
			t.Run("messages to a device, and feedback", u.c2d)
			t.Run("events", u.events)
			t.Run("what is refused", u.refused)
		})
	}
}

// post is a hub and uAMQP.
type post struct {
	*site
	judge     *judge
	transport string
}

// as makes a client with a token, which is closed with the test.
func (u *post) as(t *testing.T, cs, resource, policy string) *peer {
	t.Helper()
	expires := time.Now().Add(time.Hour)
	return u.judge.closing(t, u.judge.add(t, "new agent", agent{
		Transport: u.transport, Audience: resource, Token: token(t, cs, resource, policy, expires), Expires: expires.Unix(),
	}))
}

func (u *post) service(t *testing.T) *peer {
	t.Helper()
	cs, err := u.PolicyConnectionString("service")
	if err != nil {
		t.Fatal(err)
	}
	return u.as(t, cs, u.HostName(), "service")
}

// next waits for the next message of a link that listens.
func next(t *testing.T, p *peer) letter {
	t.Helper()
	return answered[[]letter](t, p, "receive", map[string]int{"n": 1, "timeout": 10000})[0]
}

const sent = `["SendComplete"]`

func (u *post) telemetry(t *testing.T) {
	id, cs := u.device(t)
	p := u.as(t, cs, sas.Audience(u.HostName(), id), "")
	events := u.site.events(t, id)
	target := path(id) + "/messages/events"
	p.gives(t, sent, "send", postbag{Target: target, Messages: []letter{{
		Body: allBytes(), MessageID: "m-1", CorrelationID: "c-1", UserID: "u", ContentType: "application/json", ContentEncoding: "utf-8", Application: map[string]string{"a": "ü €"},
	}}})
	arrives(t, events, hubwire.Message{
		Body: allBytes(), ID: "m-1", CorrelationID: "c-1", UserID: "u", ContentType: "application/json", ContentEncoding: "utf-8", Properties: hubProps(props("a", "ü €")),
	})
	large := make([]byte, 200<<10)
	p.gives(t, sent, "send", postbag{Target: target, Messages: []letter{{Body: large}}})
	arrives(t, events, hubwire.Message{Body: large})
	p.gives(t, sent, "send", postbag{Target: target, Batch: true, Messages: []letter{{Body: []byte("a"), MessageID: "1"}, {Body: []byte("b"), Application: map[string]string{"x": "y"}}}})
	arrives(t, events, hubwire.Message{Body: []byte("a"), ID: "1"})
	arrives(t, events, hubwire.Message{Body: []byte("b"), Properties: hubProps(props("x", "y"))})
}

// c2d has the service send, the device settle, and the service told.
func (u *post) c2d(t *testing.T) {
	id, cs := u.device(t)
	service, device := u.service(t), u.as(t, cs, sas.Audience(u.HostName(), id), "")
	to := path(id) + "/messages/devicebound"
	service.do(t, "listen", map[string]any{"source": "/messages/servicebound/feedback"})
	device.do(t, "listen", map[string]any{"source": to})
	for i, how := range []string{"accept", "reject", "release"} {
		service.gives(t, sent, "send", postbag{Target: "/messages/devicebound", Messages: []letter{{
			Body: allBytes(), MessageID: how, To: to, Application: map[string]string{"iothub-ack": "full", "a": "b"},
		}}})
		got := next(t, device)
		annotations := got.Annotations
		got.Annotations = nil
		if diff := cmp.Diff(letter{Body: allBytes(), MessageID: how, To: to, Application: map[string]string{"iothub-ack": "full", "a": "b"}}, got); diff != "" {
			t.Errorf("message (-want +got)\n%s", diff)
		}
		if annotations["iothub-enqueuedtime"] == nil || annotations["iothub-deliverycount"] != 0.0 {
			t.Errorf("annotations %v", annotations)
		}
		device.gives(t, "true", "settle", map[string]any{"how": how, "index": i})
	}
	if again := next(t, device); again.MessageID != "release" || again.Annotations["iothub-deliverycount"] != 1.0 {
		t.Errorf("message %+v", again)
	}
	device.gives(t, "true", "settle", map[string]any{"how": "accept", "index": 3})
	u.queueIsEmpty(t, id)
	told := map[string]string{}
	for i := 0; len(told) < 3; i++ {
		n := next(t, service)
		var records []record
		if err := json.Unmarshal(n.Body, &records); err != nil || n.ContentType != "application/vnd.microsoft.iothub.feedback.json" {
			t.Fatalf("%+v, %v", n, err)
		}
		for _, r := range records {
			told[r.OriginalMessageID] = r.StatusCode
		}
		service.gives(t, "true", "settle", map[string]any{"how": "accept", "index": i})
	}
	if diff := cmp.Diff(map[string]string{"accept": "Success", "reject": "Rejected", "release": "Success"}, told); diff != "" {
		t.Errorf("feedback (-want +got)\n%s", diff)
	}
}

// events are read as the Event Hubs SDK for Python did when it stood on uAMQP.
func (u *post) events(t *testing.T) {
	w := u.talker(t)
	w.say(t, 3)
	p := u.service(t)
	described := answered[struct {
		Name       string   `json:"name"`
		Partitions []string `json:"partition_ids"`
	}](t, p, "manage", map[string]string{"name": u.entity()})
	if described.Name != u.entity() || len(described.Partitions) != 4 {
		t.Errorf("the hub is %+v", described)
	}
	p.do(t, "listen", map[string]any{
		"source": fmt.Sprintf("/%s/ConsumerGroups/$Default/Partitions/%s", u.entity(), w.partition), "filter": "amqp.annotation.x-opt-offset > '-1'",
	})
	var got []string
	for len(got) < 3 {
		if e := next(t, p); e.Annotations["iothub-connection-device-id"] == w.id.DeviceID {
			got = append(got, string(e.Body))
		}
	}
	if !slices.Equal(got, []string{"0", "1", "2"}) {
		t.Errorf("events %q", got)
	}
}

func (u *post) refused(t *testing.T) {
	id, cs := u.device(t)
	_, other := u.device(t)
	audience := sas.Audience(u.HostName(), id)
	message := postbag{Target: path(id) + "/messages/events", Messages: []letter{{}}}
	u.as(t, other, audience, "").fails(t, "AuthenticationException", "Token authentication failed", "send", message)
	otherID, _ := u.device(t)
	message.Target = path(otherID) + "/messages/events"
	u.as(t, cs, audience, "").fails(t, "LinkDetach", "UnauthorizedAccess", "send", message)
}
