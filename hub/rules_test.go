package hub_test

import (
	"slices"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

// The rules of IoT Hub's device protocol over MQTT, as far as they bind the hub,
// each with the case that shows that it is kept, packet by packet. Where the
// documents leave something open, the rule says what this hub decided.
//
//	go test -run TestRules -v ./hub
//
// prints the list. What takes more than a few packets to show has a test of its own
// besides, in the file of its subject.

// rule is a rule and its case. The rule is a sentence, without the stop.
type rule struct {
	section string // of the rules: the digits order them, a word says what they are about
	says    string
	cfg     *hub.Config // nil means the defaults
	check   func(t *testing.T, h *hub.Hub)
}

// rules are all of them, in order.
func rules() []rule {
	return slices.Concat(chainRules(), qosRules, sessionRules, c2dQueueRules, sizeRules, closingRules, throttleRules(), tokenRules(),
		bagRules(), outboundRules, telemetryRules, c2dRules, methodRules(), twinRules(), moduleRules(), dpsRules(), pnpRules())
}

func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rules() {
		name := r.section + ": " + r.says
		if seen[name] {
			t.Errorf("the rule %q is there twice", name)
		}
		seen[name] = true
		t.Run(name, func(t *testing.T) { bubble(t, r.cfg, r.check) })
	}
}

// telemeter sends telemetry at QoS 1 and returns the last event in the log, which it is.
func (p *peer) telemeter(h *hub.Hub, topic, body string) *hub.Event {
	p.t.Helper()
	p.write(&mqtt.Publish{Topic: []byte(topic), Payload: []byte(body), QoS: 1, ID: 7})
	p.puback(7)
	evs := events(p.t, h)
	if len(evs) == 0 || string(evs[len(evs)-1].Body) != body {
		p.t.Fatalf("%d events, the last is not the one that was sent", len(evs))
	}
	return evs[len(evs)-1]
}

// ack completes a message.
func (p *peer) ack(m mqtt.Publish) {
	p.t.Helper()
	p.write(&mqtt.Puback{ID: m.ID})
	p.ping()
}

// unsubscribe ends subscriptions and waits for the UNSUBACK.
func (p *peer) unsubscribe(filters ...string) {
	p.t.Helper()
	m := &mqtt.Unsubscribe{ID: 78}
	for _, f := range filters {
		var err error
		m.Filters, err = mqtt.AppendFilterName(m.Filters, f)
		p.check(err)
	}
	p.write(m)
	if m, err := mqtt.ParseUnsuback(p.read(mqtt.TypeUnsuback)); err != nil || m.ID != 78 {
		p.t.Fatalf("UNSUBACK %+v, %v", m, err)
	}
}

