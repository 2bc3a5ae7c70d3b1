package main

import (
	"maps"
	"slices"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// The AMQP message: telemetry as the hub hands it on, four annotations, four properties, four
// application properties, 256 B of data.
var (
	amqpAnnotations = []amqp.Pair{
		{Key: amqp.KeyDeviceID, Value: amqp.String("dev-0001")},
		{Key: amqp.KeyGenerationID, Value: amqp.String("637000000000000000")},
		{Key: amqp.KeyMessageSource, Value: amqp.String("Telemetry")},
		{Key: amqp.KeyModuleID, Value: amqp.String("mod-a")},
	}
	amqpProperties = amqp.Properties{
		MessageID: amqp.String("msg-0001"), CorrelationID: amqp.String("corr-42"),
		ContentType: "application/json", ContentEncoding: "utf-8",
	}
	amqpApplication = []hubwire.Property{
		{Name: "temperatureAlert", Value: "true"},
		{Name: "room", Value: "kitchen"},
		{Name: "level", Value: "50"},
		{Name: "seq", Value: "123456"},
	}
)

// amqpCodecRows: the peer is the one AMQP 1.0 library for Go. Both write and read the same
// message; what is read is the same bytes.
func amqpCodecRows() ([]*row, error) {
	w := newAMQPWork()
	return []*row{
		{
			name:  "AMQP message, append",
			floor: memcpyWork(w.wire),
			peer:  &work{name: "go-amqp", run: w.appendPeer},
			ours:  &work{run: w.append},
			gates: []bound{atLeast(12)}, targets: []bound{atLeast(15)},
		},
		{
			name:  "AMQP message, parse to a view",
			floor: memcpyWork(w.wire),
			peer:  &work{name: "go-amqp", run: w.parsePeer},
			ours:  &work{run: w.parse},
			gates: []bound{atLeast(18)}, targets: []bound{atLeast(20)},
		},
		{
			name:  "AMQP message, parse and look at each value",
			floor: memcpyWork(w.wire),
			peer:  &work{name: "go-amqp", run: w.parsePeer},
			ours:  &work{run: w.parseAndLook},
		},
	}, w.check()
}

type amqpWork struct {
	wire  []byte
	draft amqp.Draft
	peer  goamqp.Message
	to    *space
}

func newAMQPWork() *amqpWork {
	w := &amqpWork{draft: amqp.Draft{
		Annotations: amqpAnnotations, Properties: amqpProperties, Text: amqpApplication, Body: amqp.DataBody, Data: payload(256),
	}}
	w.wire = placed(amqp.AppendMessage(nil, &w.draft))
	w.to = newSpace(len(w.wire))
	w.peer = goamqp.Message{
		Annotations: goamqp.Annotations{
			amqp.KeyDeviceID: "dev-0001", amqp.KeyGenerationID: "637000000000000000",
			amqp.KeyMessageSource: "Telemetry", amqp.KeyModuleID: "mod-a",
		},
		Properties: &goamqp.MessageProperties{
			MessageID: "msg-0001", CorrelationID: "corr-42", ContentType: new("application/json"), ContentEncoding: new("utf-8"),
		},
		ApplicationProperties: map[string]any{},
		Data:                  [][]byte{w.draft.Data},
	}
	for _, p := range amqpApplication {
		w.peer.ApplicationProperties[p.Name] = p.Value
	}
	return w
}

// check holds that each reads what the other writes.
func (w *amqpWork) check() error {
	var c checker
	var theirs goamqp.Message
	c.ok("ours read by go-amqp", theirs.UnmarshalBinary(w.wire))
	for i, got := range peerParts(&theirs) {
		c.equal("ours read by go-amqp", got, peerParts(&w.peer)[i])
	}
	b, err := w.peer.MarshalBinary()
	c.ok("go-amqp's", err)
	m, err := amqp.ParseMessage(b)
	c.ok("go-amqp's read", err)
	own, err := amqp.ParseMessage(w.wire)
	c.ok("ours read", err)
	c.equal("go-amqp's read", amqpTexts(&m), amqpTexts(&own))
	c.equal("texts in the message", len(amqpTexts(&own)), 4+4+4+1)
	return c.err
}

func peerParts(m *goamqp.Message) []any {
	return []any{m.Annotations, m.Properties, m.ApplicationProperties, m.Data}
}

// amqpTexts are the values of a message, in an order of their own.
func amqpTexts(m *amqp.Message) []string {
	texts := map[string]string{"data": string(m.Data())}
	for _, entries := range []amqp.Map{m.Annotations(), m.ApplicationProperties()} {
		for key, v := range entries.All() {
			s, _ := v.Text()
			texts[string(key)] = string(s)
		}
	}
	for i, v := range []amqp.Value{m.MessageID(), m.CorrelationID()} {
		s, _ := v.Text()
		texts[[]string{"message-id", "correlation-id"}[i]] = string(s)
	}
	texts["content-type"], texts["content-encoding"] = string(m.ContentType()), string(m.ContentEncoding())
	var sorted []string
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		sorted = append(sorted, key+"="+texts[key])
	}
	return sorted
}

func (w *amqpWork) append(n int) {
	draft, dst := &w.draft, w.to.next()
	for range n {
		dst = amqp.AppendMessage(dst[:0], draft)
	}
	sink.bytes = dst
}

func (w *amqpWork) appendPeer(n int) {
	for range n {
		sink.bytes, _ = w.peer.MarshalBinary()
	}
}

func (w *amqpWork) parse(n int) {
	wire, sum := w.wire, 0
	for range n {
		m, err := amqp.ParseMessage(wire)
		if err != nil {
			return
		}
		sum += len(m.Data())
	}
	sink.n = sum
}

// parseAndLook takes each value of the message out of its view.
func (w *amqpWork) parseAndLook(n int) {
	wire, sum := w.wire, 0
	for range n {
		m, err := amqp.ParseMessage(wire)
		if err != nil {
			return
		}
		for key, v := range m.Annotations().All() {
			s, _ := v.Text()
			sum += len(key) + len(s)
		}
		for key, v := range m.ApplicationProperties().All() {
			s, _ := v.Text()
			sum += len(key) + len(s)
		}
		id, _ := m.MessageID().Text()
		correlation, _ := m.CorrelationID().Text()
		sum += len(id) + len(correlation) + len(m.ContentType()) + len(m.ContentEncoding()) + len(m.Data())
	}
	sink.n = sum
}

func (w *amqpWork) parsePeer(n int) {
	for range n {
		var m goamqp.Message
		if m.UnmarshalBinary(w.wire) != nil {
			return
		}
		sink.n = len(m.Data)
	}
}
