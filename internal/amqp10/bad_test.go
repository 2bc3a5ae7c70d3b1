package amqp10

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
)

// bodies gives the bodies of all frames of the vectors, and the sources that stand alone.
func bodies(t testing.TB) map[string][]byte {
	t.Helper()
	file := vectors(t)
	all := map[string][]byte{}
	for _, v := range slices.Concat(file.Frames, file.Capture.Frames) {
		b := v.bytes(t)
		if f, _, err := SplitFrame(b, 65536); err == nil {
			b = f.Body()
		}
		if PeekDescriptor(b) != 0 {
			all[v.Name+v.What] = b
		}
	}
	if len(all) < 10 {
		t.Fatalf("only %d bodies in the vectors", len(all))
	}
	return all
}

// parseBody reads b as what it says that it is.
func parseBody(b []byte) error { return parseAs(PeekDescriptor(b), b) }

func parseAs(d Descriptor, b []byte) error {
	if d == DescTransfer {
		_, err := new(Transfer).Parse(b)
		return err
	}
	if p := performativeOf(d); p != nil {
		return p.Parse(b)
	}
	return refuse(0, 0, faultDescriptor, 0, 0)
}

func TestEveryBeginningOfAPerformativeIsRefused(t *testing.T) {
	for name, b := range bodies(t) {
		end := Extent(b, 0) // what follows is a payload, which may have any length
		for n := range end {
			var err *SyntaxError
			if !errors.As(parseAs(PeekDescriptor(b), b[:n:n]), &err) || err.Offset > n {
				t.Fatalf("%s, %d of %d bytes: %v", name, n, end, err)
			}
		}
	}
}

// A size that is within the frame but cuts its last field is found too.
func TestAPerformativeIsRefusedWhoseListIsCut(t *testing.T) {
	for name, b := range bodies(t) {
		if len(b) < 6 || b[3] != CodeList8 || b[4] < 2 {
			continue
		}
		cut := slices.Clone(b[:5+int(b[4])])
		cut[4]--
		if err := parseBody(cut[:len(cut)-1]); err == nil {
			t.Errorf("%s is read without its last byte", name)
		}
	}
}

