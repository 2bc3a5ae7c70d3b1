package amqp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/testkit"
)

// section is a section as its bytes.
func section(d amqp10.Descriptor, value ...byte) []byte {
	return append(amqp10.AppendDescriptor(nil, d), value...)
}

// mapOf encodes a map of these values, keys and values in turns.
func mapOf(values ...Typed) []byte {
	b := amqp10.OpenCompound(nil)
	for i := range values {
		b = values[i].AppendTo(b)
	}
	return amqp10.CloseMap(b, 0, len(values))
}

func listOf(values ...Typed) []byte {
	b := amqp10.OpenCompound(nil)
	for i := range values {
		b = values[i].AppendTo(b)
	}
	return amqp10.CloseList(b, 0, len(values))
}

func raw(b ...byte) Typed { return Typed{data: b} }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestBadMessages(t *testing.T) {
	const (
		annotations = amqp10.DescMessageAnnotations
		properties  = amqp10.DescProperties
		application = amqp10.DescApplicationProperties
		data        = amqp10.DescData
	)
	deep := bytes.Repeat([]byte{amqp10.CodeList8, 0, 1}, 40)
	for i := len(deep) - 2; i > 0; i -= 3 {
		deep[i] = byte(len(deep) - i - 1 + 1) // what follows, and the null at the end
	}
	deep = append(deep, amqp10.CodeNull)
	giant := func(code byte, tail ...byte) []byte {
		return append(append([]byte{code}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), tail...)
	}
	one := section(data, 0xa0, 1, 'x')
	for _, c := range []struct {
		name string
		in   []byte
		what amqp10.Descriptor
		want error
	}{
		{"garbage", []byte("POST / HTTP/1.1"), 0, amqp10.ErrDescriptor},
		{"a value that is no section", []byte{amqp10.CodeNull}, 0, amqp10.ErrDescriptor},
		{"a section that there is not", section(0x79, amqp10.CodeList0), 0x79, ErrSection},
		{"a performative", section(amqp10.DescTransfer, amqp10.CodeList0), amqp10.DescTransfer, ErrSection},
		{"a descriptor and nothing", section(data), data, amqp10.ErrTruncated},
		{"annotations twice", join(section(annotations, mapOf()...), section(annotations, mapOf()...)), annotations, ErrTwice},
		{"properties twice", join(section(properties, listOf()...), section(properties, listOf()...)), properties, ErrTwice},
		{"application properties twice", join(section(application, mapOf()...), section(application, mapOf()...)), application, ErrTwice},
		{"a header twice", join(section(amqp10.DescHeader, listOf()...), section(amqp10.DescHeader, listOf()...)), amqp10.DescHeader, ErrTwice},
		{"two values", join(section(amqp10.DescValue, 0x40), section(amqp10.DescValue, 0x40)), amqp10.DescValue, ErrTwice},
		{"data, then a value", join(one, section(amqp10.DescValue, 0x40)), amqp10.DescValue, ErrBody},
		{"a list, then data", join(section(amqp10.DescSequence, listOf()...), one), data, ErrBody},
		{"data that is a string", section(data, 0xa1, 1, 'x'), data, amqp10.ErrType},
		{"data of a giant length", section(data, giant(0xb0)...), data, amqp10.ErrTruncated},
		{"annotations that are a list", section(annotations, listOf()...), annotations, amqp10.ErrType},
		{"annotations that are null", section(annotations, 0x40), annotations, amqp10.ErrType},
		{"annotations of a giant size", section(annotations, giant(0xd1)...), annotations, amqp10.ErrTruncated},
		{"annotations of a giant count", section(annotations, 0xd1, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff), annotations, amqp10.ErrCount},
		{"an entry without a value", section(annotations, 0xc1, 4, 1, 0xa3, 1, 'k'), annotations, amqp10.ErrTruncated},
		{"more entries than counted", section(annotations, 0xc1, 5, 0, 0xa3, 1, 'k', 0x40), annotations, amqp10.ErrCount},
		{"fewer entries than counted", section(annotations, 0xc1, 5, 4, 0xa3, 1, 'k', 0x40), annotations, amqp10.ErrCount},
		{"a map of no size", section(annotations, 0xc1, 0, 0), annotations, amqp10.ErrTruncated},
		{"a key that is a number", section(application, mapOf(Ulong(1), Ulong(1))...), application, amqp10.ErrType},
		{"a key that is a signed number", section(annotations, mapOf(Ulong(1), Ulong(1), Long(1), Ulong(1))...), annotations, amqp10.ErrType},
		{"a number for a key without a value", section(annotations, mapOf(Symbol("a"), Ulong(1), Ulong(1))...), annotations, amqp10.ErrTruncated},
		{"numbers for keys, and a count that is wrong", section(annotations, 0xc1, 5, 6, 0x44, 0x40, 0x44, 0x40), annotations, amqp10.ErrCount},
		{"a key that is null", section(application, mapOf(Typed{}, Ulong(1))...), application, amqp10.ErrType},
		{"a key that is longer than the map", section(annotations, 0xc1, 5, 2, 0xa3, 9, 'k', 0x40), annotations, amqp10.ErrTruncated},
		{"a long key that is longer than the map", section(annotations, 0xc1, 8, 2, 0xb3, 0xff, 0, 0, 1, 'k', 0x40), annotations, amqp10.ErrTruncated},
		{"a value that is longer than the map", join(section(annotations, 0xc1, 7, 2, 0xa3, 1, 'k', 0xa1, 9, 'v'), one), annotations, amqp10.ErrCount},
		{"a number that is longer than the map", join(section(annotations, 0xc1, 6, 2, 0xa3, 1, 'k', 0x80, 9), one), annotations, amqp10.ErrTruncated},
		{"a value of no type", section(annotations, mapOf(Symbol("k"), raw(0x3f, 1))...), annotations, amqp10.ErrCode},
		{"a list with a giant count", section(annotations, mapOf(Symbol("k"), raw(0xc0, 2, 200, 0x40))...), annotations, amqp10.ErrCount},
		{"an array with a giant count", section(annotations, mapOf(Symbol("k"), raw(giant(0xf0, 0x40)...))...), annotations, amqp10.ErrTruncated},
		{"a map of one", section(annotations, mapOf(Symbol("k"), raw(0xc1, 2, 1, 0x40))...), annotations, amqp10.ErrCount},
		{"lists in lists", section(annotations, mapOf(Symbol("k"), raw(deep...))...), annotations, amqp10.ErrDepth},
		{"a described value without a value", section(annotations, mapOf(Symbol("k"), raw(0x00, 0x53, 1))...), annotations, amqp10.ErrTruncated},
		{"properties that are a map", section(properties, mapOf()...), properties, amqp10.ErrType},
		{"fourteen properties", section(properties, listOf(make([]Typed, 14)...)...), properties, ErrFields},
		{"more properties than counted", section(properties, 0xc0, 2, 0, 0x40), properties, amqp10.ErrCount},
		{"fewer properties than counted", section(properties, 0xc0, 2, 2, 0x40), properties, amqp10.ErrCount},
		{"an id that is a boolean", section(properties, listOf(Bool(true))...), properties, amqp10.ErrType},
		{"an id that is a list", section(properties, listOf(raw(0x45))...), properties, amqp10.ErrType},
		{"a content type that is binary", section(properties, listOf(append(make([]Typed, 6), Binary([]byte("x")))...)...), properties, amqp10.ErrType},
		{"an expiry that is a number", section(properties, listOf(append(make([]Typed, 8), Ulong(1))...)...), properties, amqp10.ErrType},
		{"an id that is longer than the list", section(properties, 0xc0, 4, 1, 0xa1, 9, 'x'), properties, amqp10.ErrCount},
		{"properties of a giant size", section(properties, giant(0xd0)...), properties, amqp10.ErrTruncated},
		{"a sequence that is a map", section(amqp10.DescSequence, mapOf()...), amqp10.DescSequence, amqp10.ErrType},
		{"a header that is data", section(amqp10.DescHeader, 0xa0, 0), amqp10.DescHeader, amqp10.ErrType},
		{"a byte too many", join(one, []byte{0}), 0, amqp10.ErrDescriptor},
	} {
		_, err := ParseMessage(c.in)
		var e *SyntaxError
		if !errors.Is(err, c.want) || !errors.As(err, &e) || e.What != c.what || e.Offset < 0 || e.Offset > len(c.in) {
			t.Errorf("%s: %v, want %v of %v", c.name, err, c.want, c.what)
		}
		if w := NewError(err); w.Condition != DecodeError {
			t.Errorf("%s: the peer gets %v", c.name, w)
		}
	}
}

