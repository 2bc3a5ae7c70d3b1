package amqp10

import (
	"bytes"
	"testing"
)

// What has more than 255 bytes, with the count of a compound, takes the long form, and nothing less.
func TestSizesTakeTheShortFormUpToItsBound(t *testing.T) {
	for n := 253; n <= 258; n++ {
		data := bytes.Repeat([]byte("x"), n)
		nulls := bytes.Repeat([]byte{CodeNull}, n)
		list := CloseList(append(OpenCompound([]byte("before")), nulls...), len("before"), n)[len("before"):]
		for name, c := range map[string]struct {
			b     []byte
			short byte
			size  int
		}{
			"binary":  {AppendBinary(nil, data), CodeBinary8, n},
			"string":  {AppendString(nil, data), CodeString8, n},
			"symbol":  {AppendSymbol(nil, data), CodeSymbol8, n},
			"list":    {list, CodeList8, n + 1},
			"map":     {CloseMap(append(OpenCompound(nil), nulls[:n&^1]...), 0, n&^1), CodeMap8, n&^1 + 1},
			"array":   {CloseArray(append(append(OpenCompound(nil), CodeUbyte), data...), 0, n), CodeArray8, n + 2},
			"symbols": {AppendSymbolArray(nil, data), CodeArray8, n + 3},
		} {
			v := ValueOf(c.b)
			if err := v.Check(); err != nil || v.IsNull() {
				t.Errorf("%s of %d: %v, %v", name, n, v.Kind(), err)
			}
			if name == "symbols" && n > 255 {
				c.size += 3 // its element is long, too
			}
			want := c.short
			if c.size > 255 {
				want += 0x10
			}
			if v.Code() != want {
				t.Errorf("%s of %d is a %#x, want %#x", name, n, v.Code(), want)
			}
		}
	}
	many := CloseArray(append(OpenCompound(nil), CodeTrue), 0, 300)
	if !bytes.Equal(many, unhex(t, "f0 00 00 00 05 00 00 01 2c 41")) {
		t.Errorf("300 times true are %x", many)
	}
}
