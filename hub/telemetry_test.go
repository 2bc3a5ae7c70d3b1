package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/mqtt"
)

const (
	telemetryTopic = "devices/dev-1/messages/events/"
	moduleTopic    = "devices/dev-1/modules/mod/messages/events/"
	inputsFilter   = "devices/dev-1/modules/mod/inputs/#"
)

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

// TestAReaderOfOneDeviceHeedsItsContext has events of others, which may have no end.
func TestAReaderOfOneDeviceHeedsItsContext(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		connect(t, h, dev, nil).telemeter(h, telemetryTopic, "hi")
		ctx, cancel := context.WithCancel(t.Context())
		r, err := h.Events(ctx, &hub.EventOptions{Identity: other})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if ev, err := r.TryNext(ctx); ev != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("%v, %v", ev, err)
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

func TestEventsOfOtherSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hubtest.Start(t, &hub.Config{InMemory: true, Partitions: 1, EventSources: []hub.EventSource{hub.SourceLifecycles, hub.SourceTwinChanges}})
		r, err := h.Events(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		create(t, h, dev)
		if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(`{"a":1}`)}, ""); err != nil {
			t.Fatal(err)
		}
		for _, want := range []hub.EventSource{hub.SourceLifecycles, hub.SourceTwinChanges} {
			ev, err := r.Next(t.Context())
			if err != nil || ev.MessageSource != want || ev.Source != dev || ev.Partition != 0 {
				t.Errorf("event %+v, %v; want one of %s", ev, err, want)
			}
		}
	})
}
