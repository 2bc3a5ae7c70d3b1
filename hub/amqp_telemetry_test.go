package hub_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	goamqp "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// batchFormat is the message format of a batch.
const batchFormat = 0x80013700

// telemetryLink returns a link to send telemetry on.
func telemetryLink(t testing.TB, h *hub.Hub, id hubwire.Identity, o *goamqp.SenderOptions) *goamqp.Sender {
	t.Helper()
	c := dialAMQP(t, h, nil)
	c.login(h, id)
	return sender(t, c.session(), eventsAddress(id), o)
}

// batch makes a batch of messages.
func batch(t testing.TB, ms ...*goamqp.Message) *goamqp.Message {
	t.Helper()
	b := &goamqp.Message{Format: batchFormat}
	for _, m := range ms {
		data, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		b.Data = append(b.Data, data)
	}
	return b
}

func TestAMQPTelemetry(t *testing.T) {
	at := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	contentType, encoding, to := "application/json", "utf-8", "/devices/dev-1/messages/events"
	full := &goamqp.Message{
		Properties: &goamqp.MessageProperties{
			MessageID: "m1", CorrelationID: goamqp.UUID{1}, UserID: []byte("u"), To: &to,
			ContentType: &contentType, ContentEncoding: &encoding, AbsoluteExpiryTime: &at,
		},
		Annotations: goamqp.Annotations{"dt-subject": "thermostat", "iothub-connection-device-id": "dev-2"},
		ApplicationProperties: map[string]any{
			"iothub-creation-time-utc": "2024-05-06T07:08:09.0000000Z", "iothub-message-schema": "s", "iothub-outputname": "o",
		},
		Data: [][]byte{[]byte(`{"a":1}`)},
	}
	want := hubwire.Message{
		Body: []byte(`{"a":1}`), ID: "m1", CorrelationID: "01000000-0000-0000-0000-000000000000", UserID: "u", To: to,
		ContentType: contentType, ContentEncoding: encoding, Expiry: at, CreationTime: at, Schema: "s", Output: "o", Component: "thermostat",
	}
	number := &goamqp.Message{ApplicationProperties: map[string]any{"n": int32(7)}, Value: "text"}
	tests := []struct {
		name string
		send *goamqp.Message
		want []hubwire.Message
	}{
		{"all that there is", full, []hubwire.Message{want}},
		{"nothing", goamqp.NewMessage(nil), []hubwire.Message{{Body: []byte{}}}},
		{"properties that are no text, and a value for a body", number, []hubwire.Message{{Body: []byte("text"), Properties: []hubwire.Property{{Name: "n", Value: "7"}}}}},
		{"a batch", batch(t, full, goamqp.NewMessage([]byte("b"))), []hubwire.Message{want, {Body: []byte("b")}}},
		{"a batch of one", batch(t, goamqp.NewMessage([]byte("b"))), []hubwire.Message{{Body: []byte("b")}}},
		{"several frames", goamqp.NewMessage(bytes.Repeat([]byte("x"), 200_000)), []hubwire.Message{{Body: bytes.Repeat([]byte("x"), 200_000)}}},
	}
	for _, tt := range tests {
		for name, open := range map[string]func(*testing.T, *hub.Hub) *amqpClient{
			"over TCP":         func(t *testing.T, h *hub.Hub) *amqpClient { return dialAMQP(t, h, nil) },
			"over a WebSocket": func(t *testing.T, h *hub.Hub) *amqpClient { return dialAMQPWS(t, h) },
		} {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				bubble(t, nil, func(t *testing.T, h *hub.Hub) {
					c := open(t, h)
					c.login(h, dev)
					s := sender(t, c.session(), eventsAddress(dev), &goamqp.SenderOptions{
						Properties: map[string]any{"com.microsoft:model-id": "dtmi:a:b;1"},
					})
					if err := s.Send(t.Context(), tt.send, nil); err != nil {
						t.Fatal(err)
					}
					var got []hubwire.Message
					for _, ev := range events(t, h) {
						got = append(got, ev.Message)
						if ev.Source != dev || ev.ModelID != "dtmi:a:b;1" || ev.AuthMethod == "" || ev.GenerationID == "" {
							t.Errorf("the event is stamped %v, %q, %q, %q", ev.Source, ev.ModelID, ev.AuthMethod, ev.GenerationID)
						}
					}
					if diff := cmp.Diff(tt.want, got, cmp.Comparer(bytes.Equal)); diff != "" {
						t.Errorf("the log (-want +got):\n%s", diff)
					}
				})
			})
		}
	}
}

