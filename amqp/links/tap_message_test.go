package links

import (
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/testkit"
)

// annotated is a message with one annotation that has this key.
func annotated(key []byte) []byte {
	b := amqp10.AppendDescriptor(nil, amqp10.DescMessageAnnotations)
	at := len(b)
	b = amqp10.OpenCompound(b)
	b = append(b, key...)
	return amqp10.CloseMap(amqp10.AppendNull(b), at, 2)
}

func TestMessagesAtWhichGoamqpWouldPanicAreRefused(t *testing.T) {
	list := []byte{amqp10.CodeList0}
	inner := amqp10.OpenCompound(nil)
	inner = amqp10.CloseMap(amqp10.AppendNull(amqp10.AppendBinary(inner, "k")), 0, 2)
	value := append(amqp10.AppendDescriptor(nil, amqp10.DescValue), inner...)
	described := append(amqp10.AppendWideDescriptor(nil, 1<<40), list...)
	for name, b := range map[string][]byte{
		"a list for a key":           annotated(list),
		"bytes for a key":            annotated(amqp10.AppendBinary(nil, "k")),
		"a described list for a key": annotated(described),
		"a map within the body":      value,
		"a map that counts more than it has": append([]byte{
			0, amqp10.CodeSmallUlong, byte(amqp10.DescMessageAnnotations), amqp10.CodeMap8, 5, 4, amqp10.CodeSymbol8, 1, 'k', amqp10.CodeNull,
		}, described...),
		"a section that is cut off":     annotated(list)[:5],
		"a section that is none at all": {0xff},
	} {
		if err := checkMessage(b); err == nil {
			t.Errorf("%s passes: %x", name, b)
		}
	}
}

func TestAllMessagesOfTheGoldenFilePass(t *testing.T) {
	for name, b := range wireMessages(t) {
		if err := checkMessage(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		testkit.NoAllocs(t, name, func() { _ = checkMessage(b) })
	}
	if err := checkMessage(annotated(amqp10.AppendUlong(nil, 1))); err != nil {
		t.Errorf("a number for a key: %v", err)
	}
}

// FuzzCheckMessage lets go-amqp decode all that passes: it must not panic.
func FuzzCheckMessage(f *testing.F) {
	for _, b := range wireMessages(f) {
		f.Add(b)
	}
	f.Add(annotated([]byte{amqp10.CodeList0}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if checkMessage(b) == nil {
			_ = new(goamqp.Message).UnmarshalBinary(b)
		}
	})
}

func BenchmarkCheckMessage(b *testing.B) {
	wire := wireMessages(b)["eventhub_d2c_event"]
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		if err := checkMessage(wire); err != nil {
			b.Fatal(err)
		}
	}
}
