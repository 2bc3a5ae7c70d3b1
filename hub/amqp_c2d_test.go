package hub_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	goamqp "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// devicebound returns a C2D link of a device that was logged in.
func devicebound(t testing.TB, h *hub.Hub, id hubwire.Identity, o *goamqp.ReceiverOptions) (*amqpClient, *goamqp.Receiver) {
	c := dialAMQP(t, h, nil)
	c.login(h, id)
	return c, receiver(t, c.session(), addressOf(id, "messages/devicebound"), o)
}

func TestAMQPC2DMessage(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		at := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
		sent := &hubwire.Message{
			Body: []byte("hi"), ID: "m1", CorrelationID: "c1", UserID: "u", ContentType: "text/plain", ContentEncoding: "utf-8",
			Expiry: at, Ack: hubwire.AckFull, Properties: []hubwire.Property{{Name: "a", Value: "1"}},
		}
		if err := h.SendC2D(t.Context(), dev, sent); err != nil {
			t.Fatal(err)
		}
		enqueued := time.Now()
		_, r := devicebound(t, h, dev, nil)
		m := receive(t, r)
		str := func(s string) *string { return &s }
		to := "/devices/dev-1/messages/devicebound"
		want := &goamqp.MessageProperties{
			MessageID: "m1", CorrelationID: "c1", UserID: []byte("u"), To: &to,
			ContentType: str("text/plain"), ContentEncoding: str("utf-8"), AbsoluteExpiryTime: &at,
		}
		if diff := cmp.Diff(want, m.Properties); diff != "" {
			t.Errorf("properties (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]any{"a": "1", "iothub-ack": "full"}, m.ApplicationProperties); diff != "" {
			t.Errorf("application properties (-want +got):\n%s", diff)
		}
		if len(m.Data) != 1 || string(m.Data[0]) != "hi" {
			t.Errorf("the body is %q", m.Data)
		}
		got := m.Annotations
		if at, ok := got["iothub-enqueuedtime"].(time.Time); !ok || at.Sub(enqueued).Abs() > time.Millisecond {
			t.Errorf("it was enqueued %v, want %v", got["iothub-enqueuedtime"], enqueued)
		}
		if n, ok := got["iothub-deliverycount"].(uint8); !ok || n != 0 {
			t.Errorf("the delivery count is %v", got["iothub-deliverycount"])
		}
		if n, ok := got["x-opt-sequence-number"].(uint64); !ok || n != 1 {
			t.Errorf("the sequence number is %v", got["x-opt-sequence-number"])
		}
		if len(m.DeliveryTag) != 16 || got["x-opt-lock-token"] != guidOf(m.DeliveryTag) {
			t.Errorf("the tag %x is not the lock token %v", m.DeliveryTag, got["x-opt-lock-token"])
		}
	})
}

// guidOf is the text of a tag as the .NET SDK reads it: the first three groups are little-endian.
func guidOf(b []byte) string {
	u := goamqp.UUID{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6]}
	copy(u[8:], b[8:])
	return u.String()
}

