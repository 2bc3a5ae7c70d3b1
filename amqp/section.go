package amqp

import (
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

// openSection begins a section that is a map.
func openSection(dst []byte, d amqp10.Descriptor) entries {
	start := len(dst)
	dst = amqp10.AppendDescriptor(dst, d)
	e := openMap(dst, amqp10.CodeSymbol8)
	if e.start = start; d == amqp10.DescApplicationProperties {
		e.keyCode = amqp10.CodeString8
	}
	return e
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
	if e.keyCode == amqp10.CodeSymbol8 {
		return amqp10.AppendSymbol(e.dst, key)
	}
	return amqp10.AppendString(e.dst, key)
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
	for i := range pairs {
		p := &pairs[i]
		e.dst = p.Value.AppendTo(e.key(p.Key))
	}
}

func (e *entries) properties(properties []hubwire.Property) {
	for i := range properties {
		p := &properties[i]
		e.dst = amqp10.AppendString(e.key(p.Name), p.Value)
	}
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
	const descriptor = 3
	return amqp10.CloseList(f.dst, start+descriptor, f.n)
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
