package hub_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// device logs dev in with its own token, and returns the channel that its links go on.
func (sdk *amqpSDK) device(t *testing.T, h *hub.Hub) (*script, uint16) {
	t.Helper()
	s := sdk.connect(t, h)
	s.put(h, dev, sdk.putName)
	if sdk.sessions {
		return s, s.session(1)
	}
	return s, 0
}

// each runs a conversation as each of the SDKs.
func each(t *testing.T, f func(t *testing.T, h *hub.Hub, sdk *amqpSDK)) {
	t.Helper()
	for _, sdk := range amqpSDKs {
		t.Run(sdk.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) { f(t, h, sdk) })
		})
	}
}

// TestShapeAMQPTelemetry has each SDK's link for telemetry, its messages and its batches.
func TestShapeAMQPTelemetry(t *testing.T) {
	each(t, func(t *testing.T, h *hub.Hub, sdk *amqpSDK) {
		s, ch := sdk.device(t, h)
		props := sdk.props
		if sdk != &sdkC {
			props = append(props[:len(props):len(props)], sym("com.microsoft:model-id"), "dtmi:a:b;1")
		}
		link := s.link(ch, false, "TelemetrySenderLink", s.address("messages/events"), 0, sdk.snd, sdk.rcv, props)
		e := sdk.encoder
		properties := sec(secProperties, list{"m1", []byte("u"), nil, nil, nil, "c1", sym("application/json"), sym("utf-8")})
		app := sec(secApplication, pairs{"a", "b", "iothub-creation-time-utc", "2020-01-02T03:04:05.6780000Z"})
		annotations := sec(secAnnotations, pairs{sym("dt-subject"), "thermostat"})
		body := sec(secData, []byte("{}"))
		switch sdk {
		case &sdkC: // a batch even for one message, whose sections are not in order
			s.settled(ch, s.deliver(ch, link, 0x80013700, false, e.message(sec(secData, e.message(properties, app, annotations, body)))), stAccepted)
		case &sdkNET:
			s.settled(ch, s.deliver(ch, link, 0, false, e.message(annotations, properties, app, body)), stAccepted)
		case &sdkJava: // empty maps everywhere else
			s.settled(ch, s.deliver(ch, link, 0, false, e.message(sec(secHeader, list{false}), annotations, properties, app, body, sec(0x78, pairs{}))), stAccepted)
		}
		two := e.message(sec(secData, e.message(sec(secAnnotations, pairs{}), sec(secApplication, pairs{}), sec(secData, []byte("2")))), sec(secData, e.message(sec(secData, []byte("3")))))
		s.settled(ch, s.deliver(ch, link, 0x80013700, false, two), stAccepted)
		evs := events(t, h)
		if len(evs) != 3 || string(evs[1].Body) != "2" || string(evs[2].Body) != "3" {
			t.Fatalf("%d events", len(evs))
		}
		m := evs[0]
		if m.ID != "m1" || m.UserID != "u" || m.CorrelationID != "c1" || m.ContentType != "application/json" || m.ContentEncoding != "utf-8" ||
			m.CreationTime.IsZero() || m.Component != "thermostat" || !slices.Equal(m.Properties, []hubwire.Property{{Name: "a", Value: "b"}}) {
			t.Errorf("%+v", m.Message)
		}
		if (m.ModelID != "") != (sdk != &sdkC) {
			t.Errorf("model id %q", m.ModelID)
		}
		s.quit()
	})
}

