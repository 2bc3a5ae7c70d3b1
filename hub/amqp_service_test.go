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
	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

const (
	deviceBoundAddress = "/messages/devicebound"
	feedbackAddress    = "/messages/serviceBound/feedback"
	filesAddress       = "/messages/serviceBound/filenotifications"
)

// loginPolicy puts the token of a policy, for an hour.
func (c *amqpClient) loginPolicy(h *hub.Hub, policy string) {
	c.t.Helper()
	if status := c.put("localhost", token(policyKey(c.t, h, policy), "localhost", policy, time.Now().Add(time.Hour))); status != 200 {
		c.t.Fatalf("put-token: status %d", status)
	}
}

// serviceSession is a session of a connection with the policy service.
func serviceSession(t testing.TB, h *hub.Hub) *goamqp.Session {
	t.Helper()
	c := dialAMQP(t, h, nil)
	c.loginPolicy(h, "service")
	return c.session()
}

// toDevice is a message of a service.
func toDevice(to, id, ack string) *goamqp.Message {
	m := goamqp.NewMessage([]byte("payload"))
	m.Properties = &goamqp.MessageProperties{To: &to}
	if id != "" {
		m.Properties.MessageID = id
	}
	if ack != "" {
		m.ApplicationProperties = map[string]any{"iothub-ack": ack}
	}
	return m
}

// deviceClient is a client over MQTT.
func deviceClient(t testing.TB, h *hub.Hub, id hubwire.Identity) *device.Client {
	t.Helper()
	cs, err := h.ConnectionString(id)
	if err != nil {
		t.Fatal(err)
	}
	c, err := device.Dial(t.Context(), cs, device.MQTT(nil), &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestAMQPServiceSends(t *testing.T) {
	text := func(s string) *string { return &s }
	odd := hubwire.Identity{DeviceID: "a:b%20c"}
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		create(t, h, odd)
		s := sender(t, serviceSession(t, h), "amqps://localhost:5671/messages/deviceBound", nil)
		for _, tt := range []struct {
			name, to string
			who      hubwire.Identity
		}{
			{"to a device", "/devices/dev-1/messages/devicebound", dev},
			{"as the .NET SDK writes it", "/devices/dev-1/messages/deviceBound", dev},
			{"with an id that is encoded", "/devices/dev%2D1/messages/devicebound", dev},
			{"with an id that looks encoded, encoded", "/devices/a%3Ab%2520c/messages/devicebound", odd},
			{"to a module", "/devices/dev-1/modules/mod/messages/deviceBound", mod},
		} {
			m := toDevice(tt.to, "id", "full")
			m.Properties.CorrelationID, m.Properties.UserID = "cid", []byte("user")
			m.Properties.ContentType, m.Properties.ContentEncoding = text("application/json"), text("utf-8")
			expiry := time.Now().Add(time.Minute).UTC()
			m.Properties.AbsoluteExpiryTime = &expiry
			m.ApplicationProperties["Alert"] = "high"
			if err := s.Send(t.Context(), m, nil); err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			c := deviceClient(t, h, tt.who)
			got, err := c.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := hubwire.Message{
				Body: []byte("payload"), ID: "id", CorrelationID: "cid", UserID: "user", Ack: "full", Expiry: expiry,
				ContentType: "application/json", ContentEncoding: "utf-8", Properties: []hubwire.Property{{Name: "Alert", Value: "high"}},
			}
			want.To = got.To // MQTT has its own spelling of some
			if diff := cmp.Diff(want, got.Message); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
			c.Close()
		}
	})
}

func TestAMQPServiceSendsWhatIsRefused(t *testing.T) {
	long := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		s := sender(t, serviceSession(t, h), deviceBoundAddress, nil)
		to := "/devices/dev-1/messages/devicebound"
		for _, tt := range []struct {
			name string
			m    func() *goamqp.Message
			want goamqp.ErrCond
		}{
			{"to nobody", func() *goamqp.Message { return goamqp.NewMessage(nil) }, "com.microsoft:argument-error"},
			{"to what is no device", func() *goamqp.Message { return toDevice("/devices/dev-1/messages/events", "", "") }, "com.microsoft:argument-error"},
			{"to an unknown device", func() *goamqp.Message { return toDevice("/devices/x/messages/devicebound", "", "") }, "amqp:not-found"},
			{"to an unknown module", func() *goamqp.Message { return toDevice("/devices/dev-1/modules/x/messages/devicebound", "", "") }, "amqp:not-found"},
			{"with an ack that there is not", func() *goamqp.Message { return toDevice(to, "", "maybe") }, "com.microsoft:argument-error"},
			{"too large", func() *goamqp.Message {
				m := toDevice(to, "", "")
				m.Data[0] = make([]byte, 64<<10+1)
				return m
			}, "amqp:link:message-size-exceeded"},
		} {
			wantCondition(t, tt.name, s.Send(t.Context(), tt.m(), nil), tt.want)
		}
		m := toDevice(to, "", "")
		m.Properties.AbsoluteExpiryTime = &long // as amenzhinsky/iothub writes none
		for range hubwire.MaxC2DQueue {
			if err := s.Send(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
		}
		err := s.Send(t.Context(), m, nil)
		wantCondition(t, "the 51st", err, "amqp:resource-limit-exceeded")
		if !strings.Contains(err.Error(), "403004") {
			t.Errorf("the 51st: %v has no code", err)
		}
		if n := queueLength(t, h, dev); n != hubwire.MaxC2DQueue {
			t.Errorf("%d messages wait", n)
		}
	})
}

