package amqp10

import (
	"encoding/binary"
	"math"
)

// text is what holds characters or bytes.
type text interface{ ~string | ~[]byte }

// AppendNull appends null.
func AppendNull(dst []byte) []byte { return append(dst, CodeNull) }

// AppendBool appends a boolean.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, CodeTrue)
	}
	return append(dst, CodeFalse)
}

// AppendUbyte appends a ubyte.
func AppendUbyte(dst []byte, v uint8) []byte { return append(dst, CodeUbyte, v) }

// AppendUshort appends a ushort.
func AppendUshort(dst []byte, v uint16) []byte {
	return append(dst, CodeUshort, byte(v>>8), byte(v))
}

// AppendUint appends a uint.
func AppendUint(dst []byte, v uint32) []byte {
	switch {
	case v == 0:
		return append(dst, CodeUint0)
	case v <= math.MaxUint8:
		return append(dst, CodeSmallUint, byte(v))
	}
	return binary.BigEndian.AppendUint32(append(dst, CodeUint), v)
}

// AppendUlong appends a ulong.
func AppendUlong(dst []byte, v uint64) []byte {
	switch {
	case v == 0:
		return append(dst, CodeUlong0)
	case v <= math.MaxUint8:
		return append(dst, CodeSmallUlong, byte(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, CodeUlong), v)
}

// AppendByte appends a byte, which in AMQP is signed.
func AppendByte(dst []byte, v int8) []byte { return append(dst, CodeByte, byte(v)) }

// AppendShort appends a short.
func AppendShort(dst []byte, v int16) []byte {
	return append(dst, CodeShort, byte(v>>8), byte(v))
}

// AppendInt appends an int.
func AppendInt(dst []byte, v int32) []byte {
	if v == int32(int8(v)) {
		return append(dst, CodeSmallInt, byte(v))
	}
	return binary.BigEndian.AppendUint32(append(dst, CodeInt), uint32(v))
}

// AppendLong appends a long.
func AppendLong(dst []byte, v int64) []byte {
	if v == int64(int8(v)) {
		return append(dst, CodeSmallLong, byte(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, CodeLong), uint64(v))
}

// AppendFloat appends a float.
func AppendFloat(dst []byte, v float32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, CodeFloat), math.Float32bits(v))
}

// AppendDouble appends a double.
func AppendDouble(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, CodeDouble), math.Float64bits(v))
}

// AppendDecimal32 appends a decimal32 by its bits (IEEE 754-2008, binary integer decimal).
func AppendDecimal32(dst []byte, bits uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, CodeDecimal32), bits)
}

// AppendDecimal64 appends a decimal64 by its bits.
func AppendDecimal64(dst []byte, bits uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, CodeDecimal64), bits)
}

// AppendDecimal128 appends a decimal128 by its bits, the most significant byte first.
func AppendDecimal128(dst []byte, bits [16]byte) []byte {
	return append(append(dst, CodeDecimal128), bits[:]...)
}

// AppendChar appends a char, in UTF-32.
func AppendChar(dst []byte, v rune) []byte {
	return binary.BigEndian.AppendUint32(append(dst, CodeChar), uint32(v))
}

// AppendTimestamp appends a timestamp: milliseconds since 1970-01-01 UTC.
func AppendTimestamp(dst []byte, ms int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, CodeTimestamp), uint64(ms))
}

// AppendUUID appends a uuid, in the byte order of RFC 4122.
func AppendUUID(dst []byte, v [16]byte) []byte {
	return append(append(dst, CodeUUID), v[:]...)
}

// AppendBinary appends binary: nil is no null, but no bytes. It must not be longer than 4 GiB - 1,
// nor what the next two append.
func AppendBinary[T text](dst []byte, v T) []byte {
	return AppendText(dst, CodeBinary8, v)
}

// AppendString appends a string, which must be UTF-8 and is not checked.
func AppendString[T text](dst []byte, v T) []byte {
	return AppendText(dst, CodeString8, v)
}

// AppendSymbol appends a symbol, which must be ASCII and is not checked.
func AppendSymbol[T text](dst []byte, v T) []byte {
	return AppendText(dst, CodeSymbol8, v)
}

