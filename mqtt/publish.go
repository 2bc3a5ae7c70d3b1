package mqtt

import (
	"encoding/binary"
	"slices"
)

// Publish is an application message on its way, either direction (MQTT 3.1.1
// section 3.3):
//
//	30+flags | remaining length | topic | packet identifier if QoS > 0 | payload
//
// A Publish from [ParsePublish] is a view of the packet it was parsed from.
type Publish struct {
	Topic   []byte // 1 to [MaxString] bytes of UTF-8 without U+0000, '+' and '#'
	Payload []byte // may be empty
	ID      uint16 // packet identifier; not 0 with QoS 1 and 2, not written with QoS 0
	QoS     QoS    // 0 to 2
	Dup     bool   // perhaps sent before; not with QoS 0
	Retain  bool   // the server is to keep it for later subscribers, or has kept it
}

// Size returns how many bytes AppendTo appends.
func (p *Publish) Size() int {
	p = orZero(p)
	n := p.remaining()
	return headerSize(n) + n
}

func (p *Publish) remaining() int {
	n := 2 + len(p.Topic) + len(p.Payload)
	if p.QoS != AtMostOnce {
		n += 2
	}
	return n
}

// AppendTo appends p to dst and returns the extended slice. p must have passed
// [Publish.Check]. It allocates only to grow dst.
func (p *Publish) AppendTo(dst []byte) []byte {
	p = orZero(p)
	n := p.remaining()
	t := len(p.Topic)
	dst = slices.Grow(dst, headerSize(n)+n) // once, for all the appends
	dst = appendHeader(dst, p.firstByte(), n)
	dst = append(dst, byte(t>>8), byte(t))
	dst = append(dst, p.Topic...)
	if p.QoS != AtMostOnce {
		dst = append(dst, byte(p.ID>>8), byte(p.ID))
	}
	return append(dst, p.Payload...)
}

func (p *Publish) firstByte() byte {
	b := byte(TypePublish)<<4 | byte(p.QoS)<<1
	if p.Dup {
		b |= 1 << 3
	}
	if p.Retain {
		b |= 1
	}
	return b
}

// Check reports whether p can be written: as [ParsePublish] checks, with the
// offsets of the packet that AppendTo would make. The error is a [*PacketError].
func (p *Publish) Check() error {
	p = orZero(p)
	n := p.remaining()
	head := headerSize(n)
	switch {
	case p.QoS > ExactlyOnce:
		return refuse(TypePublish, partHeader, faultPublishQoS, 0, int(ExactlyOnce))
	case p.Dup && p.QoS == AtMostOnce:
		return refuse(TypePublish, partHeader, faultDup, 0, 0)
	case n > MaxRemaining:
		return refuse(TypePublish, partLength, faultTooLarge, 1, MaxRemaining)
	case len(p.Topic) > MaxString:
		return refuse(TypePublish, partTopic, faultTooLong, head, MaxString)
	case len(p.Topic) == 0:
		return refuse(TypePublish, partTopic, faultEmptyTopic, head+2, 0)
	case p.QoS != AtMostOnce && p.ID == 0:
		return refuse(TypePublish, partPacketID, faultPacketID, head+2+len(p.Topic), 0)
	}
	return checkTopic(TypePublish, partTopic, p.Topic, head+2)
}

// ParsePublish gives a view of the whole packet p. It refuses, with a
// [*PacketError]: a length that is not p's, QoS 3 [MQTT-3.3.1-4], DUP with QoS 0
// [MQTT-3.3.1-2], a topic that is empty [MQTT-4.7.3-1], not UTF-8
// [MQTT-1.5.3-1], holds U+0000 [MQTT-1.5.3-2] or a wildcard [MQTT-3.3.2-2], and
// packet identifier 0 with QoS 1 and 2 [MQTT-2.3.1-1]. It does not allocate, and
// its cost does not depend on the size of the payload.
func ParsePublish(p Packet) (v Publish, err error) {
	err = v.parse(p)
	return v, err
}

