package mqtt

import "math/bits"

// Connect opens a session, client to server (MQTT 3.1.1 section 3.1):
//
//	10 | remaining length | 00 04 MQTT | 04 | flags | keep alive | client identifier |
//	will topic, will message, user name, password: each as its flag says
//
// A Connect from [ParseConnect] is a view of the packet it was parsed from.
// Printing one in any way does not show its password.
type Connect struct {
	ClientID     []byte // at most [MaxString] bytes of UTF-8; empty only with CleanSession
	CleanSession bool   // the server is to forget what it has of this client, before and after
	KeepAlive    uint16 // seconds; 0 is off

	Will Will // none when Will.Topic is nil

	UserName []byte // nil: not sent (flag off); empty is sent as empty
	Password Secret // zero: not sent (flag off); not without a UserName
}

// Will is the message that the server publishes when the connection ends
// without DISCONNECT (section 3.1.2.5).
type Will struct {
	Topic   []byte // as Publish.Topic; nil means no will
	Payload []byte // at most [MaxString] bytes
	QoS     QoS    // as Publish.QoS
	Retain  bool   // as Publish.Retain
}

// The connect flags (section 3.1.2.3).
const (
	connectReserved   = 1 << 0
	connectClean      = 1 << 1
	connectWill       = 1 << 2
	connectWillQoS    = 3 << 3
	connectWillRetain = 1 << 5
	connectPassword   = 1 << 6
	connectUserName   = 1 << 7
)

const (
	protocolName  = "MQTT"
	protocolLevel = 4
)

func (c *Connect) flags() byte {
	var f byte
	if c.CleanSession {
		f |= connectClean
	}
	if c.Will.Topic != nil {
		f |= connectWill | byte(c.Will.QoS)<<bits.TrailingZeros8(connectWillQoS)
		if c.Will.Retain {
			f |= connectWillRetain
		}
	}
	if !c.Password.IsZero() {
		f |= connectPassword
	}
	if c.UserName != nil {
		f |= connectUserName
	}
	return f
}

func (c *Connect) remaining() int {
	n := 2 + len(protocolName) + 1 + 1 + 2 + 2 + len(c.ClientID)
	if c.Will.Topic != nil {
		n += 2 + len(c.Will.Topic) + 2 + len(c.Will.Payload)
	}
	if c.UserName != nil {
		n += 2 + len(c.UserName)
	}
	if !c.Password.IsZero() {
		n += 2 + c.Password.size
	}
	return n
}

// AppendTo appends c to dst and returns the extended slice. c must have passed
// [Connect.Check]. It allocates only to grow dst.
func (c *Connect) AppendTo(dst []byte) []byte {
	c = orZero(c)
	dst = appendHeader(dst, byte(TypeConnect)<<4, c.remaining())
	dst = append(dst, 0, byte(len(protocolName)))
	dst = append(dst, protocolName...)
	dst = append(dst, protocolLevel, c.flags(), byte(c.KeepAlive>>8), byte(c.KeepAlive))
	dst = appendField(dst, c.ClientID)
	if c.Will.Topic != nil {
		dst = appendField(dst, c.Will.Topic)
		dst = appendField(dst, c.Will.Payload)
	}
	if c.UserName != nil {
		dst = appendField(dst, c.UserName)
	}
	if !c.Password.IsZero() {
		dst = appendField(dst, c.Password.Reveal())
	}
	return dst
}

// Check reports whether c can be written: as [ParseConnect] checks, with the
// offsets of the packet that AppendTo would make. The error is a [*PacketError].
func (c *Connect) Check() error {
	c = orZero(c)
	head := headerSize(c.remaining())
	if f, limit := c.badFlags(); f != 0 {
		return refuse(TypeConnect, partConnectFlags, f, head+7, limit)
	}
	f := fields{at: head + 10}
	f.check(partClientID, c.ClientID, checkText)
	if c.Will.Topic != nil {
		f.check(partWillTopic, c.Will.Topic, checkTopic)
		f.check(partWillPayload, c.Will.Payload, nil)
	}
	if c.UserName != nil {
		f.check(partUserName, c.UserName, checkText)
	}
	f.check(partPassword, c.Password.Reveal(), nil)
	if f.err == nil && len(c.ClientID) == 0 && !c.CleanSession {
		f.err = refuse(TypeConnect, partClientID, faultClientID, head+10, 0)
	}
	return f.err
}