// AppendText appends a binary, string or symbol: code8 is the format code of its short form, which
// it has if it is short.
func AppendText[T text](dst []byte, code8 byte, v T) []byte {
	if len(v) > math.MaxUint8 {
		return appendLong(dst, code8, v)
	}
	return append(append(dst, code8, byte(len(v))), v...)
}

func appendLong[T text](dst []byte, code8 byte, v T) []byte {
	return append(binary.BigEndian.AppendUint32(append(dst, code8+0x10), uint32(len(v))), v...)
}

// AppendDescriptor begins a described value; the value itself is to follow.
func AppendDescriptor(dst []byte, d Descriptor) []byte {
	return append(dst, CodeDescribed, CodeSmallUlong, byte(d))
}

// AppendWideDescriptor is AppendDescriptor for a code that is not the standard's own, such as
// that of a filter.
func AppendWideDescriptor(dst []byte, code uint64) []byte {
	return AppendUlong(append(dst, CodeDescribed), code)
}

// compoundHead is how many bytes [OpenCompound] leaves for what [CloseList] and the like write.
const compoundHead = 3

// OpenCompound begins a list, a map or an array. Keep the length that dst had before: it tells
// [CloseList], [CloseMap] or [CloseArray] where the compound began.
func OpenCompound(dst []byte) []byte { return append(dst, 0, 0, 0) }

// CloseList ends the list of count values that was begun when dst had length at.
func CloseList(dst []byte, at, count int) []byte {
	if count == 0 {
		return append(dst[:at], CodeList0)
	}
	return closeCompound(dst, at, count, CodeList8)
}

// CloseMap ends the map that was begun when dst had length at. count is of keys and values: twice
// the number of entries.
func CloseMap(dst []byte, at, count int) []byte { return closeCompound(dst, at, count, CodeMap8) }

// CloseArray ends the array of count elements that was begun when dst had length at. What follows
// [OpenCompound] is one format code (behind a descriptor, if the elements are described), and the
// elements in that form, without their codes.
func CloseArray(dst []byte, at, count int) []byte { return closeCompound(dst, at, count, CodeArray8) }

// closeCompound writes the head of a compound, and makes room for a long one if it takes that.
func closeCompound(dst []byte, at, count int, code8 byte) []byte {
	size := len(dst) - at - compoundHead + 1 // with the count
	if size <= math.MaxUint8 && count <= math.MaxUint8 {
		dst[at], dst[at+1], dst[at+2] = code8, byte(size), byte(count)
		return dst
	}
	return widenCompound(dst, at, count, code8+0x10)
}

func widenCompound(dst []byte, at, count int, code32 byte) []byte {
	dst = append(dst, 0, 0, 0, 0, 0, 0)
	copy(dst[at+9:], dst[at+compoundHead:len(dst)-6])
	dst[at] = code32
	binary.BigEndian.PutUint32(dst[at+1:], uint32(len(dst)-at-5))
	binary.BigEndian.PutUint32(dst[at+5:], uint32(count))
	return dst
}

// AppendSymbolArray appends an array of symbols, which is how a field that may repeat is written.
func AppendSymbolArray[T text](dst []byte, items ...T) []byte {
	return appendTextArray(dst, CodeSymbol8, items)
}

// AppendStringArray appends an array of strings.
func AppendStringArray[T text](dst []byte, items ...T) []byte {
	return appendTextArray(dst, CodeString8, items)
}

func appendTextArray[T text](dst []byte, code byte, items []T) []byte {
	for _, s := range items {
		if len(s) > math.MaxUint8 {
			code |= 0x10 // all elements have the one form
		}
	}
	at := len(dst)
	dst = append(OpenCompound(dst), code)
	for _, s := range items {
		if code&0x10 != 0 {
			dst = binary.BigEndian.AppendUint32(dst, uint32(len(s)))
		} else {
			dst = append(dst, byte(len(s)))
		}
		dst = append(dst, s...)
	}
	return CloseArray(dst, at, len(items))
}
