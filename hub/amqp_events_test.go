package hub_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	goamqp "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// eventBubble is bubble with a log of one partition.
func eventBubble(t *testing.T, cfg hub.Config, f func(t *testing.T, h *hub.Hub)) {
	cfg.Partitions = 1
	bubble(t, &cfg, f)
}

const partitionAddress = "localhost/ConsumerGroups/$Default/Partitions/0"

// from is a receiver of partition 0 from where a filter says.
func from(filter string, more ...func(*goamqp.ReceiverOptions)) *goamqp.ReceiverOptions {
	o := &goamqp.ReceiverOptions{Credit: 10}
	if filter != "" {
		o.Filters = []goamqp.LinkFilter{goamqp.NewSelectorFilter("amqp.annotation." + filter)}
	}
	for _, f := range more {
		f(o)
	}
	return o
}

// emit sends messages 0, 1, … as dev, a second apart.
func emit(t testing.TB, h *hub.Hub, n int) {
	t.Helper()
	c := deviceClient(t, h, dev)
	defer c.Close()
	for i := range n {
		if err := c.Send(t.Context(), &hubwire.Message{ID: strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
}

// drainIDs reads what there is and says so by the ids.
func drainIDs(t testing.TB, r *goamqp.Receiver) (ids string) {
	t.Helper()
	if err := r.IssueCredit(100); err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // for the credit to go out by itself: go-amqp would drain instead
	if err := r.DrainCredit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for m := r.Prefetched(); m != nil; m = r.Prefetched() {
		ids += m.Properties.MessageID.(string)
	}
	return ids
}

func manual(o *goamqp.ReceiverOptions) { o.Credit = -1 }

func TestAMQPEventsBeginWhereTheFilterSays(t *testing.T) {
	eventBubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
		began := time.Now().UnixMilli()
		emit(t, h, 4)
		s := serviceSession(t, h)
		all := receiver(t, s, partitionAddress, from(""))
		var offsets []string
		for range 4 {
			offsets = append(offsets, receive(t, all).Annotations["x-opt-offset"].(string))
		}
		if err := all.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		ms := func(seconds int64) string { return strconv.FormatInt(began+1000*seconds, 10) }
		for filter, want := range map[string]string{
			"":                                           "0123",
			"x-opt-offset > '-1'":                        "0123",
			"x-opt-offset > -1":                          "0123",
			"x-opt-offset > '@latest'":                   "",
			"x-opt-offset > '" + offsets[1] + "'":        "23",
			"x-opt-offset >= '" + offsets[1] + "'":       "123",
			"x-opt-offset > '" + offsets[3] + "'":        "",
			"x-opt-sequence-number > '1'":                "23",
			"x-opt-sequence-number >= '1'":               "123",
			"x-opt-sequence-number > '-1'":               "0123",
			"x-opt-sequence-number > '3'":                "",
			"x-opt-enqueued-time > '" + ms(1) + "'":      "23",
			"x-opt-enqueued-time >= '" + ms(1) + "'":     "123",
			"x-opt-enqueued-time > '" + ms(-1) + "'":     "0123",
			"x-opt-enqueued-time > '" + ms(99) + "'":     "",
			"x-opt-enqueuedtimeutc > " + ms(1):           "23",
			"x-opt-enqueued-time > '-62135596800000'":    "0123",
			"x-opt-sequence-number >= '-99999999999999'": "0123",
		} {
			r := receiver(t, s, partitionAddress, from(filter, manual))
			if got := drainIDs(t, r); got != want {
				t.Errorf("%s: %q, want %q", filter, got, want)
			}
			if err := r.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		latest := receiver(t, s, partitionAddress, from("x-opt-offset > '@latest'", manual))
		again := receiver(t, s, partitionAddress, from("x-opt-sequence-number > '3'", manual))
		emit(t, h, 2)
		for name, r := range map[string]*goamqp.Receiver{"from the end": latest, "from the last number": again} {
			if got := drainIDs(t, r); got != "01" {
				t.Errorf("%s: %q", name, got)
			}
		}
	})
}

func TestAMQPEventsAreRefused(t *testing.T) {
	eventBubble(t, hub.Config{ConsumerGroups: []string{"other"}}, func(t *testing.T, h *hub.Hub) {
		emit(t, h, 1)
		c := dialAMQP(t, h, nil)
		c.loginPolicy(h, "service")
		s := c.session()
		for _, tt := range []struct {
			name, address string
			o             *goamqp.ReceiverOptions
			want          goamqp.ErrCond
		}{
			{"an unknown hub", "x/ConsumerGroups/$Default/Partitions/0", nil, "amqp:not-found"},
			{"an unknown group", "localhost/ConsumerGroups/x/Partitions/0", nil, "amqp:not-found"},
			{"an unknown partition", "localhost/ConsumerGroups/other/Partitions/1", nil, "com.microsoft:argument-out-of-range"},
			{"a partition that is no number", "localhost/ConsumerGroups/other/Partitions/x", nil, "com.microsoft:argument-out-of-range"},
			{"a partition by another spelling", "localhost/ConsumerGroups/other/Partitions/00", nil, "com.microsoft:argument-out-of-range"},
			{"no partition", "localhost/ConsumerGroups/other", nil, "amqp:not-found"},
			{"a filter that is none", partitionAddress, from("x-opt-offset < '1'"), "com.microsoft:argument-error"},
			{"an offset that is none", partitionAddress, from("x-opt-offset > 'x'"), "com.microsoft:argument-error"},
			{"an offset that is to come", partitionAddress, from("x-opt-offset > '999999'"), "com.microsoft:argument-error"},
			{"a number that is to come", partitionAddress, from("x-opt-sequence-number > '1'"), "com.microsoft:argument-error"},
			{"the greatest number", partitionAddress, from("x-opt-sequence-number > '9223372036854775807'"), "com.microsoft:argument-error"},
			{"a level that is none", partitionAddress, from("", func(o *goamqp.ReceiverOptions) {
				o.Properties = map[string]any{"com.microsoft:epoch": "x"}
			}), "com.microsoft:argument-error"},
		} {
			_, err := s.NewReceiver(t.Context(), tt.address, tt.o)
			wantCondition(t, tt.name, err, tt.want)
		}
		_, err := s.NewSender(t.Context(), partitionAddress, nil)
		wantCondition(t, "a sender", err, "amqp:not-found")
		receiver(t, s, "/LOCALHOST/consumergroups/OTHER/partitions/0", nil) // the session lives
	})
}

func TestAMQPEventsAreReadByOwners(t *testing.T) {
	level := func(n int64) func(*goamqp.ReceiverOptions) {
		return func(o *goamqp.ReceiverOptions) { o.Properties = map[string]any{"com.microsoft:epoch": n} }
	}
	eventBubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
		emit(t, h, 1)
		s, elsewhere := serviceSession(t, h), serviceSession(t, h)
		plain := receiver(t, s, partitionAddress, from(""))
		receive(t, plain)
		one := receiver(t, s, partitionAddress, from("", level(1)))
		_, err := plain.Receive(t.Context(), nil)
		wantCondition(t, "who has no level", err, "amqp:link:stolen")
		receive(t, one)
		two := receiver(t, elsewhere, partitionAddress, from("", level(1)))
		_, err = one.Receive(t.Context(), nil)
		wantCondition(t, "who has the same level", err, "amqp:link:stolen")
		_, err = s.NewReceiver(t.Context(), partitionAddress, from("", level(0)))
		wantCondition(t, "a lower level", err, "amqp:link:stolen")
		_, err = s.NewReceiver(t.Context(), partitionAddress, from(""))
		wantCondition(t, "no level", err, "amqp:link:stolen")
		receive(t, two)
		nothing(t, two, time.Minute)
		if err := two.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			receive(t, receiver(t, s, partitionAddress, from("")))
		}
		_, err = s.NewReceiver(t.Context(), partitionAddress, from(""))
		wantCondition(t, "the sixth", err, "amqp:resource-limit-exceeded")
	})
}