// feedback asserts that a record waits with this status, or for "" that none does.
func feedback(t *testing.T, h *hub.Hub, status string) {
	t.Helper()
	if status == "" {
		d, err := h.Device(dev)
		if err != nil || d.QueueLength != 0 {
			t.Errorf("queue length %d, %v", d.QueueLength, err)
		}
		// What comes next is the first.
		sendC2D(t, h, other, "probe")
		if _, err := h.Purge(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		status = "Purged"
	}
	fb, err := h.Feedback(t.Context())
	if err != nil || len(fb) != 1 || fb[0].Status != status {
		t.Errorf("feedback %+v, %v, want one of %s", fb, err, status)
	}
}

var qosRules = []rule{
	{"2.1 QoS", "a PUBLISH at QoS 0 is taken and not answered", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), Payload: []byte("hi")})
		p.ping()
		if evs := events(t, h); len(evs) != 1 || string(evs[0].Body) != "hi" {
			t.Errorf("%d events", len(evs))
		}
	}},
	{"2.1 QoS", "a PUBLISH at QoS 1 is answered with PUBACK when it is in the log", nil, func(t *testing.T, h *hub.Hub) {
		connect(t, h, dev, nil).telemeter(h, telemetryTopic, "hi")
	}},
	{"2.1 QoS", "a PUBLISH at QoS 2 closes the connection, without PUBREC, and is not taken", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 2, ID: 1})
		p.closed()
		if evs := events(t, h); len(evs) != 0 {
			t.Errorf("the hub took it: %+v", evs[0])
		}
	}},
	{"2.1 QoS", "SUBACK grants each filter the lower of what was asked and 1, in their order", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		// The C SDK asks for all at once.
		p.write(subscribePacket(t, 3, subscription{c2dFilter, 2}, subscription{twinResponses, 0}, subscription{desiredFilter, 1}, subscription{methodFilter, 0}))
		if codes := p.suback(3); !slices.Equal(codes, []byte{1, 0, 1, 0}) {
			t.Errorf("codes %v", codes)
		}
	}},
	{"2.1 QoS", "messages to a device come at the QoS that was granted", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		for asked, granted := range map[mqtt.QoS]mqtt.QoS{0: 0, 1: 1, 2: 1} {
			p.write(subscribePacket(t, 1, subscription{c2dFilter, asked}))
			p.suback(1)
			sendC2D(t, h, dev, "hi")
			if m := p.expect("hi", granted, false); granted > 0 {
				p.ack(m)
			}
		}
	}},
	{"2.1 QoS", "twin answers, desired changes and method requests come at QoS 0, whatever was granted", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(twinResponses, desiredFilter, methodFilter)
		p.ask(getTopic+"1", "", 1)
		desire(t, h, dev, `{"a":1}`)
		if m := p.publish(); m.QoS != 0 {
			t.Errorf("the change came at QoS %d", m.QoS)
		}
		invoke(t, h, "m", "", nil)
		p.request()
	}},
	{"2.1 QoS", "a PUBLISH with RETAIN becomes mqtt-retain=true, and nothing is retained", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.write(&mqtt.Publish{Topic: []byte(telemetryTopic + "a=b"), QoS: 1, ID: 1, Retain: true})
		p.puback(1)
		want := []hubwire.Property{{Name: "a", Value: "b"}, {Name: "mqtt-retain", Value: "true"}}
		if ev := events(t, h)[0]; !slices.Equal(ev.Properties, want) {
			t.Errorf("properties %v", ev.Properties)
		}
		p.subscribe(c2dFilter)
		p.ping()
	}},
	{"2.1 QoS", "a PUBLISH that comes again with DUP is taken and answered again, and not marked", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		m := mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 2}
		again := m
		again.Dup = true
		p.write(&m, &again)
		p.puback(2)
		p.puback(2)
		if evs := events(t, h); len(evs) != 2 || len(evs[1].Properties) != 0 {
			t.Errorf("%d events, the last is %+v", len(evs), evs[len(evs)-1].Message)
		}
	}},
	{"2.1 QoS", "as an option, DUP becomes mqtt-dup=true", &hub.Config{GatewayProperties: true}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 2, Dup: true})
		p.puback(2)
		if v, _ := events(t, h)[0].Property("mqtt-dup"); v != "true" {
			t.Errorf("mqtt-dup is %q", v)
		}
	}},
	{"2.1 QoS", "mqtt-qos of a message to a device means nothing", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		sendHint(t, h, "0")
		p.expect("hi", 1, false)
	}},
	{"2.1 QoS", "as an option, mqtt-qos=0 lowers the QoS of a message to a device, and nothing raises it", &hub.Config{GatewayProperties: true}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		sendHint(t, h, "0")
		p.expect("hi", 0, false)
		p.write(subscribePacket(t, 1, subscription{c2dFilter, 0}))
		p.suback(1)
		sendHint(t, h, "1")
		p.expect("hi", 0, false)
		p.ping()
		feedback(t, h, "")
	}},
	{"2.1 QoS", "the packet identifier of a message is its sequence number's lower 14 bits plus one", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		for want := uint16(2); want < 5; want++ {
			sendC2D(t, h, dev, "hi")
			if m := p.expect("hi", 1, false); m.ID != want {
				t.Errorf("packet identifier %d, want %d", m.ID, want)
			}
		}
	}},
	{"2.1 QoS", "a message that was not acknowledged comes again over the next connection, with DUP and the same identifier", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		sendC2D(t, h, dev, "a", "b")
		a, b := p.expect("a", 1, false), p.expect("b", 1, false)
		p.ack(a)
		p.cut()
		if again := connect(t, h, dev, nil).expect("b", 1, true); again.ID != b.ID || a.ID == b.ID {
			t.Errorf("identifiers %d and %d, and %d for the second when it came again", a.ID, b.ID, again.ID)
		}
	}},
	{"2.1 QoS", "a message that waited, but was never sent, comes without DUP", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		p.bye()
		sendC2D(t, h, dev, "hi")
		connect(t, h, dev, nil).expect("hi", 1, false)
	}},
}

func sendHint(t *testing.T, h *hub.Hub, qos string) {
	t.Helper()
	err := h.SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte("hi"), Properties: []hubwire.Property{{Name: "mqtt-qos", Value: qos}}})
	if err != nil {
		t.Fatal(err)
	}
}