func TestOddMessages(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		want map[string]string
	}{
		{"nothing", nil, map[string]string{}},
		{"sections in the order of the C SDK", join(
			section(amqp10.DescProperties, listOf(String("a"))...), section(amqp10.DescApplicationProperties, mapOf(String("k"), String("v"))...),
			section(amqp10.DescMessageAnnotations, mapOf(Symbol("dt-subject"), String("c"))...), section(amqp10.DescData, 0xa0, 1, 'x')),
			map[string]string{"properties message-id": "string:a", "application-properties k": "string:v", "message-annotations dt-subject": "string:c", "data 0": "x"}},
		{"sections in reverse", join(
			section(amqp10.DescFooter, mapOf()...), section(amqp10.DescData, 0xa0, 1, 'x'), section(amqp10.DescProperties, listOf(String("a"))...),
			section(amqp10.DescData, 0xa0, 1, 'y'), section(amqp10.DescHeader, 0x45)),
			map[string]string{"properties message-id": "string:a", "data 0": "x", "data 1": "y"}},
		{"empty maps of the Java SDK, in both widths", join(
			section(amqp10.DescMessageAnnotations, 0xd1, 0, 0, 0, 4, 0, 0, 0, 0), section(amqp10.DescApplicationProperties, 0xc1, 1, 0), section(amqp10.DescData, 0xa0, 0)),
			map[string]string{"data 0": ""}},
		{"keys and texts of the other kind", join(
			section(amqp10.DescMessageAnnotations, mapOf(String("k"), Symbol("v"))...), section(amqp10.DescApplicationProperties, mapOf(Symbol("k"), Symbol("v"))...),
			section(amqp10.DescProperties, listOf(append(make([]Typed, 6), String("text/plain"))...)...)),
			map[string]string{"message-annotations k": "symbol:v", "application-properties k": "symbol:v", "properties content-type": "string:text/plain"}},
		{"values of every kind", section(amqp10.DescMessageAnnotations, mapOf(
			Symbol("map"), raw(mapOf(String("a"), raw(0x45))...), Symbol("array"), raw(0xe0, 4, 2, 0x50, 1, 2), Symbol("described"), raw(0x00, 0x44, 0x40),
			Symbol("double"), raw(0x82, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0), Symbol("true"), Bool(true), Symbol("null"), Typed{})...),
			map[string]string{"message-annotations map": "map:string:a=list:", "message-annotations array": "array:ubyte:1 ubyte:2 ",
				"message-annotations described": "described:", "message-annotations double": "double:1.5", "message-annotations true": "boolean:true", "message-annotations null": "null:"}},
		{"annotations with numbers for keys, in every width", join(
			section(amqp10.DescMessageAnnotations, mapOf(Ulong(0), Int(1), Symbol("a"), Int(2), Ulong(300), raw(0x45), String("b"), Int(3), Ulong(7), Int(4))...),
			section(amqp10.DescDeliveryAnnotations, mapOf(Ulong(1), Typed{})...), section(amqp10.DescFooter, mapOf(Ulong(1), Typed{})...)),
			map[string]string{"message-annotations a": "int:2", "message-annotations b": "int:3"}},
		{"a value body of a map", section(amqp10.DescValue, mapOf(String("k"), Int(200))...), map[string]string{"amqp-value": "map:string:k=int:200"}},
	} {
		m, err := ParseMessage(c.in)
		if diff := cmp.Diff(c.want, dump(&m)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
	}
}

