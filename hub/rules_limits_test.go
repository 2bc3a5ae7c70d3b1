package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

// Sections 2.4, sizes, and 2.5, what closes the connection.

var sizeRules = []rule{
	{"2.4 size", "a packet of 262,144 bytes is taken", nil, func(t *testing.T, h *hub.Hub) {
		m := telemetryOf(262144)
		p := connect(t, h, dev, nil)
		p.write(m)
		p.puback(1)
		if evs := events(t, h); len(evs) != 1 || len(evs[0].Body) != len(m.Payload) {
			t.Error("it did not arrive whole")
		}
	}},
	{"2.4 size", "a packet of one byte more closes the connection", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		b := telemetryOf(262145).AppendTo(nil)
		go p.c.Write(b) // the hub need not read all of it
		p.closed()
		if evs := events(t, h); len(evs) != 0 {
			t.Error("the hub took it")
		}
	}},
	{"2.4 size", "a topic of 65,535 bytes is taken", nil, func(t *testing.T, h *hub.Hub) {
		topic := telemetryTopic + "a="
		topic += strings.Repeat("x", mqtt.MaxString-len(topic))
		ev := connect(t, h, dev, nil).telemeter(h, topic, "hi")
		if v, _ := ev.Property("a"); len(telemetryTopic+"a="+v) != mqtt.MaxString {
			t.Errorf("the property has %d bytes", len(v))
		}
	}},
	{"2.4 size", "a message to a device has 64 KiB at most", nil, func(t *testing.T, h *hub.Hub) {
		for size, want := range map[int]error{65536: nil, 65537: hubwire.MessageTooLarge} {
			if err := h.SendC2D(t.Context(), dev, &hubwire.Message{Body: make([]byte, size)}); !errors.Is(err, want) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	}},
	{"2.4 size", "the size is that of the body, the values of system properties, and the names and values of the others", nil, func(t *testing.T, h *hub.Hub) {
		m := &hubwire.Message{ID: "123", ContentType: "4567", Properties: []hubwire.Property{{Name: "89", Value: "0"}}}
		m.Body = make([]byte, 65536-10)
		if err := h.SendC2D(t.Context(), dev, m); err != nil {
			t.Error(err)
		}
		m.Properties[0].Name += "x"
		if err := h.SendC2D(t.Context(), dev, m); !errors.Is(err, hubwire.MessageTooLarge) {
			t.Errorf("one byte more: %v", err)
		}
	}},
	{"2.4 size", "the payload of a method has 128 KiB at most", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(methodFilter)
		if got := <-invoke(t, h, "m", text(128<<10+1), nil); !errors.Is(got.err, hubwire.MessageTooLarge) {
			t.Errorf("one byte more: %v", got.err)
		}
		done := invoke(t, h, "m", text(128<<10), nil)
		_, rid, m := p.request()
		if len(m.Payload) != 128<<10 {
			t.Errorf("%d bytes came", len(m.Payload))
		}
		p.respond(200, rid, text(128<<10), 1)
		if got := <-done; got.err != nil || len(got.res.Payload) != 128<<10 {
			t.Errorf("the answer: %v", got.err)
		}
	}},
	{"2.4 size", "an answer to a method over 128 KiB fails the call, and costs the device nothing", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(methodFilter)
		done := invoke(t, h, "m", "", nil)
		_, rid, _ := p.request()
		p.respond(200, rid, text(128<<10+1), 1)
		if got := <-done; !errors.Is(got.err, hubwire.Code(502000)) {
			t.Errorf("error %v", got.err)
		}
		p.ping()
	}},
	{"2.4 size", "desired and reported properties have 32 KiB each, and tags 8", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(twinResponses)
		for kib, status := range map[int]string{31: "204", 33: "400"} {
			if topic, _ := p.ask(patchTopic+"1", members(kib), 0); !strings.HasPrefix(topic, "$iothub/twin/res/"+status) {
				t.Errorf("reported properties of %d KiB: %s", kib, topic)
			}
		}
		for _, tt := range []struct {
			update hub.TwinUpdate
			want   error
		}{
			{hub.TwinUpdate{Desired: json.RawMessage(members(31))}, nil},
			{hub.TwinUpdate{Desired: json.RawMessage(members(33))}, hubwire.ArgumentInvalid},
			{hub.TwinUpdate{Tags: json.RawMessage(members(7))}, nil},
			{hub.TwinUpdate{Tags: json.RawMessage(members(9))}, hubwire.ArgumentInvalid},
		} {
			if _, err := h.ReplaceTwin(t.Context(), dev, tt.update, ""); !errors.Is(err, tt.want) {
				t.Errorf("%d bytes of desired properties, %d of tags: %v", len(tt.update.Desired), len(tt.update.Tags), err)
			}
		}
	}},
	{"2.4 size", "a message id has 128 bytes at most", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.telemeter(h, telemetryTopic+"$.mid="+strings.Repeat("x", 128), "hi")
		p.write(&mqtt.Publish{Topic: []byte(telemetryTopic + "$.mid=" + strings.Repeat("x", 129)), QoS: 1, ID: 1})
		p.closed()
	}},
	{"2.4 size", "a message id may hold more than the documented characters, which are what a client should keep to", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		for id, escaped := range map[string]string{"-:.+%_#*?!(),=@;$'09azAZ": "-:.%2B%25_%23*?!(),=@;$'09azAZ", "a b/ü": "a%20b%2F%C3%BC"} {
			if ev := p.telemeter(h, telemetryTopic+"$.mid="+escaped, "hi"); ev.ID != id {
				t.Errorf("id %q, want %q", ev.ID, id)
			}
		}
	}},
	{"2.4 size", "16 messages at most are on their way to a device at a time", &hub.Config{LockTimeout: time.Hour}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		var first mqtt.Publish
		for i := range 17 {
			sendC2D(t, h, dev, fmt.Sprint(i))
		}
		for i := range 16 {
			if m := p.expect(fmt.Sprint(i), 1, false); i == 0 {
				first = m
			}
		}
		p.silent()
		p.write(&mqtt.Puback{ID: first.ID})
		p.expect("16", 1, false)
	}},
}

