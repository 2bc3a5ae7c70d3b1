package amqp10

import (
	"bytes"
	"testing"
)

func TestMessageVectorsBothWays(t *testing.T) {
	for _, v := range vectors(t).Messages {
		b := v.bytes(t)
		again := rewriteMessage(t, v.Name, b)
		if !bytes.Equal(again, b) && (len(again) >= len(b) || !bytes.Equal(rewriteMessage(t, v.Name, again), again)) {
			t.Errorf("%s:\n got %x\nwant %x", v.Name, again, b)
		}
	}
}

func rewriteMessage(t testing.TB, name string, b []byte) (out []byte) {
	t.Helper()
	r := NewReader(b)
	for r.More() {
		what, v := r.Section()
		var err error
		switch what {
		case DescHeader:
			var h Header
			err = h.Parse(v)
			out = h.AppendTo(out)
		case DescProperties:
			var p Properties
			err = p.Parse(v)
			out = p.AppendTo(out)
		default:
			err = v.Check()
			out = appendShortest(AppendDescriptor(out, what), v)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := r.Err(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

func BenchmarkMessage(b *testing.B) {
	wire := benchMessage()
	b.Run("properties/parse", func(b *testing.B) {
		r := NewReader(wire)
		var props Value
		for r.More() {
			what, v := r.Section()
			if what == DescProperties {
				props = v
			}
		}
		b.ReportAllocs()
		var p Properties
		for b.Loop() {
			if err := p.Parse(props); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sections", func(b *testing.B) {
		b.SetBytes(int64(len(wire)))
		b.ReportAllocs()
		for b.Loop() {
			r := NewReader(wire)
			n := 0
			for r.More() {
				if what, _ := r.Section(); what != 0 {
					n++
				}
			}
			if n != 4 {
				b.Fatal(r.Err())
			}
		}
	})
	b.Run("all values", func(b *testing.B) {
		b.SetBytes(int64(len(wire)))
		b.ReportAllocs()
		var p Properties
		for b.Loop() {
			r := NewReader(wire)
			n := 0
			for r.More() {
				switch what, v := r.Section(); what {
				case DescProperties:
					if p.Parse(v) != nil {
						b.Fatal("no properties")
					}
				case DescMessageAnnotations, DescApplicationProperties:
					for k, v := range v.Entries() {
						x, _ := k.Text()
						y, _ := v.Text()
						n += len(x) + len(y)
					}
				}
			}
			if n == 0 {
				b.Fatal(r.Err())
			}
		}
	})
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		dst := make([]byte, 0, 1024)
		for b.Loop() {
			dst = appendBenchMessage(dst[:0])
		}
	})
}

// benchMessage is a message as telemetry is read: 578 bytes.
func benchMessage() []byte { return appendBenchMessage(nil) }

var benchPayload = bytes.Repeat([]byte("x"), 256)

func appendBenchMessage(dst []byte) []byte {
	dst = AppendDescriptor(dst, DescMessageAnnotations)
	at := len(dst)
	dst = OpenCompound(dst)
	for _, kv := range [...][2]string{
		{"iothub-connection-device-id", "dev-0001"}, {"iothub-connection-auth-generation-id", "637000000000000000"},
		{"iothub-message-source", "Telemetry"}, {"iothub-connection-module-id", "mod-a"},
	} {
		dst = AppendString(AppendSymbol(dst, kv[0]), kv[1])
	}
	dst = CloseMap(dst, at, 8)
	p := Properties{ContentType: []byte("application/json"), ContentEncoding: []byte("utf-8")}
	p.MessageID = ValueOf([]byte("\xa1\x08msg-0001"))
	p.CorrelationID = ValueOf([]byte("\xa1\x07corr-42"))
	dst = p.AppendTo(dst)
	dst = AppendDescriptor(dst, DescApplicationProperties)
	at = len(dst)
	dst = OpenCompound(dst)
	for _, kv := range [...][2]string{
		{"temperatureAlert", "true"}, {"room", "kitchen"}, {"level", "50"}, {"seq", "123456"},
	} {
		dst = AppendString(AppendString(dst, kv[0]), kv[1])
	}
	dst = CloseMap(dst, at, 8)
	return AppendData(dst, benchPayload)
}
