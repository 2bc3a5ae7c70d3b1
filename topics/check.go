package topics

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf8"
)

// maxText is how many bytes any text in MQTT can have (3.1.1 section 1.5.3).
const maxText = 0xffff

// Text is looked at eight bytes at a time, a word. In a word the first byte is
// the lowest, whatever the machine.
const (
	word   = 8
	lows   = 0x0101010101010101
	sevens = 0x7f * lows
	highs  = 0x80 * lows

	toDollar = (0x80 - '$') * lows
)

// load returns the word at b[i].
func load(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

// odd sets the top bit of each byte of w that is below '$' or not ASCII: of what
// no topic has, NUL and '#', and of the few others that are closest to tell from
// it. Above the first such byte it may be wrong. To a byte of ASCII, adding
// 0x80-c sets the top bit if it is c or above, and does not carry.
func odd(w uint64) uint64 { return (w | ^(w + toDollar)) & highs }

// oddOr is odd for the byte that c is full of, too. Adding 0x7f sets the top bit
// unless the byte is zero.
func oddOr(w, c uint64) uint64 {
	return (w | ^((w + toDollar) & ((w ^ c) + sevens))) & highs
}

// zeros sets the top bit of each byte of w that is zero. Above the first such
// byte it may be wrong.
func zeros(w uint64) uint64 { return (w - lows) &^ w & highs }

// first returns which byte has the lowest bit of m, a result of the above; 8 if none has.
func first(m uint64) int { return bits.TrailingZeros64(m) / 8 }

// index returns the offset of the first c in b from i on, or len(b).
func index(b []byte, i int, c byte) int {
	if n := bytes.IndexByte(b[i:], c); n >= 0 {
		return i + n
	}
	return len(b)
}

// hasPrefixAt reports whether b has p at offset i, which may be past the end.
func hasPrefixAt(b []byte, i int, p string) bool {
	return len(b) >= i+len(p) && string(b[i:i+len(p)]) == p
}

// checkText refuses what no topic may hold (MQTT 3.1.1 sections 1.5.3 and
// 4.7.1): NUL, '#', and what is not UTF-8. It looks at what is from i on but
// not at the last word, which [Parse] looks at first.
func checkText(b []byte, i int) error {
	const block = 4 * word
	for ; i < len(b)-block; i += block {
		c := b[i : i+block : i+block]
		v, w, x, y := load(c, 0), load(c, word), load(c, 2*word), load(c, 3*word)
		if (v|w|x|y|^((v+toDollar)&(w+toDollar)&(x+toDollar)&(y+toDollar)))&highs != 0 { // odd, all four
			return checkRunes(b, i)
		}
	}
	for ; i < len(b)-word; i += word {
		if odd(load(b, i)) != 0 {
			return checkRunes(b, i)
		}
	}
	return nil
}

// checkRunes does the work of checkText from i, or the start of the character
// that it is in, to the end.
func checkRunes(b []byte, i int) error {
	for n := 1; n < utf8.UTFMax && i > 0 && !utf8.RuneStart(b[i]); n++ {
		i--
	}
	for i < len(b) {
		if i <= len(b)-word {
			n := first(odd(load(b, i)))
			if i += n; n == word {
				continue
			}
		}
		c := b[i]
		f := notUTF8
		switch {
		case c == 0:
			f = hasNUL
		case c == '#':
			f = hasWildcard
		case c < utf8.RuneSelf:
			i++
			continue
		case c >= 0xc2 && c <= 0xf4: // begins a character
			if r, n := utf8.DecodeRune(b[i:]); r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		if e := f.keptAt(i); e != nil {
			return e
		}
		return f.errorAt(i)
	}
	return nil
}

// plainTo returns the offset of the first byte from i on that is the one c is
// full of, or odd. If whole words have none, it is where less than a word is left.
func plainTo(b []byte, i int, c uint64) int {
	for ; i <= len(b)-word; i += word {
		if m := oddOr(load(b, i), c); m != 0 {
			return i + first(m)
		}
	}
	return i
}

// plain reports whether nothing is odd from i on, up to the last word.
func plain(b []byte, i int) bool {
	for i < len(b)-word && odd(load(b, i)) == 0 {
		i += word
	}
	return i >= len(b)-word
}

// checkString refuses what no text in MQTT may be (3.1.1 section 1.5.3): longer
// than maxText, not UTF-8, or with NUL. It returns nil if all is well.
func checkString(part, s string) *SyntaxError {
	if len(s) > maxText {
		return &SyntaxError{Part: part, Offset: maxText, Limit: maxText, Err: ErrTooLong}
	}
	for i, r := range s {
		if r == 0 {
			return wrong(part, i, ErrNUL)
		}
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd") {
			return wrong(part, i, ErrUTF8)
		}
	}
	return nil
}