// telemetryOf returns a packet of so many bytes.
func telemetryOf(size int) *mqtt.Publish {
	m := &mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1}
	m.Payload = make([]byte, size-m.Size()-2) // two more bytes of remaining length
	return m
}

// text returns a JSON string of so many bytes.
func text(size int) string { return `"` + strings.Repeat("x", size-2) + `"` }

// members returns a JSON object of about so many KiB.
func members(kib int) string {
	var all []string
	for i := range kib {
		all = append(all, fmt.Sprintf(`"%02d":"%s"`, i, strings.Repeat("x", 1022)))
	}
	return "{" + strings.Join(all, ",") + "}"
}

// closes is a rule that a packet closes the connection.
func closes(says string, k packet) rule {
	return rule{"2.5 what closes", says + " closes the connection, without a packet", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(twinResponses)
		p.write(k)
		p.closed()
		p.cut()
		synctest.Wait()
		if h.Connected(dev) || len(events(t, h)) != 0 {
			t.Error("the device is connected, or the hub has taken something")
		}
	}}
}

// ends is a rule that something ends a connection that has done nothing wrong.
func ends(says string, do func(t *testing.T, h *hub.Hub, d *hub.Device) error) rule {
	return rule{"2.5 what closes", says + " closes the connection, without a packet", nil, func(t *testing.T, h *hub.Hub) {
		d, err := h.Device(dev)
		if err != nil {
			t.Fatal(err)
		}
		p := connect(t, h, dev, nil)
		if err := do(t, h, d); err != nil {
			t.Fatal(err)
		}
		p.closed()
	}}
}

type rawPacket []byte

func (b rawPacket) AppendTo(dst []byte) []byte { return append(dst, b...) }

func filterPacket(filter string) packet {
	b := append([]byte{0, 1, 0, byte(len(filter))}, filter...)
	return rawPacket(append([]byte{0x82, byte(len(b) + 1)}, append(b, 1)...))
}

