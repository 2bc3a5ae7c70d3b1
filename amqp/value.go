package amqp

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// Value is a view of a value as it came off the wire, with its type. The zero Value is null.
type Value = amqp10.Value

// Typed is a value to be written, with its type, of those in AMQP 1.0 part 1 section 1.6. The zero
// Typed is null. What it is made of is not copied.
type Typed struct {
	kind      amqp10.Kind // KindUnknown, of data that is encoded already; or what it is
	bits, low uint64      // of a number; both of a uuid
	text      string      // of a string or symbol
	data      []byte      // of these too, of a binary, of what is encoded
}

// String makes a string. It must be UTF-8, and is not looked at.
func String(s string) Typed { return Typed{kind: amqp10.KindString, text: s} }

// Symbol makes a symbol. It must be ASCII, and is not looked at.
func Symbol(s string) Typed { return Typed{kind: amqp10.KindSymbol, text: s} }

// Binary makes a binary, of b itself.
func Binary(b []byte) Typed { return Typed{kind: amqp10.KindBinary, data: b} }

// Bool makes a boolean.
func Bool(b bool) Typed {
	if b {
		return Typed{kind: amqp10.KindBool, bits: 1}
	}
	return Typed{kind: amqp10.KindBool}
}

// Ubyte makes a ubyte.
func Ubyte(n uint8) Typed { return Typed{kind: amqp10.KindUbyte, bits: uint64(n)} }

// Uint makes a uint.
func Uint(n uint32) Typed { return Typed{kind: amqp10.KindUint, bits: uint64(n)} }

// Ulong makes a ulong.
func Ulong(n uint64) Typed { return Typed{kind: amqp10.KindUlong, bits: n} }

// Int makes an int.
func Int(n int32) Typed { return Typed{kind: amqp10.KindInt, bits: uint64(n)} }

// Long makes a long.
func Long(n int64) Typed { return Typed{kind: amqp10.KindLong, bits: uint64(n)} }

// Timestamp makes a timestamp, which has milliseconds: what is below them is cut off.
func Timestamp(t time.Time) Typed {
	return Typed{kind: amqp10.KindTimestamp, bits: uint64(t.UnixMilli())}
}

// ID makes a uuid.
func ID(u UUID) Typed {
	return Typed{kind: amqp10.KindUUID, bits: binary.BigEndian.Uint64(u[:8]), low: binary.BigEndian.Uint64(u[8:])}
}

// Echo makes what came off the wire, of the same type. It is a view of it when it is of a
// type that an id can have (string, uuid, ulong, binary) or null; else it allocates.
func Echo(v Value) Typed {
	switch v.Kind() {
	case amqp10.KindNull:
		return Typed{}
	case amqp10.KindString, amqp10.KindSymbol:
		s, _ := v.Text()
		return Typed{kind: v.Kind(), data: s}
	case amqp10.KindBinary:
		b, _ := v.Binary()
		return Typed{kind: amqp10.KindBinary, data: b}
	case amqp10.KindUlong:
		n, _ := v.Uint()
		return Ulong(n)
	case amqp10.KindUUID:
		u, _ := v.UUID()
		return ID(u)
	}
	return Typed{data: v.AppendTo(nil)}
}

// IsNull reports whether t is null.
func (t *Typed) IsNull() bool {
	return t == nil || t.kind == amqp10.KindNull || t.kind == amqp10.KindUnknown && t.data == nil
}

// AppendTo appends t in the smallest form of its type.
func (t *Typed) AppendTo(dst []byte) []byte {
	if t.IsNull() {
		return amqp10.AppendNull(dst)
	}
	if t.kind == amqp10.KindString && t.data == nil && len(t.text) <= math.MaxUint8 { // as nearly all are
		return append(append(dst, amqp10.CodeString8, byte(len(t.text))), t.text...)
	}
	return t.appendOther(dst)
}

func (t *Typed) appendOther(dst []byte) []byte {
	switch t.kind {
	case amqp10.KindString:
		if t.data != nil {
			return amqp10.AppendString(dst, t.data)
		}
		return amqp10.AppendString(dst, t.text)
	case amqp10.KindSymbol:
		if t.data != nil {
			return amqp10.AppendSymbol(dst, t.data)
		}
		return amqp10.AppendSymbol(dst, t.text)
	case amqp10.KindBinary:
		return amqp10.AppendBinary(dst, t.data)
	case amqp10.KindBool:
		return amqp10.AppendBool(dst, t.bits != 0)
	case amqp10.KindUbyte:
		return amqp10.AppendUbyte(dst, uint8(t.bits))
	case amqp10.KindUint:
		return amqp10.AppendUint(dst, uint32(t.bits))
	case amqp10.KindUlong:
		return amqp10.AppendUlong(dst, t.bits)
	case amqp10.KindInt:
		return amqp10.AppendInt(dst, int32(t.bits))
	case amqp10.KindLong:
		return amqp10.AppendLong(dst, int64(t.bits))
	case amqp10.KindTimestamp:
		return amqp10.AppendTimestamp(dst, int64(t.bits))
	case amqp10.KindUUID:
		var u UUID
		binary.BigEndian.PutUint64(u[:8], t.bits)
		binary.BigEndian.PutUint64(u[8:], t.low)
		return amqp10.AppendUUID(dst, u)
	}
	return append(dst, t.data...)
}

// Value returns t as it would come off the wire. It allocates.
func (t Typed) Value() Value { return amqp10.ValueOf(t.AppendTo(nil)) }
