package hub_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	goamqp "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/service"
)

// A service speaks AMQP for messages and HTTPS for methods and twins, as IoT Hub's do; the
// device speaks another protocol than the service, in both directions.

// serviceClient is the REST side of a service.
func serviceClient(t testing.TB, h *hub.Hub) *service.Client {
	t.Helper()
	cs, err := h.PolicyConnectionString("iothubowner")
	if err != nil {
		t.Fatal(err)
	}
	c, err := service.New(cs, &service.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestServiceOverAMQPDeviceElsewhere has a device over MQTT or HTTPS get a message and say what
// becomes of it.
func TestServiceOverAMQPDeviceElsewhere(t *testing.T) {
	for name, tr := range map[string]device.Transport{"MQTT": device.MQTT(nil), "MQTT over WebSockets": device.MQTTWebSocket(nil), "HTTPS": device.HTTPS(nil)} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				s := serviceSession(t, h)
				out := sender(t, s, deviceBoundAddress, nil)
				fb := receiver(t, s, feedbackAddress, nil)
				cs, err := h.ConnectionString(dev)
				if err != nil {
					t.Fatal(err)
				}
				c, err := device.Dial(t.Context(), cs, tr, &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				m := toDevice("/devices/dev-1/messages/devicebound", "m-1", "full")
				m.ApplicationProperties["level"] = "high"
				if err := out.Send(t.Context(), m, nil); err != nil {
					t.Fatal(err)
				}
				got, err := c.Receive(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if v, _ := got.Property("level"); got.ID != "m-1" || string(got.Body) != "payload" || !strings.EqualFold(v, "high") {
					t.Errorf("the device got %+v", got.Message)
				}
				if err := got.Complete(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantFeedback(t, fb, "m-1", "Success")
				expiry := time.Now().Add(time.Minute)
				m = toDevice("/devices/dev-2/messages/devicebound", "m-2", "negative")
				m.Properties.AbsoluteExpiryTime = &expiry
				if err := out.Send(t.Context(), m, nil); err != nil {
					t.Fatal(err)
				}
				wantFeedback(t, fb, "m-2", "Expired")
			})
		})
	}
}

