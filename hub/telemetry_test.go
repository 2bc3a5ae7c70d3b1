package hub_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

const (
	telemetryTopic = "devices/dev-1/messages/events/"
	moduleTopic    = "devices/dev-1/modules/mod/messages/events/"
	inputsFilter   = "devices/dev-1/modules/mod/inputs/#"
)

func TestTelemetry(t *testing.T) {
	tests := []struct {
		name  string
		id    hubwire.Identity
		topic string
		want  hubwire.Message
	}{
		{"no properties", dev, telemetryTopic, hubwire.Message{}},
		{"no slash at the end", dev, "devices/dev-1/messages/events", hubwire.Message{}},
		{"a property", dev, telemetryTopic + "a=b", hubwire.Message{Properties: []hubwire.Property{{Name: "a", Value: "b"}}}},
		{"system properties, encoded and not", dev, telemetryTopic + "%24.mid=m%201&$.cid=c&$.ct=application%2Fjson&%24.ce=utf-8",
			hubwire.Message{ID: "m 1", CorrelationID: "c", ContentType: "application/json", ContentEncoding: "utf-8"}},
		{"a slash at the front", dev, "/devices/dev-1/messages/events/a=b", hubwire.Message{Properties: []hubwire.Property{{Name: "a", Value: "b"}}}},
		{"a question mark before the properties", dev, telemetryTopic + "?a=b", hubwire.Message{Properties: []hubwire.Property{{Name: "a", Value: "b"}}}},
		{"malformed escapes, which stay as they are", dev, telemetryTopic + "a=%zz&b=%2&%=100%&c=%ff", hubwire.Message{Properties: []hubwire.Property{
			{Name: "a", Value: "%zz"}, {Name: "b", Value: "%2"}, {Name: "%", Value: "100%"}, {Name: "c", Value: "%ff"}}}},
		{"a second equals sign, empty parts, a name twice", dev, telemetryTopic + "&a=b=c&&a=d&", hubwire.Message{Properties: []hubwire.Property{
			{Name: "a", Value: "b=c"}, {Name: "a", Value: "d"}}}},
		{"every system property", dev, telemetryTopic + "$.mid=1&$.cid=2&$.uid=3&$.to=%2F4&$.ct=5&$.ce=6&$.ctime=2020-01-02T03:04:05.678Z&$.exp=2020-01-02T03%3A04%3A05.6789012Z" +
			"&$.on=7&$.sub=8&$.ifid=9&$.schema=10&$.diagid=11&$.diagctx=creationtimeutc%3D12",
			hubwire.Message{ID: "1", CorrelationID: "2", UserID: "3", To: "/4", ContentType: "5", ContentEncoding: "6",
				CreationTime: time.Date(2020, 1, 2, 3, 4, 5, 678e6, time.UTC), Expiry: time.Date(2020, 1, 2, 3, 4, 5, 678901200, time.UTC),
				Output: "7", Component: "8", InterfaceID: "9", Schema: "10", DiagnosticID: "11", DiagnosticContext: "creationtimeutc=12"}},
		{"a system property that nobody knows", dev, telemetryTopic + "%24.xyz=1", hubwire.Message{Properties: []hubwire.Property{{Name: "$.xyz", Value: "1"}}}},
		{"a slash behind the properties", dev, telemetryTopic + "a=b/", hubwire.Message{Properties: []hubwire.Property{{Name: "a", Value: "b"}}}},
		{"a slash inside them", dev, telemetryTopic + "%24.ct=application/json", hubwire.Message{ContentType: "application/json"}},
		{"an escaped plus sign, a bare name, an empty value", dev, telemetryTopic + "p=1%2b1&bare&e=", hubwire.Message{Properties: []hubwire.Property{
			{Name: "p", Value: "1+1"}, {Name: "bare"}, {Name: "e"}}}},
		{"a module's output", mod, moduleTopic + "%24.on=out", hubwire.Message{Output: "out"}},
		{"a module's, with Java's slash", mod, moduleTopic + "/", hubwire.Message{}},
	}
	for _, tt := range tests {
		for qos := range mqtt.ExactlyOnce {
			t.Run(tt.name, func(t *testing.T) {
				bubble(t, nil, func(t *testing.T, h *hub.Hub) {
					p := connect(t, h, tt.id, nil)
					m := &mqtt.Publish{Topic: []byte(tt.topic), Payload: []byte("hi"), QoS: qos}
					if qos > 0 {
						m.ID = 7
					}
					p.write(m)
					if qos > 0 {
						p.puback(7)
					} else {
						p.ping()
					}
					evs := events(t, h)
					if len(evs) != 1 {
						t.Fatalf("%d events", len(evs))
					}
					tt.want.Body = []byte("hi")
					if diff := cmp.Diff(tt.want, evs[0].Message, cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("(-want +got)\n%s", diff)
					}
				})
			})
		}
	}
}

