package mqtt

import (
	"errors"
	"strconv"
)

// What can be wrong with a packet: a [*PacketError] wraps one of these.
var (
	ErrType          = errors.New("not the expected packet type")
	ErrFlags         = errors.New("reserved flags are set wrongly")
	ErrLength        = errors.New("remaining length has more than four bytes")
	ErrTruncated     = errors.New("ends too early")
	ErrTrailing      = errors.New("is followed by bytes that belong to nothing")
	ErrTooLarge      = errors.New("packet is too large")
	ErrTooLong       = errors.New("is too long")
	ErrPacketID      = errors.New("packet identifier is zero")
	ErrQoS           = errors.New("no such quality of service")
	ErrDup           = errors.New("DUP is set with QoS 0")
	ErrUTF8          = errors.New("is not UTF-8")
	ErrNUL           = errors.New("holds the character U+0000")
	ErrWildcard      = errors.New("holds a wildcard")
	ErrEmpty         = errors.New("is empty")
	ErrFilter        = errors.New("wildcard is not a level of its own, or # is not the last")
	ErrProtocolName  = errors.New("protocol name is not MQTT")
	ErrProtocolLevel = errors.New("protocol level is not 4") // a server answers with [BadProtocol]
	ErrReserved      = errors.New("reserved bit is set")
	ErrWill          = errors.New("will QoS or will retain without a will")
	ErrCredentials   = errors.New("password without a user name")
	ErrClientID      = errors.New("empty client identifier without clean session") // a server answers with [BadClientID]
	ErrReturnCode    = errors.New("no such return code")
	ErrSession       = errors.New("session present in a refusal")
)

// PacketError says what is wrong with a packet, and where. The connection it
// came over cannot go on: MQTT has no way to skip a packet [MQTT-4.8.0-1].
//
// It is shared between calls that find the same fault: do not change it.
type PacketError struct {
	Packet Type   // the packet, as far as its first byte tells
	Part   string // "topic", "packet identifier", "topic filter"
	Offset int    // bytes from the start of the packet to the fault
	Limit  int    // the bound that was crossed, in bytes or as a value; 0 if there is none
	Rule   string // the standard's tag or section: "[MQTT-3.3.2-2]", "section 2.2.3"
	Err    error  // match this: [ErrTruncated], [ErrUTF8], ...
}

// Error gives packet, part, offset, fault, limit and rule, on one line.
func (e *PacketError) Error() string {
	if e == nil || e.Err == nil {
		return "mqtt: no error"
	}
	s := "mqtt: " + e.Packet.String() + ": " + e.Part + " at offset " + strconv.Itoa(e.Offset) + ": " + e.Err.Error()
	if e.Limit != 0 {
		s += ", the limit is " + strconv.Itoa(e.Limit)
	}
	return s + " (" + e.Rule + ")"
}

// Unwrap returns Err.
func (e *PacketError) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}
