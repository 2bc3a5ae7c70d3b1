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

// appendSection appends a section that is a map, or nothing when it would be empty.
func appendSection(dst []byte, d amqp10.Descriptor, pairs []Pair, properties []hubwire.Property) []byte {
	n := len(pairs) + len(properties)
	if n == 0 {
		return dst
	}
	at := len(dst) + 3
	dst = openAt(dst, d)
	dst = appendPairs(dst, keyCodeOf(d), pairs)
	dst = appendProperties(dst, properties)
	return amqp10.CloseMap(dst, at, 2*n)
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
	return appendKey(e.dst, e.keyCode, key)
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
	at := len(dst)
	whole := at + 4 + len(key) + len(value)
	if whole > cap(dst) || len(key) > math.MaxUint8 || len(value) > math.MaxUint8 {
		return amqp10.AppendString(appendKey(dst, keyCode, key), value)
	}
	dst = dst[:whole]
	b := dst[at:]
	b[0], b[1] = keyCode, byte(len(key))
	copy(b[2:], key)
	b = b[2+len(key):]
	b[0], b[1] = amqp10.CodeString8, byte(len(value))
	copy(b[2:], value)
	return dst
}

func appendKey(dst []byte, keyCode byte, key string) []byte {
	if keyCode == amqp10.CodeSymbol8 {
		return amqp10.AppendSymbol(dst, key)
	}
	return amqp10.AppendString(dst, key)
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

func appendPairs(dst []byte, keyCode byte, pairs []Pair) []byte {
	for i := range pairs {
		p := &pairs[i]
		if p.Value.kind == amqp10.KindString && p.Value.data == nil {
			dst = appendText2(dst, keyCode, p.Key, p.Value.text)
		} else {
			dst = p.Value.AppendTo(appendKey(dst, keyCode, p.Key))
		}
	}
	return dst
}

func (e *entries) properties(properties []hubwire.Property) {
	e.dst = appendProperties(e.dst, properties)
	e.n += 2 * len(properties)
}

func appendProperties(dst []byte, properties []hubwire.Property) []byte {
	for i := range properties {
		dst = appendText2(dst, amqp10.CodeString8, properties[i].Name, properties[i].Value)
	}
	return dst
}

// fields writes the fields of a list. Nulls are held back until a field follows that is none.
type fields struct {
	dst      []byte
	n, nulls int
}

func (f *fields) next() []byte {
	for ; f.nulls > 0; f.nulls-- {
		f.dst = amqp10.AppendNull(f.dst)
		f.n++
	}
	f.n++
	return f.dst
}

// close ends the list of a section that was begun when dst had length start, or takes it back when
// it is empty.
func (f *fields) close(start int) []byte {
	if f.n == 0 {
		return f.dst[:start]
	}
	return amqp10.CloseList(f.dst, start+3, f.n)
}

func (f *fields) typed(t *Typed) {
	if t.IsNull() {
		f.nulls++
	} else {
		f.dst = t.AppendTo(f.next())
	}
}

func (f *fields) string(s string) {
	if s == "" {
		f.nulls++
	} else {
		f.dst = amqp10.AppendString(f.next(), s)
	}
}

func (f *fields) symbol(s string) {
	if s == "" {
		f.nulls++
	} else {
		f.dst = amqp10.AppendSymbol(f.next(), s)
	}
}

func (f *fields) binary(s string) {
	if s == "" {
		f.nulls++
	} else {
		f.dst = amqp10.AppendBinary(f.next(), s)
	}
}

func (f *fields) time(t time.Time) {
	if t.IsZero() {
		f.nulls++
	} else {
		f.dst = amqp10.AppendTimestamp(f.next(), t.UnixMilli())
	}
}