// wantFeedback receives one record, and completes it.
func wantFeedback(t testing.TB, r *goamqp.Receiver, id, status string) {
	t.Helper()
	m := receive(t, r)
	var got []struct{ OriginalMessageID, StatusCode string }
	if err := json.Unmarshal(m.GetData(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].OriginalMessageID != id || got[0].StatusCode != status {
		t.Errorf("feedback %s, want %s of %s", m.GetData(), status, id)
	}
	if err := r.AcceptMessage(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// TestDeviceOverAMQPServiceElsewhere has messages, methods and twins of a device over AMQP, with
// a service over HTTPS.
func TestDeviceOverAMQPServiceElsewhere(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		d := dialAMQP(t, h, nil)
		d.login(h, dev)
		s := d.session()
		svc, rest := serviceClient(t, h), newREST(t, h, "service")

		// A message, by the REST API, and its feedback there.
		in := receiver(t, s, addressOf(dev, "messages/devicebound"), nil)
		if res, body := rest.do("POST", "/devices/dev-1/messages/deviceBound"+version, "hi", "iothub-messageid", "m-1", "iothub-ack", "full"); res.StatusCode != 204 {
			t.Fatalf("%s %s", res.Status, body)
		}
		m := receive(t, in)
		if string(m.GetData()) != "hi" || m.Properties.MessageID != "m-1" {
			t.Errorf("the device got %q, %+v", m.GetData(), m.Properties)
		}
		if err := in.RejectMessage(t.Context(), m, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, body := rest.do("GET", "/messages/serviceBound/feedback"+version, ""); !strings.Contains(body, `"Rejected"`) {
			t.Errorf("feedback %s", body)
		}

		// A method.
		calls := receiver(t, s, addressOf(dev, "methods/devicebound"), nil)
		answers := sender(t, s, addressOf(dev, "methods/devicebound"), nil)
		go func() {
			call, err := calls.Receive(t.Context(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			answer := goamqp.NewMessage([]byte(`{"was":` + string(call.GetData()) + `}`))
			answer.Properties = &goamqp.MessageProperties{CorrelationID: call.Properties.CorrelationID}
			answer.ApplicationProperties = map[string]any{"IoThub-status": int32(207)}
			if err := answers.Send(t.Context(), answer, nil); err != nil || call.ApplicationProperties["IoThub-methodname"] != "reboot" {
				t.Errorf("call %v, %v", call.ApplicationProperties, err)
			}
		}()
		synctest.Wait()
		res, err := svc.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "reboot", Payload: json.RawMessage(`{"in":5}`)}, nil)
		if err != nil || res.Status != 207 || string(res.Payload) != `{"was":{"in":5}}` {
			t.Errorf("the method: %+v, %v", res, err)
		}

		// Twins: what the service desires, and what the device reports.
		up, down := sender(t, s, addressOf(dev, "twin"), nil), receiver(t, s, addressOf(dev, "twin"), nil)
		ask := func(op, resource, body string) *goamqp.Message {
			t.Helper()
			m := goamqp.NewMessage([]byte(body))
			m.Properties = &goamqp.MessageProperties{CorrelationID: op}
			m.Annotations = goamqp.Annotations{"operation": op}
			if resource != "" {
				m.Annotations["resource"] = resource
			}
			if err := up.Send(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
			answer := receive(t, down)
			if err := down.AcceptMessage(t.Context(), answer); err != nil {
				t.Fatal(err)
			}
			if answer.Properties == nil || answer.Properties.CorrelationID != op || answer.Annotations["status"] != int32(200) {
				t.Errorf("%s: %+v, %v", op, answer.Properties, answer.Annotations)
			}
			return answer
		}
		ask("PUT", "/notifications/twin/properties/desired", " ")
		if _, err := svc.PatchTwin(t.Context(), dev, &service.TwinUpdate{Desired: json.RawMessage(`{"rate":5}`)}, service.Any); err != nil {
			t.Fatal(err)
		}
		notification := receive(t, down)
		if err := down.AcceptMessage(t.Context(), notification); err != nil {
			t.Fatal(err)
		}
		if got := string(notification.GetData()); got != `{"rate":5,"$version":2}` {
			t.Errorf("the device hears %s", got)
		}
		ask("PATCH", "/properties/reported", `{"rate":5}`)
		twin, err := svc.Twin(t.Context(), dev)
		if err != nil || string(twin.Reported.JSON) != `{"rate":5}` {
			t.Errorf("the service reads %+v, %v", twin, err)
		}
		if got := string(ask("GET", "", " ").GetData()); !strings.Contains(got, `"reported":{"rate":5,`) {
			t.Errorf("the device reads %s", got)
		}
	})
}

// TestServiceAndDeviceOverAMQP has both on one connection, with tokens of their own.
func TestServiceAndDeviceOverAMQP(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		c.loginPolicy(h, "service")
		s := c.session()
		in := receiver(t, s, addressOf(dev, "messages/devicebound"), nil)
		fb := receiver(t, s, feedbackAddress, nil)
		if err := sender(t, s, deviceBoundAddress, nil).Send(t.Context(), toDevice("/devices/dev-1/messages/devicebound", "m", "full"), nil); err != nil {
			t.Fatal(err)
		}
		if err := in.AcceptMessage(t.Context(), receive(t, in)); err != nil {
			t.Fatal(err)
		}
		wantFeedback(t, fb, "m", "Success")
	})
}

// TestInterceptSeesServicesOverAMQP has what the intercept function is shown, and its verdicts.
func TestInterceptSeesServicesOverAMQP(t *testing.T) {
	var seen []string
	refuse := map[hub.OpKind]hubwire.Code{}
	cfg := &hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		if op.Protocol != "amqp" || op.Identity != (hubwire.Identity{}) || op.Kind == "token" {
			return hub.Verdict{}
		}
		name := op.Name
		if op.Kind == hub.OpAck {
			name = "token"
		}
		seen = append(seen, string(op.Kind)+" "+name)
		return hub.Verdict{Refuse: refuse[op.Kind]}
	}}
	bubble(t, cfg, func(t *testing.T, h *hub.Hub) {
		s := serviceSession(t, h)
		out := sender(t, s, deviceBoundAddress, nil)
		fb := receiver(t, s, feedbackAddress, nil)
		to := "/devices/dev-1/messages/devicebound"
		if err := out.Send(t.Context(), toDevice(to, "", ""), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Purge(t.Context(), dev); err != nil {
			t.Fatal(err)
		}
		completed(t, h, "one")
		if err := fb.AcceptMessage(t.Context(), receive(t, fb)); err != nil {
			t.Fatal(err)
		}
		manage(t, s, "$management", "1", readPartition("localhost", "2"))
		want := []string{"publish " + to, "ack token", "subscribe $management", "request READ localhost/2"}
		if diff := cmp.Diff(append([]string{"subscribe " + feedbackAddress}, want...), seen); diff != "" {
			t.Errorf("seen (-want +got):\n%s", diff)
		}
		refuse[hub.OpPublish], refuse[hub.OpSubscribe], refuse[hub.OpRequest] = hubwire.Throttled, hubwire.HubSuspended, hubwire.Throttled
		wantCondition(t, "sending", out.Send(t.Context(), toDevice(to, "", ""), nil), "com.microsoft:device-container-throttled")
		_, err := s.NewReceiver(t.Context(), filesAddress, nil)
		wantCondition(t, "a link", err, "com.microsoft:iot-hub-suspended")
		seen = nil
		_, err = s.NewReceiver(t.Context(), "$management", nil)
		wantCondition(t, "a link to $management", err, "com.microsoft:iot-hub-suspended")
		if diff := cmp.Diff([]string{"subscribe $management"}, seen); diff != "" {
			t.Errorf("seen of it (-want +got):\n%s", diff)
		}
	})
}
