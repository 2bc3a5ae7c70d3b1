package amqp

import (
	"math"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/systemtime"
)

// entries writes a map whose keys are text.
type entries struct {
	dst     []byte
	start   int // where its descriptor is, or itself when it has none
	at      int // where it is
	n       int // keys and values
	keyCode byte
}

// openMap begins a map whose keys have this format code, symbol or string.
func openMap(dst []byte, keyCode byte) entries {
	return entries{dst: amqp10.OpenCompound(dst), start: len(dst), at: len(dst), keyCode: keyCode}
}

// openAt begins a section that is a map or a list, which begins three bytes on.
func openAt(dst []byte, d amqp10.Descriptor) []byte {
	return append(dst, amqp10.CodeDescribed, amqp10.CodeSmallUlong, byte(d), 0, 0, 0)
}

// openSection begins a section that is a map.
func openSection(dst []byte, d amqp10.Descriptor) entries {
	return entries{dst: openAt(dst, d), start: len(dst), at: len(dst) + 3, keyCode: keyCodeOf(d)}
}

// keyCodeOf is what the keys of a section are: strings or symbols.
func keyCodeOf(d amqp10.Descriptor) byte {
	if d == amqp10.DescApplicationProperties {
		return amqp10.CodeString8
	}
	return amqp10.CodeSymbol8
}

// appendSection appends a section that is a map and would not be empty.
func appendSection(dst []byte, d amqp10.Descriptor, pairs []Pair, properties []hubwire.Property) []byte {
	dst = openAt(dst, d)
	at := len(dst) - 3
	if len(pairs) > 0 {
		dst = appendPairs(dst, keyCodeOf(d), pairs)
	}
	if len(properties) > 0 {
		dst = appendProperties(dst, properties)
	}
	count := 2 * (len(pairs) + len(properties))
	if size := len(dst) - at - 2; size|count <= math.MaxUint8 {
		dst[at], dst[at+1], dst[at+2] = amqp10.CodeMap8, byte(size), byte(count)
		return dst
	}
	return amqp10.CloseMap(dst, at, count)
}

// close ends the map, or takes it back when it is empty.
func (e *entries) close() []byte {
	if e.n == 0 {
		return e.dst[:e.start]
	}
	return amqp10.CloseMap(e.dst, e.at, e.n)
}

// key writes a key, for one value to follow.
func (e *entries) key(key string) []byte {
	e.n += 2
	return appendTextAs(e.dst, e.keyCode, key)
}

// text writes an entry whose value is a string, or none when that is empty.
func (e *entries) text(key, value string) {
	if value != "" {
		e.n += 2
		e.dst = appendText2(e.dst, e.keyCode, key, value)
	}
}

// appendText2 appends a key and a string. Nearly all are short, and there is room for both.
func appendText2(dst []byte, keyCode byte, key, value string) []byte {
	room, n := dst[:cap(dst)], len(dst)
	if len(key)|len(value) > math.MaxUint8 || len(room)-n < 4+len(key)+len(value) {
		return amqp10.AppendString(appendTextAs(dst, keyCode, key), value)
	}
	n = put(room, n, keyCode, key)
	return room[:put(room, n, amqp10.CodeString8, value)]
}

// time writes an entry whose value is a timestamp, or none for the zero time.
func (e *entries) time(key string, t time.Time) {
	if !t.IsZero() {
		e.dst = amqp10.AppendTimestamp(e.key(key), t.UnixMilli())
	}
}

// systemTime writes an entry whose value is the text of a time, or none for the zero time.
func (e *entries) systemTime(key string, t time.Time) {
	if !t.IsZero() {
		var room [len(systemtime.Layout) + 8]byte // AppendFormat wants some more while it is at work
		e.dst = amqp10.AppendString(e.key(key), systemtime.Append(room[:0], t))
	}
}

func (e *entries) ubyte(key string, n uint8)  { e.dst = amqp10.AppendUbyte(e.key(key), n) }
func (e *entries) uint(key string, n uint32)  { e.dst = amqp10.AppendUint(e.key(key), n) }
func (e *entries) ulong(key string, n uint64) { e.dst = amqp10.AppendUlong(e.key(key), n) }
func (e *entries) int(key string, n int)      { e.dst = amqp10.AppendInt(e.key(key), toInt32(n)) }
func (e *entries) long(key string, n int64)   { e.dst = amqp10.AppendLong(e.key(key), n) }

func (e *entries) pairs(pairs []Pair) {
	e.dst = appendPairs(e.dst, e.keyCode, pairs)
	e.n += 2 * len(pairs)
}

