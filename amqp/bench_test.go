package amqp

import (
	"testing"
	"time"

	"github.com/hubwire/hubwire"
)

// benchDraft is the message that bench/gates measures too.
func benchDraft() *Draft {
	return &Draft{
		Annotations: []Pair{
			{KeyDeviceID, String("dev-0001")}, {KeyGenerationID, String("637000000000000000")},
			{KeyMessageSource, String("Telemetry")}, {KeyModuleID, String("mod-a")},
		},
		Properties: Properties{
			MessageID: String("msg-0001"), CorrelationID: String("corr-42"),
			ContentType: "application/json", ContentEncoding: "utf-8",
		},
		Text: []hubwire.Property{
			{Name: "temperatureAlert", Value: "true"}, {Name: "room", Value: "kitchen"}, {Name: "level", Value: "50"}, {Name: "seq", Value: "123456"},
		},
		Body: DataBody, Data: make([]byte, 256),
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	d, dst := benchDraft(), make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendMessage(dst[:0], d)
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkParseMessage(b *testing.B) {
	wire := AppendMessage(nil, benchDraft())
	b.ReportAllocs()
	b.SetBytes(int64(len(wire)))
	for b.Loop() {
		if _, err := ParseMessage(wire); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookAtEachValue(b *testing.B) {
	m, err := ParseMessage(AppendMessage(nil, benchDraft()))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, entries := range [...]Map{m.Annotations(), m.ApplicationProperties()} {
			for key, v := range entries.All() {
				s, _ := v.Text()
				n += len(key) + len(s)
			}
		}
		id, _ := m.MessageID().Text()
		if n+len(id)+len(m.ContentType())+len(m.ContentEncoding()) == 0 {
			b.Fatal("nothing")
		}
	}
}

func BenchmarkParseTelemetry(b *testing.B) {
	wire := AppendMessage(nil, benchDraft())
	var r hubwire.Message
	b.ReportAllocs()
	for b.Loop() {
		m, err := ParseMessage(wire)
		if err != nil || ParseTelemetry(&m, &r) != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	d := benchDraft()
	e := &Event{
		Received: &hubwire.Received{
			Message: hubwire.Message{ID: "msg-0001", CorrelationID: "corr-42", ContentType: "application/json",
				ContentEncoding: "utf-8", Properties: d.Text, Body: d.Data},
			SequenceNumber: 42, EnqueuedTime: time.Now(), Source: hubwire.Identity{DeviceID: "dev-0001", ModuleID: "mod-a"},
		},
		Offset: "4294967296", GenerationID: "637000000000000000", MessageSource: "Telemetry",
		AuthMethod: `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`,
	}
	dst := make([]byte, 0, 2048)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendEvent(dst[:0], e)
	}
}

func BenchmarkRefuse(b *testing.B) {
	wire := AppendMessage(nil, benchDraft())
	wire = wire[:len(wire)-1]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMessage(wire); err == nil {
			b.Fatal("taken")
		}
	}
}
