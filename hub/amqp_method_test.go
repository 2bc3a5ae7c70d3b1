package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// amqpMethods are the links of a device that has methods.
type amqpMethods struct {
	t   *testing.T
	in  *goamqp.Receiver
	out *goamqp.Sender
}

func openMethods(t *testing.T, s *goamqp.Session, id hubwire.Identity) *amqpMethods {
	t.Helper()
	address := addressOf(id, "methods/devicebound")
	return &amqpMethods{t, receiver(t, s, address, &goamqp.ReceiverOptions{Credit: 10}), sender(t, s, address, nil)}
}

// answer answers a call, whose correlation id is id.
func (m *amqpMethods) answer(id any, status int32, payload string) {
	m.t.Helper()
	a := goamqp.NewMessage([]byte(payload))
	a.Properties = &goamqp.MessageProperties{CorrelationID: id}
	a.ApplicationProperties = map[string]any{"IoThub-status": status}
	if err := m.out.Send(m.t.Context(), a, nil); err != nil {
		m.t.Fatal(err)
	}
}

func TestAMQPMethod(t *testing.T) {
	for name, as := range map[string]func(goamqp.UUID) any{
		"a uuid":        func(u goamqp.UUID) any { return u },
		"its text":      func(u goamqp.UUID) any { return u.String() },
		"its TEXT":      func(u goamqp.UUID) any { return strings.ToUpper(u.String()) },
		"its 16 octets": func(u goamqp.UUID) any { return u[:] },
	} {
		t.Run("answered with "+name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				c := dialAMQP(t, h, nil)
				c.login(h, dev)
				m := openMethods(t, c.session(), dev)
				synctest.Wait()
				done := invoke(t, h, "reBoot", `{"a":1}`, nil)
				call := receive(t, m.in)
				if call.ApplicationProperties["IoThub-methodname"] != "reBoot" || len(call.Data) != 1 || string(call.Data[0]) != `{"a":1}` {
					t.Errorf("the call is %v, %q", call.ApplicationProperties, call.Data)
				}
				id, ok := call.Properties.CorrelationID.(goamqp.UUID)
				if !ok || id[6]>>4 != 4 || id[8]>>6 != 2 {
					t.Fatalf("the correlation id %v is no uuid of version 4", call.Properties.CorrelationID)
				}
				m.answer(as(id), 201, `{"b":2}`)
				if r := <-done; r.err != nil || r.res.Status != 201 || string(r.res.Payload) != `{"b":2}` {
					t.Errorf("the service got %+v, %v", r.res, r.err)
				}
				m.answer(as(id), 201, `{}`) // nobody waits for that
			})
		})
	}
}

func TestAMQPMethodWithoutPayload(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, mod)
		m := openMethods(t, c.session(), mod)
		synctest.Wait()
		go h.Invoke(t.Context(), mod, hubwire.MethodRequest{Name: "m"}, nil)
		call := receive(t, m.in)
		if len(call.Data) != 1 || len(call.Data[0]) != 0 {
			t.Errorf("the body is %v, want one empty data section", call.Data)
		}
		m.answer(call.Properties.CorrelationID, 200, "")
		synctest.Wait()
	})
}

// TestAMQPMethodsNeedBothLinks attaches and detaches one after the other.
func TestAMQPMethodsNeedBothLinks(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		s, address := c.session(), addressOf(dev, "methods/devicebound")
		online := func(want bool) {
			t.Helper()
			synctest.Wait()
			r := <-invoke(t, h, "m", "", &hub.InvokeOptions{ResponseTimeout: time.Second})
			code := hubwire.DeviceNotOnline
			if want {
				code = hubwire.GatewayTimeout // nobody answers
			}
			if !errors.Is(r.err, code) {
				t.Errorf("invoke: %v, want %v", r.err, code)
			}
		}
		in := receiver(t, s, address, &goamqp.ReceiverOptions{Credit: 100})
		online(false)
		out := sender(t, s, address, nil)
		online(true)
		again := sender(t, s, address, nil) // one more, as the Node SDK has it
		if err := out.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		online(true)
		if err := again.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		online(false)
		sender(t, s, address, nil)
		online(true)
		if err := in.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		online(false)
	})
}

