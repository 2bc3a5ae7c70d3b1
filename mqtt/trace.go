package mqtt

import "bytes"

// Trace is a set of functions that see the packets of a [Conn]; each may be
// nil. A packet is a view that holds during the call. In a CONNECT, user name
// and password are overwritten with '*'.
type Trace struct {
	// Received is called by ReadPacket, before it returns p.
	Received func(p Packet)

	// Sent is called by Write for each packet, before it is written.
	Sent func(p Packet)
}

func (t *Trace) received(p Packet) {
	if t.Received != nil {
		t.Received(withoutSecrets(p))
	}
}

func (t *Trace) sent(b []byte) {
	if t.Sent == nil {
		return
	}
	for {
		p, rest, err := Split(b, maxHeader+MaxRemaining)
		if err != nil || p == nil {
			return // not a packet, against Write's rule: it might hold anything
		}
		t.Sent(withoutSecrets(p))
		b = rest
	}
}

// withoutSecrets returns p, or when it is a CONNECT a copy that shows neither
// user name nor password. Of a CONNECT that cannot be read, only the fixed
// header is certain to hold no secret.
func withoutSecrets(p Packet) Packet {
	if p.Type() != TypeConnect {
		return p
	}
	masked := bytes.Clone(p)
	c, err := ParseConnect(masked)
	if err != nil {
		_, head := remainingLength(masked)
		mask(masked[min(max(head, 1), len(masked)):])
		return masked
	}
	mask(c.UserName)
	mask(c.Password.Reveal())
	return masked
}

func mask(b []byte) {
	for i := range b {
		b[i] = '*'
	}
}
