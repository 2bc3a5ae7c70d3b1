package links

import (
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire/amqp"
)

// BenchmarkDecode reads an event that go-amqp has received; Unmarshal is what go-amqp itself
// takes for it.
func BenchmarkDecode(b *testing.B) {
	wire := wireMessages(b)["eventhub_d2c_event"]
	var m goamqp.Message
	if err := m.UnmarshalBinary(wire); err != nil {
		b.Fatal(err)
	}
	b.Run("Event", func(b *testing.B) {
		b.SetBytes(int64(len(wire)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decode(&m, amqp.ParseEvent); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("EventOf", func(b *testing.B) {
		b.SetBytes(int64(len(wire)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := eventOf(&m); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Unmarshal", func(b *testing.B) {
		b.SetBytes(int64(len(wire)))
		b.ReportAllocs()
		for b.Loop() {
			var m goamqp.Message
			if err := m.UnmarshalBinary(wire); err != nil {
				b.Fatal(err)
			}
		}
	})
}