func TestAMQPMethodAnswersThatAreNone(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		m := openMethods(t, c.session(), dev)
		for name, a := range map[string]*goamqp.Message{
			"without a correlation id":     {ApplicationProperties: map[string]any{"IoThub-status": int32(1)}},
			"with one that is no uuid":     {Properties: &goamqp.MessageProperties{CorrelationID: "x"}, ApplicationProperties: map[string]any{"IoThub-status": int32(1)}},
			"without a status":             {Properties: &goamqp.MessageProperties{CorrelationID: goamqp.UUID{}}},
			"with a status that is a text": {Properties: &goamqp.MessageProperties{CorrelationID: goamqp.UUID{}}, ApplicationProperties: map[string]any{"IoThub-status": "1"}},
		} {
			wantCondition(t, name, m.out.Send(t.Context(), a, nil), goamqp.ErrCondInvalidField)
		}
		m.answer(goamqp.UUID{1}, 200, "{}") // of a call that was never made: accepted
	})
}

// amqpTwin are the links of a device to its twin.
type amqpTwin struct {
	t   *testing.T
	in  *goamqp.Receiver
	out *goamqp.Sender
}

func openTwin(t *testing.T, s *goamqp.Session, id hubwire.Identity) *amqpTwin {
	t.Helper()
	address := addressOf(id, "twin")
	return &amqpTwin{t, receiver(t, s, address, &goamqp.ReceiverOptions{Credit: 100}), sender(t, s, address, nil)}
}

const (
	twinReported = "/properties/reported"
	twinNotify   = "/notifications/twin/properties/desired"
)

// ask sends a request.
func (w *amqpTwin) ask(id any, operation, resource, body string) {
	w.t.Helper()
	m := goamqp.NewMessage([]byte(body))
	m.Properties = &goamqp.MessageProperties{CorrelationID: id}
	m.Annotations = goamqp.Annotations{"operation": operation}
	if resource != "" {
		m.Annotations["resource"] = resource
	}
	if err := w.out.Send(w.t.Context(), m, nil); err != nil {
		w.t.Fatal(err)
	}
}

// answered returns the next answer, which must be that to id.
func (w *amqpTwin) answered(id any) (status int32, version any, body string) {
	w.t.Helper()
	m := receive(w.t, w.in)
	if m.Properties == nil || !equalID(m.Properties.CorrelationID, id) {
		w.t.Fatalf("the answer has the properties %+v, want the id %v", m.Properties, id)
	}
	status, ok := m.Annotations["status"].(int32)
	if !ok || len(m.Data) > 1 {
		w.t.Fatalf("status %v, %d data sections", m.Annotations["status"], len(m.Data))
	}
	return status, m.Annotations["version"], string(m.GetData())
}

func equalID(a, b any) bool {
	if x, ok := a.([]byte); ok {
		y, ok := b.([]byte)
		return ok && string(x) == string(y)
	}
	return a == b
}

