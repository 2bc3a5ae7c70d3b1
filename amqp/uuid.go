package amqp

import "github.com/hubwire/hubwire/internal/percent"

// UUID is a uuid in the byte order of RFC 4122, as AMQP has it: the id of a direct method's
// call, and the lock token of a delivery.
type UUID [16]byte

// uuidBytes is where in the text the digits of each byte are.
var uuidBytes = [16]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

const uuidLen = len("00000000-0000-0000-0000-000000000000")

// ParseUUID reads the usual text of 36 characters, hex digits in any case.
func ParseUUID[T ~string | ~[]byte](s T) (u UUID, ok bool) {
	if len(s) != uuidLen || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return UUID{}, false
	}
	for i, at := range uuidBytes {
		c := percent.Unhex(s[at], s[at+1])
		if c < 0 {
			return UUID{}, false
		}
		u[i] = byte(c)
	}
	return u, true
}

// AppendTo appends the usual text, in lower case.
func (u UUID) AppendTo(dst []byte) []byte {
	const hex = "0123456789abcdef"
	for i, c := range u {
		switch i {
		case 4, 6, 8, 10:
			dst = append(dst, '-')
		}
		dst = append(dst, hex[c>>4], hex[c&15])
	}
	return dst
}

// String returns the usual text, in lower case.
func (u UUID) String() string {
	var room [uuidLen]byte
	return string(u.AppendTo(room[:0]))
}

// AppendTag appends u as the delivery tag of a message whose lock token it is: 16 bytes in
// the order of a .NET Guid, whose first three groups are little-endian. The .NET SDKs make
// a Guid of the tag of every message for a device, of feedback and of file notifications,
// and fail on another length.
//
// Source: spec/amqp.md 4.4.
func (u UUID) AppendTag(dst []byte) []byte {
	return append(dst, u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6],
		u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15])
}

// ParseTag returns the lock token that a delivery tag of 16 bytes is. Any other length is none.
func ParseTag(tag []byte) (u UUID, ok bool) {
	if len(tag) != len(u) {
		return UUID{}, false
	}
	var room [len(u)]byte
	copy(u[:], UUID(tag).AppendTag(room[:0])) // the order is its own inverse
	return u, true
}