func TestAMQPServiceSendsThrottled(t *testing.T) {
	bubble(t, &hub.Config{Throttle: hub.Throttle{C2DSends: 2.0 / 60}}, func(t *testing.T, h *hub.Hub) {
		s := sender(t, serviceSession(t, h), deviceBoundAddress, nil)
		m := toDevice("/devices/dev-1/messages/devicebound", "", "")
		for range 2 {
			if err := s.Send(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
		}
		wantCondition(t, "the third in a minute", s.Send(t.Context(), m, nil), "com.microsoft:device-container-throttled")
		time.Sleep(30 * time.Second)
		if err := s.Send(t.Context(), m, nil); err != nil {
			t.Error(err)
		}
		if n := queueLength(t, h, dev); n != 3 {
			t.Errorf("%d messages wait", n)
		}
	})
}

// completed has a device take a message and settle it, so that there is feedback.
func completed(t *testing.T, h *hub.Hub, ids ...string) {
	t.Helper()
	c := deviceClient(t, h, dev)
	defer c.Close()
	for _, id := range ids {
		if err := h.SendC2D(t.Context(), dev, &hubwire.Message{ID: id, Ack: hubwire.AckFull}); err != nil {
			t.Fatal(err)
		}
		m, err := c.Receive(t.Context())
		if err == nil {
			err = m.Complete(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
}

// receive receives a message, which must be there.
func receive(t testing.TB, r *goamqp.Receiver) *goamqp.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := r.Receive(ctx, nil)
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return m
}

// nothing checks that no message comes for a while.
func nothing(t testing.TB, r *goamqp.Receiver, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if m, err := r.Receive(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("received %v, %v", m, err)
	}
}

func TestAMQPFeedback(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		r := receiver(t, serviceSession(t, h), feedbackAddress, nil)
		at := time.Now().UTC()
		completed(t, h, "one")
		m := receive(t, r)
		if m.Properties == nil || *m.Properties.ContentType != "application/vnd.microsoft.iothub.feedback.json" || string(m.Properties.UserID) != "localhost" {
			t.Errorf("properties %+v", m.Properties)
		}
		if len(m.DeliveryTag) != 16 {
			t.Errorf("the tag is %x", m.DeliveryTag)
		}
		if diff := cmp.Diff(goamqp.Annotations{"iothub-enqueuedtime": at}, m.Annotations); diff != "" {
			t.Errorf("annotations (-want +got):\n%s", diff)
		}
		d, _ := h.Device(dev)
		var got []map[string]string
		if err := json.Unmarshal(m.GetData(), &got); err != nil {
			t.Fatal(err)
		}
		want := []map[string]string{{
			"originalMessageId": "one", "statusCode": "Success", "description": "Success", "deviceId": "dev-1",
			"deviceGenerationId": d.GenerationID, "enqueuedTimeUtc": at.Format(time.RFC3339),
		}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
		if err := r.AcceptMessage(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		nothing(t, r, time.Hour)
	})
}

// original returns the ids in a message of feedback.
func original(t testing.TB, m *goamqp.Message) (ids string) {
	t.Helper()
	var records []struct{ OriginalMessageID string }
	if err := json.Unmarshal(m.GetData(), &records); err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		ids += r.OriginalMessageID + " "
	}
	return ids
}

// TestAMQPFeedbackIsSettled has each outcome in both settlement modes of a receiver.
func TestAMQPFeedbackIsSettled(t *testing.T) {
	type settle = func(context.Context, *goamqp.Receiver, *goamqp.Message) error
	for _, mode := range []goamqp.ReceiverSettleMode{goamqp.ReceiverSettleModeFirst, goamqp.ReceiverSettleModeSecond} {
		for _, tt := range []struct {
			name   string
			settle settle
			again  bool
		}{
			{"accepted", func(ctx context.Context, r *goamqp.Receiver, m *goamqp.Message) error { return r.AcceptMessage(ctx, m) }, false},
			{"rejected", func(ctx context.Context, r *goamqp.Receiver, m *goamqp.Message) error {
				return r.RejectMessage(ctx, m, nil)
			}, false},
			{"released", func(ctx context.Context, r *goamqp.Receiver, m *goamqp.Message) error {
				return r.ReleaseMessage(ctx, m)
			}, true},
			{"modified", func(ctx context.Context, r *goamqp.Receiver, m *goamqp.Message) error {
				return r.ModifyMessage(ctx, m, nil)
			}, true},
			{"modified, not for here", func(ctx context.Context, r *goamqp.Receiver, m *goamqp.Message) error {
				return r.ModifyMessage(ctx, m, &goamqp.ModifyMessageOptions{UndeliverableHere: true})
			}, false},
			{"lost with the link", func(ctx context.Context, r *goamqp.Receiver, _ *goamqp.Message) error { return r.Close(ctx) }, true},
			{"left until the lock is over", func(context.Context, *goamqp.Receiver, *goamqp.Message) error {
				time.Sleep(time.Minute)
				return nil
			}, true},
		} {
			t.Run(tt.name+" in mode "+mode.String(), func(t *testing.T) {
				bubble(t, nil, func(t *testing.T, h *hub.Hub) {
					s := serviceSession(t, h)
					completed(t, h, "one", "two") // first, so that one message has both
					r := receiver(t, s, "amqps://localhost/messages/servicebound/feedback", &goamqp.ReceiverOptions{SettlementMode: &mode})
					m := receive(t, r)
					if err := tt.settle(t.Context(), r, m); err != nil {
						t.Fatal(err)
					}
					other := receiver(t, s, feedbackAddress, nil)
					if !tt.again {
						nothing(t, other, time.Minute)
						return
					}
					again := receive(t, other)
					if !strings.HasPrefix(original(t, again), original(t, m)) {
						t.Errorf("%s came again as %s", original(t, m), original(t, again))
					}
				})
			})
		}
	}
}

func TestAMQPFeedbackIsSettledTooLate(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		second := goamqp.ReceiverSettleModeSecond
		r := receiver(t, serviceSession(t, h), feedbackAddress, &goamqp.ReceiverOptions{SettlementMode: &second})
		completed(t, h, "one")
		m := receive(t, r)
		time.Sleep(time.Minute + time.Second)
		wantCondition(t, "settled when the lock is over", r.AcceptMessage(t.Context(), m), "com.microsoft:message-lock-lost")
	})
}

