package topics

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// AppendDecoded appends each pair to pairs, decoded to the end of room. They hold
// while the caller leaves room alone; they do not alias the bag.
//
// It allocates only to grow pairs, or room when that has less than len(b)+8 bytes
// to spare. The rules are those of [AppendUnescape].
func (b Bag) AppendDecoded(pairs []Pair, room []byte) ([]Pair, []byte) {
	n := len(room)
	room = slices.Grow(room, len(b)+word) // decode stores whole words
	room = room[:cap(room)]
	for i := 0; i < len(b); i++ {
		start := n
		var end int
		n, end = decodeASCII(room, n, b, i, '='*lows)
		if end < len(b) && b[end] == '%' {
			n, end = decodeRest(room, start, n, b, i, end, '=')
		}
		if end == i && (end == len(b) || b[end] == '&') {
			continue // an empty pair
		}
		// Field by field: a Pair that is made elsewhere and copied costs several times as much.
		pairs = append(pairs, Pair{})
		p := &pairs[len(pairs)-1]
		p.Name = room[start:n:n]
		if i = end; i == len(b) || b[i] == '&' {
			p.Null = true
			continue
		}
		i++
		start = n
		n, end = decodeASCII(room, n, b, i, '&'*lows)
		if end < len(b) && b[end] == '%' {
			n, end = decodeRest(room, start, n, b, i, end, '&')
		}
		p.Value = room[start:n:n]
		i = end
	}
	return pairs, room[:n]
}

// special sets the top bit of each byte of w, if it is ASCII, that is the one that
// c is full of or is below the apostrophe. Of these '%' and '&' matter here, and
// the others are rare. Here no byte carries into the next, so all bits are right.
func special(w, c uint64) uint64 {
	x := w & sevens
	return ^((x+(0x80-'\'')*lows)&((x^c)+sevens) | w) & highs
}

// decodeRest goes on where decodeASCII has stopped: with the part of b that begins
// at i decoded to out[start:n] as far as end, where the escape of a character
// beyond ASCII is. It returns where the part ends, in out and in b.
func decodeRest(out []byte, start, n int, b []byte, i, end int, c byte) (_, _ int) {
	for end < len(b) && b[end] == '%' {
		size := escapedRune(b, end)
		if size == 0 { // not UTF-8: all of it stays as it came
			for end++; end < len(b) && b[end] != '&' && b[end] != c; {
				end++
			}
			return start + copy(out[start:], b[i:end]), end
		}
		for range size {
			out[n] = byte(escaped(b, end))
			n++
			end += len("%xx")
		}
		n, end = decodeASCII(out, n, b, end, uint64(c)*lows)
	}
	return n, end
}

// decodeASCII decodes what is in b from i on to out[n:], up to the first '&' or
// the byte that c is full of, and returns where it ends, in out and in b. It
// stops, too, before an escape of what is not ASCII. It makes no call, for that
// would double its cost, and stores up to a word more than it decodes.
func decodeASCII(out []byte, n int, b []byte, i int, c uint64) (_, end int) {
	for i < len(b) {
		if b[i] == '%' {
			v := escaped(b, i)
			if v >= utf8.RuneSelf {
				break
			}
			if v < 0 { // malformed: it stands for itself
				v = '%'
				i -= 2
			}
			out[n] = byte(v)
			n++
			i += len("%xx")
		}
		if i <= len(b)-word {
			w := load(b, i)
			binary.LittleEndian.PutUint64(out[n:n+word:n+word], w)
			m := special(w, c)
			if m == 0 {
				i += word
				n += word
				continue
			}
			i += first(m)
			n += first(m)
			if b[i] == '%' {
				continue
			}
			if b[i] == '&' || b[i] == byte(c) {
				break
			}
			i++ // it is like any other
			n++
			continue
		}
		if i == len(b) || b[i] == '&' || b[i] == byte(c) {
			break
		}
		if b[i] != '%' {
			out[n] = b[i]
			n++
			i++
		}
	}
	return n, i
}