// TestShapeAMQPRejectedTelemetry has a batch beyond the limit: what came of it is in the disposition, as a
// symbol that the C SDK looks for, and the link goes on.
func TestShapeAMQPRejectedTelemetry(t *testing.T) {
	each(t, func(t *testing.T, h *hub.Hub, sdk *amqpSDK) {
		s, ch := sdk.device(t, h)
		link := s.link(ch, false, "out", s.address("messages/events"), 0, sdk.snd, sdk.rcv, sdk.props)
		var parts []section
		for range 6 {
			parts = append(parts, sec(secData, sdk.encoder.message(sec(secData, make([]byte, 50_000)))))
		}
		big := sdk.encoder.message(parts...)
		id := s.split(ch, link, 0x80013700, big)
		e := s.settled(ch, id, stRejected)
		if _, e := inner(e.field(0)); e.field(0) != sym("amqp:link:message-size-exceeded") {
			t.Errorf("the error is %v", e)
		}
		s.settled(ch, s.deliver(ch, link, 0, false, sdk.encoder.message(sec(secData, []byte("x")))), stAccepted)
	})
}

// TestShapeAMQPReceives has each SDK's link for messages to a device and its ways to settle them.
func TestShapeAMQPReceives(t *testing.T) {
	each(t, func(t *testing.T, h *hub.Hub, sdk *amqpSDK) {
		s, ch := sdk.device(t, h)
		rcv, credit := sdk.rcv, uint32(10000)
		if sdk == &sdkNET {
			rcv, credit = uint8(1), 50
		}
		s.link(ch, true, "TelemetryReceiverLink", s.address("messages/devicebound"), credit, sdk.snd, rcv, sdk.props)
		for _, tt := range []struct {
			state  described
			status string
		}{
			{described{stReleased, list{}}, ""}, // abandoned: it comes again
			{described{stAccepted, list{}}, "Success"},
			{described{stRejected, list{described{uint64(0x1d), list{sym("Rejected by application"), "Rejected by application"}}}}, "Rejected"},
		} {
			if tt.status != "Success" { // which is the one before
				err := h.SendC2D(t.Context(), dev, &hubwire.Message{ID: "m1", CorrelationID: "c1", Body: []byte("hi"), Ack: hubwire.AckFull, UserID: "u",
					ContentType: "text/plain", Properties: []hubwire.Property{{Name: "a", Value: "b"}}})
				if err != nil {
					t.Fatal(err)
				}
			}
			m := s.receive(ch)
			count, _ := m.annotation("iothub-deliverycount").(uint8)
			_, hasTime := m.annotation("iothub-enqueuedtime").(stamp)
			_, hasNumber := m.annotation("x-opt-sequence-number").(uint64)
			to, _ := m.property(2).(string)
			if len(m.tag) != 16 || m.data != 1 || m.body() != "hi" || !hasTime || !hasNumber || (count == 1) != (tt.status == "Success") ||
				m.property(0) != "m1" || m.property(5) != "c1" || m.property(6) != sym("text/plain") || m.application("a") != "b" ||
				m.application("iothub-ack") != "full" || !strings.EqualFold(to, "/devices/dev-1/messages/devicebound") {
				t.Fatalf("%+v", m)
			}
			if user, _ := m.property(1).([]byte); string(user) != "u" {
				t.Errorf("user id %v", m.property(1))
			}
			s.send(ch, fDisposition, true, m.id, m.id, sdk != &sdkNET, tt.state, true)
			if sdk == &sdkNET { // which waits for the hub's word
				d, _ := s.await(ch, fDisposition)
				if state, _ := inner(d.field(4)); d.field(0) != false || d.field(1) != m.id || state != stAccepted {
					t.Errorf("the hub's word is %v", d)
				}
			}
			if tt.status != "" {
				synctest.Wait()
				feedback(t, h, tt.status)
			}
		}
		s.quit()
	})
}