// TestAMQPModelOfALaterLink has a device say its model on the second of its links.
func TestAMQPModelOfALaterLink(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		s := c.session()
		receiver(t, s, addressOf(dev, "messages/devicebound"), nil)
		o := &goamqp.SenderOptions{Properties: map[string]any{"com.microsoft:model-id": "dtmi:a:b;1"}}
		if err := sender(t, s, eventsAddress(dev), o).Send(t.Context(), goamqp.NewMessage(nil), nil); err != nil {
			t.Fatal(err)
		}
		if evs := events(t, h); len(evs) != 1 || evs[0].ModelID != "dtmi:a:b;1" {
			t.Errorf("the log has %v", evs)
		}
		if twin, err := h.Twin(t.Context(), dev); err != nil || twin.ModelID != "dtmi:a:b;1" {
			t.Errorf("the twin is %+v, %v", twin, err)
		}
	})
}

// TestAMQPModelThatIsNone has a device say a model that is too long to go with each of its events.
func TestAMQPModelThatIsNone(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		s := c.session()
		o := &goamqp.SenderOptions{Properties: map[string]any{"com.microsoft:model-id": "dtmi:" + strings.Repeat("a", 2048)}}
		for _, when := range []string{"on the first link", "on a later one"} {
			_, err := s.NewSender(t.Context(), eventsAddress(dev), o)
			wantCondition(t, when, err, "com.microsoft:argument-error")
			synctest.Wait()
			if first := when == "on the first link"; h.Connected(dev) == first {
				t.Errorf("%s: it is connected: %v", when, !first)
			}
			receiver(t, s, addressOf(dev, "messages/devicebound"), nil)
		}
	})
}

func TestAMQPTelemetryRefused(t *testing.T) {
	const argument, decode = goamqp.ErrCond("com.microsoft:argument-error"), goamqp.ErrCondDecodeError
	long := string(bytes.Repeat([]byte("x"), 129))
	big := goamqp.NewMessage(bytes.Repeat([]byte("x"), 150_000))
	tests := []struct {
		name string
		send *goamqp.Message
		want goamqp.ErrCond
	}{
		{"too large", goamqp.NewMessage(make([]byte, 256<<10+1)), goamqp.ErrCondMessageSizeExceeded},
		{"a batch that is too large", batch(t, big, big), goamqp.ErrCondMessageSizeExceeded},
		{"an id that is too long", &goamqp.Message{Properties: &goamqp.MessageProperties{MessageID: long}}, argument},
		{"a property that is a list", &goamqp.Message{ApplicationProperties: map[string]any{"a": []any{"b"}}}, argument},
		{"a property that is not UTF-8", &goamqp.Message{Annotations: goamqp.Annotations{"dt-subject": goamqp.Symbol("\xff")}}, argument},
		{"an unknown format", &goamqp.Message{Format: 7, Value: "x"}, goamqp.ErrCondInvalidField},
		{"a batch of nothing", &goamqp.Message{Format: batchFormat, Value: "x"}, argument},
		{"a batch with something else in it", &goamqp.Message{Format: batchFormat, Data: [][]byte{[]byte("x")}}, decode},
		{"a batch with a bad message", batch(t, goamqp.NewMessage([]byte("good")), &goamqp.Message{Properties: &goamqp.MessageProperties{MessageID: long}}), argument},
		{"a body that is a list", &goamqp.Message{Sequence: [][]any{{"a"}}}, goamqp.ErrCondInvalidField},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				s := telemetryLink(t, h, dev, nil)
				wantCondition(t, "sending it", s.Send(t.Context(), tt.send, nil), tt.want)
				if err := s.Send(t.Context(), goamqp.NewMessage([]byte("next")), nil); err != nil {
					t.Errorf("the next message: %v", err)
				}
				if evs := events(t, h); len(evs) != 1 {
					t.Errorf("%d messages are in the log", len(evs))
				}
			})
		})
	}
}

