package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// telemetry has what the SDKs do not send, but a device may.
func (m *mechanics) telemetry(t *testing.T) {
	id, p := m.enter(t, bareSetup{})
	events := m.events(t, id)
	p.do(t, "attach", attach{Link: "out", Role: "sender", Address: "amqps://localhost:5671" + path(id) + "/Messages/Events"})
	tests := []struct {
		name string
		send section
		want hubwire.Message
	}{
		{"body in two parts", section{Data: [][]byte{[]byte("ab"), []byte("cd")}}, hubwire.Message{Body: []byte("abcd")}},
		{"200 KiB", section{Data: [][]byte{bytes.Repeat(allBytes(), 800)}}, hubwire.Message{Body: bytes.Repeat(allBytes(), 800)}},
		{"ids that are numbers", section{ID: map[string]any{"amqp": "ulong", "value": 42}, CorrelationID: map[string]any{"amqp": "ulong", "value": 0}}, hubwire.Message{ID: "42", CorrelationID: "0"}},
		{"a user id", section{UserID: map[string]any{"amqp": "binary", "value": []byte("ü")}}, hubwire.Message{UserID: "ü"}},
		{"properties with types", section{Application: map[string]any{
			"text": "x", "int": map[string]any{"amqp": "int", "value": -5}, "long": map[string]any{"amqp": "long", "value": 1 << 40},
			"bool": true, "double": map[string]any{"amqp": "double", "value": 1.5},
		}}, hubwire.Message{Properties: []hubwire.Property{
			{Name: "bool", Value: "true"}, {Name: "double", Value: "1.5"}, {Name: "int", Value: "-5"}, {Name: "long", Value: "1099511627776"}, {Name: "text", Value: "x"},
		}}},
		{"a component", section{Annotations: map[string]any{"dt-subject": "thermostat1"}}, hubwire.Message{Component: "thermostat1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.gives(t, accepted, "send", parcel{Link: "out", Messages: []section{tt.send}})
			arrives(t, events, tt.want)
		})
	}
	t.Run("a thousand at once, settled by neither end before", func(t *testing.T) {
		var many []section
		for i := range 1000 {
			many = append(many, section{Data: [][]byte{fmt.Append(nil, i)}})
		}
		for i, o := range answered[[]outcome](t, p, "send", parcel{Link: "out", Messages: many}) {
			if o.Outcome != "accepted" {
				t.Fatalf("%d: %+v", i, o)
			}
			arrives(t, events, hubwire.Message{Body: many[i].Data[0]})
		}
	})
	t.Run("settled by the sender", func(t *testing.T) {
		settled := 1
		p.do(t, "attach", attach{Link: "settled", Role: "sender", Address: path(id) + "/messages/events", SendMode: &settled})
		p.gives(t, `[{"outcome":"none"}]`, "send", parcel{Link: "settled", Messages: []section{{Data: [][]byte{[]byte("s")}}}})
		arrives(t, events, hubwire.Message{Body: []byte("s")})
	})
	t.Run("too large", func(t *testing.T) {
		got := answered[[]outcome](t, p, "send", parcel{Link: "out", Messages: []section{{Data: [][]byte{make([]byte, 256<<10+1)}}}})
		if diff := cmp.Diff([]outcome{{"rejected", "amqp:link:message-size-exceeded"}}, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// batches have Microsoft's format, as the SDKs for C and .NET send it.
func (m *mechanics) batches(t *testing.T) {
	id, p := m.enter(t, bareSetup{})
	events := m.events(t, id)
	p.do(t, "attach", attach{Link: "out", Role: "sender", Address: path(id) + "/messages/events"})
	p.gives(t, accepted, "send", parcel{Link: "out", Batch: true, Messages: []section{
		{ID: "1", Data: [][]byte{[]byte("a")}}, {ID: "2", Data: [][]byte{allBytes()}, Application: map[string]any{"x": "ü €"}}, {Data: [][]byte{{}}},
	}})
	arrives(t, events, hubwire.Message{ID: "1", Body: []byte("a")})
	arrives(t, events, hubwire.Message{ID: "2", Body: allBytes(), Properties: hubProps(props("x", "ü €"))})
	arrives(t, events, hubwire.Message{})
	got := answered[[]outcome](t, p, "send", parcel{Link: "out", Batch: true, Messages: []section{{Data: [][]byte{make([]byte, 200<<10)}}, {Data: [][]byte{make([]byte, 100<<10)}}}})
	if diff := cmp.Diff([]outcome{{"rejected", "amqp:link:message-size-exceeded"}}, got); diff != "" {
		t.Errorf("a batch that is too large (-want +got)\n%s", diff)
	}
}

// inbox attaches for messages to the device, which are settled by hand.
func inbox(t *testing.T, p *peer, id hubwire.Identity, mode, credit int) {
	t.Helper()
	by := false
	p.do(t, "attach", attach{Link: "in", Role: "receiver", Address: path(id) + "/messages/devicebound", AutoAccept: &by, AutoSettle: &by, RecvMode: &mode, Credit: &credit})
}

// comes waits for a message to the device, and looks at what all have.
func comes(t *testing.T, p *peer, messageID string, deliveries float64) handout {
	t.Helper()
	d := nextInto[handout](t, p, "on in")
	var s section
	if err := json.Unmarshal(d.Message, &s); err != nil {
		t.Fatal(err)
	}
	at, _ := s.Annotations["iothub-enqueuedtime"].(map[string]any)
	if s.ID != messageID || d.Tag != 16 || d.Settled || at["amqp"] != "timestamp" || s.Annotations["iothub-deliverycount"] != deliveries || len(s.Data) != 1 {
		t.Errorf("message %v, not %s, after %v deliveries: tag of %d, settled %v, annotations %v, %d sections", s.ID, messageID, deliveries, d.Tag, d.Settled, s.Annotations, len(s.Data))
	}
	return d
}

// verdict says what became of a delivery.
type verdict struct {
	Index   int             `json:"index"`
	How     string          `json:"how,omitempty"`
	Outcome string          `json:"outcome,omitempty"`
	Args    map[string]bool `json:"args,omitempty"`
}

// c2d settles in each way that AMQP has.
func (m *mechanics) c2d(t *testing.T) {
	id, p := m.enter(t, bareSetup{})
	inbox(t, p, id, 0, 100)
	send := func(messageID string) { m.sendC2D(t, id, hubwire.Message{ID: messageID, Ack: hubwire.AckFull}) }
	settle := func(d handout, how string, args map[string]bool) {
		t.Helper()
		p.do(t, "settle", verdict{Index: d.Index, How: how, Args: args})
	}
	m.feedback.Lock()
	defer m.feedback.Unlock()
	send("accepted")
	settle(comes(t, p, "accepted", 0), "accept", nil)
	send("rejected")
	settle(comes(t, p, "rejected", 0), "reject", nil)
	send("released")
	settle(comes(t, p, "released", 0), "release", map[string]bool{})
	settle(comes(t, p, "released", 1), "modified", map[string]bool{"delivery_failed": true})
	settle(comes(t, p, "released", 2), "modified", map[string]bool{"undeliverable_here": true})
	m.queueIsEmpty(t, id)
	told := map[string]string{}
	for len(told) < 3 {
		fb, err := m.Feedback(within(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fb {
			told[f.MessageID] = f.Status
		}
	}
	if diff := cmp.Diff(map[string]string{"accepted": "Success", "rejected": "Rejected", "released": "Rejected"}, told); diff != "" {
		t.Errorf("feedback (-want +got)\n%s", diff)
	}
	t.Run("a link that ends with a message unsettled", func(t *testing.T) {
		m.sendC2D(t, id, hubwire.Message{ID: "left"})
		comes(t, p, "left", 0)
		p.do(t, "detach", map[string]string{"link": "in"})
		inbox(t, p, id, 0, 100)
		settle(comes(t, p, "left", 0), "accept", nil)
		m.queueIsEmpty(t, id)
	})
}

// second has the mode in which the receiver says what became of a message, and
// the sender settles it: .NET's.
func (m *mechanics) second(t *testing.T) {
	id, p := m.enter(t, bareSetup{})
	inbox(t, p, id, 1, 100)
	for _, outcome := range []string{"accepted", "rejected"} {
		m.sendC2D(t, id, hubwire.Message{ID: outcome})
		d := comes(t, p, outcome, 0)
		p.gives(t, `"accepted"`, "propose", verdict{Index: d.Index, Outcome: outcome})
	}
	m.sendC2D(t, id, hubwire.Message{ID: "released"})
	p.gives(t, `"accepted"`, "propose", verdict{Index: comes(t, p, "released", 0).Index, Outcome: "released"})
	p.gives(t, `"accepted"`, "propose", verdict{Index: comes(t, p, "released", 1).Index, Outcome: "accepted"})
	m.queueIsEmpty(t, id)
}

// credit is asked for by hand, and taken back.
func (m *mechanics) credit(t *testing.T) {
	id, p := m.enter(t, bareSetup{})
	inbox(t, p, id, 0, 0)
	for i := range 3 {
		m.sendC2D(t, id, hubwire.Message{ID: fmt.Sprint(i)})
	}
	grant := func(do string, n int) { p.do(t, do, map[string]any{"link": "in", "n": n}) }
	settle := func(d handout) { p.do(t, "settle", verdict{Index: d.Index, How: "accept"}) }
	grant("credit", 1)
	settle(comes(t, p, "0", 0))
	p.do(t, "attach", attach{Link: "out", Role: "sender", Address: path(id) + "/messages/events"}) // the hub has seen all before it answers
	p.silent(t, "on in")
	grant("drain", 10)
	settle(comes(t, p, "1", 0))
	settle(comes(t, p, "2", 0))
	p.next(t, "drained")
	m.sendC2D(t, id, hubwire.Message{ID: "3"})
	p.gives(t, accepted, "send", parcel{Link: "out", Messages: []section{{Data: [][]byte{{}}}}})
	p.silent(t, "on in")
	grant("credit", 1)
	settle(comes(t, p, "3", 0))
	m.queueIsEmpty(t, id)
}

// smallFrames has a client that takes no larger frames than AMQP demands, and one
// message in many of them, both ways.
func (m *mechanics) smallFrames(t *testing.T) {
	id, p := m.enter(t, bareSetup{FrameSize: 512})
	events := m.events(t, id)
	p.do(t, "attach", attach{Link: "out", Role: "sender", Address: path(id) + "/messages/events"})
	body := bytes.Repeat(allBytes(), 200)
	p.gives(t, accepted, "send", parcel{Link: "out", Messages: []section{{Data: [][]byte{body}}}})
	arrives(t, events, hubwire.Message{Body: body})
	inbox(t, p, id, 0, 100)
	m.sendC2D(t, id, hubwire.Message{ID: "large", Body: body})
	d := comes(t, p, "large", 0)
	var s section
	if err := json.Unmarshal(d.Message, &s); err != nil || !bytes.Equal(s.Data[0], body) {
		t.Errorf("%d bytes, %v", len(s.Data[0]), err)
	}
	p.do(t, "settle", verdict{Index: d.Index, How: "accept"})
	m.queueIsEmpty(t, id)
}

// heartbeats has a client that ends a connection on which it hears nothing for four seconds or so; the hub says something
// each two, so that a busy machine may take as long.
func (m *mechanics) heartbeats(t *testing.T) {
	id, p := m.enter(t, bareSetup{Idle: 4000})
	time.Sleep(9 * time.Second)
	p.silent(t, "ended")
	events := m.events(t, id)
	p.do(t, "attach", attach{Link: "out", Role: "sender", Address: path(id) + "/messages/events"})
	p.gives(t, accepted, "send", parcel{Link: "out", Messages: []section{{Data: [][]byte{[]byte("alive")}}}})
	arrives(t, events, hubwire.Message{Body: []byte("alive")})
}

// takeOver has a device come again while it is there.
func (m *mechanics) takeOver(t *testing.T) {
	id, cs := m.device(t)
	first := m.enterAs(t, bareSetup{}, id, cs)
	inbox(t, first, id, 0, 100)
	second := m.enterAs(t, bareSetup{}, id, cs)
	inbox(t, second, id, 0, 100)
	if d := nextInto[detached](t, first, "detached"); d.Link != "in" || d.Name != "amqp:link:stolen" {
		t.Errorf("the first is told %+v", d)
	}
	m.sendC2D(t, id, hubwire.Message{ID: "for the second"})
	second.do(t, "settle", verdict{Index: comes(t, second, "for the second", 0).Index, How: "accept"})
	m.queueIsEmpty(t, id)
	first.silent(t, "on in")

	t.Run("another device's token on the same connection is another matter", func(t *testing.T) {
		other, otherCS := m.device(t)
		a := m.claim(t, second, "1", token(t, otherCS, sas.Audience(m.HostName(), other), "", time.Now().Add(time.Hour)))
		if a.Application["status-code"] != 200.0 {
			t.Fatal(a.Application)
		}
		events := m.events(t, other)
		second.do(t, "attach", attach{Link: "out", Role: "sender", Address: path(other) + "/messages/events"})
		second.gives(t, accepted, "send", parcel{Link: "out", Messages: []section{{Data: [][]byte{[]byte("x")}}}})
		arrives(t, events, hubwire.Message{Body: []byte("x")})
		second.silent(t, "detached")
	})
}