// badFlags returns what would be wrong with the connect flags, or 0.
func (c *Connect) badFlags() (f fault, limit int) {
	switch {
	case c.Will.QoS > ExactlyOnce:
		return faultWillQoS, int(ExactlyOnce)
	case c.Will.Topic == nil && c.Will.QoS != 0:
		return faultNoWillQoS, 0
	case c.Will.Topic == nil && c.Will.Retain:
		return faultNoWillRetain, 0
	case !c.Password.IsZero() && c.UserName == nil:
		return faultCredentials, 0
	}
	return 0, 0
}

// fields walks the payload that a CONNECT would have. The first fault sticks.
type fields struct {
	at  int // where the next field begins
	err error
}

// check refuses a field that is too long, or that rule, if there is one, refuses.
func (f *fields) check(pt part, b []byte, rule func(t Type, pt part, b []byte, at int) error) {
	switch {
	case f.err != nil:
	case len(b) > MaxString:
		f.err = refuse(TypeConnect, pt, faultTooLong, f.at, MaxString)
	case rule != nil:
		f.err = rule(TypeConnect, pt, b, f.at+2)
	}
	f.at += 2 + len(b)
}

// ParseConnect gives a view of the whole packet p. It refuses, with a
// [*PacketError], all that section 3.1 forbids. Two refusals have an answer of
// their own before a server closes the connection: [ErrProtocolLevel], a level
// that is not 4, is CONNACK [BadProtocol] [MQTT-3.1.2-2] (nothing behind the level
// has been looked at), and [ErrClientID] is CONNACK [BadClientID]
// [MQTT-3.1.3-8]. It does not allocate.
func ParseConnect(p Packet) (Connect, error) {
	head, err := open(p, TypeConnect, 0)
	if err != nil {
		return Connect{}, err
	}
	r := reader{p: p, i: head, t: TypeConnect}
	flags := r.connectHead()
	var c Connect
	c.KeepAlive = uint16(r.u16(partKeepAlive))
	c.CleanSession = flags&connectClean != 0
	at := r.i
	c.ClientID = r.text(partClientID)
	if flags&connectWill != 0 {
		c.Will = r.will(flags)
	}
	if flags&connectUserName != 0 {
		c.UserName = r.text(partUserName)
	}
	if flags&connectPassword != 0 {
		c.Password = NewSecret(r.binary(partPassword))
	}
	if err := r.end(); err != nil {
		return Connect{}, err
	}
	if len(c.ClientID) == 0 && !c.CleanSession {
		return Connect{}, refuse(TypeConnect, partClientID, faultClientID, at, 0)
	}
	return c, nil
}

// connectHead reads protocol name, level and flags.
func (r *reader) connectHead() (flags byte) {
	at := r.i
	if name := r.binary(partProtocolName); r.err == nil && string(name) != protocolName {
		r.fail(partProtocolName, faultProtocolName, at, 0)
	}
	at = r.i
	if level := r.u8(partProtocolLevel); level != protocolLevel {
		r.fail(partProtocolLevel, faultProtocolLevel, at, protocolLevel)
	}
	at = r.i
	flags = r.u8(partConnectFlags)
	willQoS := flags & connectWillQoS
	switch {
	case flags&connectReserved != 0:
		r.fail(partConnectFlags, faultConnectReserved, at, 0)
	case willQoS == connectWillQoS:
		r.fail(partConnectFlags, faultWillQoS, at, int(ExactlyOnce))
	case flags&connectWill == 0 && willQoS != 0:
		r.fail(partConnectFlags, faultNoWillQoS, at, 0)
	case flags&(connectWill|connectWillRetain) == connectWillRetain:
		r.fail(partConnectFlags, faultNoWillRetain, at, 0)
	case flags&(connectUserName|connectPassword) == connectPassword:
		r.fail(partConnectFlags, faultCredentials, at, 0)
	}
	return flags
}

func (r *reader) will(flags byte) Will {
	topic := r.binary(partWillTopic)
	if r.err == nil {
		r.err = checkTopic(TypeConnect, partWillTopic, topic, r.i-len(topic))
	}
	return Will{
		Topic:   topic,
		Payload: r.binary(partWillPayload),
		QoS:     QoS(flags & connectWillQoS >> bits.TrailingZeros8(connectWillQoS)),
		Retain:  flags&connectWillRetain != 0,
	}
}