func TestDescriptorsInEveryForm(t *testing.T) {
	symbol := amqp10.AppendSymbol([]byte{0}, "amqp:data:binary")
	wide := append([]byte{0, amqp10.CodeUlong}, 0, 0, 0, 0, 0, 0, 0, byte(amqp10.DescData))
	for _, head := range [][]byte{symbol, wide} {
		b := join(head, []byte{0xa0, 1, 'x'}, head, []byte{0xa0, 1, 'y'})
		m, err := ParseMessage(b)
		if diff := cmp.Diff(map[string]string{"data 0": "x", "data 1": "y"}, dump(&m)); err != nil || diff != "" {
			t.Errorf("%x: %v\n%s", b, err, diff)
		}
	}
}

// A message may have very many data sections: they are walked through, and cost nothing to hold.
func TestManyDataSections(t *testing.T) {
	var b []byte
	const count = 100_000
	for range count {
		b = AppendData(b, []byte("ab"))
	}
	m, err := ParseMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range m.Sections() {
		n++
	}
	body, ok := m.content()
	if n != count || !ok || len(body) != 2*count {
		t.Errorf("%d sections, %d bytes", n, len(body))
	}
	if string(b[:5]) != "\x00\x53\x75\xa0\x02" || string(body[:4]) != "abab" {
		t.Error("the message was written over")
	}
	for s := range m.Sections() {
		if string(s) == "ab" {
			break // who has enough may stop
		}
	}
}

