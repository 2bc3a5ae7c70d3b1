package sas

import (
	"encoding/binary"
	"math/bits"
	"strings"

	"github.com/hubwire/hubwire/internal/percent"
)

// escapes leaves the unreserved characters of RFC 3986 section 2.3.
var escapes = percent.NewTable("-_.~")

// AppendEscape appends s percent-encoded to dst: all bytes but letters, digits
// and "-_.~" become %XX in upper case (RFC 3986 section 2). It allocates only
// to grow dst.
func AppendEscape[T string | []byte](dst []byte, s T) []byte {
	// Eight bytes are stored at a time, of which those that stay as they are count.
	// No store goes beyond the result: s has as many bytes left.
	for len(s) >= 8 && cap(dst)-len(dst) >= 8 {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		binary.LittleEndian.PutUint64(dst[len(dst):len(dst)+8], x)
		other := notPlain(x)
		if other == 0 {
			dst, s = dst[:len(dst)+8], s[8:]
			continue
		}
		n := bits.TrailingZeros64(other) / 8
		dst = appendEscaped(dst[:len(dst)+n], s[n])
		s = s[n+1:]
	}
	for i := range len(s) {
		dst = appendEscaped(dst, s[i])
	}
	return dst
}

func appendEscaped(dst []byte, c byte) []byte {
	e := escapes[c]
	if e>>24 == 1 {
		return append(dst, c)
	}
	return append(dst, byte(e), byte(e>>8), byte(e>>16))
}

// notPlain sets the highest bit of each byte of x that is none of the letters, digits,
// "-" and ".": it looks at all eight at once. The rest of the answer is 0.
func notPlain(x uint64) uint64 {
	const each, high = 0x0101010101010101, 0x8080808080808080
	// The highest bit of each byte of a sum says whether the byte is at least so
	// much; without that bit of x, no sum carries into the next byte.
	low := x &^ high
	folded := low | ('a'-'A')*each
	letter := (folded + (0x80-'a')*each) &^ (folded + (0x7f-'z')*each)
	digit := (low + (0x80-'-')*each) &^ (low + (0x7f-'9')*each) // or one of "-./"
	noSlash := (low ^ '/'*each) + 0x7f*each
	return (x | ^(letter | digit&noSlash)) & high
}

// AppendUnescape appends s decoded to dst: %XX of either case, and + for a
// blank. What is no escape stays as it is, because "%_" occurs in device ids.
// It allocates only to grow dst. dst may be s[:0].
func AppendUnescape[T string | []byte](dst []byte, s T) []byte {
	return appendUnescape(dst, s, ' ')
}

// appendUnescape is AppendUnescape, with another meaning of +.
func appendUnescape[T string | []byte](dst []byte, s T, plus byte) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = plus
		case c == '%' && i+2 < len(s):
			if v := percent.Unhex(s[i+1], s[i+2]); v >= 0 {
				c = byte(v)
				i += 2
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// unescape allocates only when there is something to decode.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	return string(AppendUnescape(nil, s))
}

// equalFold reports whether a and b are equal but for the case of ASCII letters.
func equalFold[A, B string | []byte](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c-'A' < 26 {
		return c + 'a' - 'A'
	}
	return c
}

// lowered returns s with its ASCII letters in lower case.
func lowered(s string) string {
	b := []byte(s)
	for i, c := range b {
		b[i] = lower(c)
	}
	return string(b)
}
