package hub_test

import (
	"encoding/binary"
	"fmt"
	"math"
)

// AMQP 1.0's types as the SDKs' own libraries write and read them. Nothing of this is shared with the
// hub's codec, so that a mistake there cannot agree with itself.

// Values are Go's own types, and these. A missing one is nil.
type (
	sym       string
	stamp     int64 // milliseconds since 1970
	guid      [16]byte
	list      []any
	pairs     []any // a map: key, value, key, value
	array     []any // of one type; none at all is an array of symbols
	described struct {
		code  any
		value any
	}
)

// encoder writes values: wide in the longest form of everything, as some libraries do for all that
// grows, or in the shortest.
type encoder struct{ wide bool }

// variable writes what has a length: of one byte with code, or of four with code+0x10.
func (e encoder) variable(dst []byte, code byte, b []byte) []byte {
	if e.wide || len(b) > 255 {
		return append(binary.BigEndian.AppendUint32(append(dst, code+0x10), uint32(len(b))), b...)
	}
	return append(append(dst, code, byte(len(b))), b...)
}

// compound writes what has a size and a count.
func (e encoder) compound(dst []byte, code byte, count int, b []byte) []byte {
	if e.wide || len(b) > 254 || count > 255 {
		dst = binary.BigEndian.AppendUint32(append(dst, code+0x10), uint32(len(b)+4))
		return append(binary.BigEndian.AppendUint32(dst, uint32(count)), b...)
	}
	return append(append(dst, code, byte(len(b)+1), byte(count)), b...)
}

func (e encoder) all(vs []any) (b []byte) {
	for _, v := range vs {
		b = e.value(b, v)
	}
	return b
}

func (e encoder) value(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, 0x40)
	case bool:
		switch {
		case e.wide && v:
			return append(dst, 0x56, 1)
		case e.wide:
			return append(dst, 0x56, 0)
		case v:
			return append(dst, 0x41)
		}
		return append(dst, 0x42)
	case uint8:
		return append(dst, 0x50, v)
	case uint16:
		return binary.BigEndian.AppendUint16(append(dst, 0x60), v)
	case uint32:
		switch {
		case e.wide || v > 255:
			return binary.BigEndian.AppendUint32(append(dst, 0x70), v)
		case v == 0:
			return append(dst, 0x43)
		}
		return append(dst, 0x52, byte(v))
	case uint64:
		switch {
		case e.wide || v > 255:
			return binary.BigEndian.AppendUint64(append(dst, 0x80), v)
		case v == 0:
			return append(dst, 0x44)
		}
		return append(dst, 0x53, byte(v))
	case int32:
		if e.wide || v != int32(int8(v)) {
			return binary.BigEndian.AppendUint32(append(dst, 0x71), uint32(v))
		}
		return append(dst, 0x54, byte(v))
	case int64:
		if e.wide || v != int64(int8(v)) {
			return binary.BigEndian.AppendUint64(append(dst, 0x81), uint64(v))
		}
		return append(dst, 0x55, byte(v))
	case float64:
		return binary.BigEndian.AppendUint64(append(dst, 0x82), math.Float64bits(v))
	case stamp:
		return binary.BigEndian.AppendUint64(append(dst, 0x83), uint64(v))
	case guid:
		return append(append(dst, 0x98), v[:]...)
	case []byte:
		return e.variable(dst, 0xa0, v)
	case string:
		return e.variable(dst, 0xa1, []byte(v))
	case sym:
		return e.variable(dst, 0xa3, []byte(v))
	case list:
		if len(v) == 0 && !e.wide {
			return append(dst, 0x45)
		}
		return e.compound(dst, 0xc0, len(v), e.all(v))
	case pairs:
		return e.compound(dst, 0xc1, len(v), e.all(v))
	case array:
		b := []byte{0xb3}
		for _, s := range v {
			b = append(b, encoder{wide: true}.value(nil, s)[1:]...)
		}
		return e.compound(dst, 0xe0, len(v), b)
	case described:
		return e.value(e.value(append(dst, 0), v.code), v.value)
	}
	panic(fmt.Sprintf("no AMQP type for %T", v))
}

