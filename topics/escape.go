package topics

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"

	"github.com/hubwire/hubwire/internal/percent"
)

// Text is what can be appended: text that is owned, or a view.
type Text interface{ ~string | ~[]byte }

var (
	// uriEscapes leaves the unreserved characters of RFC 3986 section 2.3.
	uriEscapes = percent.NewTable("-._~")

	// bagEscapes leaves what every official SDK decodes alike. The C SDK
	// refuses a bare '~' when its automatic decoding is on.
	bagEscapes = percent.NewTable("-._")

	// nameEscapes leaves what may stand in a path segment (RFC 3986 section
	// 3.3), except '+', which is a wildcard to MQTT.
	nameEscapes = percent.NewTable("-._~!$&'()*,;=:@")
)

// AppendEscape appends s percent-encoded: all but the letters, digits and
// "-._~", in upper-case hex (RFC 3986 section 2). It is for user names and
// tokens; [AppendProperty] escapes for property bags.
func AppendEscape[T Text](dst []byte, s T) []byte { return appendEscaped(dst, s, uriEscapes) }

func appendEscaped[T Text](dst []byte, s T, t *percent.Table) []byte {
	n := len(dst)
	if cap(dst)-n <= 3*len(s) {
		return appendEscapedTight(dst, s, t)
	}
	// There is room whatever s holds, so each byte is one store of four bytes,
	// of which those that count are kept.
	out := dst[:cap(dst)]
	for i := range len(s) {
		e := t[s[i]]
		binary.LittleEndian.PutUint32(out[n:n+4:n+4], e)
		n += int(e >> 24)
	}
	return out[:n]
}

// appendEscapedTight is for when dst may have to grow: by what it needs, not more.
func appendEscapedTight[T Text](dst []byte, s T, t *percent.Table) []byte {
	n := 0
	for i := range len(s) {
		n += int(t[s[i]] >> 24)
	}
	dst = slices.Grow(dst, n)
	for i := range len(s) {
		e := t[s[i]]
		if e>>24 == 1 {
			dst = append(dst, byte(e))
		} else {
			dst = append(dst, byte(e), byte(e>>8), byte(e>>16))
		}
	}
	return dst
}

// AppendUnescape appends s with its escapes decoded, in either case of hex. A
// malformed escape stands for itself, and so do all when those beyond ASCII do not
// spell UTF-8 (IoT Hub's own behaviour is not documented). A plus sign stays one.
func AppendUnescape[T Text](dst []byte, s T) []byte {
	start := len(dst)
	for i := 0; i < len(s); {
		switch v := escaped(s, i); {
		case v < 0:
			dst = append(dst, s[i])
			i++
		case v < utf8.RuneSelf:
			dst = append(dst, byte(v))
			i += 3
		default:
			size := escapedRune(s, i)
			if size == 0 {
				return append(dst[:start], s...)
			}
			for range size {
				dst = append(dst, byte(escaped(s, i)))
				i += 3
			}
		}
	}
	return dst
}

// escapedRune returns how many bytes in UTF-8 the character has that begins with
// the escape at s[i], which is beyond ASCII; 0 when it is none.
func escapedRune[T Text](s T, i int) (size int) {
	x, y := escaped(s, i), escaped(s, i+3)
	if x >= 0xc2 && x < 0xe0 && y >= 0x80 && y < 0xc0 {
		return 2 // nearly always
	}
	r := [utf8.UTFMax]byte{byte(x)}
	for size = 1; size < len(r) && y >= utf8.RuneSelf; size++ {
		r[size] = byte(y)
		y = escaped(s, i+3*size+3)
	}
	_, n := utf8.DecodeRune(r[:size])
	if n == 1 {
		return 0 // one byte beyond ASCII is no character
	}
	return n
}

// escaped returns the byte that the escape at s[i] stands for, or a negative
// number when there is none.
func escaped[T Text](s T, i int) int {
	if i+2 >= len(s) || s[i] != '%' {
		return -1
	}
	return percent.Unhex(s[i+1], s[i+2])
}
