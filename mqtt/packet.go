package mqtt

import (
	"encoding/binary"
	"fmt"
)

// Type is the kind of a packet: the upper four bits of its first byte (MQTT
// 3.1.1 section 2.2.1). The zero Type is not valid.
type Type uint8

// The packet types.
const (
	TypeConnect     Type = iota + 1 // client to server
	TypeConnack                     // server to client
	TypePublish                     // both ways
	TypePuback                      // both ways, QoS 1
	TypePubrec                      // both ways, QoS 2, first answer
	TypePubrel                      // both ways, QoS 2, second step
	TypePubcomp                     // both ways, QoS 2, last step
	TypeSubscribe                   // client to server
	TypeSuback                      // server to client
	TypeUnsubscribe                 // client to server
	TypeUnsuback                    // server to client
	TypePingreq                     // client to server
	TypePingresp                    // server to client
	TypeDisconnect                  // client to server
)

var typeNames = [16]string{
	TypeConnect: "CONNECT", TypeConnack: "CONNACK", TypePublish: "PUBLISH", TypePuback: "PUBACK",
	TypePubrec: "PUBREC", TypePubrel: "PUBREL", TypePubcomp: "PUBCOMP", TypeSubscribe: "SUBSCRIBE",
	TypeSuback: "SUBACK", TypeUnsubscribe: "UNSUBSCRIBE", TypeUnsuback: "UNSUBACK",
	TypePingreq: "PINGREQ", TypePingresp: "PINGRESP", TypeDisconnect: "DISCONNECT",
}

// Valid reports whether t is one of the fourteen types; 0 and 15 are reserved.
func (t Type) Valid() bool { return t >= TypeConnect && t <= TypeDisconnect }

// String returns the standard's name of t, such as "PUBLISH".
func (t Type) String() string {
	if !t.Valid() {
		return fmt.Sprintf("packet type %d", uint8(t))
	}
	return typeNames[t]
}

// QoS is a quality of service level (MQTT 3.1.1 section 4.3). IoT Hub takes
// the first two.
type QoS uint8

// The levels.
const (
	AtMostOnce  QoS = iota // no acknowledgement
	AtLeastOnce            // PUBACK
	ExactlyOnce            // PUBREC, PUBREL, PUBCOMP; IoT Hub closes the connection
)

// Limits of the protocol, in bytes.
const (
	// MaxString is the longest string or binary field (section 1.5.3).
	MaxString = 65535
	// MaxRemaining is the largest remaining length (section 2.2.3).
	MaxRemaining = 268435455
	// DefaultMaxPacket is the largest inbound packet, fixed header included,
	// unless an option says otherwise. It is IoT Hub's limit.
	DefaultMaxPacket = 262144
)

// orZero makes a nil pointer one to the zero value, which is what it stands for.
func orZero[T any](p *T) *T {
	if p == nil {
		p = zero[T]()
	}
	return p
}

// zero is not inlined: its room would be in the stack frame of each codec, for a pointer that is never nil.
//
//go:noinline
func zero[T any]() *T { return new(T) }

// Packet is a view of one whole packet, from its first byte to its last, as
// [Split] and [Conn.ReadPacket] give it. Only the fixed header has been looked
// at: the Parse functions check the rest.
type Packet []byte

// Type returns the type that the first byte says, or 0 for an empty Packet.
func (p Packet) Type() Type {
	if len(p) == 0 {
		return 0
	}
	return Type(p[0] >> 4)
}

// Split cuts the first packet off b, which may hold a part of one, or several:
//
//	for {
//		p, rest, err := mqtt.Split(b, 0)
//		if err != nil || p == nil {
//			break // refused, or more bytes are needed
//		}
//		...
//		b = rest
//	}
//
// p and rest are views of b. An incomplete packet is p == nil and no error. The
// whole packet, fixed header included, may have max bytes; max 0 means
// [DefaultMaxPacket]. The error is a [*PacketError]: a reserved packet type, a
// remaining length of more than four bytes (section 2.2.3), or a packet larger
// than max, each as soon as the bytes that say so are there. A remaining length
// with needless bytes, such as 80 00 for 0, is legal in MQTT 3.1.1. It does not
// allocate.
func Split(b []byte, max int) (p Packet, rest []byte, err error) {
	n, head := shortLength(b)
	n += head
	if head == 0 || n > len(b) || max != 0 && n > max || !Type(b[0]>>4).Valid() {
		// Not a whole, usual packet.
		n, err = packetLength(b, max)
		if err != nil || n == 0 || n > len(b) {
			return nil, b, err
		}
	}
	return b[:n:n], b[n:], nil
}