func TestAMQPC2DDispositions(t *testing.T) {
	tests := []struct {
		name     string
		settle   func(ctx context.Context, r *goamqp.Receiver, m *goamqp.Message) error
		feedback string // or it comes again
	}{
		{"accepted", func(ctx context.Context, r *goamqp.Receiver, m *goamqp.Message) error { return r.AcceptMessage(ctx, m) }, "Success"},
		{"rejected", func(ctx context.Context, r *goamqp.Receiver, m *goamqp.Message) error {
			return r.RejectMessage(ctx, m, nil)
		}, "Rejected"},
		{"released", func(ctx context.Context, r *goamqp.Receiver, m *goamqp.Message) error {
			return r.ReleaseMessage(ctx, m)
		}, ""},
		{"modified", func(ctx context.Context, r *goamqp.Receiver, m *goamqp.Message) error {
			return r.ModifyMessage(ctx, m, &goamqp.ModifyMessageOptions{DeliveryFailed: true})
		}, ""},
		{"modified, not for here", func(ctx context.Context, r *goamqp.Receiver, m *goamqp.Message) error {
			return r.ModifyMessage(ctx, m, &goamqp.ModifyMessageOptions{UndeliverableHere: true})
		}, "Rejected"},
	}
	for _, tt := range tests {
		for _, mode := range []goamqp.ReceiverSettleMode{goamqp.ReceiverSettleModeFirst, goamqp.ReceiverSettleModeSecond} {
			t.Run(tt.name+", mode "+mode.String(), func(t *testing.T) {
				bubble(t, nil, func(t *testing.T, h *hub.Hub) {
					_, r := devicebound(t, h, dev, &goamqp.ReceiverOptions{SettlementMode: &mode})
					if err := h.SendC2D(t.Context(), dev, &hubwire.Message{ID: "m", Ack: hubwire.AckFull}); err != nil {
						t.Fatal(err)
					}
					if err := tt.settle(t.Context(), r, receive(t, r)); err != nil {
						t.Fatal(err)
					}
					if tt.feedback == "" {
						m := receive(t, r)
						if n := m.Annotations["iothub-deliverycount"]; n != uint8(1) {
							t.Errorf("the delivery count is %v", n)
						}
						return
					}
					synctest.Wait()
					if n := queueLength(t, h, dev); n != 0 {
						t.Errorf("%d messages wait", n)
					}
					fs, err := h.Feedback(t.Context())
					if err != nil || len(fs) != 1 || fs[0].Status != tt.feedback {
						t.Errorf("feedback %v, %v", fs, err)
					}
				})
			})
		}
	}
}

// TestAMQPC2DSettledLate has a device settle after the lock is over.
func TestAMQPC2DSettledLate(t *testing.T) {
	second := goamqp.ReceiverSettleModeSecond
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		_, r := devicebound(t, h, dev, &goamqp.ReceiverOptions{SettlementMode: &second, Credit: 10})
		sendC2D(t, h, dev, "hi")
		late := receive(t, r)
		again := receive(t, r) // after the lock's minute
		if string(again.GetData()) != "hi" || again.Annotations["iothub-deliverycount"] != uint8(0) {
			t.Errorf("there came %q, %v", again.GetData(), again.Annotations)
		}
		wantCondition(t, "settling late", r.AcceptMessage(t.Context(), late), "com.microsoft:message-lock-lost")
		if n := queueLength(t, h, dev); n != 1 {
			t.Errorf("%d messages wait, want the one whose lock the device has now", n)
		}
		if err := r.AcceptMessage(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := queueLength(t, h, dev); n != 0 {
			t.Errorf("%d messages wait", n)
		}
	})
}

