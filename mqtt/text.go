package mqtt

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

const (
	lows   = 0x0101010101010101
	highs  = 0x8080808080808080
	sevens = 0x7f7f7f7f7f7f7f7f

	// '#' is 0x23 and '+' is 0x2b: they differ in one bit, so one comparison
	// with that bit cleared finds both.
	wildBit = '#' ^ '+'
)

// plainTopic returns the offset of the first byte of b that is NUL, '#', '+' or
// not ASCII, or len(b) if none is: all that a topic must not hold, or that must
// be looked at closely. It takes 32 bytes at a time, then eight.
func plainTopic(b []byte) int {
	rest := b
	for len(rest) >= 32 {
		v, w := binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint64(rest[8:])
		x, y := binary.LittleEndian.Uint64(rest[16:]), binary.LittleEndian.Uint64(rest[24:])
		clean := (v + sevens) & (w + sevens) & (x + sevens) & (y + sevens)
		clean &= (unwild(v) + sevens) & (unwild(w) + sevens) & (unwild(x) + sevens) & (unwild(y) + sevens)
		if (v|w|x|y|^clean)&highs != 0 {
			break
		}
		rest = rest[32:]
	}
	for len(rest) >= 8 {
		if odd := oddBytes(binary.LittleEndian.Uint64(rest)); odd != 0 {
			return len(b) - len(rest) + bits.TrailingZeros64(odd)/8
		}
		rest = rest[8:]
	}
	if len(b) >= 8 && len(rest) > 0 {
		last := len(b) - 8 // overlaps what has been seen and is plain
		if odd := oddBytes(binary.LittleEndian.Uint64(b[last:])); odd != 0 {
			return last + bits.TrailingZeros64(odd)/8
		}
		return len(b)
	}
	for i, c := range rest {
		if c-1 >= 0x7f || c&^wildBit == '#' {
			return len(b) - len(rest) + i
		}
	}
	return len(b)
}

// oddBytes sets the top bit of each byte of w that is NUL, '#', '+' or not
// ASCII; above the first such byte it may be wrong. For a byte below 0x80,
// adding 0x7f sets the top bit unless the byte is zero, and does not carry.
func oddBytes(w uint64) uint64 {
	return (w | ^((w + sevens) & (unwild(w) + sevens))) & highs
}

// unwild turns '#' and '+' into zero bytes, and nothing else.
func unwild(w uint64) uint64 { return (w &^ (wildBit * lows)) ^ ('#' * lows) }

// checkText refuses what no string field may hold: text that is not UTF-8
// (which includes surrogates), and U+0000. at is where b begins in its packet.
func checkText(t Type, pt part, b []byte, at int) error {
	if i := badText(b); i >= 0 {
		f := faultUTF8
		if b[i] == 0 {
			f = faultNUL
		}
		return refuse(t, pt, f, at+i, 0)
	}
	return nil
}

// badText returns the offset of the first byte of b that is NUL or not UTF-8, or -1.
func badText(b []byte) int {
	for i := 0; i < len(b); {
		c := b[i]
		if c-1 < 0x7f { // 1 to 0x7f
			i++
			continue
		}
		if c == 0 {
			return i
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// checkTopic refuses what cannot be a topic name: a bad string, an empty one,
// and wildcards. The first fault counts.
func checkTopic(t Type, pt part, b []byte, at int) error {
	i := plainTopic(b)
	if i == len(b) && i != 0 {
		return nil
	}
	return badTopic(t, pt, b, at, i)
}

// badTopic is the rest of checkTopic, for a topic whose first i bytes are plain.
func badTopic(t Type, pt part, b []byte, at, i int) error {
	if len(b) == 0 {
		return refuse(t, pt, faultEmptyTopic, at, 0)
	}
	for i < len(b) {
		switch c := b[i]; {
		case c == 0:
			return refuse(t, pt, faultNUL, at+i, 0)
		case c&^wildBit == '#':
			f := faultWildcard
			if t == TypePublish {
				f = faultPublishWildcard
			}
			return refuse(t, pt, f, at+i, 0)
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				return refuse(t, pt, faultUTF8, at+i, 0)
			}
			i += n
		}
	}
	return nil
}

// checkFilter refuses what cannot be a topic filter (section 4.7): a bad
// string, an empty one, a '+' or '#' that shares its level, a '#' before the end.
func checkFilter(t Type, b []byte, at int) error {
	if len(b) == 0 {
		return refuse(t, partFilter, faultEmptyTopic, at, 0)
	}
	if err := checkText(t, partFilter, b, at); err != nil {
		return err
	}
	for i, c := range b {
		if c&^wildBit != '#' {
			continue
		}
		first := i == 0 || b[i-1] == '/'
		last := i == len(b)-1
		if c == '#' && (!first || !last) {
			return refuse(t, partFilter, faultHash, at+i, 0)
		}
		if c == '+' && (!first || !last && b[i+1] != '/') {
			return refuse(t, partFilter, faultPlus, at+i, 0)
		}
	}
	return nil
}

// reader takes the fields of a packet apart. The first fault sticks.
type reader struct {
	p   []byte // the whole packet
	i   int    // the next byte
	t   Type
	err error
}

func (r *reader) fail(pt part, f fault, offset, limit int) {
	if r.err == nil {
		r.err = refuse(r.t, pt, f, offset, limit)
	}
}

func (r *reader) u8(pt part) byte {
	if r.err != nil || r.i >= len(r.p) {
		r.fail(pt, faultTruncated, r.i, len(r.p))
		return 0
	}
	r.i++
	return r.p[r.i-1]
}

func (r *reader) u16(pt part) int {
	if r.err != nil || len(r.p)-r.i < 2 {
		r.fail(pt, faultTruncated, r.i, len(r.p))
		return 0
	}
	r.i += 2
	return int(r.p[r.i-2])<<8 | int(r.p[r.i-1])
}

// id reads a packet identifier.
func (r *reader) id() uint16 {
	id := r.u16(partPacketID)
	if id == 0 {
		r.fail(partPacketID, faultPacketID, r.i-2, 0)
	}
	return uint16(id)
}

// binary reads a field with a two-byte length before it. It is never nil
// unless the packet is refused.
func (r *reader) binary(pt part) []byte {
	at := r.i
	n := r.u16(pt)
	if r.err != nil || n > len(r.p)-r.i {
		r.fail(pt, faultTruncated, at, len(r.p))
		return nil
	}
	r.i += n
	return r.p[r.i-n : r.i : r.i]
}

// text reads a string field.
func (r *reader) text(pt part) []byte {
	b := r.binary(pt)
	if r.err == nil {
		r.err = checkText(r.t, pt, b, r.i-len(b))
	}
	return b
}

// end refuses bytes behind the last field.
func (r *reader) end() error {
	if r.err == nil && r.i < len(r.p) {
		r.fail(partBody, faultTrailing, r.i, r.i)
	}
	return r.err
}

func appendField(dst, b []byte) []byte {
	dst = append(dst, byte(len(b)>>8), byte(len(b)))
	return append(dst, b...)
}