func TestTelemetryStamps(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, mod, nil)
		p.write(&mqtt.Publish{Topic: []byte(moduleTopic + "%24.cdid=liar&%24.cmid=liar"), QoS: 1, ID: 1})
		p.puback(1)
		d, err := h.Device(mod)
		if err != nil {
			t.Fatal(err)
		}
		ev := events(t, h)[0]
		if ev.Source != mod || ev.GenerationID != d.GenerationID || !strings.Contains(ev.AuthMethod, `"scope":"module"`) {
			t.Errorf("stamps: %+v", ev)
		}
		if ev.EnqueuedTime.IsZero() || len(ev.Properties) != 0 {
			t.Errorf("event: %+v", ev.Received)
		}
	})
}

func TestTelemetryFlags(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.write(
			&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1, Retain: true},
			&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 2},
			&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 2, Dup: true}, // sent again: taken again
		)
		p.puback(1)
		p.puback(2)
		p.puback(2)
		evs := events(t, h)
		if len(evs) != 3 {
			t.Fatalf("%d events", len(evs))
		}
		if v, _ := evs[0].Property("mqtt-retain"); v != "true" {
			t.Errorf("mqtt-retain %q", v)
		}
		for _, ev := range evs[1:] {
			if len(ev.Properties) != 0 {
				t.Errorf("properties %v", ev.Properties)
			}
		}
	})
}

func TestPublishThatClosesTheConnection(t *testing.T) {
	tests := []struct {
		name string
		m    mqtt.Publish
	}{
		{"with a wildcard in the properties", mqtt.Publish{Topic: []byte(telemetryTopic + "a=1+1"), QoS: 1, ID: 1}},
		{"at QoS 2", mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 2, ID: 1}},
		{"to another device's topic", mqtt.Publish{Topic: []byte("devices/dev-2/messages/events/"), QoS: 1, ID: 1}},
		{"to a module's topic", mqtt.Publish{Topic: []byte(moduleTopic), QoS: 1, ID: 1}},
		{"to its id in other letters", mqtt.Publish{Topic: []byte("devices/DEV-1/messages/events/"), QoS: 1, ID: 1}},
		{"to its own C2D topic", mqtt.Publish{Topic: []byte("devices/dev-1/messages/devicebound/"), QoS: 1, ID: 1}},
		{"to a topic that is nobody's", mqtt.Publish{Topic: []byte("hello/world"), QoS: 1, ID: 1}},
		{"of a twin operation that does not exist", mqtt.Publish{Topic: []byte("$iothub/twin/POST/?$rid=1"), QoS: 1, ID: 1}},
		{"of a twin get without $rid", mqtt.Publish{Topic: []byte("$iothub/twin/GET/?x=1"), QoS: 1, ID: 1}},
		{"of a twin get with an empty $rid", mqtt.Publish{Topic: []byte("$iothub/twin/GET/?$rid="), QoS: 1, ID: 1}},
		{"of a twin response", mqtt.Publish{Topic: []byte("$iothub/twin/res/200/?$rid=1"), QoS: 1, ID: 1}},
		{"of a desired change", mqtt.Publish{Topic: []byte("$iothub/twin/PATCH/properties/desired/?$version=2"), QoS: 1, ID: 1}},
		{"of a method request", mqtt.Publish{Topic: []byte("$iothub/methods/POST/reboot/?$rid=1"), QoS: 1, ID: 1}},
		{"in a packet over the limit", mqtt.Publish{Topic: []byte(telemetryTopic), Payload: make([]byte, 262144), QoS: 1, ID: 1}},
		{"with a property that has no name", mqtt.Publish{Topic: []byte(telemetryTopic + "=v"), QoS: 1, ID: 1}},
		{"with a message id that is too long", mqtt.Publish{Topic: []byte(telemetryTopic + "$.mid=" + strings.Repeat("x", 129)), QoS: 1, ID: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := connect(t, h, dev, nil)
				p.subscribe("$iothub/twin/res/#")
				b := tt.m.AppendTo(nil)
				go p.c.Write(b) // the hub need not read all of it
				p.closed()
				p.cut()
				synctest.Wait()
				if h.Connected(dev) {
					t.Error("the device is still connected")
				}
				if evs := events(t, h); len(evs) != 0 {
					t.Errorf("the hub took it: %+v", evs[0])
				}
			})
		})
	}
}

