package amqp10

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// redescribe gives b, which is described by a short number, with the descriptor in other forms.
func redescribe(b []byte) map[string][]byte {
	d := Descriptor(b[2])
	name := symbolPrefix + descriptorNames[d]
	long := binary.BigEndian.AppendUint32([]byte{CodeDescribed, CodeSymbol32}, uint32(len(name)))
	forms := map[string][]byte{
		"a number of eight bytes": binary.BigEndian.AppendUint64([]byte{CodeDescribed, CodeUlong}, uint64(d)),
		"a symbol":                AppendSymbol([]byte{CodeDescribed}, name),
		"a long symbol":           append(long, name...),
		"a uint":                  {CodeDescribed, CodeSmallUint, byte(d)},
	}
	for form, head := range forms {
		forms[form] = append(head, b[3:]...)
	}
	return forms
}

func TestDescriptorsMayHaveAnyForm(t *testing.T) {
	for name, b := range bodies(t) {
		want := rewriteBody(t, b)
		for form, b := range redescribe(b) {
			if got := rewriteBody(t, b); !bytes.Equal(got, want) {
				t.Errorf("%s, described by %s:\n got %x\nwant %x", name, form, got, want)
			}
		}
	}
	for _, v := range vectors(t).Messages {
		b := v.bytes(t)
		want := rewriteMessage(t, v.Name, b)
		var again []byte
		for len(b) > 0 {
			end := Extent(b, 0)
			again = append(again, redescribe(b[:end])["a symbol"]...)
			b = b[end:]
		}
		if got := rewriteMessage(t, v.Name, again); !bytes.Equal(got, want) {
			t.Errorf("%s, described by symbols:\n got %x\nwant %x", v.Name, got, want)
		}
	}
}

// The names are those of the standard: 0x30 is in part 4, 0x34 too.
func TestDescriptorsHaveNames(t *testing.T) {
	for d, want := range map[Descriptor]string{
		DescOpen: "open", DescSASLOutcome: "sasl-outcome", DescTransactional: "transactional-state",
		DescApplicationProperties: "application-properties", DescValue: "amqp-value", 0: "descriptor", 0x99: "descriptor",
	} {
		if got := d.String(); got != want {
			t.Errorf("%#x is %q, want %q", uint8(d), got, want)
		}
		if want == "descriptor" {
			continue
		}
		if got := descriptorNamed([]byte(symbolPrefix + descriptorNames[d])); got != d {
			t.Errorf("%q is %#x", descriptorNames[d], uint8(got))
		}
	}
	for _, name := range []string{"", "amqp:", "amqp:open", "amqp:open:lis", "open:list", "amqp:Open:list"} {
		if got := descriptorNamed([]byte(name)); got != 0 {
			t.Errorf("%q is %v", name, got)
		}
	}
}

func TestWhatIsNoPerformativeHasNoDescriptor(t *testing.T) {
	for _, hex := range []string{"", "00", "0053", "45", "00 53 99 45", "00 a3 01 'x' 45", "00 80 ff 00 00 00 00 00 00 10 45", "a1 53 10", "00 00 53 10 45"} {
		if d := PeekDescriptor(unhex(t, hex)); d != 0 {
			t.Errorf("%s is %v", hex, d)
		}
	}
}

func TestAFieldThatRepeatsMayHaveAnyForm(t *testing.T) {
	many := strings.Repeat("m", 300)
	for _, c := range []struct {
		name string
		hex  string
		want []string
	}{
		{"null", "40", nil},
		{"a symbol", "a3 01 'a'", []string{"a"}},
		{"a long symbol", "b3 00 00 01 2c '" + many + "'", []string{many}},
		{"a string", "a1 01 'a'", []string{"a"}},
		{"an array", "e0 06 02 a3 01 'a' 01 'b'", []string{"a", "b"}},
		{"an array of long symbols", "f0 00 00 00 0e 00 00 00 02 b3 00 00 00 01 'a' 00 00 00 00", []string{"a", ""}},
		{"an array of nothing", "e0 02 00 a3", nil},
		{"a list", "c0 07 02 a3 01 'a' a1 01 'b'", []string{"a", "b"}},
		{"a list of nothing", "45", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := create(nil, DescOpen)
			w.string([]byte("c"))
			w.nulls += 7
			w.value(ValueOf(unhex(t, c.hex)))
			var o Open
			if err := o.Parse(w.close()); err != nil {
				t.Fatal(err)
			}
			var got []string
			r := o.DesiredCapabilities.Items()
			for r.More() {
				got = append(got, string(r.Text()))
			}
			if diff := cmp.Diff(c.want, got); diff != "" || r.Err() != nil {
				t.Errorf("%v, (-want +got)\n%s", r.Err(), diff)
			}
		})
	}
	if got := ValueOf(AppendSymbolArray(nil, "a", many)); got.Code() != CodeArray32 || got.Check() != nil {
		t.Errorf("%#x: %v", got.Code(), got.Check())
	}
	if got := AppendStringArray(nil, "0", "1"); !bytes.Equal(got, unhex(t, "e0 06 02 a1 01 '0' 01 '1'")) {
		t.Errorf("%x", got)
	}
}

