package topics

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

const (
	lows   = 0x0101010101010101
	sevens = 0x7f * lows
	highs  = 0x80 * lows
	hashes = '#' * lows
)

// checkText refuses what no topic or filter may hold: more than 65535 bytes, NUL, text that is not UTF-8
// and, in a topic, '#' (MQTT 3.1.1 sections 1.5.3, 4.7.1 and 4.7.3).
func checkText(b []byte, isTopic bool) error {
	if len(b) > 0xffff {
		return refuse(faultTooLong, 0xffff)
	}
	if plain(b) {
		return nil
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return refuse(faultNUL, i)
	}
	if i := bytes.IndexByte(b, '#'); i >= 0 && isTopic {
		return refuse(faultWildcard, i)
	}
	if i := badUTF8(b); i >= 0 {
		return refuse(faultUTF8, i)
	}
	return nil
}

// plain reports whether b is ASCII without NUL and '#'. It takes 32 bytes at a
// time, then eight, of which the last may overlap.
func plain(b []byte) bool {
	clean, high := uint64(highs), uint64(0)
	rest := b
	for len(rest) >= 32 {
		v, w := binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint64(rest[8:])
		x, y := binary.LittleEndian.Uint64(rest[16:]), binary.LittleEndian.Uint64(rest[24:])
		clean &= cleanBytes(v) & cleanBytes(w) & cleanBytes(x) & cleanBytes(y)
		high |= v | w | x | y
		rest = rest[32:]
	}
	for len(rest) >= 8 {
		w := binary.LittleEndian.Uint64(rest)
		clean &= cleanBytes(w)
		high |= w
		rest = rest[8:]
	}
	if len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b[len(b)-8:])
		clean &= cleanBytes(w)
		high |= w
		return (high|^clean)&highs == 0
	}
	for _, c := range rest {
		if c == 0 || c == '#' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// cleanBytes sets the top bit of each byte of w, which is all ASCII, that is
// neither NUL nor '#': adding 0x7f carries into it from all values but zero.
func cleanBytes(w uint64) uint64 { return (w + sevens) & ((w ^ hashes) + sevens) }

// badUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func badUTF8(b []byte) int {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}
