package amqp10

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// read gives what the accessor of a value's kind returns.
func read(v Value) any {
	switch v.Kind() {
	case KindNull:
		return nil
	case KindBool:
		return first(v.Bool())
	case KindUbyte, KindUshort, KindUint, KindUlong:
		return first(v.Uint())
	case KindByte, KindShort, KindInt, KindLong:
		return first(v.Int())
	case KindFloat, KindDouble:
		return first(v.Float())
	case KindDecimal32, KindDecimal64, KindDecimal128:
		return first(v.Decimal())
	case KindChar:
		return first(v.Char())
	case KindTimestamp:
		return first(v.Timestamp())
	case KindUUID:
		return first(v.UUID())
	case KindBinary:
		return first(v.Binary())
	case KindString, KindSymbol:
		return string(first(v.Text()))
	case KindList:
		return readAll(first(v.List()))
	case KindMap:
		return readAll(first(v.Map()))
	case KindArray:
		_, elements, _ := v.Array()
		return readAll(elements)
	case KindDescribed:
		descriptor, value, _ := v.Described()
		return []any{read(descriptor), read(value)}
	}
	return errors.New("unknown")
}

func first[T any](v T, ok bool) T {
	if !ok {
		panic("an accessor refuses a value of its kind")
	}
	return v
}

func readAll(r Reader) (all []any) {
	for r.More() {
		all = append(all, read(r.Value()))
	}
	if err := r.Done(); err != nil {
		panic(err)
	}
	return all
}