var closingRules = []rule{
	closes("a PUBLISH at QoS 2", &mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 2, ID: 1}),
	closes("a PUBLISH to a topic that the hub does not know", &mqtt.Publish{Topic: []byte("hello/world"), QoS: 1, ID: 1}),
	closes("a PUBLISH to another device's topic", &mqtt.Publish{Topic: []byte("devices/dev-2/messages/events/"), QoS: 1, ID: 1}),
	closes("a PUBLISH to the topic of one of its modules", &mqtt.Publish{Topic: []byte(moduleTopic), QoS: 1, ID: 1}),
	closes("a PUBLISH to its id in other letters", &mqtt.Publish{Topic: []byte("devices/DEV-1/messages/events/"), QoS: 1, ID: 1}),
	closes("a PUBLISH to a topic of messages to it", &mqtt.Publish{Topic: []byte("devices/dev-1/messages/devicebound/"), QoS: 1, ID: 1}),
	closes("a PUBLISH to the topic of a twin answer", &mqtt.Publish{Topic: []byte("$iothub/twin/res/200/?$rid=1"), QoS: 1, ID: 1}),
	closes("a PUBLISH to the topic of a desired change", &mqtt.Publish{Topic: []byte("$iothub/twin/PATCH/properties/desired/?$version=2"), QoS: 1, ID: 1}),
	closes("a PUBLISH to the topic of a method request", &mqtt.Publish{Topic: []byte("$iothub/methods/POST/reboot/?$rid=1"), QoS: 1, ID: 1}),
	closes("a twin operation that does not exist", &mqtt.Publish{Topic: []byte("$iothub/twin/POST/?$rid=1"), QoS: 1, ID: 1}),
	closes("a twin read without $rid", &mqtt.Publish{Topic: []byte("$iothub/twin/GET/?x=1"), QoS: 1, ID: 1}),
	closes("a twin operation with a segment too many", &mqtt.Publish{Topic: []byte("$iothub/twin/GET/more/?$rid=1"), QoS: 1, ID: 1}),
	closes("a twin operation in other letters", &mqtt.Publish{Topic: []byte("$iothub/twin/get/?$rid=1"), QoS: 1, ID: 1}),
	closes("a SUBSCRIBE to a filter that the hub does not know", filterPacket("hello/world")),
	closes("a SUBSCRIBE to everything", filterPacket("#")),
	closes("a SUBSCRIBE to everything of the hub", filterPacket("$iothub/#")),
	closes("a SUBSCRIBE to what another device gets", filterPacket("devices/dev-2/messages/devicebound/#")),
	closes("a SUBSCRIBE to what one of its modules gets", filterPacket(inputsFilter)),
	closes("a SUBSCRIBE to telemetry", filterPacket("devices/dev-1/messages/events/#")),
	closes("a malformed packet", rawPacket{0x30, 5, 0, 3, 'a', 0xff, 'b'}),
	closes("a packet that only servers send", &mqtt.Suback{ID: 1, Codes: []byte{0}}),
	closes("a packet that announces more than 262,144 bytes", rawPacket{0x30, 0xff, 0xff, 0xff, 0x7f}),
	{"2.5 what closes", "a second CONNECT closes the connection, without a packet", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.write(connectPacket(t, h, dev))
		p.closed()
	}},
	{"2.5 what closes", "silence for 1.5 times the keep-alive closes the connection, without a packet", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, func(m *mqtt.Connect) { m.KeepAlive = 10 })
		start := time.Now()
		p.ends()
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("closed after %v", took)
		}
	}},
	ends("disabling the device", func(t *testing.T, h *hub.Hub, d *hub.Device) error {
		d.Disabled = true
		_, err := h.Update(t.Context(), d, d.ETag)
		return err
	}),
	ends("deleting the device", func(t *testing.T, h *hub.Hub, d *hub.Device) error { return h.Delete(t.Context(), dev) }),
	ends("replacing the key that it logged in with", func(t *testing.T, h *hub.Hub, d *hub.Device) error {
		d.PrimaryKey = hub.Secret{}
		_, err := h.Update(t.Context(), d, "")
		return err
	}),
	ends("closing the hub", func(t *testing.T, h *hub.Hub, d *hub.Device) error { return h.Close() }),
	{"2.5 what closes", "replacing the other key closes nothing", nil, func(t *testing.T, h *hub.Hub) {
		d, err := h.Device(dev)
		if err != nil {
			t.Fatal(err)
		}
		p := connect(t, h, dev, nil)
		d.SecondaryKey = hub.Secret{}
		if _, err := h.Update(t.Context(), d, ""); err != nil {
			t.Fatal(err)
		}
		p.ping()
	}},
	{"2.5 what closes", "deleting a device closes its modules' connections too", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, mod, nil)
		if err := h.Delete(t.Context(), dev); err != nil {
			t.Fatal(err)
		}
		p.closed()
	}},
	{"2.5 what closes", "as an option, an unknown filter is answered with 0x80 in its place, and the others are granted", &hub.Config{RefuseFilters: true}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.write(subscribePacket(t, 1, subscription{"hello/world", 1}, subscription{c2dFilter, 1}, subscription{"#", 0}))
		if codes := p.suback(1); !slices.Equal(codes, []byte{0x80, 1, 0x80}) {
			t.Errorf("codes %v", codes)
		}
	}},
	{"2.5 what closes", "the plus in a filter stands for the device's own id alone", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe("devices/+/messages/devicebound/#")
		sendC2D(t, h, other, "not for it")
		sendC2D(t, h, dev, "hi")
		p.expect("hi", 1, false)
		p.silent()
	}},
	{"2.5 what closes", "filters are known by their beginning, whatever follows the features' names", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe("$iothub/methods/POST/reboot/#", "$iothub/twin/PATCH/properties/desired/x")
		invoke(t, h, "m", "", nil)
		p.request()
		desire(t, h, dev, `{"a":1}`)
		p.publish()
	}},
	{"2.5 what closes", "a module has its own filters, in the forms of all SDKs", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, mod, nil)
		for _, filter := range []string{inputsFilter, "devices/dev-1/modules/mod/#", "devices/dev-1/modules/mod/messages/devicebound/#", twinResponses, methodFilter} {
			p.subscribe(filter)
		}
		p.ping()
	}},
}
