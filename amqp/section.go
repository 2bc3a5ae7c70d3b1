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

// descriptorSize is how many bytes stand before what is described.
const descriptorSize = 3

// openSection begins a section that is a map.
func openSection(dst []byte, d amqp10.Descriptor) entries {
	return entries{dst: openAt(dst, d), start: len(dst), at: len(dst) + descriptorSize, keyCode: keyCodeOf(d)}
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
	at := len(dst) + descriptorSize
	dst = openAt(dst, d)
	if len(pairs) > 0 {
		dst = appendPairs(dst, keyCodeOf(d), pairs)
	}
	if len(properties) > 0 {
		dst = appendProperties(dst, properties)
	}
	return amqp10.CloseMap(dst, at, 2*(len(pairs)+len(properties)))
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
	return amqp10.AppendText(e.dst, e.keyCode, key)
}

// text writes an entry whose value is a string, or none when that is empty.
func (e *entries) text(key, value string) {
	if value != "" {
		e.dst = amqp10.AppendString(e.key(key), value)
	}
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

// appendPairs appends the entries of a map. Nearly all are short strings, for which this is the
// inner loop of [AppendMessage]: calls for each would take half as long again, and so would copies
// of what p has, since each append would have to save them.
func appendPairs(dst []byte, keyCode byte, pairs []Pair) []byte {
	for i := range pairs {
		p := &pairs[i]
		if p.Value.kind != amqp10.KindString || p.Value.data != nil || len(p.Key)|len(p.Value.text) > math.MaxUint8 {
			dst = appendPair(dst, keyCode, p)
			continue
		}
		dst = append(append(dst, keyCode, byte(len(p.Key))), p.Key...)
		dst = append(append(dst, amqp10.CodeString8, byte(len(p.Value.text))), p.Value.text...)
	}
	return dst
}

func appendPair(dst []byte, keyCode byte, p *Pair) []byte {
	return p.Value.AppendTo(amqp10.AppendText(dst, keyCode, p.Key))
}

func (e *entries) properties(properties []hubwire.Property) {
	e.dst = appendProperties(e.dst, properties)
	e.n += 2 * len(properties)
}

// appendProperties is appendPairs for properties.
func appendProperties(dst []byte, properties []hubwire.Property) []byte {
	for i := range properties {
		p := &properties[i]
		if len(p.Name)|len(p.Value) > math.MaxUint8 {
			dst = appendProperty(dst, p)
			continue
		}
		dst = append(append(dst, amqp10.CodeString8, byte(len(p.Name))), p.Name...)
		dst = append(append(dst, amqp10.CodeString8, byte(len(p.Value))), p.Value...)
	}
	return dst
}

//go:noinline
func appendProperty(dst []byte, p *hubwire.Property) []byte {
	return amqp10.AppendString(amqp10.AppendString(dst, p.Name), p.Value)
}

// appendOrNull appends text or binary, whose short form has this format code, or null when it is
// empty.
func appendOrNull(dst []byte, code byte, s string) []byte {
	if s == "" {
		return append(dst, amqp10.CodeNull)
	}
	return amqp10.AppendText(dst, code, s)
}

// appendTime appends a timestamp, or null for the zero time.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, amqp10.CodeNull)
	}
	return amqp10.AppendTimestamp(dst, t.UnixMilli())
}