// shapeMethods attaches both links of methods.
func (s *script) shapeMethods(ch uint16) (out uint32) {
	s.t.Helper()
	snd, name, props := any(uint8(1)), "Methods", s.sdk.props
	switch s.sdk {
	case &sdkC:
		snd, name = s.sdk.snd, "methods_requests_link-dev-1"
		props = pairs{sym("com.microsoft:channel-correlation-id"), "dev-1", sym("com.microsoft:api-version"), "2020-09-30"}
	case &sdkJava:
		snd = s.sdk.snd
	}
	if s.sdk != &sdkC {
		props = append(props[:len(props):len(props)], sym("com.microsoft:channel-correlation-id"), "methods:5c3b07e6-0d9a-4a39-8c9e-7d2a3a1f3c11")
	}
	out = s.link(ch, false, name+"SenderLink", s.address("methods/devicebound"), 0, snd, uint8(0), props)
	s.link(ch, true, name+"ReceiverLink", s.address("methods/devicebound"), 50, snd, uint8(0), props)
	return out
}

// TestShapeAMQPMethods has each SDK's pair of links for methods, a request with and without a payload, and its answer.
func TestShapeAMQPMethods(t *testing.T) {
	each(t, func(t *testing.T, h *hub.Hub, sdk *amqpSDK) {
		s, ch := sdk.device(t, h)
		out := s.shapeMethods(ch)
		synctest.Wait()
		for _, payload := range []string{`{"a":1}`, ""} {
			done := invoke(t, h, "reBoot", payload, nil)
			m := s.receive(ch)
			id, isUUID := m.property(5).(guid)
			if !isUUID || id[6]>>4 != 4 || m.application("IoThub-methodname") != "reBoot" || m.data != 1 {
				t.Fatalf("%+v", m)
			}
			if body := m.body(); payload != "" && body != payload {
				t.Errorf("body %q", body)
			}
			if m.settled != (sdk == &sdkNET) {
				t.Errorf("settled %v", m.settled)
			}
			if !m.settled {
				s.send(ch, fDisposition, true, m.id, m.id, true, described{stAccepted, list{}})
			}
			answer := sdk.encoder.message(sec(secProperties, list{nil, nil, nil, nil, nil, id}), sec(secApplication, pairs{"IoThub-status", int32(200)}), sec(secData, []byte(`{"ok":true}`)))
			if sdk == &sdkNET {
				s.deliver(ch, out, 0, true, answer)
			} else {
				s.settled(ch, s.deliver(ch, out, 0, false, answer), stAccepted)
			}
			if got := <-done; got.err != nil || got.res.Status != 200 || string(got.res.Payload) != `{"ok":true}` {
				t.Errorf("%+v", got)
			}
		}
		s.quit()
	})
}

// twinWord is a request of the twin links, as an SDK writes it.
func (s *script) twinWord(ch uint16, out uint32, id any, operation, resource string, version any, body []byte) {
	s.t.Helper()
	annotations := pairs{sym("operation"), operation}
	if resource != "" {
		annotations = append(annotations, sym("resource"), resource)
	}
	if version != nil || s.sdk == &sdkNET && resource != "" {
		annotations = append(annotations, sym("version"), version)
	}
	sections := []section{sec(secAnnotations, annotations), sec(secProperties, list{nil, nil, nil, nil, nil, id})}
	if s.sdk == &sdkJava {
		sections = append(sections, sec(secApplication, pairs{}))
	}
	if body != nil {
		sections = append(sections, sec(secData, body))
	}
	m := s.sdk.encoder.message(sections...)
	if s.sdk == &sdkNET {
		s.deliver(ch, out, 0, true, m)
	} else {
		s.settled(ch, s.deliver(ch, out, 0, false, m), stAccepted)
	}
}

// twinAnswer awaits an answer, which must be that to id, and nil for a change.
func (s *script) twinAnswer(ch uint16, id any) received {
	s.t.Helper()
	m := s.receive(ch)
	_, isInt := m.annotation("status").(int32)
	if v := m.annotation("version"); m.property(5) != id || isInt != (id != nil) || m.data > 1 || v != nil && v != v.(int64) {
		s.t.Fatalf("the answer to %v is %+v", id, m)
	}
	if !m.settled {
		s.send(ch, fDisposition, true, m.id, m.id, true, described{stAccepted, list{}})
	}
	return m
}

