package amqp10

import "encoding/binary"

// appendShortest writes v anew, in the shortest form of each value in it. Arrays are copied, and
// so is NaN, of which there are many.
func appendShortest(dst []byte, v Value) []byte {
	switch v.Kind() {
	case KindNull:
		return AppendNull(dst)
	case KindBool:
		b, _ := v.Bool()
		return AppendBool(dst, b)
	case KindUint:
		n, _ := v.Uint()
		return AppendUint(dst, uint32(n))
	case KindUlong:
		n, _ := v.Uint()
		return AppendUlong(dst, n)
	case KindInt:
		n, _ := v.Int()
		return AppendInt(dst, int32(n))
	case KindLong:
		n, _ := v.Int()
		return AppendLong(dst, n)
	case KindUbyte:
		n, _ := v.Uint()
		return AppendUbyte(dst, uint8(n))
	case KindUshort:
		n, _ := v.Uint()
		return AppendUshort(dst, uint16(n))
	case KindByte:
		n, _ := v.Int()
		return AppendByte(dst, int8(n))
	case KindShort:
		n, _ := v.Int()
		return AppendShort(dst, int16(n))
	case KindTimestamp:
		ms, _ := v.Timestamp()
		return AppendTimestamp(dst, ms)
	case KindUUID:
		id, _ := v.UUID()
		return AppendUUID(dst, id)
	case KindChar:
		c, _ := v.Char()
		return AppendChar(dst, c)
	case KindDecimal32:
		b, _ := v.Decimal()
		return AppendDecimal32(dst, binary.BigEndian.Uint32(b))
	case KindDecimal64:
		b, _ := v.Decimal()
		return AppendDecimal64(dst, binary.BigEndian.Uint64(b))
	case KindDecimal128:
		b, _ := v.Decimal()
		return AppendDecimal128(dst, [16]byte(b))
	case KindFloat, KindDouble:
		f, _ := v.Float()
		switch {
		case f != f:
			return v.AppendTo(dst)
		case v.Kind() == KindFloat:
			return AppendFloat(dst, float32(f))
		}
		return AppendDouble(dst, f)
	case KindBinary:
		b, _ := v.Binary()
		return AppendBinary(dst, b)
	case KindString:
		s, _ := v.Text()
		return AppendString(dst, s)
	case KindSymbol:
		s, _ := v.Text()
		return AppendSymbol(dst, s)
	case KindList:
		r, _ := v.List()
		at := len(dst)
		dst, n := appendAllShortest(OpenCompound(dst), r)
		return CloseList(dst, at, n)
	case KindMap:
		r, _ := v.Map()
		at := len(dst)
		dst, n := appendAllShortest(OpenCompound(dst), r)
		return CloseMap(dst, at, n)
	case KindDescribed:
		descriptor, value, _ := v.Described()
		return appendShortest(appendShortest(append(dst, CodeDescribed), descriptor), value)
	}
	return v.AppendTo(dst)
}

func appendAllShortest(dst []byte, r Reader) ([]byte, int) {
	n := 0
	for ; r.More(); n++ {
		dst = appendShortest(dst, r.Value())
	}
	return dst, n
}