func TestAMQPC2DIsGivenBack(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, h *hub.Hub, c *amqpClient, r *goamqp.Receiver){
		"by detaching":    func(t *testing.T, h *hub.Hub, c *amqpClient, r *goamqp.Receiver) { r.Close(t.Context()) },
		"by closing":      func(t *testing.T, h *hub.Hub, c *amqpClient, r *goamqp.Receiver) { c.conn.Close() },
		"by being cut":    func(t *testing.T, h *hub.Hub, c *amqpClient, r *goamqp.Receiver) { h.Disconnect(dev) },
		"by another link": func(t *testing.T, h *hub.Hub, c *amqpClient, r *goamqp.Receiver) {},
		"while others stay": func(t *testing.T, h *hub.Hub, c *amqpClient, r *goamqp.Receiver) {
			sender(t, c.session(), eventsAddress(dev), nil)
			r.Close(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				c, r := devicebound(t, h, dev, &goamqp.ReceiverOptions{Credit: 10})
				sendC2D(t, h, dev, "a", "b")
				receive(t, r)
				receive(t, r)
				end(t, h, c, r)
				synctest.Wait()
				start := time.Now()
				if name != "by another link" {
					c = dialAMQP(t, h, nil)
					c.login(h, dev)
				}
				r = receiver(t, c.session(), addressOf(dev, "messages/devicebound"), &goamqp.ReceiverOptions{Credit: 10})
				for _, want := range []string{"a", "b"} {
					m := receive(t, r)
					if string(m.GetData()) != want || m.Annotations["iothub-deliverycount"] != uint8(0) {
						t.Errorf("there came %q, %v, want %q", m.GetData(), m.Annotations, want)
					}
				}
				if took := time.Since(start); took > time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestAMQPC2DHeedsCredit has a device give credit for one message at a time: only that is locked.
func TestAMQPC2DHeedsCredit(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		_, r := devicebound(t, h, dev, &goamqp.ReceiverOptions{Credit: -1})
		sendC2D(t, h, dev, "a", "b")
		nothing(t, r, time.Second)
		for _, want := range []string{"a", "b"} {
			if err := r.IssueCredit(1); err != nil {
				t.Fatal(err)
			}
			m := receive(t, r)
			if string(m.GetData()) != want {
				t.Errorf("there came %q, want %q", m.GetData(), want)
			}
			nothing(t, r, time.Second)
			if err := r.AcceptMessage(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.IssueCredit(5); err != nil {
			t.Fatal(err)
		}
		if err := r.DrainCredit(t.Context(), nil); err != nil {
			t.Errorf("drain: %v", err)
		}
	})
}

// TestAMQPC2DSentSettled has a device that wants its messages settled: they are complete as they go out.
func TestAMQPC2DSentSettled(t *testing.T) {
	settled := goamqp.SenderSettleModeSettled
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		_, r := devicebound(t, h, dev, &goamqp.ReceiverOptions{RequestedSenderSettleMode: &settled})
		sendC2D(t, h, dev, "a", "b")
		for _, want := range []string{"a", "b"} {
			if m := receive(t, r); string(m.GetData()) != want {
				t.Errorf("there came %q, want %q", m.GetData(), want)
			}
		}
		synctest.Wait()
		if n := queueLength(t, h, dev); n != 0 {
			t.Errorf("%d messages wait", n)
		}
	})
}

// TestAMQPInputs has a module get C2D messages by one link and those to its inputs by another.
func TestAMQPInputs(t *testing.T) {
	to := hubwire.Identity{DeviceID: "dev-1", ModuleID: "mod"}
	cfg := &hub.Config{Routes: []hub.Route{{From: dev, Output: "out", To: to, Input: "in"}}}
	bubble(t, cfg, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, mod)
		c.login(h, dev)
		s := c.session()
		inputs := receiver(t, s, addressOf(mod, "messages/events"), &goamqp.ReceiverOptions{Credit: 10})
		c2d := receiver(t, s, addressOf(mod, "messages/devicebound"), &goamqp.ReceiverOptions{Credit: 10})
		sendC2D(t, h, mod, "c2d")
		if err := h.SendInput(t.Context(), mod, "in2", &hubwire.Message{Body: []byte("direct")}); err != nil {
			t.Fatal(err)
		}
		m := goamqp.NewMessage([]byte("routed"))
		m.ApplicationProperties = map[string]any{"iothub-outputname": "out", "a": "1"}
		if err := sender(t, s, eventsAddress(dev), nil).Send(t.Context(), m, nil); err != nil {
			t.Fatal(err)
		}
		if m := receive(t, c2d); string(m.GetData()) != "c2d" {
			t.Errorf("by the C2D link there came %q", m.GetData())
		}
		if m := receive(t, inputs); string(m.GetData()) != "direct" || m.Annotations["x-opt-input-name"] != "in2" {
			t.Errorf("by the input link there came %q, %v", m.GetData(), m.Annotations)
		}
		m = receive(t, inputs)
		if string(m.GetData()) != "routed" || m.Annotations["iothub-connection-device-id"] != "dev-1" || len(m.DeliveryTag) != 16 {
			t.Errorf("by the input link there came %q, %v", m.GetData(), m.Annotations)
		}
		if diff := cmp.Diff(map[string]any{"a": "1"}, m.ApplicationProperties); diff != "" {
			t.Errorf("application properties (-want +got):\n%s", diff)
		}
		if err := inputs.AcceptMessage(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	})
}