func TestLargestTelemetryPasses(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		m := &mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1}
		m.Payload = make([]byte, 262144-m.Size()-2) // two more bytes of remaining length
		if n := m.Size(); n != 262144 {
			t.Fatalf("the packet has %d bytes", n)
		}
		p.write(m)
		p.puback(1)
		if got := events(t, h); len(got) != 1 || len(got[0].Body) != len(m.Payload) {
			t.Error("it did not arrive whole")
		}
	})
}

func TestMalformedPacketsCloseTheConnection(t *testing.T) {
	for name, b := range map[string][]byte{
		"a PUBLISH with a wildcard":        {0x30, 5, 0, 3, 'a', '/', '#'},
		"a PUBLISH with U+0000":            {0x30, 5, 0, 3, 'a', 0, 'b'},
		"a PUBLISH that is not UTF-8":      {0x30, 5, 0, 3, 'a', 0xff, 'b'},
		"a PUBLISH with an empty topic":    {0x30, 2, 0, 0},
		"a PUBLISH at QoS 3":               {0x36, 5, 0, 1, 'a', 0, 1},
		"a PUBLISH with identifier zero":   {0x32, 5, 0, 1, 'a', 0, 0},
		"a SUBSCRIBE without filters":      {0x82, 2, 0, 1},
		"a SUBSCRIBE at QoS 3":             {0x82, 6, 0, 1, 0, 1, 'a', 3},
		"a SUBSCRIBE with wrong flags":     {0x80, 6, 0, 1, 0, 1, 'a', 0},
		"an UNSUBSCRIBE without filters":   {0xa2, 2, 0, 1},
		"a PINGREQ with a body":            {0xc0, 1, 0},
		"a DISCONNECT with flags":          {0xe1, 0},
		"a PUBACK that is too short":       {0x40, 1, 0},
		"a reserved type":                  {0, 0},
		"a length of more than four bytes": {0x30, 0x80, 0x80, 0x80, 0x80, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := connect(t, h, dev, func(m *mqtt.Connect) {
					m.Will.Topic = []byte(telemetryTopic)
				})
				p.raw(b)
				p.closed()
				synctest.Wait()
				if evs := events(t, h); len(evs) != 1 {
					t.Errorf("%d events, want the will alone", len(evs))
				}
			})
		})
	}
}

// TestEveryPrefixOfPublish ends the stream inside a packet, everywhere.
func TestEveryPrefixOfPublish(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		whole := (&mqtt.Publish{Topic: []byte(telemetryTopic + "a=b"), Payload: []byte("hi"), QoS: 1, ID: 1}).AppendTo(nil)
		for n := 1; n < len(whole); n++ {
			p := connect(t, h, dev, nil)
			p.raw(whole[:n])
			p.cut()
		}
		synctest.Wait()
		if evs := events(t, h); len(evs) != 0 {
			t.Errorf("a part of a packet became %+v", evs[0])
		}
	})
}