// packetLength returns how many bytes the first packet of b has in all, or 0
// when b does not yet say.
func packetLength(b []byte, max int) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	t := Type(b[0] >> 4)
	if !t.Valid() {
		return 0, refuse(t, partHeader, faultType, 0, 0)
	}
	n, head := shortLength(b)
	if head == 0 {
		n, head = remainingLength(b)
	}
	switch {
	case head == 0:
		return 0, nil
	case head < 0:
		return 0, refuse(t, partLength, faultLength, 1, MaxRemaining)
	}
	if max == 0 {
		max = DefaultMaxPacket
	}
	if head+n > max {
		return 0, refuse(t, partLength, faultTooLarge, 1, max)
	}
	return head + n, nil
}

// remainingLength reads the remaining length that begins at b[1] (section
// 2.2.3). head is the length of the fixed header, 0 when b ends before it
// does, and -1 when it has more than four bytes of length.
func remainingLength(b []byte) (n, head int) {
	for i := 1; i < 5; i++ {
		if i >= len(b) {
			return 0, 0
		}
		n |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			return n, i + 1
		}
	}
	return 0, -1
}

// shortLength is remainingLength for what is usual, one or two bytes of length:
// quicker, and head is 0 for anything else.
func shortLength(b []byte) (n, head int) {
	if len(b) < 4 {
		return 0, 0
	}
	w := int(binary.LittleEndian.Uint32(b))
	if w&0x8000 == 0 {
		return w >> 8 & 0x7f, 2
	}
	if w&0x800000 == 0 {
		return w>>8&0x7f | w>>9&0x3f80, 3
	}
	return 0, 0
}

// maxHeader is the length of the longest fixed header.
const maxHeader = 5

// appendHeader appends a fixed header: the first byte and the remaining length n.
func appendHeader(dst []byte, first byte, n int) []byte {
	if n < 1<<7 {
		return append(dst, first, byte(n))
	}
	if n < 1<<14 {
		return append(dst, first, byte(n)|0x80, byte(n>>7))
	}
	return appendLongHeader(dst, first, n)
}

func appendLongHeader(dst []byte, first byte, n int) []byte {
	dst = append(dst, first)
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

// headerSize returns the length of a fixed header with remaining length n.
func headerSize(n int) int {
	switch {
	case n < 1<<7:
		return 2
	case n < 1<<14:
		return 3
	case n < 1<<21:
		return 4
	}
	return 5
}

// open checks the fixed header of the whole packet p, which must be of type t
// with these flags, and returns where its variable header begins.
func open(p []byte, t Type, flags byte) (int, error) {
	if len(p) >= 2 && p[0] == byte(t)<<4|flags && int(p[1]) == len(p)-2 && p[1] < 0x80 {
		return 2, nil
	}
	head, err := openAny(p, t)
	if err == nil && p[0]&0x0f != flags {
		return 0, refuse(t, partHeader, flagFaults[t], 0, 0)
	}
	return head, err
}

// openAny is open without a rule for the flags.
func openAny(p []byte, t Type) (int, error) {
	if len(p) == 0 {
		return 0, refuse(t, partHeader, faultTruncated, 0, 0)
	}
	if Type(p[0]>>4) != t {
		return 0, refuse(t, partHeader, faultType, 0, 0)
	}
	n, head := remainingLength(p)
	switch {
	case head < 0:
		return 0, refuse(t, partLength, faultLength, 1, MaxRemaining)
	case head == 0 || n > len(p)-head:
		return 0, refuse(t, partLength, faultTruncated, 1, len(p))
	case n < len(p)-head:
		return 0, refuse(t, partLength, faultTrailing, head+n, head+n)
	}
	return head, nil
}
