package amqp10

import (
	"encoding/binary"
	"math"
)

// MaxDepth is how deeply values may be nested in each other: lists, maps, arrays and described
// values, those of the standard's own included.
const MaxDepth = 32

// Reader is a cursor over values: those of a buffer ([NewReader]), of a list or map, or of an
// array. Its first fault sticks: what is read after it is zero or null, and [Reader.Err] tells.
// Behind the end of a list values read as null (part 1 section 1.4).
//
// It is a view, and copying it copies the cursor.
type Reader struct {
	b     []byte
	pos   int
	left  int // values that are still to come
	count int // how many there were; endless when that is not known
	base  int // where b begins in what the caller began with
	fault found
	what  Descriptor
	elem  byte // the format code of all elements, in an array; else 0
}

// found is a fault and where it is.
type found struct {
	offset, field int
	what          Descriptor
	fault         fault
}

const endless = math.MaxInt

// NewReader returns a Reader of the values that b holds, one behind the other.
func NewReader(b []byte) Reader { return Reader{b: b, left: endless, count: endless} }

// More reports whether there is another value to read.
func (r *Reader) More() bool { return r.left > 0 && (r.count != endless || r.pos < len(r.b)) }

// Left returns how many values are left in a list, a map (keys and values) or an array.
func (r *Reader) Left() int {
	if r.count == endless {
		return 0
	}
	return r.left
}

// Rest returns the bytes behind what was read.
func (r *Reader) Rest() []byte { return r.b[r.pos:] }

// Offset returns where the next value begins, in bytes from where the first Reader began.
func (r *Reader) Offset() int { return r.base + r.pos }

// Err returns the first fault as a [*SyntaxError], or nil.
func (r *Reader) Err() error {
	if r.fault.fault == 0 {
		return nil
	}
	return r.fault.err()
}

func (f found) err() error {
	limit := 0
	if f.fault == faultDepth {
		limit = MaxDepth
	}
	return refuse(f.what, f.field, f.fault, f.offset, limit)
}

// Done skips what is left, and returns Err, or that there are bytes behind the last value.
func (r *Reader) Done() error {
	for r.More() {
		r.Skip()
	}
	if r.fault.fault == 0 && r.pos != len(r.b) {
		r.fail(faultTrailing)
	}
	return r.Err()
}

// fail notes f, unless there is a fault already, and ends the reading.
func (r *Reader) fail(f fault) {
	if r.fault.fault != 0 {
		return
	}
	r.fault = found{offset: r.base + r.pos, what: r.what, fault: f}
	if r.count != endless {
		r.fault.field = r.count - r.left
	}
	r.left = 0
}

// next returns the format code of the next value, and null behind the end.
func (r *Reader) next() byte {
	if r.left <= 0 {
		return CodeNull
	}
	r.left--
	if r.elem != 0 {
		return r.elem
	}
	if r.pos >= len(r.b) {
		r.fail(faultTruncated)
		return CodeNull
	}
	c := r.b[r.pos]
	r.pos++
	return c
}