// parse sets v to a view of p; v is zero before, and not to be used after an error.
func (v *Publish) parse(p []byte) error {
	n, head := shortLength(p)
	if head == 0 || n+head != len(p) || p[0]>>4 != byte(TypePublish) {
		var err error
		if head, err = openAny(p, TypePublish); err != nil {
			return err
		}
	}
	flags := p[0] & 0x0f
	if badPublishFlags>>flags&1 != 0 {
		f, limit := faultDup, 0
		if flags&0x06 == 0x06 {
			f, limit = faultPublishQoS, int(ExactlyOnce)
		}
		return refuse(TypePublish, partHeader, f, 0, limit)
	}
	rest := p[head:]
	if len(rest) < 2 {
		return refuse(TypePublish, partTopic, faultTruncated, head, len(p))
	}
	t := int(binary.BigEndian.Uint16(rest))
	if t > len(rest)-2 {
		return refuse(TypePublish, partTopic, faultTruncated, head, len(p))
	}
	if t == 0 {
		return refuse(TypePublish, partTopic, faultEmptyTopic, head+2, 0)
	}
	topic, payload := rest[2:2+t:2+t], rest[2+t:]
	if flags&0x06 != 0 {
		if len(payload) < 2 {
			return refuse(TypePublish, partPacketID, faultTruncated, len(p)-len(payload), len(p))
		}
		if v.ID = binary.BigEndian.Uint16(payload); v.ID == 0 {
			return refuse(TypePublish, partPacketID, faultPacketID, len(p)-len(payload), 0)
		}
		payload = payload[2:]
	}
	v.Topic, v.Payload = topic, payload[:len(payload):len(payload)]
	if i := plainTopic(topic); i < t {
		// The fault of an earlier packet, as a rule: then this is all that it costs.
		if e := kept(errorID(TypePublish, partTopic, topicFaults[topic[i]], head+2+i), 0); e != nil {
			return e
		}
		if err := badTopic(TypePublish, partTopic, topic, head+2, i); err != nil {
			return err
		}
	}
	v.QoS, v.Dup, v.Retain = QoS(flags>>1&3), flags&0x08 != 0, flags&1 != 0
	return nil
}

// badPublishFlags has a bit for each value of the flags that no PUBLISH has: QoS 3, and DUP with QoS 0.
const badPublishFlags = 1<<0x6 | 1<<0x7 | 1<<0xe | 1<<0xf | 1<<0x8 | 1<<0x9

// OpenPublish begins a PUBLISH whose topic the caller appends itself, so that
// it is written once and in its place:
//
//	at := len(dst)
//	dst = mqtt.OpenPublish(dst, len(m.Body))
//	dst = mqtt.AppendTelemetryTopic(dst, id, m)
//	dst, err := mqtt.ClosePublish(dst, at, &mqtt.Publish{Payload: m.Body, QoS: mqtt.AtLeastOnce, ID: 7})
//
// payload is the length of the payload to come. It allocates only to grow dst.
func OpenPublish(dst []byte, payload int) []byte {
	dst = slices.Grow(dst, maxHeader+2+typicalTopic+2+payload)
	return dst[:len(dst)+openSize(payload)]
}

// typicalTopic is the topic length that OpenPublish expects: most IoT Hub
// topics with a few properties. Any other costs at most a move by a byte or two.
const typicalTopic = 192

// openSize is the room left for the fixed header and the length of the topic.
func openSize(payload int) int {
	return headerSize(2+typicalTopic+2+payload) + 2
}

// ClosePublish ends what [OpenPublish] began at dst[at:], with everything but
// the topic, which is what was appended since. p.Topic is not used. The topic
// must be one that [Publish.Check] would pass, but for its length: one of more
// than [MaxString] bytes, or none, is refused, and dst comes back as it was at
// OpenPublish.
func ClosePublish(dst []byte, at int, p *Publish) ([]byte, error) {
	p = orZero(p)
	room := openSize(len(p.Payload))
	t := len(dst) - at - room
	n := 2 + t + len(p.Payload)
	if p.QoS != AtMostOnce {
		n += 2
	}
	head := headerSize(n)
	switch {
	case t <= 0:
		return dst[:at], refuse(TypePublish, partTopic, faultEmptyTopic, head+2, 0)
	case t > MaxString:
		return dst[:at], refuse(TypePublish, partTopic, faultTooLong, head, MaxString)
	case n > MaxRemaining:
		return dst[:at], refuse(TypePublish, partLength, faultTooLarge, 1, MaxRemaining)
	}
	if shift := head + 2 - room; shift != 0 {
		if shift > 0 {
			dst = slices.Grow(dst, shift)
		}
		copy(dst[at+head+2:at+head+2+t], dst[at+room:])
		dst = dst[:at+head+2+t]
	}
	b := appendHeader(dst[at:at], p.firstByte(), n)
	_ = append(b, byte(t>>8), byte(t))
	if p.QoS != AtMostOnce {
		dst = append(dst, byte(p.ID>>8), byte(p.ID))
	}
	return append(dst, p.Payload...), nil
}

// SetDup sets the DUP flag of a PUBLISH with QoS 1 or 2, before it is sent
// again [MQTT-3.3.1-1]. It changes p, and does nothing to any other packet.
func (p Packet) SetDup() {
	if p.Type() == TypePublish && p[0]&0x06 != 0 {
		p[0] |= 1 << 3
	}
}