func TestDraftsAreReadAsTheyWereWritten(t *testing.T) {
	long := strings.Repeat("é", 200)
	for _, d := range []*Draft{
		nil,
		{},
		{Body: DataBody},
		{Body: ValueBody},
		{Body: ValueBody, Value: String(long)},
		{Body: DataBody, Data: bytes.Repeat([]byte{0xff}, 300), Text: benchDraft().Text},
		{
			DeliveryAnnotations: []Pair{{"a", Long(-1)}, {"b", Long(-200)}},
			Annotations:         []Pair{{long, Ubyte(255)}, {"u", Uint(0)}, {"u1", Uint(1)}, {"u4", Uint(1 << 20)}, {"l", Ulong(0)}, {"l8", Ulong(1 << 40)}},
			Properties: Properties{
				MessageID: ID(UUID{1, 2}), UserID: "u", To: "t", Subject: "s", ReplyTo: "r", CorrelationID: Binary([]byte{1}),
				ContentType: "c", ContentEncoding: "e", Expiry: time.UnixMilli(1), Creation: time.UnixMilli(2),
			},
			ApplicationProperties: []Pair{{"i", Int(-1)}, {"i4", Int(1 << 20)}, {"t", Timestamp(time.UnixMilli(-5))}, {"f", Bool(false)}, {"b", Binary(nil)}},
			Body:                  DataBody,
		},
	} {
		m, err := ParseMessage(AppendMessage([]byte("x"), d)[1:])
		if err != nil {
			t.Errorf("%+v: %v", d, err)
			continue
		}
		if diff := cmp.Diff(wantOf(d), dump(&m)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// wantOf is what dump says of a draft.
func wantOf(d *Draft) map[string]string {
	want := map[string]string{}
	if d == nil {
		return want
	}
	for section, pairs := range map[string][]Pair{
		"delivery-annotations": d.DeliveryAnnotations, "message-annotations": d.Annotations, "application-properties": d.ApplicationProperties,
	} {
		for _, p := range pairs {
			want[section+" "+p.Key] = dumpValue(p.Value.Value())
		}
	}
	for _, p := range d.Text {
		want["application-properties "+p.Name] = "string:" + p.Value
	}
	for name, v := range map[string]Typed{"message-id": d.Properties.MessageID, "correlation-id": d.Properties.CorrelationID} {
		if !v.IsNull() {
			want["properties "+name] = dumpValue(v.Value())
		}
	}
	for name, text := range map[string]string{
		"user-id": "binary:" + d.Properties.UserID, "to": "string:" + d.Properties.To, "subject": "string:" + d.Properties.Subject,
		"reply-to": "string:" + d.Properties.ReplyTo, "content-type": "symbol:" + d.Properties.ContentType, "content-encoding": "symbol:" + d.Properties.ContentEncoding,
	} {
		if !strings.HasSuffix(text, ":") {
			want["properties "+name] = text
		}
	}
	for name, at := range map[string]time.Time{"absolute-expiry-time": d.Properties.Expiry, "creation-time": d.Properties.Creation} {
		if !at.IsZero() {
			want["properties "+name] = dumpValue(Timestamp(at).Value())
		}
	}
	switch d.Body {
	case DataBody:
		want["data 0"] = string(d.Data)
	case ValueBody:
		want["amqp-value"] = dumpValue(d.Value.Value())
	}
	return want
}

// An id comes back as it went, whatever its type.
func TestIDsKeepTheirType(t *testing.T) {
	for _, id := range []Typed{
		{}, String("a"), String(strings.Repeat("x", 300)), ID(UUID{1, 2, 3}), Ulong(0), Ulong(7), Ulong(1 << 60), Binary([]byte{0, 0xff}), Uint(5), Symbol("s"),
	} {
		request := AppendPutToken(nil, &PutToken{ID: id.Value(), Name: "n"})
		m, err := ParseMessage(request)
		if err != nil {
			t.Fatal(err)
		}
		answer := NewResponse(m.MessageID(), nil)
		b := AppendResponse(nil, &answer)
		clear(request) // the view has been used
		if m, err = ParseMessage(b); err != nil {
			t.Fatal(err)
		}
		if got, want := dumpValue(m.CorrelationID()), dumpValue(id.Value()); got != want {
			t.Errorf("%s came back as %s", want, got)
		}
	}
}

func TestMessagesDoNotAllocate(t *testing.T) {
	d, dst := benchDraft(), make([]byte, 0, 2048)
	wire := AppendMessage(nil, d)
	testkit.NoAllocs(t, "append a message", func() { dst = AppendMessage(dst[:0], d) })
	testkit.NoAllocs(t, "parse a message and look at it", func() {
		m, err := ParseMessage(wire)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for key, v := range m.Annotations().All() {
			s, _ := v.Text()
			n += len(key) + len(s)
		}
		for s := range m.Sections() {
			n += len(s)
		}
		v, ok := m.ApplicationProperties().Lookup("seq")
		id, _ := m.MessageID().Text()
		if s, _ := v.Text(); !ok || len(s)+len(id)+len(m.ContentType())+n == 0 {
			t.Fatal("nothing")
		}
	})
	testkit.NoAllocs(t, "refuse a message again", func() {
		if _, err := ParseMessage(wire[:len(wire)-1]); err == nil {
			t.Fatal("taken")
		}
	})
	for _, v := range messageVectors(t) {
		wire := v.wire(t)
		testkit.NoAllocs(t, "parse "+v.Name, func() {
			if _, err := ParseMessage(wire); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestLengthsAtTheEdgeOfAByte(t *testing.T) {
	for n := 240; n < 270; n++ {
		text := strings.Repeat("x", n)
		d := Draft{
			Annotations: []Pair{{"k", String(text)}}, Properties: Properties{To: text}, ApplicationProperties: []Pair{{text, Int(1)}},
			Body: DataBody, Data: []byte(text),
		}
		b := AppendMessage(nil, &d)
		m, err := ParseMessage(b)
		if diff := cmp.Diff(wantOf(&d), dump(&m)); err != nil || diff != "" {
			t.Fatalf("%d: %v\n%s", n, err, diff)
		}
		if i := bytes.LastIndexByte(b[:len(b)-n], 0xb0); n > 255 && (i < 0 || binary.BigEndian.Uint32(b[i+1:]) != uint32(n)) {
			t.Errorf("%d: the data has another head", n)
		}
	}
}
