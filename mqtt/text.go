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
)

// plainTopic returns the offset of the first byte of b that may be what a topic
// must not hold, NUL, '#', '+' or not UTF-8, or len(b) if none is. It takes 32
// bytes at a time, then eight.
func plainTopic(b []byte) (i int) {
	for ; i <= len(b)-32; i += 32 {
		r := b[i : i+32]
		v, w := binary.LittleEndian.Uint64(r), binary.LittleEndian.Uint64(r[8:])
		x, y := binary.LittleEndian.Uint64(r[16:]), binary.LittleEndian.Uint64(r[24:])
		if (v|w|x|y|^(usual(v)&usual(w)&usual(x)&usual(y)))&highs != 0 {
			break
		}
	}
	for ; i <= len(b)-8; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		if odd := (w | ^usual(w)) & highs; odd != 0 {
			return i + bits.TrailingZeros64(odd)/8
		}
	}
	if len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b[len(b)-8:]) // overlaps what has been seen
		if odd := (w | ^usual(w)) & highs; odd != 0 {
			return len(b) - 8 + bits.TrailingZeros64(odd)/8
		}
		return len(b)
	}
	return i
}

// usual sets the top bit of each byte of w, all ASCII, that is plain, in few
// steps: with the bits of '+' cleared, which NUL and '#' share, those become
// zero, and adding 0x7f sets no bit. So do some that are legal, such as blanks and
// brackets.
func usual(w uint64) uint64 { return w&^('+'*lows) + sevens }

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
	if i := plainTopic(b); i == 0 || i < len(b) {
		return badTopic(t, pt, b, at, i)
	}
	return nil
}

// badTopic is the rest of checkTopic, for a topic whose first i bytes are plain.
func badTopic(t Type, pt part, b []byte, at, i int) error {
	if len(b) == 0 {
		return refuse(t, pt, faultEmptyTopic, at, 0)
	}
	for i < len(b) {
		if b[i] >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				return refuse(t, pt, faultUTF8, at+i, 0)
			}
			i += n
			continue
		}
		f := topicFaults[b[i]]
		if f == faultPublishWildcard && t != TypePublish {
			f = faultWildcard
		}
		if f != 0 {
			return refuse(t, pt, f, at+i, 0)
		}
		i++
	}
	return nil
}

// topicFaults tells what is wrong with a byte wherever it begins a character of
// the topic of a PUBLISH; 0 is nothing, or that it depends on what follows.
var topicFaults = func() (t [256]fault) {
	t[0], t['#'], t['+'] = faultNUL, faultPublishWildcard, faultPublishWildcard
	for c := utf8.RuneSelf; c < len(t); c++ {
		if c < 0xc2 || c > 0xf4 { // begins no character
			t[c] = faultUTF8
		}
	}
	return t
}()

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
		if c != '#' && c != '+' {
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
