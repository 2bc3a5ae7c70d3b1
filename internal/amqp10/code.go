package amqp10

// The format codes (part 1 section 1.6): the first byte of each encoded value.
const (
	CodeDescribed  byte = 0x00 // a descriptor and a value follow
	CodeNull       byte = 0x40
	CodeTrue       byte = 0x41
	CodeFalse      byte = 0x42
	CodeUint0      byte = 0x43
	CodeUlong0     byte = 0x44
	CodeList0      byte = 0x45
	CodeUbyte      byte = 0x50
	CodeByte       byte = 0x51
	CodeSmallUint  byte = 0x52
	CodeSmallUlong byte = 0x53
	CodeSmallInt   byte = 0x54
	CodeSmallLong  byte = 0x55
	CodeBool       byte = 0x56
	CodeUshort     byte = 0x60
	CodeShort      byte = 0x61
	CodeUint       byte = 0x70
	CodeInt        byte = 0x71
	CodeFloat      byte = 0x72
	CodeChar       byte = 0x73
	CodeDecimal32  byte = 0x74
	CodeUlong      byte = 0x80
	CodeLong       byte = 0x81
	CodeDouble     byte = 0x82
	CodeTimestamp  byte = 0x83
	CodeDecimal64  byte = 0x84
	CodeDecimal128 byte = 0x94
	CodeUUID       byte = 0x98
	CodeBinary8    byte = 0xa0
	CodeString8    byte = 0xa1
	CodeSymbol8    byte = 0xa3
	CodeBinary32   byte = 0xb0
	CodeString32   byte = 0xb1
	CodeSymbol32   byte = 0xb3
	CodeList8      byte = 0xc0
	CodeMap8       byte = 0xc1
	CodeList32     byte = 0xd0
	CodeMap32      byte = 0xd1
	CodeArray8     byte = 0xe0
	CodeArray32    byte = 0xf0
)

// Kind is the type of a value, whichever of its format codes it has. The zero Kind is that of a
// format code that the standard does not define.
type Kind uint8

// The kinds.
const (
	KindUnknown Kind = iota
	KindNull
	KindBool
	KindUbyte
	KindUshort
	KindUint
	KindUlong
	KindByte
	KindShort
	KindInt
	KindLong
	KindFloat
	KindDouble
	KindDecimal32
	KindDecimal64
	KindDecimal128
	KindChar
	KindTimestamp
	KindUUID
	KindBinary
	KindString
	KindSymbol
	KindList
	KindMap
	KindArray
	KindDescribed
)

var kindNames = [...]string{
	"unknown", "null", "boolean", "ubyte", "ushort", "uint", "ulong", "byte", "short", "int", "long", "float",
	"double", "decimal32", "decimal64", "decimal128", "char", "timestamp", "uuid", "binary", "string", "symbol",
	"list", "map", "array", "described",
}

// String returns the standard's name of k, such as "ulong".
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		k = KindUnknown
	}
	return kindNames[k]
}

// KindOf returns the type of the values with that format code.
func KindOf(code byte) Kind { return kinds[code] }

var kinds = [256]Kind{
	CodeDescribed: KindDescribed,
	CodeNull:      KindNull,
	CodeTrue:      KindBool, CodeFalse: KindBool, CodeBool: KindBool,
	CodeUbyte: KindUbyte, CodeUshort: KindUshort,
	CodeUint0: KindUint, CodeSmallUint: KindUint, CodeUint: KindUint,
	CodeUlong0: KindUlong, CodeSmallUlong: KindUlong, CodeUlong: KindUlong,
	CodeByte: KindByte, CodeShort: KindShort,
	CodeSmallInt: KindInt, CodeInt: KindInt,
	CodeSmallLong: KindLong, CodeLong: KindLong,
	CodeFloat: KindFloat, CodeDouble: KindDouble,
	CodeDecimal32: KindDecimal32, CodeDecimal64: KindDecimal64, CodeDecimal128: KindDecimal128,
	CodeChar: KindChar, CodeTimestamp: KindTimestamp, CodeUUID: KindUUID,
	CodeBinary8: KindBinary, CodeBinary32: KindBinary,
	CodeString8: KindString, CodeString32: KindString,
	CodeSymbol8: KindSymbol, CodeSymbol32: KindSymbol,
	CodeList0: KindList, CodeList8: KindList, CodeList32: KindList,
	CodeMap8: KindMap, CodeMap32: KindMap,
	CodeArray8: KindArray, CodeArray32: KindArray,
}

// What follows a format code: a fixed number of bytes, or a size of one or four bytes and as many
// bytes as it says. The upper half of the code decides, so that codes that are not defined can be
// skipped too (part 1 section 1.2).
const (
	widthSized8  = 0x21 // the size is one byte
	widthSized32 = 0x24 // the size is four bytes
	widthNone    = 0xff // no such code, or described
)

var widths = func() (w [256]uint8) {
	class := [16]uint8{
		widthNone, widthNone, widthNone, widthNone, 0, 1, 2, 4, 8, 16,
		widthSized8, widthSized32, widthSized8, widthSized32, widthSized8, widthSized32,
	}
	for c := range w {
		w[c] = class[c>>4]
	}
	return w
}()

// Descriptor is the code of a described type: a performative, a SASL frame, a delivery state, a
// terminus or a section of a message (parts 2, 3 and 5).
type Descriptor uint8

// The descriptors, by their codes.
const (
	DescOpen        Descriptor = 0x10
	DescBegin       Descriptor = 0x11
	DescAttach      Descriptor = 0x12
	DescFlow        Descriptor = 0x13
	DescTransfer    Descriptor = 0x14
	DescDisposition Descriptor = 0x15
	DescDetach      Descriptor = 0x16
	DescEnd         Descriptor = 0x17
	DescClose       Descriptor = 0x18
	DescError       Descriptor = 0x1d

	DescReceived      Descriptor = 0x23
	DescAccepted      Descriptor = 0x24
	DescRejected      Descriptor = 0x25
	DescReleased      Descriptor = 0x26
	DescModified      Descriptor = 0x27
	DescSource        Descriptor = 0x28
	DescTarget        Descriptor = 0x29
	DescCoordinator   Descriptor = 0x30
	DescTransactional Descriptor = 0x34

	DescSASLMechanisms Descriptor = 0x40
	DescSASLInit       Descriptor = 0x41
	DescSASLChallenge  Descriptor = 0x42
	DescSASLResponse   Descriptor = 0x43
	DescSASLOutcome    Descriptor = 0x44

	DescHeader                Descriptor = 0x70
	DescDeliveryAnnotations   Descriptor = 0x71
	DescMessageAnnotations    Descriptor = 0x72
	DescProperties            Descriptor = 0x73
	DescApplicationProperties Descriptor = 0x74
	DescData                  Descriptor = 0x75
	DescSequence              Descriptor = 0x76
	DescValue                 Descriptor = 0x77
	DescFooter                Descriptor = 0x78
)