func TestWill(t *testing.T) {
	withWill := func(m *mqtt.Connect) {
		m.Will = mqtt.Will{Topic: []byte(telemetryTopic + "a=b"), Payload: []byte("gone"), QoS: 1, Retain: true}
		m.KeepAlive = 60
	}
	tests := []struct {
		name string
		end  func(t *testing.T, h *hub.Hub, p *peer)
		want int
	}{
		{"not after DISCONNECT", func(t *testing.T, h *hub.Hub, p *peer) { p.bye() }, 0},
		{"after a cut", func(t *testing.T, h *hub.Hub, p *peer) { p.cut() }, 1},
		{"after silence", func(t *testing.T, h *hub.Hub, p *peer) { p.ends() }, 1},
		{"after a violation", func(t *testing.T, h *hub.Hub, p *peer) { p.raw([]byte{0, 0}); p.closed() }, 1},
		{"after a take-over", func(t *testing.T, h *hub.Hub, p *peer) { connect(t, h, dev, nil) }, 1},
		{"after a kick", func(t *testing.T, h *hub.Hub, p *peer) { h.Disconnect(dev) }, 1},
		{"not when the device is gone", func(t *testing.T, h *hub.Hub, p *peer) { h.Delete(t.Context(), dev) }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := connect(t, h, dev, withWill)
				tt.end(t, h, p)
				synctest.Wait()
				evs := events(t, h)
				if len(evs) != tt.want {
					t.Fatalf("%d events, want %d", len(evs), tt.want)
				}
				for _, ev := range evs {
					want := hubwire.Message{Body: []byte("gone"), Properties: []hubwire.Property{
						{Name: "a", Value: "b"}, {Name: "mqtt-retain", Value: "true"}, {Name: "iothub-MessageType", Value: "Will"},
					}}
					if diff := cmp.Diff(want, ev.Message); diff != "" {
						t.Errorf("(-want +got)\n%s", diff)
					}
				}
			})
		})
	}
}

// TestWillIsTelemetry has a will that carries the stamps of its connection and takes the routes.
func TestWillIsTelemetry(t *testing.T) {
	cfg := &hub.Config{Routes: []hub.Route{{From: dev, To: mod, Input: "in"}}}
	bubble(t, cfg, func(t *testing.T, h *hub.Hub) {
		to := connect(t, h, mod, nil)
		to.subscribe(inputsFilter)
		connect(t, h, dev, func(m *mqtt.Connect) {
			m.UserName = append(m.UserName, "&model-id=dtmi:a:b;1"...)
			m.Will = mqtt.Will{Topic: []byte(telemetryTopic), Payload: []byte("gone")}
		}).cut()
		m := to.expect("gone", 1, false)
		if !strings.Contains(string(m.Topic), "&iothub-MessageType=Will") {
			t.Errorf("topic %q", m.Topic)
		}
		d, err := h.Device(dev)
		if err != nil {
			t.Fatal(err)
		}
		ev := events(t, h)[0]
		if ev.ModelID != "dtmi:a:b;1" || ev.Source != dev || ev.GenerationID != d.GenerationID || ev.AuthMethod == "" {
			t.Errorf("stamps: %+v", ev)
		}
	})
}