// appendPairs appends the entries of a map. Nearly all are short texts for which there is room:
// they are put in without an append for each of their parts.
func appendPairs(dst []byte, keyCode byte, pairs []Pair) []byte {
	room, n := dst[:cap(dst)], len(dst)
	for i := range pairs {
		p := &pairs[i]
		key, value := p.Key, p.Value.text
		if p.Value.kind != amqp10.KindString || p.Value.data != nil || len(key)|len(value) > math.MaxUint8 || len(room)-n < 4+len(key)+len(value) {
			dst = p.Value.AppendTo(appendTextAs(room[:n], keyCode, key))
			room, n = dst[:cap(dst)], len(dst)
			continue
		}
		n = put(room, n, keyCode, key)
		n = put(room, n, amqp10.CodeString8, value)
	}
	return room[:n]
}

// put writes a short text into room at n, and returns where it ends. There is room.
func put(room []byte, n int, code byte, s string) int {
	room[n], room[n+1] = code, byte(len(s))
	n += 2
	return n + copy(room[n:], s)
}

func (e *entries) properties(properties []hubwire.Property) {
	e.dst = appendProperties(e.dst, properties)
	e.n += 2 * len(properties)
}

func appendProperties(dst []byte, properties []hubwire.Property) []byte {
	room, n := dst[:cap(dst)], len(dst)
	for i := range properties {
		key, value := properties[i].Name, properties[i].Value
		if len(key)|len(value) > math.MaxUint8 || len(room)-n < 4+len(key)+len(value) {
			dst = amqp10.AppendString(amqp10.AppendString(room[:n], key), value)
			room, n = dst[:cap(dst)], len(dst)
			continue
		}
		n = put(room, n, amqp10.CodeString8, key)
		n = put(room, n, amqp10.CodeString8, value)
	}
	return room[:n]
}

// propertyTexts are the properties that are text, by their places. An empty one is absent.
type propertyTexts [propExpiry]string

// propertyCodes are the short forms of those.
var propertyCodes = [propExpiry]byte{
	propMessageID: amqp10.CodeString8, propUserID: amqp10.CodeBinary8, propTo: amqp10.CodeString8, propSubject: amqp10.CodeString8,
	propReplyTo: amqp10.CodeString8, propCorrelationID: amqp10.CodeString8, propContentType: amqp10.CodeSymbol8, propContentEncoding: amqp10.CodeSymbol8,
}

// appendPropertyList appends the properties, or nothing when there are none: texts, and of p the
// ids that have no text, and the times. to stands for a text that is empty. What is absent is
// null, and nothing at the end.
func appendPropertyList(dst []byte, texts *propertyTexts, to []byte, p *Properties) []byte {
	start := len(dst)
	dst = openAt(dst, amqp10.DescProperties)
	room, n, count := dst[:cap(dst)], len(dst), 0
	for field := range texts {
		s := texts[field]
		switch {
		case s == "":
			if field == propMessageID && !p.MessageID.IsNull() {
				dst = p.MessageID.AppendTo(room[:n])
			} else if field == propCorrelationID && !p.CorrelationID.IsNull() {
				dst = p.CorrelationID.AppendTo(appendNulls(room[:n], field-count))
			} else if field == propTo && len(to) > 0 {
				dst = amqp10.AppendString(appendNulls(room[:n], field-count), to)
			} else {
				continue
			}
			room, n, count = dst[:cap(dst)], len(dst), field+1
		case len(s) > math.MaxUint8 || len(room)-n < propCount+len(s):
			dst = appendTextAs(appendNulls(room[:n], field-count), propertyCodes[field], s)
			room, n, count = dst[:cap(dst)], len(dst), field+1
		default:
			for ; count < field; count++ {
				room[n] = amqp10.CodeNull
				n++
			}
			n = put(room, n, propertyCodes[field], s)
			count++
		}
	}
	dst = room[:n]
	if !p.Expiry.IsZero() {
		dst, count = amqp10.AppendTimestamp(appendNulls(dst, propExpiry-count), p.Expiry.UnixMilli()), propExpiry+1
	}
	if !p.Creation.IsZero() {
		dst, count = amqp10.AppendTimestamp(appendNulls(dst, propCreation-count), p.Creation.UnixMilli()), propCreation+1
	}
	if count == 0 {
		return dst[:start]
	}
	return amqp10.CloseList(dst, start+3, count)
}

func appendNulls(dst []byte, n int) []byte {
	for range n {
		dst = amqp10.AppendNull(dst)
	}
	return dst
}

// appendTextAs appends text or binary, whose short form has this format code.
func appendTextAs(dst []byte, code byte, s string) []byte {
	switch code {
	case amqp10.CodeBinary8:
		return amqp10.AppendBinary(dst, s)
	case amqp10.CodeSymbol8:
		return amqp10.AppendSymbol(dst, s)
	}
	return amqp10.AppendString(dst, s)
}