func TestBytesBehindAPerformativeAreRefused(t *testing.T) {
	for name, b := range bodies(t) {
		if PeekDescriptor(b) == DescTransfer {
			continue
		}
		err := parseBody(append(slices.Clone(b), CodeNull))
		if !errors.Is(err, ErrTrailing) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoByteOfAPerformativeCanBeChangedIntoAPanic(t *testing.T) {
	for _, b := range bodies(t) {
		for i := range b {
			for _, x := range []byte{0, 0x40, 0x45, 0x80, 0xb0, 0xd0, 0xf0, 0xff, b[i] + 1, b[i] - 1} {
				changed := slices.Clone(b)
				changed[i] = x
				parseBody(changed) // refusing is fine, and so is not
				for r := NewReader(changed); r.More(); {
					r.Value().Check()
				}
			}
		}
	}
}

func TestWhatIsWrongWithAValueIsSaidWithItsPlace(t *testing.T) {
	for _, c := range []struct {
		name string
		hex  string
		want SyntaxError
	}{
		{"no bytes", "", SyntaxError{Offset: 0, Err: ErrTruncated}},
		{"no format code", "01", SyntaxError{Offset: 1, Err: ErrCode}},
		{"a reserved format code", "3f 00", SyntaxError{Offset: 1, Err: ErrCode}},
		{"a uint of three bytes", "70 00 00 01", SyntaxError{Offset: 1, Err: ErrTruncated}},
		{"a string longer than what is there", "a1 05 'four'", SyntaxError{Offset: 1, Err: ErrTruncated}},
		{"a string of 4 GiB", "b1 ff ff ff ff 'four'", SyntaxError{Offset: 1, Err: ErrTruncated}},
		{"a list without room for its count", "c0 00", SyntaxError{Offset: 2, Err: ErrCount}},
		{"a long list without room for its count", "d0 00 00 00 03 00 00 00", SyntaxError{Offset: 8, Err: ErrCount}},
		{"a list of more items than bytes", "c0 02 02 40", SyntaxError{Offset: 4, Err: ErrCount}},
		{"a list of four thousand million items", "d0 00 00 00 05 ff ff ff ff 40", SyntaxError{Offset: 10, Err: ErrCount}},
		{"a list of fewer items than bytes", "c0 03 01 40 40", SyntaxError{Offset: 4, Err: ErrTrailing}},
		{"a list that ends in an item", "c0 05 02 a1 03 'a' 40", SyntaxError{Offset: 4, Err: ErrTruncated}},
		{"a map with a key of no value", "c1 02 01 43", SyntaxError{Offset: 4, Err: ErrCount}},
		{"a map of four thousand million entries", "d1 00 00 00 06 ff ff ff fe 43 43", SyntaxError{Offset: 11, Err: ErrCount}},
		{"an array without a format code", "e0 01 01", SyntaxError{Offset: 3, Err: ErrTruncated}},
		{"an array of more elements than bytes", "e0 04 09 50 01 02", SyntaxError{Offset: 4, Err: ErrCount}},
		{"an array of four thousand million nulls", "f0 00 00 00 05 ff ff ff ff 40", SyntaxError{Offset: 10, Err: ErrCount}},
		{"an array of four thousand million bytes", "f0 00 00 00 06 ff ff ff ff 50 01", SyntaxError{Offset: 10, Err: ErrCount}},
		{"an array of no type", "e0 03 01 0f 40", SyntaxError{Offset: 4, Err: ErrCode}},
		{"an array of what is described twice", "e0 08 01 00 53 01 00 53 01 40", SyntaxError{Offset: 7, Err: ErrCode}},
		{"an array that goes on behind its elements", "e0 04 01 50 01 02", SyntaxError{Offset: 5, Err: ErrTrailing}},
		{"a boolean that is 2", "56 02", SyntaxError{Offset: 2, Err: ErrRange}},
		{"a boolean that is 2 in a list", "c0 03 01 56 02", SyntaxError{Offset: 5, Err: ErrRange}},
		{"a descriptor of nothing", "00 53 24", SyntaxError{Offset: 1, Err: ErrTruncated}},
		{"described values without end", strings.Repeat("00", 5000), SyntaxError{Offset: 1, Err: ErrTruncated}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := unhex(t, c.hex)
			r := NewReader(b)
			v := r.Value()
			err := r.Err()
			if err == nil {
				err = v.Check()
			}
			wantFault(t, err, c.want)
			if v := ValueOf(b); err == r.Err() && !v.IsNull() {
				t.Errorf("ValueOf gives a %v", v.Kind())
			}
			if len(b) > 0 && (Extent(b, 0) == -1) != (r.Err() != nil) {
				t.Errorf("Extent gives %d", Extent(b, 0))
			}
		})
	}
}

// nest puts what is there into one more of something.
var nest = map[string]func(in []byte) []byte{
	"list": func(in []byte) []byte { return closeAround(in, 1, CloseList) },
	"map": func(in []byte) []byte {
		return closeAround(append([]byte{CodeNull}, in...), 2, CloseMap)
	},
	"described": func(in []byte) []byte { return append([]byte{CodeDescribed, CodeUlong0}, in...) },
	"descriptor": func(in []byte) []byte {
		return append(append([]byte{CodeDescribed}, in...), CodeNull)
	},
}

func closeAround(in []byte, count int, closeIt func([]byte, int, int) []byte) []byte {
	return closeIt(append(OpenCompound(nil), in...), 0, count)
}

func TestNestingIsBounded(t *testing.T) {
	for what, wrap := range nest {
		b := []byte{CodeNull}
		for depth := 1; depth <= 3*MaxDepth; depth++ {
			err := ValueOf(b).Check()
			switch {
			case depth <= MaxDepth && err != nil:
				t.Errorf("%s, %d deep: %v", what, depth, err)
			case depth > MaxDepth && !errors.Is(err, ErrDepth):
				t.Errorf("%s, %d deep: %v", what, depth, err)
			}
			b = wrap(b)
		}
	}
}

func TestNestingOfArraysIsBounded(t *testing.T) {
	inner := []byte{0, 0, 0, 5, 0, 0, 0, 0, CodeNull} // size, count, format code: no elements
	for depth := 1; depth <= 3*MaxDepth; depth++ {
		v := ValueOf(append([]byte{CodeArray32}, inner...))
		err := v.Check()
		if depth <= MaxDepth && err != nil || depth > MaxDepth && !errors.Is(err, ErrDepth) {
			t.Errorf("%d deep: %v", depth, err)
		}
		outer := binary.BigEndian.AppendUint32(nil, uint32(5+len(inner)))
		outer = append(binary.BigEndian.AppendUint32(outer, 1), CodeArray32)
		inner = append(outer, inner...)
	}
}

// What claims to be a million times what it is costs no memory and no time: not when it is read,
// checked, or gone through.
func TestClaimsCostNothing(t *testing.T) {
	for _, code := range []byte{CodeList32, CodeMap32, CodeArray32} {
		for _, count := range []uint32{1 << 20, 1 << 31, 1<<32 - 2} {
			b := binary.BigEndian.AppendUint32([]byte{code}, 4+64)
			b = binary.BigEndian.AppendUint32(b, count)
			b = append(b, make([]byte, 64)...)
			for i := range 64 {
				b[9+i] = CodeNull
			}
			testkit.NoAllocs(t, fmt.Sprintf("%#x, %d", code, count), func() {
				v := ValueOf(b)
				n := 0
				for r := v.Items(); r.More(); n++ {
					r.Skip()
				}
				for range v.Entries() {
					n++
				}
				if n > maxHollow || v.IsNull() || v.Check() == nil {
					t.Fatal(n)
				}
			})
		}
	}
}

func TestUnknownFormatCodesAreSkipped(t *testing.T) {
	for code := 0x40; code < 0x100; code++ {
		if KindOf(byte(code)) != KindUnknown {
			continue
		}
		b := []byte{byte(code)}
		switch w := widths[code]; w {
		case widthSized8:
			b = append(b, 2, 0xff, 0xff)
		case widthSized32:
			b = append(b, 0, 0, 0, 2, 0xff, 0xff)
		default:
			b = append(b, make([]byte, w)...)
		}
		r := NewReader(append(b, CodeTrue))
		v := r.Value()
		if v.Kind() != KindUnknown || v.Check() != nil || !r.Bool() || r.Done() != nil {
			t.Errorf("%#x: %v, %v, %v", code, v.Kind(), v.Check(), r.Err())
		}
		// A field that is not used may be one.
		open := create(nil, DescOpen)
		open.string([]byte("c"))
		open.nulls = 9
		open.dst = append(open.field(), b...)
		if err := new(Open).Parse(open.close()); err != nil {
			t.Errorf("%#x behind the last field: %v", code, err)
		}
	}
}