func TestNumbersMayHaveAnyWidthThatTheyFit(t *testing.T) {
	for _, c := range []struct {
		name, hex string
		want      uint32
		err       error
	}{
		{"uint0", "43", 0, nil}, {"ulong0", "44", 0, nil},
		{"smalluint", "52 ff", 255, nil}, {"smallulong", "53 ff", 255, nil}, {"ubyte", "50 ff", 255, nil},
		{"ushort", "60 01 00", 256, nil}, {"uint", "70 ff ff ff ff", 1<<32 - 1, nil},
		{"ulong", "80 00 00 00 00 ff ff ff ff", 1<<32 - 1, nil},
		{"byte", "51 7f", 127, nil}, {"short", "61 7f ff", 32767, nil},
		{"smallint", "54 7f", 127, nil}, {"int", "71 7f ff ff ff", 1<<31 - 1, nil},
		{"smalllong", "55 7f", 127, nil}, {"long", "81 00 00 00 00 ff ff ff ff", 1<<32 - 1, nil},
		{"ulong beyond", "80 00 00 00 01 00 00 00 00", 0, ErrRange},
		{"long beyond", "81 00 00 00 01 00 00 00 00", 0, ErrRange},
		{"negative byte", "51 ff", 0, ErrRange}, {"negative long", "55 ff", 0, ErrRange},
		{"null", "40", 0, ErrMissing}, {"timestamp", "83 00 00 00 00 00 00 00 01", 0, ErrType},
		{"boolean", "41", 0, ErrType}, {"string", "a1 01 '1'", 0, ErrType}, {"float", "72 3f 80 00 00", 0, ErrType},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := create(nil, DescDetach)
			w.dst = append(w.field(), unhex(t, c.hex)...)
			var d Detach
			err := d.Parse(w.close())
			if !errors.Is(err, c.err) || d.Handle != c.want {
				t.Errorf("%d, %v, want %d, %v", d.Handle, err, c.want, c.err)
			}
			if err != nil {
				wantFault(t, err, SyntaxError{What: DescDetach, Field: 1, Offset: err.(*SyntaxError).Offset, Err: c.err})
			}
		})
	}
}

func TestSmallerFieldsHaveTheirRange(t *testing.T) {
	for _, v := range []uint32{256, 65536} {
		b := AppendUint(nil, v)
		r := NewReader(b)
		if r.OptUbyte(); !errors.Is(r.Err(), ErrRange) {
			t.Errorf("%d is a ubyte: %v", v, r.Err())
		}
		r = NewReader(b)
		if r.OptUshort(); errors.Is(r.Err(), ErrRange) != (v > 65535) {
			t.Errorf("%d is a ushort: %v", v, r.Err())
		}
	}
	for b, want := range map[int64]bool{1<<31 - 1: true, -1 << 31: true, 1 << 31: false, -1<<31 - 1: false} {
		r := NewReader(AppendLong(nil, b))
		if v := r.OptInt(); (r.Err() == nil) != want || v.Valid && int64(v.Value) != b {
			t.Errorf("%d as an int: %v, %v", b, v, r.Err())
		}
	}
	r := NewReader(AppendUlong(nil, 1<<63))
	if v := r.OptLong(); v.Valid || !errors.Is(r.Err(), ErrRange) {
		t.Errorf("2^63 as a long: %v, %v", v, r.Err())
	}
	r = NewReader([]byte{CodeBool, 2})
	if r.OptBool(); !errors.Is(r.Err(), ErrRange) {
		t.Errorf("2 as a boolean: %v", r.Err())
	}
}

func TestTheFirstFaultSticks(t *testing.T) {
	b := AppendString(AppendUint(AppendNull(nil), 7), "text")
	r := NewReader(b)
	r.Uint() // null
	if n := r.Uint(); n != 0 || r.Text() != nil || !r.Value().IsNull() || r.More() {
		t.Error("it reads on")
	}
	wantFault(t, r.Err(), SyntaxError{Offset: 1, Err: ErrMissing})
	if done := r.Done(); done != r.Err() {
		t.Errorf("Done gives %v", done)
	}
}

func TestAnErrorNamesWhatIsWrongAndWhere(t *testing.T) {
	a := Attach{Name: []byte("link"), Source: Some(Source{Timeout: Some(uint32(7))})}
	b := a.AppendTo(nil)
	at := bytes.Index(b, []byte{CodeSmallUint, 7})
	b[at] = CodeSymbol8 // of 7 bytes, which there are not
	err := a.Parse(b)
	wantFault(t, err, SyntaxError{What: DescSource, Field: 4, Offset: at + 1, Err: ErrType})
	want := fmt.Sprintf("amqp10: source: field 4 at offset %d: is of another type", at+1)
	if err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	for err, want := range map[*SyntaxError]string{
		nil:                                "amqp10: no error",
		{}:                                 "amqp10: no error",
		{Limit: 512, Err: ErrTooLarge}:     "amqp10: at offset 0: frame is larger than agreed, the limit is 512",
		{Offset: 3, Err: ErrTruncated}:     "amqp10: at offset 3: ends too early",
		{What: DescOpen, Err: ErrTrailing}: "amqp10: open: at offset 0: is followed by bytes that belong to nothing",
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
}
