package interop

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
)

// twin asks by hand.
func (g *gopher) twin(t *testing.T) {
	id, s := g.open(t)
	properties := map[string]any{"com.microsoft:channel-correlation-id": "twin:1", "com.microsoft:api-version": "2021-04-12"}
	out := sender(t, s, path(id)+"/twin", &amqp.SenderOptions{Properties: properties, SettlementMode: amqp.SenderSettleModeSettled.Ptr()})
	in := receiver(t, s, path(id)+"/twin", &amqp.ReceiverOptions{Properties: properties, Credit: 10})
	ask := func(id any, operation, resource, body string) {
		t.Helper()
		m := &amqp.Message{Properties: &amqp.MessageProperties{CorrelationID: id}, Annotations: amqp.Annotations{"operation": operation}, Data: [][]byte{[]byte(body)}}
		if resource != "" {
			m.Annotations["resource"] = resource
		}
		if err := out.Send(within(t), m, nil); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(id any, status any, body string) *amqp.Message {
		t.Helper()
		m, err := in.Receive(within(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got any
		if m.Properties != nil {
			got = m.Properties.CorrelationID
		}
		if got != id || m.Annotations["status"] != status {
			t.Errorf("answer to %v with %v, want to %v with %v", got, m.Annotations, id, status)
		}
		if body != "" {
			sameJSON(t, "the answer", body, m.GetData())
		}
		return m
	}
	uuid := amqp.UUID{1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16}
	ask("Get1", "GET", "", "")
	hear("Get1", int32(200), `{"desired":{"$version":1},"reported":{"$version":1}}`)
	ask(uuid, "PATCH", "/properties/reported", `{"a":1}`)
	if m := hear(uuid, int32(200), ""); m.Annotations["version"] != int64(2) {
		t.Errorf("annotations %v", m.Annotations)
	}
	ask("bad", "PATCH", "/properties/reported", `{"a":`)
	hear("bad", int32(400), "")
	ask("Put1", "PUT", "/notifications/twin/properties/desired", "")
	hear("Put1", int32(200), "")
	g.patchDesired(t, id, `{"b":2}`)
	hear(nil, nil, `{"b":2,"$version":2}`)
	ask("Delete1", "DELETE", "/notifications/twin/properties/desired", " ")
	hear("Delete1", int32(200), "")
	g.patchDesired(t, id, `{"b":3}`)
	ask("Get2", "GET", "", " ")
	hear("Get2", int32(200), `{"desired":{"b":3,"$version":3},"reported":{"a":1,"$version":2}}`)
}

// methods answers by hand.
func (g *gopher) methods(t *testing.T) {
	id, s := g.open(t)
	properties := map[string]any{"com.microsoft:channel-correlation-id": id.DeviceID}
	in := receiver(t, s, path(id)+"/methods/devicebound", &amqp.ReceiverOptions{Properties: properties, Credit: 10})
	out := sender(t, s, path(id)+"/methods/devicebound", &amqp.SenderOptions{Properties: properties})
	failed := make(chan error, 1)
	go func() {
		r, err := g.Invoke(context.WithoutCancel(t.Context()), id, hubwire.MethodRequest{Name: "Do It", Payload: []byte(`{"a":"ü"}`)}, nil)
		if err == nil && (r.Status != 418 || string(r.Payload) != `[1]`) {
			err = fmt.Errorf("answer %+v", r)
		}
		failed <- err
	}()
	m, err := in.Receive(within(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.AcceptMessage(within(t), m); err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Properties.CorrelationID.(amqp.UUID); !ok || m.ApplicationProperties["IoThub-methodname"] != "Do It" || string(m.GetData()) != `{"a":"ü"}` {
		t.Errorf("call %+v %v %s", m.Properties, m.ApplicationProperties, m.GetData())
	}
	answer := &amqp.Message{
		Properties:            &amqp.MessageProperties{CorrelationID: m.Properties.CorrelationID},
		ApplicationProperties: map[string]any{"IoThub-status": int32(418)}, Data: [][]byte{[]byte(`[1]`)},
	}
	for range 2 { // once more than it is waited for
		if err := out.Send(within(t), answer, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-failed; err != nil {
		t.Error(err)
	}
	if err := out.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Invoke(within(t), id, hubwire.MethodRequest{Name: "x"}, nil); !errors.Is(err, hubwire.DeviceNotOnline) {
		t.Errorf("without the link for answers: %v", err)
	}
}

// inputs has messages to a module, by the name of the input.
func (g *gopher) inputs(t *testing.T) {
	id, cs := g.module(t)
	s := session(t, g.dial(t, amqp.ConnOptions{}))
	g.enter(t, newClaims(t, s), id, cs)
	in := receiver(t, s, path(id)+"/messages/events", nil)
	if err := g.SendInput(within(t), id, "in-1", &hubwire.Message{Body: []byte("x"), ID: "1"}); err != nil {
		t.Fatal(err)
	}
	m, err := in.Receive(within(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.Annotations["x-opt-input-name"] != "in-1" || m.Properties.MessageID != "1" || string(m.GetData()) != "x" || len(m.DeliveryTag) != 16 {
		t.Errorf("message %+v", m)
	}
	if err := in.AcceptMessage(within(t), m); err != nil {
		t.Fatal(err)
	}
}

// service logs in with SASL PLAIN, sends to a device and a module, and hears of both.
func (g *gopher) service(t *testing.T) {
	cs, err := g.PolicyConnectionString("service")
	if err != nil {
		t.Fatal(err)
	}
	login := amqp.SASLTypePlain("service@sas.root.localhost", token(t, cs, g.HostName(), "service", time.Now().Add(time.Hour)))
	s := session(t, g.dial(t, amqp.ConnOptions{SASLType: login}))
	out := sender(t, s, "/messages/devicebound", nil)
	in := receiver(t, s, "/messages/serviceBound/feedback", &amqp.ReceiverOptions{Credit: -1})
	device, deviceSession := g.open(t)
	module, moduleCS := g.module(t)
	g.enter(t, newClaims(t, deviceSession), module, moduleCS)
	for _, id := range []hubwire.Identity{device, module} {
		to, expiry := path(id)+"/messages/deviceBound", time.Unix(-62135596800, 0) // of year 1: none
		err := out.Send(within(t), &amqp.Message{
			Properties:            &amqp.MessageProperties{MessageID: "m", To: &to, AbsoluteExpiryTime: &expiry},
			ApplicationProperties: map[string]any{"iothub-ack": "full", "a": "b"}, Data: [][]byte{[]byte("x")},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		inbox := receiver(t, deviceSession, path(id)+"/messages/devicebound", nil)
		m, err := inbox.Receive(within(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		if string(m.GetData()) != "x" || m.ApplicationProperties["a"] != "b" || m.Properties.MessageID != "m" {
			t.Errorf("message %+v", m)
		}
		if err := inbox.AcceptMessage(within(t), m); err != nil {
			t.Fatal(err)
		}
		if err := in.IssueCredit(1); err != nil {
			t.Fatal(err)
		}
		f, err := in.Receive(within(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(f.GetData()), `"originalMessageId":"m"`) || len(f.DeliveryTag) != 16 || f.Properties.UserID == nil {
			t.Errorf("feedback %s", f.GetData())
		}
		if err := in.AcceptMessage(within(t), f); err != nil {
			t.Fatal(err)
		}
	}
	nowhere := "/devices/nobody/messages/devicebound"
	err = out.Send(within(t), &amqp.Message{Properties: &amqp.MessageProperties{To: &nowhere}, Data: [][]byte{nil}}, nil)
	var refused *amqp.Error
	if !errors.As(err, &refused) || refused.Condition != "amqp:not-found" {
		t.Errorf("to nobody: %v", err)
	}
	if err := in.DrainCredit(within(t), nil); err != nil {
		t.Error(err)
	}
}

// refused is refused by the hub as go-amqp has its errors.
func (g *gopher) refused(t *testing.T) {
	id, s := g.open(t)
	other, _ := g.device(t)
	for _, tt := range []struct{ address, condition string }{
		{path(other) + "/messages/events", "amqp:unauthorized-access"}, {path(id) + "/messages/nowhere", "amqp:not-found"}, {"/messages/devicebound", "amqp:unauthorized-access"},
	} {
		_, err := s.NewSender(within(t), tt.address, nil)
		var refused *amqp.Error
		if !errors.As(err, &refused) || string(refused.Condition) != tt.condition {
			t.Errorf("sender to %s: %v", tt.address, err)
		}
	}
	out := sender(t, s, path(id)+"/messages/events", nil)
	receipt, err := out.SendWithReceipt(within(t), amqp.NewMessage(make([]byte, 256<<10+1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	state, err := receipt.Wait(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := state.(*amqp.StateRejected); !ok || r.Error == nil || r.Error.Condition != "amqp:link:message-size-exceeded" {
		t.Errorf("what is too large: %+v", state)
	}
	if err := out.Send(within(t), amqp.NewMessage([]byte("x")), nil); err != nil {
		t.Errorf("after that: %v", err)
	}
	login := amqp.SASLTypePlain(id.DeviceID+"@sas.localhost", "SharedAccessSignature sr=x&sig=x&se=1")
	o := &amqp.ConnOptions{HostName: g.HostName(), SASLType: login, TLSConfig: g.trust(t)}
	if c, err := amqp.Dial(within(t), "amqps://localhost", o); err == nil {
		c.Close()
		t.Error("a password that is none is let in")
	}
}