// TestAMQPEventsReadTheSame sends a message over each protocol.
func TestAMQPEventsReadTheSame(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	expiry := created.Add(time.Hour)
	m := &hubwire.Message{
		Body: []byte(`{"a":1}`), ID: "id-1", CorrelationID: "cid", UserID: "user", ContentType: "application/json", ContentEncoding: "utf-8",
		CreationTime: created, Expiry: expiry, InterfaceID: "urn:azureiot:Security:SecurityAgent:1", Component: "thermostat", Schema: "schema",
		Properties: []hubwire.Property{{Name: "alert", Value: "high"}, {Name: "empty", Value: ""}},
	}
	overAMQP := func(t *testing.T, h *hub.Hub, c *amqpClient) {
		c.login(h, dev)
		text := func(s string) *string { return &s }
		a := goamqp.NewMessage(m.Body)
		a.Properties = &goamqp.MessageProperties{
			MessageID: "id-1", CorrelationID: "cid", UserID: []byte("user"), AbsoluteExpiryTime: &expiry,
			ContentType: text("application/json"), ContentEncoding: text("utf-8"),
		}
		a.ApplicationProperties = map[string]any{
			"alert": "high", "empty": "", "iothub-creation-time-utc": "2026-01-02T03:04:05Z", "iothub-message-schema": "schema",
		}
		a.Annotations = goamqp.Annotations{"iothub-interface-id": m.InterfaceID, "dt-subject": m.Component}
		if err := sender(t, c.session(), eventsAddress(dev), nil).Send(t.Context(), a, nil); err != nil {
			t.Fatal(err)
		}
	}
	over := func(tr device.Transport) func(*testing.T, *hub.Hub) {
		return func(t *testing.T, h *hub.Hub) {
			cs, err := h.ConnectionString(dev)
			if err != nil {
				t.Fatal(err)
			}
			c, err := device.Dial(t.Context(), cs, tr, &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	senders := []struct {
		name string
		send func(*testing.T, *hub.Hub)
	}{
		{"MQTT", over(device.MQTT(nil))},
		{"MQTT over WebSockets", over(device.MQTTWebSocket(nil))},
		{"HTTPS", over(device.HTTPS(nil))},
		{"AMQP", func(t *testing.T, h *hub.Hub) { overAMQP(t, h, dialAMQP(t, h, nil)) }},
		{"AMQP over WebSockets", func(t *testing.T, h *hub.Hub) { overAMQP(t, h, dialAMQPWS(t, h)) }},
	}
	eventBubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
		r := receiver(t, serviceSession(t, h), partitionAddress, from(""))
		d, err := h.Device(dev)
		if err != nil {
			t.Fatal(err)
		}
		offset := int64(-1)
		for i, tt := range senders {
			at := time.Now().UTC()
			tt.send(t, h)
			got := receive(t, r)
			text, ok := got.Annotations["x-opt-offset"].(string)
			now, err := strconv.ParseInt(text, 10, 64)
			if !ok || err != nil || now <= offset {
				t.Errorf("%s: offset %q behind %d", tt.name, text, offset)
			}
			offset = now
			delete(got.Annotations, "x-opt-offset")
			if diff := cmp.Diff(goamqp.Annotations{
				"iothub-connection-device-id":          "dev-1",
				"iothub-connection-auth-method":        `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`,
				"iothub-connection-auth-generation-id": d.GenerationID,
				"iothub-enqueuedtime":                  at,
				"iothub-message-source":                "Telemetry",
				"iothub-interface-id":                  m.InterfaceID,
				"dt-subject":                           m.Component,
				"x-opt-sequence-number":                int64(i),
				"x-opt-enqueued-time":                  at,
			}, got.Annotations); diff != "" {
				t.Errorf("%s: annotations (-want +got):\n%s", tt.name, diff)
			}
			if diff := cmp.Diff(map[string]any{
				"alert": "high", "empty": "",
				"iothub-creation-time-utc": "2026-01-02T03:04:05.0000000Z", "iothub-message-schema": "schema",
			}, got.ApplicationProperties); diff != "" {
				t.Errorf("%s: application properties (-want +got):\n%s", tt.name, diff)
			}
			contentType, encoding := "application/json", "utf-8"
			if diff := cmp.Diff(&goamqp.MessageProperties{
				MessageID: "id-1", CorrelationID: "cid", UserID: []byte("user"), AbsoluteExpiryTime: &expiry,
				ContentType: &contentType, ContentEncoding: &encoding,
			}, got.Properties); diff != "" {
				t.Errorf("%s: properties (-want +got):\n%s", tt.name, diff)
			}
			if len(got.Data) != 1 || string(got.Data[0]) != `{"a":1}` || got.Value != nil || got.DeliveryAnnotations != nil {
				t.Errorf("%s: data %q, value %v, %v", tt.name, got.Data, got.Value, got.DeliveryAnnotations)
			}
		}
	})
}

// TestAMQPEventsOfModulesAndModels is about what only some events have.
func TestAMQPEventsOfModulesAndModels(t *testing.T) {
	eventBubble(t, hub.Config{EventSources: []hub.EventSource{hub.SourceTwinChanges}}, func(t *testing.T, h *hub.Hub) {
		r := receiver(t, serviceSession(t, h), partitionAddress, from(""))
		c := dialAMQP(t, h, nil)
		c.login(h, mod)
		o := &goamqp.SenderOptions{Properties: map[string]any{"com.microsoft:model-id": "dtmi:x;1"}}
		if err := sender(t, c.session(), eventsAddress(mod), o).Send(t.Context(), goamqp.NewMessage(nil), nil); err != nil {
			t.Fatal(err)
		}
		a := receive(t, r).Annotations
		for key, want := range map[string]any{"iothub-connection-device-id": "dev-1", "iothub-connection-module-id": "mod", "dt-dataschema": "dtmi:x;1"} {
			if a[key] != want {
				t.Errorf("%s is %v in %v", key, a[key], a)
			}
		}
		if _, err := h.PatchTwin(t.Context(), mod, hub.TwinUpdate{Desired: []byte(`{"a":1}`)}, ""); err != nil {
			t.Fatal(err)
		}
		m := receive(t, r)
		if a := m.Annotations; a["iothub-message-source"] != "twinChangeEvents" || a["iothub-connection-module-id"] != "mod" || a["iothub-connection-auth-method"] != nil {
			t.Errorf("annotations %v", a)
		}
		if p := m.ApplicationProperties; p["opType"] != "updateTwin" || p["iothub-message-schema"] != "twinChangeNotification" || p["moduleId"] != "mod" {
			t.Errorf("application properties %v", p)
		}
	})
}

// TestAMQPEventsWaitForCredit has a reader that does not ask, beside one that does.
func TestAMQPEventsWaitForCredit(t *testing.T) {
	eventBubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
		s := serviceSession(t, h)
		idle := receiver(t, s, partitionAddress, from("", manual))
		r := receiver(t, s, partitionAddress, from(""))
		emit(t, h, 20)
		for i := range 20 {
			if m := receive(t, r); m.Properties.MessageID != strconv.Itoa(i) {
				t.Fatalf("received %v, want %d", m.Properties.MessageID, i)
			}
		}
		if m := idle.Prefetched(); m != nil {
			t.Errorf("received %v without credit", m)
		}
		if err := idle.IssueCredit(2); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			m := receive(t, idle)
			if m.Properties.MessageID != strconv.Itoa(i) {
				t.Errorf("received %v, want %d", m.Properties.MessageID, i)
			}
			if err := idle.RejectMessage(t.Context(), m, nil); err != nil { // which changes nothing
				t.Fatal(err)
			}
		}
		nothing(t, idle, time.Minute)
	})
}

func TestAMQPEventsTellHowFarTheLogIs(t *testing.T) {
	eventBubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
		emit(t, h, 3)
		last := time.Now().Add(-time.Second).UTC()
		r := receiver(t, serviceSession(t, h), partitionAddress, from("", func(o *goamqp.ReceiverOptions) {
			o.DesiredCapabilities = []string{"other", "com.microsoft:enable-receiver-runtime-metric"}
		}))
		a := receive(t, r).DeliveryAnnotations
		offset, ok := a["last_enqueued_offset"].(string)
		delete(a, "last_enqueued_offset")
		if diff := cmp.Diff(goamqp.Annotations{
			"last_enqueued_sequence_number": int64(2), "last_enqueued_time_utc": last, "runtime_info_retrieval_time_utc": time.Now().UTC(),
		}, a); diff != "" || !ok || offset == "" {
			t.Errorf("offset %q, annotations (-want +got):\n%s", offset, diff)
		}
	})
}