// decode reads one value and returns what is behind it. It panics where the hub's bytes are no value.
func decode(b []byte) (any, []byte) {
	code, b := b[0], b[1:]
	fixed := func(n int) []byte {
		v := b[:n]
		b = b[n:]
		return v
	}
	sized := func(wide bool) []byte {
		if wide {
			return fixed(int(binary.BigEndian.Uint32(fixed(4))))
		}
		return fixed(int(fixed(1)[0]))
	}
	var v any
	switch code {
	case 0x00:
		var d described
		d.code, b = decode(b)
		d.value, b = decode(b)
		v = d
	case 0x40:
	case 0x41, 0x42:
		v = code == 0x41
	case 0x56:
		v = fixed(1)[0] == 1
	case 0x50:
		v = fixed(1)[0]
	case 0x60:
		v = binary.BigEndian.Uint16(fixed(2))
	case 0x43:
		v = uint32(0)
	case 0x52:
		v = uint32(fixed(1)[0])
	case 0x70:
		v = binary.BigEndian.Uint32(fixed(4))
	case 0x44:
		v = uint64(0)
	case 0x53:
		v = uint64(fixed(1)[0])
	case 0x80:
		v = binary.BigEndian.Uint64(fixed(8))
	case 0x54:
		v = int32(int8(fixed(1)[0]))
	case 0x71:
		v = int32(binary.BigEndian.Uint32(fixed(4)))
	case 0x55:
		v = int64(int8(fixed(1)[0]))
	case 0x81:
		v = int64(binary.BigEndian.Uint64(fixed(8)))
	case 0x83:
		v = stamp(binary.BigEndian.Uint64(fixed(8)))
	case 0x98:
		v = guid(fixed(16))
	case 0xa0, 0xb0:
		v = sized(code == 0xb0)
	case 0xa1, 0xb1:
		v = string(sized(code == 0xb1))
	case 0xa3, 0xb3:
		v = sym(sized(code == 0xb3))
	case 0x45:
		v = list{}
	case 0xc0, 0xc1, 0xd0, 0xd1:
		items := decodeItems(sized(code >= 0xd0), code >= 0xd0)
		if v = list(items); code&1 == 1 {
			v = pairs(items)
		}
	case 0xe0, 0xf0:
		v = decodeArray(sized(code == 0xf0), code == 0xf0)
	default:
		panic(fmt.Sprintf("type %#x", code))
	}
	return v, b
}

func decodeCount(b []byte, wide bool) (int, []byte) {
	if wide {
		return int(binary.BigEndian.Uint32(b)), b[4:]
	}
	return int(b[0]), b[1:]
}

func decodeItems(b []byte, wide bool) (items []any) {
	n, b := decodeCount(b, wide)
	for range n {
		var v any
		v, b = decode(b)
		items = append(items, v)
	}
	if len(b) > 0 {
		panic("a compound value is longer than its items")
	}
	return items
}

func decodeArray(b []byte, wide bool) (items array) {
	n, b := decodeCount(b, wide)
	code, b := b[:1:1], b[1:]
	for range n {
		v, rest := decode(append(code, b...))
		items, b = append(items, v), rest
	}
	return items
}

// field returns a field of a composite value, nil where the list ends before it.
func (l list) field(i int) any {
	if i < len(l) {
		return l[i]
	}
	return nil
}

// get returns the value under a key, whose type counts.
func (m pairs) get(key any) any {
	for i := 0; i+1 < len(m); i += 2 {
		if m[i] == key {
			return m[i+1]
		}
	}
	return nil
}

// inner returns the value of a described list, and its descriptor; 0 for anything else.
func inner(v any) (uint64, list) {
	d, _ := v.(described)
	code, _ := d.code.(uint64)
	l, _ := d.value.(list)
	return code, l
}

// The sections of a message, by their codes.
const (
	secHeader, secAnnotations, secProperties, secApplication uint64 = 0x70, 0x72, 0x73, 0x74
	secData, secValue                                        uint64 = 0x75, 0x77
)

// section is one section of a message, or a message of several.
type section = described

func (e encoder) message(sections ...section) (b []byte) {
	for _, s := range sections {
		b = e.value(b, s)
	}
	return b
}

func sec(code uint64, value any) section { return section{code, value} }

// text is a message as it was received.
type received struct {
	tag      []byte
	id       uint32
	settled  bool
	sections map[uint64]any
	data     int // sections of data
}

func parseSections(b []byte) (m received) {
	m.sections = map[uint64]any{}
	for len(b) > 0 {
		var v any
		v, b = decode(b)
		code := v.(described).code.(uint64)
		if code == secData {
			m.data++
		}
		m.sections[code] = v.(described).value
	}
	return m
}

func (m *received) body() string {
	b, _ := m.sections[secData].([]byte)
	return string(b)
}

func (m *received) property(i int) any {
	l, _ := m.sections[secProperties].(list)
	return l.field(i)
}

func (m *received) annotation(key sym) any {
	p, _ := m.sections[secAnnotations].(pairs)
	return p.get(key)
}

func (m *received) application(key string) any {
	p, _ := m.sections[secApplication].(pairs)
	return p.get(key)
}