// TestAMQPMessageBeyondAllLimits has a device send more than the hub announces.
func TestAMQPMessageBeyondAllLimits(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		s := telemetryLink(t, h, dev, nil)
		if most := s.MaxMessageSize(); most != 257<<10 {
			t.Errorf("the hub takes %d bytes", most)
		}
		if err := s.Send(t.Context(), goamqp.NewMessage(make([]byte, 1<<20)), nil); err == nil {
			t.Error("go-amqp sent it")
		}
	})
}

func TestAMQPTelemetrySettled(t *testing.T) {
	settled := goamqp.SenderSettleModeSettled
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		s := telemetryLink(t, h, dev, &goamqp.SenderOptions{SettlementMode: &settled})
		for range 3000 { // more than the credit
			if err := s.Send(t.Context(), goamqp.NewMessage([]byte("x")), nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if evs := events(t, h); len(evs) != 3000 {
			t.Errorf("%d messages are in the log", len(evs))
		}
	})
}

func TestAMQPTelemetryThrottled(t *testing.T) {
	settled := goamqp.SenderSettleModeSettled
	for name, o := range map[string]*goamqp.SenderOptions{"settled later": nil, "sent settled": {SettlementMode: &settled}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &hub.Config{Throttle: hub.Throttle{Telemetry: 10}}, func(t *testing.T, h *hub.Hub) {
				s := telemetryLink(t, h, dev, o)
				twin := openTwinOf(t, h, other)
				start := time.Now()
				for range 60 { // ten at once, and then ten a second
					if err := s.Send(t.Context(), goamqp.NewMessage(nil), nil); err != nil {
						t.Fatal(err)
					}
				}
				if took := time.Since(start); took < 4*time.Second || took > 6*time.Second {
					t.Errorf("60 messages took %v, want 5 s", took)
				}
				twin.ask("1", "GET", "", "")
				twin.answered("1")
			})
		})
	}
	t.Run("beyond what is held back", func(t *testing.T) {
		cfg := &hub.Config{Throttle: hub.Throttle{Telemetry: 1, MaxDelay: -1}}
		bubble(t, cfg, func(t *testing.T, h *hub.Hub) {
			s := telemetryLink(t, h, dev, nil)
			if err := s.Send(t.Context(), goamqp.NewMessage(nil), nil); err != nil {
				t.Fatal(err)
			}
			wantCondition(t, "the next", s.Send(t.Context(), goamqp.NewMessage(nil), nil), "com.microsoft:device-container-throttled")
		})
	})
	t.Run("at the end of the quota", func(t *testing.T) {
		bubble(t, &hub.Config{Throttle: hub.Throttle{MessagesADay: 1}}, func(t *testing.T, h *hub.Hub) {
			s := telemetryLink(t, h, dev, nil)
			if err := s.Send(t.Context(), goamqp.NewMessage(nil), nil); err != nil {
				t.Fatal(err)
			}
			wantCondition(t, "the next", s.Send(t.Context(), goamqp.NewMessage(nil), nil), goamqp.ErrCondResourceLimitExceeded)
			c := dialAMQP(t, h, nil)
			c.login(h, other)
			_, err := c.session().NewSender(t.Context(), eventsAddress(other), nil)
			wantCondition(t, "a device that connects", err, goamqp.ErrCondResourceLimitExceeded)
		})
	})
	t.Run("and then the connection ends", func(t *testing.T) {
		bubble(t, &hub.Config{Throttle: hub.Throttle{Telemetry: 1}}, func(t *testing.T, h *hub.Hub) {
			s := telemetryLink(t, h, dev, nil)
			ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
			defer cancel()
			var err error
			for err == nil {
				err = s.Send(ctx, goamqp.NewMessage(nil), nil)
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			h.Disconnect(dev) // with outcomes held back
		})
	})
}

func openTwinOf(t *testing.T, h *hub.Hub, id hubwire.Identity) *amqpTwin {
	c := dialAMQP(t, h, nil)
	c.login(h, id)
	return openTwin(t, c.session(), id)
}