func TestAMQPFeedbackThatGoesOutSettled(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		settled := goamqp.SenderSettleModeSettled
		s := serviceSession(t, h)
		r := receiver(t, s, feedbackAddress, &goamqp.ReceiverOptions{RequestedSenderSettleMode: &settled})
		completed(t, h, "one")
		if got := original(t, receive(t, r)); got != "one " {
			t.Errorf("feedback of %s", got)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		nothing(t, receiver(t, s, feedbackAddress, nil), time.Hour)
	})
}

// TestAMQPFeedbackWaitsForCredit has two links, of which only one asks.
func TestAMQPFeedbackWaitsForCredit(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		s := serviceSession(t, h)
		idle := receiver(t, s, feedbackAddress, &goamqp.ReceiverOptions{Credit: -1})
		completed(t, h, "one", "two")
		r := receiver(t, s, feedbackAddress, nil)
		m := receive(t, r)
		if got := original(t, m); got != "one two " {
			t.Errorf("feedback of %s", got)
		}
		if err := r.ReleaseMessage(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := idle.IssueCredit(1); err != nil {
			t.Fatal(err)
		}
		if got := original(t, receive(t, idle)); got != "one two " {
			t.Errorf("feedback of %s", got)
		}
	})
}

func TestAMQPFileNotifications(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		s := serviceSession(t, h)
		one := receiver(t, s, filesAddress, nil)
		c := deviceClient(t, h, dev)
		u, err := c.InitiateUpload(t.Context(), "file.txt")
		if err != nil {
			t.Fatal(err)
		}
		if status, body, err := ask(t, webClient(t, h), "PUT", u.URL.Reveal(), "content"); status != 201 {
			t.Fatalf("the file: %d %s, %v", status, body, err)
		}
		if err := c.CompleteUpload(t.Context(), u.CorrelationID); err != nil {
			t.Fatal(err)
		}
		m := receive(t, one)
		var got map[string]any
		if err := json.Unmarshal(m.GetData(), &got); err != nil {
			t.Fatal(err)
		}
		if len(m.DeliveryTag) != 16 || *m.Properties.ContentType != "application/vnd.microsoft.iothub.filenotification.json" || string(m.Properties.UserID) != "localhost" ||
			!m.Annotations["iothub-enqueuedtime"].(time.Time).Equal(time.Now()) {
			t.Errorf("tag %x, properties %+v, annotations %v", m.DeliveryTag, m.Properties, m.Annotations)
		}
		for key, want := range map[string]any{"deviceId": "dev-1", "blobName": "dev-1/file.txt", "blobSizeInBytes": 7.0} {
			if got[key] != want {
				t.Errorf("%s is %v in %v", key, got[key], got)
			}
		}
		if err := one.ReleaseMessage(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if err := one.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		// An address that only the documentation has.
		again := receiver(t, s, "/messages/servicebound/fileuploadnotifications", nil)
		if err := again.AcceptMessage(t.Context(), receive(t, again)); err != nil {
			t.Fatal(err)
		}
		nothing(t, again, time.Hour)
	})
}