// TestShapeAMQPTwin has each SDK's pair of links for the twin and all of its requests.
func TestShapeAMQPTwin(t *testing.T) {
	each(t, func(t *testing.T, h *hub.Hub, sdk *amqpSDK) {
		s, ch := sdk.device(t, h)
		snd := any(uint8(1))
		if sdk != &sdkNET {
			snd = sdk.snd
		}
		props := append(sdk.props[:len(sdk.props):len(sdk.props)], sym("com.microsoft:channel-correlation-id"), "twin:5c3b07e6-0d9a-4a39-8c9e-7d2a3a1f3c11")
		out := s.link(ch, false, "TwinSenderLink", s.address("twin"), 0, snd, uint8(0), props)
		s.link(ch, true, "TwinReceiverLink", s.address("twin"), 50, snd, uint8(0), props)
		ids, blank := []any{"Put0c7b1e3a", "Get1", "Patch2", "Patch3", "Delete4"}, []byte(nil)
		switch sdk {
		case &sdkC:
			blank = []byte(" ")
		case &sdkJava:
			ids, blank = []any{guid{1}, guid{2}, guid{3}, guid{4}, guid{5}}, []byte{}
		}
		const notify, report = "/notifications/twin/properties/desired", "/properties/reported"
		s.twinWord(ch, out, ids[0], "PUT", notify, nil, blank)
		if m := s.twinAnswer(ch, ids[0]); m.annotation("status") != int32(200) {
			t.Errorf("PUT: %+v", m)
		}
		s.twinWord(ch, out, ids[1], "GET", "", nil, blank)
		m := s.twinAnswer(ch, ids[1])
		var twin struct{ Desired, Reported map[string]any }
		if err := json.Unmarshal([]byte(m.body()), &twin); err != nil || m.annotation("status") != int32(200) || twin.Desired["$version"] != 1.0 || twin.Reported["$version"] != 1.0 {
			t.Errorf("GET: %v, %+v", err, m)
		}
		s.twinWord(ch, out, ids[2], "PATCH", report, nil, []byte(`{"a":1}`))
		if m := s.twinAnswer(ch, ids[2]); m.annotation("status").(int32)/100 != 2 || m.annotation("version") != int64(2) {
			t.Errorf("PATCH: %+v", m)
		}
		for _, tt := range []struct {
			version any
			body    string
			status  int32
			want    any // the version in the answer
		}{
			{int32(7), `{"a":2}`, 412, nil}, // Java alone has a condition
			{int32(0), `{"a":2}`, 412, nil},
			{int32(2), `{"a":2}`, 200, int64(3)},
			{int64(3), `{"a":3}`, 200, int64(4)},
			{"4", `{"a":4}`, 400, nil},
			{nil, `[`, 400, nil},
		} {
			s.twinWord(ch, out, ids[3], "PATCH", report, tt.version, []byte(tt.body))
			m := s.twinAnswer(ch, ids[3])
			if m.annotation("status") != tt.status || m.annotation("version") != tt.want {
				t.Errorf("PATCH for version %v: %+v %s", tt.version, m, m.body())
			}
			if isError := strings.Contains(m.body(), `"errorCode"`); isError != (tt.status >= 400) || isError && !json.Valid([]byte(m.body())) {
				t.Errorf("PATCH for version %v: %s", tt.version, m.body())
			}
		}
		desire(t, h, dev, `{"b":2}`)
		if m := s.twinAnswer(ch, nil); m.data != 1 || m.body() != `{"b":2,"$version":2}` {
			t.Errorf("the change is %q", m.body())
		}
		s.twinWord(ch, out, ids[4], "DELETE", notify, nil, blank)
		if m := s.twinAnswer(ch, ids[4]); m.annotation("status").(int32)/100 != 2 {
			t.Errorf("DELETE: %+v", m)
		}
		desire(t, h, dev, `{"b":3}`)
		time.Sleep(time.Second)
		s.quit() // and nothing came meanwhile but close: see quit
	})
}
