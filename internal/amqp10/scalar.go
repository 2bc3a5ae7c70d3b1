package amqp10

import (
	"encoding/binary"
	"math"
)

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
		return bits, false, !r.failed()
	case KindByte, KindShort, KindInt, KindLong:
		b := r.take(int(widths[c]))
		bits = signExtend(bigEndian(b), len(b))
		return bits, int64(bits) < 0, !r.failed()
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
	if r.left <= 0 {
		return 0, false
	}
	if b := r.b[r.pos:]; !r.alike && len(b) >= 2 { // the usual forms
		switch {
		case b[0] == CodeSmallUint || b[0] == CodeSmallUlong:
			r.left--
			r.pos += 2
			return uint64(b[1]), true
		case b[0] == CodeUint0 || b[0] == CodeNull:
			r.left--
			r.pos++
			return 0, b[0] == CodeUint0
		case b[0] == CodeUint && len(b) >= 5 && max >= math.MaxUint32:
			r.left--
			r.pos += 5
			return uint64(binary.BigEndian.Uint32(b[1:])), true
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

// Bool reads a boolean. Null is a fault here and below.
func (r *Reader) Bool() bool { v := r.OptBool(); return need(r, v.Value, v.Valid) }

// Uint reads a uint.
func (r *Reader) Uint() uint32 { v := r.OptUint(); return need(r, v.Value, v.Valid) }

// Ulong reads a ulong.
func (r *Reader) Ulong() uint64 { v := r.OptUlong(); return need(r, v.Value, v.Valid) }

// Ubyte reads a ubyte.
func (r *Reader) Ubyte() uint8 { v := r.OptUbyte(); return need(r, v.Value, v.Valid) }

// Text reads a string or a symbol, as a view. nil is null.
func (r *Reader) Text() []byte {
	if c := r.Peek(); c == CodeString8 || c == CodeSymbol8 {
		return r.short()
	}
	return r.sized(KindString, KindSymbol)
}

// Binary reads binary, as a view. nil is null.
func (r *Reader) Binary() []byte {
	if r.Peek() == CodeBinary8 {
		return r.short()
	}
	return r.sized(KindBinary, KindBinary)
}

// short reads a value of variable width whose size is one byte.
func (r *Reader) short() []byte {
	r.next()
	if r.pos < len(r.b) {
		start := r.pos + 1
		if end := start + int(r.b[r.pos]); end <= len(r.b) {
			r.pos = end
			return r.b[start:end:end]
		}
	}
	r.fail(faultTruncated)
	return nil
}

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
