package amqp10

import (
	"encoding/binary"
	"iter"
	"math"
)

// Value is a view of one encoded value. The zero Value is null. Its methods that return ok say
// false when the value is of another kind, and never fail otherwise but where said.
type Value struct {
	data   []byte // what follows the format code, with the size if it has one
	offset int    // of data, in what the first Reader was given
	code   byte
}

// ValueOf returns a view of b, which is one value as the Append functions write it. It is the zero
// Value when b is not.
func ValueOf(b []byte) Value {
	r := NewReader(b)
	v := r.Value()
	if r.Done() != nil {
		return Value{}
	}
	return v
}

// Code returns the format code of v.
func (v Value) Code() byte {
	if v.IsNull() {
		return CodeNull
	}
	return v.code
}

// Kind returns the type of v: [KindNull] for the zero Value.
func (v Value) Kind() Kind {
	if v.IsNull() {
		return KindNull
	}
	return kinds[v.code]
}

// IsNull reports whether v is null.
func (v Value) IsNull() bool { return v.code == CodeNull || v.code == 0 && v.data == nil }

// Offset returns where v begins, in bytes from where the first [Reader] began: what an error
// about it should name.
func (v Value) Offset() int { return max(0, v.offset-1) }

// AppendTo appends v in the form that it was read in.
func (v Value) AppendTo(dst []byte) []byte { return append(append(dst, v.Code()), v.data...) }

// Clone returns a Value that owns its bytes.
func (v Value) Clone() Value {
	if v.data != nil {
		v.data = append(make([]byte, 0, len(v.data)), v.data...)
	}
	return v
}

// reader returns a Reader that reads v itself.
func (v Value) reader() Reader {
	return Reader{b: v.data, left: 1, count: 1, base: v.offset, alike: true, elem: v.Code()}
}

// Bool returns the boolean v.
func (v Value) Bool() (b, ok bool) {
	r := v.reader()
	o := r.OptBool()
	return o.Value, o.Valid && !r.failed()
}

// Uint returns v if it is a whole number, of any kind, that is not negative.
func (v Value) Uint() (n uint64, ok bool) {
	r := v.reader()
	return r.unsigned(math.MaxUint64)
}

// Int returns v if it is a whole number, of any kind, that an int64 can hold.
func (v Value) Int() (n int64, ok bool) {
	r := v.reader()
	return r.signed(math.MinInt64, math.MaxInt64)
}

// Float returns the float or double v.
func (v Value) Float() (f float64, ok bool) {
	switch v.code {
	case CodeFloat:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(v.data))), true
	case CodeDouble:
		return math.Float64frombits(binary.BigEndian.Uint64(v.data)), true
	}
	return 0, false
}

// Decimal returns the bits of the decimal32, decimal64 or decimal128 v, as a view of 4, 8 or 16
// bytes.
func (v Value) Decimal() (bits []byte, ok bool) {
	switch v.code {
	case CodeDecimal32, CodeDecimal64, CodeDecimal128:
		return v.data, true
	}
	return nil, false
}

// Char returns the char v, which may be no character of Unicode.
func (v Value) Char() (c rune, ok bool) {
	if v.code != CodeChar {
		return 0, false
	}
	return rune(binary.BigEndian.Uint32(v.data)), true
}

// Timestamp returns the timestamp v, in milliseconds since 1970-01-01 UTC.
func (v Value) Timestamp() (ms int64, ok bool) {
	if v.code != CodeTimestamp {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(v.data)), true
}

// UUID returns the uuid v.
func (v Value) UUID() (id [16]byte, ok bool) {
	if v.code != CodeUUID {
		return id, false
	}
	return [16]byte(v.data), true
}

// Binary returns the binary v, as a view that is not nil.
func (v Value) Binary() (b []byte, ok bool) {
	if kinds[v.code] != KindBinary {
		return nil, false
	}
	return v.content(), true
}

// Text returns the string or symbol v, as a view that is not nil.
func (v Value) Text() (s []byte, ok bool) {
	if k := kinds[v.code]; k != KindString && k != KindSymbol {
		return nil, false
	}
	return v.content(), true
}

// content returns what follows the size of a value of variable width.
func (v Value) content() []byte {
	if v.code&0x10 == 0 {
		return v.data[1:]
	}
	return v.data[4:]
}

// List returns a Reader of the items of the list v.
func (v Value) List() (items Reader, ok bool) {
	r := v.reader()
	items = r.List()
	return items, v.Kind() == KindList
}

// Map returns a Reader of the entries of the map v: key, value, key, value.
func (v Value) Map() (entries Reader, ok bool) {
	r := v.reader()
	entries = r.Map()
	return entries, v.Kind() == KindMap
}

// Array returns a Reader of the elements of the array v. If they are described, descriptor is not
// null, and the Reader gives what is described.
func (v Value) Array() (descriptor Value, elements Reader, ok bool) {
	r := v.reader()
	descriptor, elements = r.Array()
	return descriptor, elements, v.Kind() == KindArray
}

// Described returns the two parts of the described value v.
func (v Value) Described() (descriptor, value Value, ok bool) {
	if v.code != CodeDescribed || v.data == nil {
		return Value{}, Value{}, false
	}
	r := Reader{b: v.data, left: 2, count: 2, base: v.offset}
	return r.Value(), r.Value(), true
}

// Items returns a Reader of what a field holds that may repeat: the elements of an array, the
// items of a list, nothing for null, and v itself for all else (part 1 section 1.5).
func (v Value) Items() Reader {
	r := v.reader()
	switch v.Kind() {
	case KindNull:
		return Reader{}
	case KindList:
		return r.List()
	case KindArray:
		_, elements := r.Array()
		return elements
	}
	return r
}

// Entries gives the entries of the map v, and nothing when v is none. It ends at a fault; who must
// know uses [Value.Check] before, or [Value.Map].
func (v Value) Entries() iter.Seq2[Value, Value] {
	return func(yield func(k, v Value) bool) {
		for r, _ := v.Map(); r.More(); {
			key, value := r.Value(), r.Value()
			if r.failed() || !yield(key, value) {
				return
			}
		}
	}
}

// Lookup returns the value of the string or symbol key in the map v.
func (v Value) Lookup(key string) (value Value, ok bool) {
	for r, _ := v.Map(); r.More(); {
		k, value := r.Value(), r.Value()
		if name, isText := k.Text(); isText && string(name) == key && !r.failed() {
			return value, true
		}
	}
	return Value{}, false
}
