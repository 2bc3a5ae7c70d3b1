package mqtt

// Puback acknowledges a PUBLISH with QoS 1 (MQTT 3.1.1 section 3.4):
//
//	40 | 02 | packet identifier
type Puback struct {
	ID uint16 // not 0
}

// Pubrec is the first answer to a PUBLISH with QoS 2 (section 3.5):
//
//	50 | 02 | packet identifier
type Pubrec struct {
	ID uint16 // not 0
}

// Pubrel is the answer to a PUBREC (section 3.6):
//
//	62 | 02 | packet identifier
type Pubrel struct {
	ID uint16 // not 0
}

// Pubcomp is the answer to a PUBREL (section 3.7):
//
//	70 | 02 | packet identifier
type Pubcomp struct {
	ID uint16 // not 0
}

// Unsuback acknowledges an UNSUBSCRIBE, server to client (section 3.11):
//
//	b0 | 02 | packet identifier
type Unsuback struct {
	ID uint16 // not 0
}

// The flags of PUBREL, SUBSCRIBE and UNSUBSCRIBE (section 2.2.2).
const reliableFlags = 2

// AppendTo appends p to dst and returns the extended slice. It allocates only to grow dst.
func (p *Puback) AppendTo(dst []byte) []byte {
	return appendAck(dst, byte(TypePuback)<<4, orZero(p).ID)
}

// AppendTo appends p to dst and returns the extended slice. It allocates only to grow dst.
func (p *Pubrec) AppendTo(dst []byte) []byte {
	return appendAck(dst, byte(TypePubrec)<<4, orZero(p).ID)
}

// AppendTo appends p to dst and returns the extended slice. It allocates only to grow dst.
func (p *Pubrel) AppendTo(dst []byte) []byte {
	return appendAck(dst, byte(TypePubrel)<<4|reliableFlags, orZero(p).ID)
}

// AppendTo appends p to dst and returns the extended slice. It allocates only to grow dst.
func (p *Pubcomp) AppendTo(dst []byte) []byte {
	return appendAck(dst, byte(TypePubcomp)<<4, orZero(p).ID)
}

// AppendTo appends u to dst and returns the extended slice. It allocates only to grow dst.
func (u *Unsuback) AppendTo(dst []byte) []byte {
	return appendAck(dst, byte(TypeUnsuback)<<4, orZero(u).ID)
}

// Check refuses packet identifier 0 [MQTT-2.3.1-1] with a [*PacketError].
func (p *Puback) Check() error { return checkAck(TypePuback, orZero(p).ID) }

// Check refuses packet identifier 0 [MQTT-2.3.1-1] with a [*PacketError].
func (p *Pubrec) Check() error { return checkAck(TypePubrec, orZero(p).ID) }

// Check refuses packet identifier 0 [MQTT-2.3.1-1] with a [*PacketError].
func (p *Pubrel) Check() error { return checkAck(TypePubrel, orZero(p).ID) }

// Check refuses packet identifier 0 [MQTT-2.3.1-1] with a [*PacketError].
func (p *Pubcomp) Check() error { return checkAck(TypePubcomp, orZero(p).ID) }

// Check refuses packet identifier 0 [MQTT-2.3.1-1] with a [*PacketError].
func (u *Unsuback) Check() error { return checkAck(TypeUnsuback, orZero(u).ID) }

// ParsePuback reads the whole packet p. It refuses any other length, wrong
// flags and packet identifier 0 with a [*PacketError]. It does not allocate.
func ParsePuback(p Packet) (Puback, error) {
	id, ok := ackID(p, byte(TypePuback)<<4)
	if !ok {
		var err error
		id, err = slowAck(p, TypePuback, 0)
		return Puback{id}, err
	}
	return Puback{id}, nil
}

// ParsePubrec is as [ParsePuback].
func ParsePubrec(p Packet) (Pubrec, error) {
	id, err := parseAck(p, TypePubrec, 0)
	return Pubrec{id}, err
}

// ParsePubrel is as [ParsePuback]; the flags of PUBREL are 2.
func ParsePubrel(p Packet) (Pubrel, error) {
	id, err := parseAck(p, TypePubrel, reliableFlags)
	return Pubrel{id}, err
}

// ParsePubcomp is as [ParsePuback].
func ParsePubcomp(p Packet) (Pubcomp, error) {
	id, err := parseAck(p, TypePubcomp, 0)
	return Pubcomp{id}, err
}

// ParseUnsuback is as [ParsePuback].
func ParseUnsuback(p Packet) (Unsuback, error) {
	id, err := parseAck(p, TypeUnsuback, 0)
	return Unsuback{id}, err
}

func appendAck(dst []byte, first byte, id uint16) []byte {
	return append(dst, first, 2, byte(id>>8), byte(id))
}

func checkAck(t Type, id uint16) error {
	if id == 0 {
		return refuse(t, partPacketID, faultPacketID, 2, 0)
	}
	return nil
}

// ackSize is how many bytes nearly every acknowledgement has.
const ackSize = 4

// ackID reads such an acknowledgement.
func ackID(p []byte, first byte) (id uint16, ok bool) {
	if len(p) != ackSize || p[0] != first || p[1] != 2 {
		return 0, false
	}
	id = uint16(p[2])<<8 | uint16(p[3])
	return id, id != 0
}

func parseAck(p []byte, t Type, flags byte) (uint16, error) {
	if id, ok := ackID(p, byte(t)<<4|flags); ok {
		return id, nil
	}
	return slowAck(p, t, flags)
}

// slowAck reads what ackID did not: longer encodings of the length, and faults.
func slowAck(p []byte, t Type, flags byte) (uint16, error) {
	head, err := open(p, t, flags)
	if err != nil {
		return 0, err
	}
	r := reader{p: p, i: head, t: t}
	id := r.id()
	if err := r.end(); err != nil {
		return 0, err
	}
	return id, nil
}