func TestEventReader(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		a, b := connect(t, h, dev, nil), connect(t, h, other, nil)
		send := func(p *peer, id, body string) {
			time.Sleep(time.Millisecond) // the log is in the order of time
			p.write(&mqtt.Publish{Topic: []byte("devices/" + id + "/messages/events/"), Payload: []byte(body), QoS: 1, ID: 1})
			p.puback(1)
		}
		send(a, "dev-1", "old")
		latest, err := h.Events(t.Context(), &hub.EventOptions{Latest: true})
		if err != nil {
			t.Fatal(err)
		}
		since := time.Now().Add(time.Nanosecond)
		send(b, "dev-2", "other")
		send(a, "dev-1", "new")

		read := func(o *hub.EventOptions) (got []string) {
			r, err := h.Events(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for ev, err := range r.All(ctx) {
				if err != nil {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
					return got
				}
				got = append(got, string(ev.Body))
			}
			t.Error("All ended without an error")
			return got
		}
		for _, tt := range []struct {
			name string
			o    *hub.EventOptions
			want []string
		}{
			{"all", nil, []string{"old", "other", "new"}},
			{"of one device", &hub.EventOptions{Identity: dev}, []string{"old", "new"}},
			{"of a module, not of its device", &hub.EventOptions{Identity: mod}, nil},
			{"since a time", &hub.EventOptions{Since: since}, []string{"other", "new"}},
		} {
			if diff := cmp.Diff(tt.want, read(tt.o)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", tt.name, diff)
			}
		}
		ev, err := latest.Next(t.Context())
		if err != nil || string(ev.Body) != "other" {
			t.Errorf("latest: %v, %v", ev, err)
		}
	})
}

func TestRoutes(t *testing.T) {
	sink := hubwire.Identity{DeviceID: "dev-1", ModuleID: "sink"}
	cfg := &hub.Config{Routes: []hub.Route{{From: mod, Output: "out", To: sink, Input: "in"}}}
	bubble(t, cfg, func(t *testing.T, h *hub.Hub) {
		create(t, h, sink)
		to := connect(t, h, sink, nil)
		to.subscribe("devices/dev-1/modules/sink/inputs/#")
		from := connect(t, h, mod, nil)
		for i, bag := range []string{"", "%24.on=elsewhere", "%24.on=out&a=b&%24.mid=7"} {
			from.write(&mqtt.Publish{Topic: []byte(moduleTopic + bag), Payload: []byte("hi"), QoS: 1, ID: uint16(i + 1)})
			from.puback(uint16(i + 1))
		}
		m := to.publish()
		topic := string(m.Topic)
		if !strings.HasPrefix(topic, "devices/dev-1/modules/sink/inputs/in/%24.") || string(m.Payload) != "hi" {
			t.Errorf("%q %q", topic, m.Payload)
		}
		for _, want := range []string{"%24.mid=7", "%24.cdid=dev-1", "%24.cmid=mod", "a=b"} {
			if !strings.Contains(topic, want) {
				t.Errorf("%q lacks %s", topic, want)
			}
		}
		to.write(&mqtt.Puback{ID: m.ID})
		to.ping()
		if evs := events(t, h); len(evs) != 3 {
			t.Errorf("%d events, want all three", len(evs))
		}
	})
}

// TestRouteBackToItsSource has a module that gets its own messages: the PUBACK comes first.
func TestRouteBackToItsSource(t *testing.T) {
	cfg := &hub.Config{Routes: []hub.Route{{From: mod, To: mod, Input: "in"}}}
	bubble(t, cfg, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, mod, nil)
		p.subscribe(inputsFilter)
		p.write(&mqtt.Publish{Topic: []byte(moduleTopic), Payload: []byte("hi"), QoS: 1, ID: 1})
		p.puback(1)
		p.expect("hi", 1, false)
	})
}

// TestRouteToAFullQueue drops what has no room. The sender does not notice.
func TestRouteToAFullQueue(t *testing.T) {
	cfg := &hub.Config{Routes: []hub.Route{{From: dev, To: mod, Input: "in"}}}
	bubble(t, cfg, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		for i := range hubwire.MaxC2DQueue + 1 {
			p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: uint16(i + 1)})
			p.puback(uint16(i + 1))
		}
		if n, events := queueLength(t, h, mod), len(events(t, h)); n != hubwire.MaxC2DQueue || events != n+1 {
			t.Errorf("%d messages wait, of %d events", n, events)
		}
	})
}