// take returns the next n bytes, or nil when there are not so many.
func (r *Reader) take(n int) []byte {
	if n > len(r.b)-r.pos {
		r.fail(faultTruncated)
		return nil
	}
	v := r.b[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return v
}

// number is a size or a count of four bytes. Beyond what a buffer can have one is as good as
// another, so it fits an int everywhere.
func number(b []byte) int { return int(min(binary.BigEndian.Uint32(b), math.MaxInt32)) }

// takeSized returns the bytes behind the size of a value of code c: one byte of size or four.
func (r *Reader) takeSized(c byte) []byte {
	if c&0x10 == 0 {
		if r.pos < len(r.b) {
			n := int(r.b[r.pos])
			r.pos++
			return r.take(n)
		}
	} else if size := r.take(4); size != nil {
		return r.take(number(size))
	}
	r.fail(faultTruncated)
	return nil
}

// Peek returns the format code of the next value, or [CodeNull] behind the end.
func (r *Reader) Peek() byte {
	switch {
	case !r.More():
		return CodeNull
	case r.elem != 0:
		return r.elem
	case r.pos < len(r.b):
		return r.b[r.pos]
	}
	return CodeNull
}

// integer reads a whole number of any width as its bits, and whether it is negative; ok is false
// for null.
func (r *Reader) integer() (bits uint64, negative, ok bool) {
	c := r.next()
	switch c {
	case CodeNull:
		return 0, false, false
	case CodeUint0, CodeUlong0:
		return 0, false, true
	}
	switch kinds[c] {
	default:
		r.fail(faultType)
		return 0, false, false
	case KindUbyte, KindUshort, KindUint, KindUlong:
		bits = bigEndian(r.take(int(widths[c])))
		return bits, false, r.fault.fault == 0
	case KindByte, KindShort, KindInt, KindLong:
		b := r.take(int(widths[c]))
		bits = signExtend(bigEndian(b), len(b))
		return bits, int64(bits) < 0, r.fault.fault == 0
	}
}

func bigEndian(b []byte) (v uint64) {
	for _, x := range b {
		v = v<<8 | uint64(x)
	}
	return v
}

// signExtend makes the two's complement number of width bytes one of eight.
func signExtend(bits uint64, width int) uint64 {
	shift := 64 - 8*width
	return uint64(int64(bits<<shift) >> shift)
}

// unsigned reads a whole number from 0 to max.
func (r *Reader) unsigned(max uint64) (uint64, bool) {
	if r.left > 0 && r.elem == 0 && r.pos+1 < len(r.b) { // the usual forms
		switch r.b[r.pos] {
		case CodeUint0, CodeUlong0:
			r.left--
			r.pos++
			return 0, true
		case CodeSmallUint, CodeSmallUlong, CodeUbyte:
			r.left--
			r.pos += 2
			return uint64(r.b[r.pos-1]), true
		}
	}
	v, negative, ok := r.integer()
	if ok && (negative || v > max) {
		r.fail(faultRange)
		return 0, false
	}
	return v, ok
}

// signed reads a whole number from min to max.
func (r *Reader) signed(min, max int64) (int64, bool) {
	v, negative, ok := r.integer()
	if ok && (!negative && v > math.MaxInt64 || int64(v) < min || int64(v) > max) {
		r.fail(faultRange)
		return 0, false
	}
	return int64(v), ok
}

// need makes null a fault.
func need[T any](r *Reader, v T, ok bool) T {
	if !ok {
		r.fail(faultMissing)
	}
	return v
}

// OptUbyte reads a ubyte or null. Here and below, any whole number that fits will do.
func (r *Reader) OptUbyte() Opt[uint8] {
	v, ok := r.unsigned(math.MaxUint8)
	return Opt[uint8]{uint8(v), ok}
}

// OptUshort reads a ushort or null.
func (r *Reader) OptUshort() Opt[uint16] {
	v, ok := r.unsigned(math.MaxUint16)
	return Opt[uint16]{uint16(v), ok}
}

// OptUint reads a uint or null.
func (r *Reader) OptUint() Opt[uint32] {
	v, ok := r.unsigned(math.MaxUint32)
	return Opt[uint32]{uint32(v), ok}
}

// OptUlong reads a ulong or null.
func (r *Reader) OptUlong() Opt[uint64] {
	v, ok := r.unsigned(math.MaxUint64)
	return Opt[uint64]{v, ok}
}

// OptInt reads an int or null.
func (r *Reader) OptInt() Opt[int32] {
	v, ok := r.signed(math.MinInt32, math.MaxInt32)
	return Opt[int32]{int32(v), ok}
}

// OptLong reads a long or null.
func (r *Reader) OptLong() Opt[int64] {
	v, ok := r.signed(math.MinInt64, math.MaxInt64)
	return Opt[int64]{v, ok}
}

// OptBool reads a boolean or null.
func (r *Reader) OptBool() Opt[bool] {
	switch r.next() {
	case CodeNull:
		return Opt[bool]{}
	case CodeTrue:
		return Some(true)
	case CodeFalse:
		return Some(false)
	case CodeBool:
		if b := r.take(1); b != nil {
			if b[0] > 1 {
				r.fail(faultRange)
			}
			return Some(b[0] == 1)
		}
		return Opt[bool]{}
	}
	r.fail(faultType)
	return Opt[bool]{}
}

// OptTimestamp reads a timestamp, in milliseconds since 1970-01-01 UTC, or null.
func (r *Reader) OptTimestamp() Opt[int64] {
	switch r.next() {
	case CodeNull:
		return Opt[int64]{}
	case CodeTimestamp:
		if b := r.take(8); b != nil {
			return Some(int64(binary.BigEndian.Uint64(b)))
		}
		return Opt[int64]{}
	}
	r.fail(faultType)
	return Opt[int64]{}
}

// Bool, Ubyte, Uint and Ulong read what must not be null.

// Bool reads a boolean.
func (r *Reader) Bool() bool { v := r.OptBool(); return need(r, v.Value, v.Valid) }

// Uint reads a uint.
func (r *Reader) Uint() uint32 { v := r.OptUint(); return need(r, v.Value, v.Valid) }

// Ulong reads a ulong.
func (r *Reader) Ulong() uint64 { v := r.OptUlong(); return need(r, v.Value, v.Valid) }

// Ubyte reads a ubyte.
func (r *Reader) Ubyte() uint8 { v := r.OptUbyte(); return need(r, v.Value, v.Valid) }

// Text reads a string or a symbol, as a view. nil is null.
func (r *Reader) Text() []byte { return r.sized(KindString, KindSymbol) }

// Binary reads binary, as a view. nil is null.
func (r *Reader) Binary() []byte { return r.sized(KindBinary, KindBinary) }

// sized reads a value of variable width of one kind or the other.
func (r *Reader) sized(kind, or Kind) []byte {
	c := r.next()
	if c == CodeNull {
		return nil
	}
	if k := kinds[c]; k != kind && k != or {
		r.fail(faultType)
		return nil
	}
	return r.takeSized(c)
}

// Value reads a value of any type, as a view. What is in a list, a map, an array or a described
// value is looked at when it is read, or by [Value.Check].
func (r *Reader) Value() Value {
	c := r.next()
	start := r.pos
	if !r.skip(c) {
		return Value{}
	}
	return Value{data: r.b[start:r.pos:r.pos], offset: r.base + start, code: c}
}

// Skip reads a value and forgets it.
func (r *Reader) Skip() { r.skip(r.next()) }

// skip moves behind what follows the format code c. It does not recurse: of a described value two
// more values follow.
func (r *Reader) skip(c byte) bool {
	for pending := 0; ; pending-- {
		n, room := 0, len(r.b)-r.pos
		switch w := widths[c]; {
		case w <= 16:
			n = int(w)
		case w == widthNone:
			if c != CodeDescribed {
				r.fail(faultCode)
				return false
			}
			pending += 2
		case w == widthSized8 && room >= 1:
			r.pos, room = r.pos+1, room-1
			n = int(r.b[r.pos-1])
		case w == widthSized32 && room >= 4:
			r.pos, room = r.pos+4, room-4
			n = number(r.b[r.pos-4:])
		default:
			n = room + 1
		}
		if n > room || pending > 0 && n == room {
			r.fail(faultTruncated)
			return false
		}
		r.pos += n
		if pending == 0 {
			return true
		}
		c = r.b[r.pos]
		r.pos++
	}
}
