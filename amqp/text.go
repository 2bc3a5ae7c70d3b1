package amqp

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/systemtime"
)

// texts collects text, so that all the strings of a message are pieces of one.
type texts struct{ b strings.Builder }

func (t *texts) add(s []byte) string {
	start := t.b.Len()
	t.b.Write(s)
	return t.b.String()[start:]
}

// at returns the text of the value from i to end of b, of which s is the string.
func (t *texts) at(s string, b []byte, i, end int) (text string, ok bool) {
	if classes[b[i]] == classText {
		return s[content(b, i):end], true
	}
	return t.value(viewAt(b, i, end))
}

// value adds the text of a value, see [appendText].
func (t *texts) value(v Value) (text string, ok bool) {
	var room [64]byte
	b, ok := appendText(room[:0], v)
	return t.add(b), ok
}

// appendText appends v as text, for what has nothing but text to be in: an id or an application
// property of package hubwire. The type is lost by that.
//
//	null                      nothing
//	string, symbol, binary    as it is; a binary that is not UTF-8 in base64
//	boolean                   true, false
//	whole numbers             decimal digits
//	float, double             the shortest decimal that reads as the same
//	timestamp                 2006-01-02T15:04:05.0000000Z; outside of the years 1 to 9999 its milliseconds
//	uuid                      36 characters, in lower case
//	char                      the character
//	decimal32, 64, 128        0x and the bits in hex
//
// Lists, maps, arrays and described values have no text: ok is false.
func appendText(dst []byte, v Value) (_ []byte, ok bool) {
	switch k := v.Kind(); k {
	case amqp10.KindNull:
	case amqp10.KindString, amqp10.KindSymbol:
		dst = append(dst, bytesOf(v)...)
	case amqp10.KindBinary:
		if b := bytesOf(v); utf8.Valid(b) {
			dst = append(dst, b...)
		} else {
			dst = base64.StdEncoding.AppendEncode(dst, b)
		}
	case amqp10.KindBool:
		b, _ := v.Bool()
		dst = strconv.AppendBool(dst, b)
	case amqp10.KindUbyte, amqp10.KindUshort, amqp10.KindUint, amqp10.KindUlong:
		n, _ := v.Uint()
		dst = strconv.AppendUint(dst, n, 10)
	case amqp10.KindByte, amqp10.KindShort, amqp10.KindInt, amqp10.KindLong:
		n, _ := v.Int()
		dst = strconv.AppendInt(dst, n, 10)
	case amqp10.KindFloat, amqp10.KindDouble:
		f, _ := v.Float()
		bits := 64
		if k == amqp10.KindFloat {
			bits = 32
		}
		dst = strconv.AppendFloat(dst, f, 'g', -1, bits)
	case amqp10.KindTimestamp:
		ms, _ := v.Timestamp()
		if ms < minTimestamp || ms > maxTimestamp {
			return strconv.AppendInt(dst, ms, 10), true
		}
		dst = systemtime.Append(dst, time.UnixMilli(ms))
	case amqp10.KindUUID:
		u, _ := v.UUID()
		dst = UUID(u).AppendTo(dst)
	case amqp10.KindChar:
		c, _ := v.Char()
		dst = utf8.AppendRune(dst, c)
	case amqp10.KindDecimal32, amqp10.KindDecimal64, amqp10.KindDecimal128:
		bits, _ := v.Decimal()
		dst = append(dst, "0x"...)
		for _, c := range bits {
			const hex = "0123456789abcdef"
			dst = append(dst, hex[c>>4], hex[c&15])
		}
	default:
		return dst, false
	}
	return dst, true
}
