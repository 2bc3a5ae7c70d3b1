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
	found found
	what  Descriptor
	alike bool // all values have the format code elem, which is not in b: those of an array
	elem  byte
}

// found is a fault and where it is; no fault if it is zero.
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

// Rest returns the bytes behind what was read.
func (r *Reader) Rest() []byte { return r.b[r.pos:] }

// Offset returns where the next value begins, in bytes from where the first Reader began.
func (r *Reader) Offset() int { return r.base + r.pos }

// Err returns the first fault as a [*SyntaxError], or nil.
func (r *Reader) Err() error {
	if !r.failed() {
		return nil
	}
	return r.found.err()
}

func (f found) err() error {
	limit := 0
	if f.fault == faultDepth {
		limit = MaxDepth
	}
	return refuse(f.what, f.field, f.fault, f.offset, limit)
}

func (r *Reader) failed() bool { return r.found.fault != 0 }

// Done skips what is left, and returns Err, or that there are bytes behind the last value.
func (r *Reader) Done() error {
	for r.More() {
		r.Skip()
	}
	if !r.failed() && r.pos != len(r.b) {
		r.fail(faultTrailing)
	}
	return r.Err()
}

// fail notes f, unless there is a fault already, and ends the reading.
//
//go:noinline
func (r *Reader) fail(f fault) {
	if r.failed() {
		return
	}
	r.found = found{offset: r.base + r.pos, what: r.what, fault: f}
	r.found.field = r.field()
	r.left = 0
}

// field returns the place of the field that was read last, from 1, or 0 where there are none.
func (r *Reader) field() int {
	if r.what == 0 || r.count == endless {
		return 0
	}
	return r.count - r.left
}

// next returns the format code of the next value, and null behind the end.
func (r *Reader) next() byte {
	if r.left <= 0 {
		return CodeNull
	}
	r.left--
	if r.alike {
		return r.elem
	}
	if r.pos >= len(r.b) {
		return r.ended()
	}
	c := r.b[r.pos]
	r.pos++
	return c
}

// ended says that bytes are missing.
func (r *Reader) ended() byte {
	r.fail(faultTruncated)
	return CodeNull
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
	case r.alike:
		return r.elem
	case r.pos < len(r.b):
		return r.b[r.pos]
	}
	return CodeNull
}

// Value reads a value of any type, as a view. What is in a list, a map, an array or a described
// value is looked at when it is read, or by [Value.Check].
func (r *Reader) Value() Value {
	c := r.next()
	start := r.pos
	end, f := extent(r.b, start, c)
	if f != 0 {
		r.fail(f)
		return Value{}
	}
	r.pos = end
	return Value{data: r.b[start:end:end], offset: r.base + start, code: c}
}

// Skip reads a value and forgets it.
func (r *Reader) Skip() {
	c := r.next()
	end, f := extent(r.b, r.pos, c)
	if f != 0 {
		r.fail(f)
		return
	}
	r.pos = end
}

// Extent returns where the value ends that begins at b[pos], or -1 when b ends before it does, or there
// is no such format code. pos must be less than len(b). What is in the value is not looked at. It is
// for loops that a [Reader] is too slow for.
func Extent(b []byte, pos int) int {
	if end := pos + 1 + int(widths[b[pos]]); end <= len(b) && widths[b[pos]] <= 16 {
		return end
	}
	return sizedExtent(b, pos)
}

func sizedExtent(b []byte, pos int) int {
	end, f := extent(b, pos+1, b[pos])
	if f != 0 {
		return -1
	}
	return end
}

// extent returns where the value ends whose format code c is before b[pos].
func extent(b []byte, pos int, c byte) (end int, f fault) {
	w := widths[c]
	switch {
	case w <= 16:
		end = pos + int(w)
	case w == widthSized8 && pos < len(b):
		end = pos + 1 + int(b[pos])
	case w == widthSized32 && len(b)-pos >= 4:
		size := binary.BigEndian.Uint32(b[pos:])
		if pos += 4; uint64(size) > uint64(len(b)-pos) {
			return pos, faultTruncated
		}
		return pos + int(size), 0
	case c == CodeDescribed:
		return describedExtent(b, pos)
	case w == widthNone:
		return pos, faultCode
	default:
		return pos, faultTruncated
	}
	if end > len(b) {
		return pos, faultTruncated
	}
	return end, 0
}

// describedExtent is extent for a described value. Both of its values may be described in turn: it
// counts those that are due, and does not recurse.
func describedExtent(b []byte, pos int) (end int, f fault) {
	for due := 2; due > 0; due-- {
		if pos >= len(b) {
			return pos, faultTruncated
		}
		c := b[pos]
		pos++
		if c == CodeDescribed {
			due += 2
			continue
		}
		if pos, f = extent(b, pos, c); f != 0 {
			return pos, f
		}
	}
	return pos, 0
}
