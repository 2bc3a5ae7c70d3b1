package amqp10

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
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

func TestASectionIsWhatItSays(t *testing.T) {
	for _, c := range []struct {
		name string
		hex  string
		want SyntaxError
	}{
		{"a value that is not described", "a0 00", SyntaxError{Err: ErrType}},
		{"a section without a content", "00 53 75", SyntaxError{What: DescData, Offset: 3, Err: ErrTruncated}},
		{"a section of another kind", "00 53 10 45", SyntaxError{What: DescOpen, Err: ErrDescriptor}},
		{"a section that nobody knows", "00 a3 01 'x' 45", SyntaxError{Err: ErrDescriptor}},
		{"data that is text", "00 53 75 a1 00", SyntaxError{What: DescData, Err: ErrDescriptor}},
		{"properties that are a map", "00 53 73 c1 01 00", SyntaxError{What: DescProperties, Err: ErrDescriptor}},
		{"annotations that are a list", "00 53 72 45", SyntaxError{What: DescMessageAnnotations, Err: ErrDescriptor}},
		{"a sequence that is binary", "00 53 76 a0 00", SyntaxError{What: DescSequence, Err: ErrDescriptor}},
	} {
		t.Run(c.name, func(t *testing.T) {
			good := AppendData(nil, "x")
			r := NewReader(append(good, unhex(t, c.hex)...))
			if what, v := r.Section(); what != DescData || string(first(v.Binary())) != "x" {
				t.Fatalf("%v, %v", what, r.Err())
			}
			if what, v := r.Section(); what != 0 || !v.IsNull() || r.More() {
				t.Errorf("it is a %v of %v", what, v.Kind())
			}
			c.want.Offset += len(good)
			wantFault(t, r.Err(), c.want)
		})
	}
}

func TestEveryFieldOfASectionIsWrittenAndRead(t *testing.T) {
	for _, want := range []Properties{
		{},
		{
			text8("id"), []byte("user"), []byte("to"), []byte("subject"), []byte("reply"), ValueOf(AppendUUID(nil, [16]byte{1})),
			[]byte("type"), []byte{}, Some(int64(1767225600000)), Some(int64(-1)), []byte("group"), Some(uint32(0)), []byte("reply group"),
		},
		{MessageID: ValueOf(AppendUlong(nil, 7)), CorrelationID: ValueOf(AppendBinary(nil, "b"))},
	} {
		r := NewReader(want.AppendTo(nil))
		what, v := r.Section()
		var got Properties
		if err := got.Parse(v); err != nil || what != DescProperties {
			t.Fatalf("%v, %v", what, err)
		}
		if diff := cmp.Diff(want, got, same); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	for _, want := range []Header{{}, {Some(true), Some(uint8(0)), Some(uint32(0)), Some(false), Some(uint32(3))}} {
		r := NewReader(want.AppendTo(nil))
		what, v := r.Section()
		var got Header
		if err := got.Parse(v); err != nil || what != DescHeader || got != want {
			t.Errorf("%v, %v: %+v, want %+v", what, err, got, want)
		}
	}
}

func TestWhatIsWrongInASectionIsSaidWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		hex  string
		want SyntaxError
	}{
		"an id that is a map":        {"c0 04 01 c1 01 00", SyntaxError{What: DescProperties, Field: 1, Offset: 6, Err: ErrType}},
		"an id that is a uint":       {"c0 02 01 43", SyntaxError{What: DescProperties, Field: 1, Offset: 4, Err: ErrType}},
		"a user-id that is text":     {"c0 04 02 40 a1 00", SyntaxError{What: DescProperties, Field: 2, Offset: 5, Err: ErrType}},
		"a time that is a number":    {"c0 0a 09 40 40 40 40 40 40 40 40 43", SyntaxError{What: DescProperties, Field: 9, Offset: 12, Err: ErrType}},
		"a time that is cut":         {"c0 0b 09 40 40 40 40 40 40 40 40 83 00", SyntaxError{What: DescProperties, Field: 9, Offset: 12, Err: ErrTruncated}},
		"a list of nothing but null": {"40", SyntaxError{}},
	} {
		var p Properties
		err := p.Parse(ValueOf(unhex(t, c.hex)))
		if c.want.Err == nil {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		t.Run(name, func(t *testing.T) { wantFault(t, err, c.want) })
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