func TestAMQPTwin(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		w := openTwin(t, c.session(), dev)
		patch := func(desired string) {
			if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(desired)}, ""); err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range []any{"Get1", goamqp.UUID{1, 2}, uint64(7), []byte{1}} { // ids of all types come back as they were
			w.ask(id, "GET", "", " ")
			status, version, body := w.answered(id)
			if status != 200 || version != nil || body != `{"desired":{"$version":1},"reported":{"$version":1}}` {
				t.Errorf("GET: %d, %v, %s", status, version, body)
			}
		}
		w.ask("p", "PATCH", twinReported, `{"a":1}`)
		if status, version, body := w.answered("p"); status != 200 || version != int64(2) || body != "" {
			t.Errorf("PATCH: %d, %v, %s", status, version, body)
		}
		patch(`{"b":1}`)
		nothing(t, w.in, time.Second) // it has not subscribed
		w.ask("s", "PUT", twinNotify, "")
		if status, _, _ := w.answered("s"); status != 200 {
			t.Errorf("PUT: %d", status)
		}
		patch(`{"b":2}`)
		m := receive(t, w.in)
		if m.Properties != nil || string(m.GetData()) != `{"b":2,"$version":3}` || m.Annotations["version"] != int64(3) {
			t.Errorf("the change is %+v, %v, %s", m.Properties, m.Annotations, m.GetData())
		}
		w.ask("u", "DELETE", twinNotify, " ")
		if status, _, _ := w.answered("u"); status != 200 {
			t.Errorf("DELETE: %d", status)
		}
		patch(`{"b":3}`)
		nothing(t, w.in, time.Second)
	})
}

func TestAMQPTwinRefusals(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		w := openTwin(t, c.session(), dev)
		for _, tt := range []struct {
			name, operation, resource, body string
			status                          int32
		}{
			{"a patch that is no JSON", "PATCH", twinReported, "{", 400},
			{"an operation that there is not", "POST", "", "{}", 400},
			{"another resource", "PATCH", "/properties/desired", "{}", 400},
		} {
			w.ask("1", tt.operation, tt.resource, tt.body)
			status, _, body := w.answered("1")
			var e struct{ ErrorCode int }
			if err := json.Unmarshal([]byte(body), &e); status != tt.status || err != nil || e.ErrorCode/1000 != int(status) {
				t.Errorf("%s: %d, %s", tt.name, status, body)
			}
		}
		m := goamqp.NewMessage([]byte(" "))
		m.Annotations = goamqp.Annotations{"operation": "GET"}
		wantCondition(t, "a request without an id", w.out.Send(t.Context(), m, nil), goamqp.ErrCondInvalidField)
	})
}

// TestAMQPTwinWithoutALinkForAnswers has a device ask before it can be answered.
func TestAMQPTwinWithoutALinkForAnswers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		s := c.session()
		w := &amqpTwin{t, nil, sender(t, s, addressOf(dev, "twin"), nil)}
		w.ask("1", "GET", "", "")
		w.ask("2", "PUT", twinNotify, "")
		w.in = receiver(t, s, addressOf(dev, "twin"), nil)
		if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(`{"b":1}`)}, ""); err != nil {
			t.Fatal(err)
		}
		nothing(t, w.in, time.Second)
	})
}

// TestAMQPPeerThatGivesNoCredit has a device ask on and on and never take an answer.
func TestAMQPPeerThatGivesNoCredit(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		s := c.session()
		big := strings.Repeat("x", 3000)
		update := hub.TwinUpdate{Desired: json.RawMessage(`{"a":"` + big + `","b":"` + big + `","c":"` + big + `"}`)}
		if _, err := h.PatchTwin(t.Context(), dev, update, ""); err != nil {
			t.Fatal(err)
		}
		w := &amqpTwin{t, receiver(t, s, addressOf(dev, "twin"), &goamqp.ReceiverOptions{Credit: -1}), sender(t, s, addressOf(dev, "twin"), nil)}
		asked := 0
		for ; asked < 1000; asked++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			m := goamqp.NewMessage(nil)
			m.Properties = &goamqp.MessageProperties{CorrelationID: "1"}
			m.Annotations = goamqp.Annotations{"operation": "GET"}
			err := w.out.Send(ctx, m, nil)
			cancel()
			if err != nil {
				break
			}
		}
		if asked < 5 || asked > 100 {
			t.Errorf("%d requests were taken", asked)
		}
		if err := w.in.IssueCredit(uint32(asked)); err != nil {
			t.Fatal(err)
		}
		for range asked {
			w.answered("1")
		}
		w.ask("2", "GET", "", "") // there is room again
	})
}