func TestEveryFormatCodeIsReadAndItsValueWrittenInTheShortestForm(t *testing.T) {
	text := strings.Repeat("x", 300)
	for _, c := range []struct {
		name string
		hex  string
		kind Kind
		want any
		wide bool // there is a shorter form
	}{
		{"null", "40", KindNull, nil, false},
		{"true", "41", KindBool, true, false},
		{"false", "42", KindBool, false, false},
		{"true in a byte", "56 01", KindBool, true, true},
		{"false in a byte", "56 00", KindBool, false, true},
		{"ubyte", "50 ff", KindUbyte, uint64(255), false},
		{"ushort", "60 ff fe", KindUshort, uint64(65534), false},
		{"uint of no byte", "43", KindUint, uint64(0), false},
		{"uint of a byte", "52 80", KindUint, uint64(128), false},
		{"uint of four bytes", "70 ff ff ff fe", KindUint, uint64(math.MaxUint32 - 1), false},
		{"small uint of four bytes", "70 00 00 00 ff", KindUint, uint64(255), true},
		{"ulong of no byte", "44", KindUlong, uint64(0), false},
		{"ulong of a byte", "53 ff", KindUlong, uint64(255), false},
		{"ulong of eight bytes", "80 ff ff ff ff ff ff ff ff", KindUlong, uint64(math.MaxUint64), false},
		{"small ulong of eight bytes", "80 00 00 00 00 00 00 00 10", KindUlong, uint64(16), true},
		{"byte", "51 80", KindByte, int64(-128), false},
		{"short", "61 80 00", KindShort, int64(math.MinInt16), false},
		{"int of a byte", "54 ff", KindInt, int64(-1), false},
		{"int of four bytes", "71 80 00 00 00", KindInt, int64(math.MinInt32), false},
		{"int 128", "71 00 00 00 80", KindInt, int64(128), false},
		{"small int of four bytes", "71 ff ff ff 80", KindInt, int64(-128), true},
		{"long of a byte", "55 80", KindLong, int64(-128), false},
		{"long of eight bytes", "81 80 00 00 00 00 00 00 00", KindLong, int64(math.MinInt64), false},
		{"small long of eight bytes", "81 00 00 00 00 00 00 00 7f", KindLong, int64(127), true},
		{"float", "72 3f c0 00 00", KindFloat, 1.5, false},
		{"double", "82 bf f8 00 00 00 00 00 00", KindDouble, -1.5, false},
		{"decimal32", "74 32 80 00 01", KindDecimal32, []byte{0x32, 0x80, 0, 1}, false},
		{"decimal64", "84 01 02 03 04 05 06 07 08", KindDecimal64, []byte{1, 2, 3, 4, 5, 6, 7, 8}, false},
		{"decimal128", "94 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10", KindDecimal128,
			[]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, false},
		{"char", "73 00 01 f6 00", KindChar, '😀', false},
		{"timestamp", "83 00 00 01 9b 76 da a8 00", KindTimestamp, int64(1767225600000), false},
		{"timestamp before 1970", "83 ff ff ff ff ff ff ff ff", KindTimestamp, int64(-1), false},
		{"uuid", "98 0a1b2c3d4e5f40618293a4b5c6d7e8f9", KindUUID,
			[16]byte{0x0a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f, 0x40, 0x61, 0x82, 0x93, 0xa4, 0xb5, 0xc6, 0xd7, 0xe8, 0xf9}, false},
		{"binary", "a0 02 00 ff", KindBinary, []byte{0, 255}, false},
		{"empty binary", "a0 00", KindBinary, []byte{}, false},
		{"long binary", "b0 00 00 01 2c '" + text + "'", KindBinary, []byte(text), false},
		{"short binary in the long form", "b0 00 00 00 01 ff", KindBinary, []byte{255}, true},
		{"string", "a1 03 'caf'", KindString, "caf", false},
		{"long string", "b1 00 00 01 2c '" + text + "'", KindString, text, false},
		{"short string in the long form", "b1 00 00 00 00", KindString, "", true},
		{"symbol", "a3 04 '$cbs'", KindSymbol, "$cbs", false},
		{"long symbol", "b3 00 00 01 2c '" + text + "'", KindSymbol, text, false},
		{"short symbol in the long form", "b3 00 00 00 01 'a'", KindSymbol, "a", true},
		{"list of nothing", "45", KindList, []any(nil), false},
		{"list of nothing with a size", "c0 01 00", KindList, []any(nil), true},
		{"list of nothing in the long form", "d0 00 00 00 04 00 00 00 00", KindList, []any(nil), true},
		{"list", "c0 04 02 41 a1 00", KindList, []any{true, ""}, false},
		{"list in the long form", "d0 00 00 00 05 00 00 00 01 43", KindList, []any{uint64(0)}, true},
		{"map of nothing", "c1 01 00", KindMap, []any(nil), false},
		{"map", "c1 05 02 a3 01 'a' 40", KindMap, []any{"a", nil}, false},
		{"map in the long form", "d1 00 00 00 06 00 00 00 02 43 44", KindMap, []any{uint64(0), uint64(0)}, true},
		{"array of nothing", "e0 02 00 a3", KindArray, []any(nil), false},
		{"array of symbols", "e0 06 02 a3 01 'a' 01 'b'", KindArray, []any{"a", "b"}, false},
		{"array in the long form", "f0 00 00 00 0d 00 00 00 02 70 00 00 00 01 00 00 00 02", KindArray, []any{uint64(1), uint64(2)}, false},
		{"array of elements without bytes", "e0 02 03 41", KindArray, []any{true, true, true}, false},
		{"array of lists", "e0 08 02 c0 01 00 03 01 50 07", KindArray, []any{[]any(nil), []any{uint64(7)}}, false},
		{"array of described values", "e0 07 02 00 53 77 50 01 02", KindArray, []any{uint64(1), uint64(2)}, false},
		{"described by a number", "00 53 24 45", KindDescribed, []any{uint64(0x24), []any(nil)}, false},
		{"described by a symbol", "00 a3 01 'x' a1 01 'y'", KindDescribed, []any{"x", "y"}, false},
		{"described value that is described", "00 53 01 00 53 02 40", KindDescribed, []any{uint64(1), []any{uint64(2), nil}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := unhex(t, c.hex)
			v := ValueOf(b)
			if v.Kind() != c.kind || v.Kind() != KindOf(b[0]) || v.Code() != b[0] {
				t.Fatalf("it is a %v (%#x), want %v", v.Kind(), v.Code(), c.kind)
			}
			if err := v.Check(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(c.want, read(v)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got := v.AppendTo(nil); !bytes.Equal(got, b) {
				t.Errorf("AppendTo gives %x, want %x", got, b)
			}
			if end := Extent(b, 0); end != len(b) {
				t.Errorf("it ends at %d of %d", end, len(b))
			}
			short := appendShortest(nil, v)
			if c.wide == bytes.Equal(short, b) {
				t.Errorf("the shortest form is %x", short)
			}
			if diff := cmp.Diff(c.want, read(ValueOf(short))); diff != "" {
				t.Errorf("in its shortest form (-want +got)\n%s", diff)
			}
		})
	}
}

// The vectors of primitives name their values.
func TestPrimitiveVectorsBothWays(t *testing.T) {
	compared := 0
	for _, p := range vectors(t).Primitives {
		b := p.bytes(t)
		v := ValueOf(b)
		if v.IsNull() && b[0] != CodeNull {
			t.Errorf("%s: not a value: %x", p.Name, b)
			continue
		}
		if err := v.Check(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if got := appendShortest(nil, v); !bytes.Equal(got, b) {
			t.Errorf("%s: written as %x, want %x", p.Name, got, b)
		}
		kind, text, _ := strings.Cut(p.Name, " ")
		if got, ok := spelled(v); ok && kind == v.Kind().String() {
			compared++
			if want, _, _ := strings.Cut(text, " "); got != canonical(want) {
				t.Errorf("%s: it is %s", p.Name, got)
			}
		}
	}
	if compared == 0 {
		t.Error("no vector names a value")
	}
}

// spelled gives v as the vectors name it.
func spelled(v Value) (string, bool) {
	switch v.Kind() {
	case KindUbyte, KindUshort, KindUint, KindUlong:
		return strconv.FormatUint(first(v.Uint()), 10), true
	case KindByte, KindShort, KindInt, KindLong:
		return strconv.FormatInt(first(v.Int()), 10), true
	case KindTimestamp:
		return strconv.FormatInt(first(v.Timestamp()), 10), true
	case KindString, KindSymbol:
		return string(first(v.Text())), true
	}
	return "", false
}

func canonical(number string) string {
	if n, err := strconv.ParseUint(number, 0, 64); err == nil {
		return strconv.FormatUint(n, 10)
	}
	return number
}

func TestAccessorsSayNoToOtherKinds(t *testing.T) {
	for code := range 256 {
		v := Value{code: byte(code), data: make([]byte, 17)}
		k := v.Kind()
		is := func(kinds ...Kind) bool { return slices.Contains(kinds, k) }
		for name, c := range map[string]struct {
			got, want bool
		}{
			"Bool":      {ok(v.Bool()), is(KindBool)},
			"Uint":      {ok(v.Uint()), is(KindUbyte, KindUshort, KindUint, KindUlong, KindByte, KindShort, KindInt, KindLong)},
			"Int":       {ok(v.Int()), is(KindUbyte, KindUshort, KindUint, KindUlong, KindByte, KindShort, KindInt, KindLong)},
			"Float":     {ok(v.Float()), is(KindFloat, KindDouble)},
			"Decimal":   {ok(v.Decimal()), is(KindDecimal32, KindDecimal64, KindDecimal128)},
			"Char":      {ok(v.Char()), is(KindChar)},
			"Timestamp": {ok(v.Timestamp()), is(KindTimestamp)},
			"Text":      {ok(v.Text()), is(KindString, KindSymbol)},
			"Binary":    {ok(v.Binary()), is(KindBinary)},
			"List":      {ok(v.List()), is(KindList)},
			"Map":       {ok(v.Map()), is(KindMap)},
		} {
			if c.got != c.want {
				t.Errorf("%#02x, %v: %s says %v", code, k, name, c.got)
			}
		}
	}
}

func ok[T any](_ T, ok bool) bool { return ok }

func TestAValueThatIsKeptOwnsItsBytes(t *testing.T) {
	b := AppendString(nil, "text")
	v := ValueOf(b)
	kept := v.Clone()
	clear(b)
	if s, _ := kept.Text(); string(s) != "text" {
		t.Errorf("the clone is %q", s)
	}
	if s, _ := v.Text(); string(s) == "text" {
		t.Error("the view is a copy")
	}
	if !(Value{}).Clone().IsNull() {
		t.Error("null has a clone that is not")
	}
}

func TestMapsAreLookedUp(t *testing.T) {
	at := 0
	b := OpenCompound(nil)
	b = AppendInt(AppendSymbol(b, "status"), 200)
	b = AppendNull(AppendString(b, "version"))
	b = AppendBool(AppendUlong(b, 7), true)
	b = AppendInt(AppendSymbol(b, "status"), 404)
	v := ValueOf(CloseMap(b, at, 8))
	for key, want := range map[string]any{"status": int64(200), "version": nil} {
		got, ok := v.Lookup(key)
		if diff := cmp.Diff(want, read(got)); !ok || diff != "" {
			t.Errorf("%s: %v, (-want +got)\n%s", key, ok, diff)
		}
	}
	if _, ok := v.Lookup("Status"); ok {
		t.Error("it finds a key in another case")
	}
	if _, ok := (Value{}).Lookup("status"); ok {
		t.Error("null has entries")
	}
	n := 0
	for range v.Entries() {
		n++
	}
	if n != 4 {
		t.Errorf("%d entries, want 4", n)
	}
	for range v.Entries() {
		break // and that is fine
	}
}
