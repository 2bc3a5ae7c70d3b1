package mqtt

// SubackFailure is the return code for a filter that the server does not
// grant; the others are the QoS it grants, 0 to 2.
const SubackFailure = 0x80

// Suback answers a SUBSCRIBE, server to client (MQTT 3.1.1 section 3.9):
//
//	90 | remaining length | packet identifier | return code | return code | ...
//
// A Suback from [ParseSuback] is a view of the packet it was parsed from.
type Suback struct {
	ID uint16 // of the SUBSCRIBE; not 0

	// Codes has one byte for each filter of the SUBSCRIBE, in its order: the
	// QoS that is granted, or [SubackFailure]. At least one.
	Codes []byte
}

// AppendTo appends s to dst and returns the extended slice. s must have passed
// [Suback.Check]. It allocates only to grow dst.
func (s *Suback) AppendTo(dst []byte) []byte {
	s = orZero(s)
	return appendList(dst, byte(TypeSuback)<<4, s.ID, s.Codes)
}

// Check reports whether s can be written: as [ParseSuback] checks, with the
// offsets of the packet that AppendTo would make. The error is a [*PacketError].
func (s *Suback) Check() error {
	s = orZero(s)
	n := 2 + len(s.Codes)
	head := headerSize(n)
	if n > MaxRemaining {
		return refuse(TypeSuback, partLength, faultTooLarge, 1, MaxRemaining)
	}
	if s.ID == 0 {
		return refuse(TypeSuback, partPacketID, faultPacketID, head, 0)
	}
	return checkCodes(s.Codes, head+2)
}

func checkCodes(codes []byte, at int) error {
	if len(codes) == 0 {
		return refuse(TypeSuback, partReturnCodes, faultNoCode, at, 0)
	}
	for i, c := range codes {
		if c > byte(ExactlyOnce) && c != SubackFailure {
			return refuse(TypeSuback, partReturnCodes, faultSubackCode, at+i, SubackFailure)
		}
	}
	return nil
}

// ParseSuback gives a view of the whole packet p. It refuses, with a
// [*PacketError], packet identifier 0, no return code [MQTT-3.8.4-5], and
// codes other than 0, 1, 2 and 0x80 [MQTT-3.9.3-2]. It does not allocate.
func ParseSuback(p Packet) (Suback, error) {
	id, codes, at, err := parseList(p, TypeSuback, 0)
	if err == nil {
		err = checkCodes(codes, at)
	}
	if err != nil {
		return Suback{}, err
	}
	return Suback{ID: id, Codes: codes}, nil
}
