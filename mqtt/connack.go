package mqtt

import "fmt"

// Connack answers a CONNECT, server to client (MQTT 3.1.1 section 3.2):
//
//	20 | 02 | session present | return code
type Connack struct {
	SessionPresent bool       // the server has a session of this client; not in a refusal
	Code           ReturnCode // [Accepted], or why the connection is refused
}

// ReturnCode is the server's answer to a CONNECT (section 3.2.2.3). As an
// error it says why the server refused.
type ReturnCode uint8

// The return codes.
const (
	Accepted       ReturnCode = iota
	BadProtocol               // the server does not speak this protocol level
	BadClientID               // client identifier not allowed
	Unavailable               // the server cannot serve now
	BadCredentials            // malformed user name or password
	NotAuthorized             // IoT Hub: bad or expired token, unknown or disabled device, and more
)

var returnCodeNames = [...]string{
	Accepted: "accepted", BadProtocol: "unacceptable protocol level", BadClientID: "client identifier rejected",
	Unavailable: "server unavailable", BadCredentials: "bad user name or password", NotAuthorized: "not authorized",
}

// String returns the meaning of c in a few words.
func (c ReturnCode) String() string {
	if int(c) < len(returnCodeNames) {
		return returnCodeNames[c]
	}
	return fmt.Sprintf("return code %d", uint8(c))
}

// Error makes the code of a refusal usable with [errors.Is].
func (c ReturnCode) Error() string {
	return fmt.Sprintf("mqtt: connection refused, CONNACK %d: %s", uint8(c), c.String())
}

// AppendTo appends c to dst and returns the extended slice. c must have passed
// [Connack.Check]. It allocates only to grow dst.
func (c *Connack) AppendTo(dst []byte) []byte {
	c = orZero(c)
	var present byte
	if c.SessionPresent {
		present = 1
	}
	return append(dst, byte(TypeConnack)<<4, 2, present, byte(c.Code))
}

// Check refuses a code above 5, and SessionPresent in a refusal
// [MQTT-3.2.2-4]. The error is a [*PacketError].
func (c *Connack) Check() error {
	c = orZero(c)
	if c.Code > NotAuthorized {
		return refuse(TypeConnack, partReturnCode, faultReturnCode, 3, int(NotAuthorized))
	}
	if c.SessionPresent && c.Code != Accepted {
		return refuse(TypeConnack, partConnackFlags, faultSession, 2, 0)
	}
	return nil
}

// ParseConnack reads the whole packet p. It refuses what [Connack.Check] does,
// and reserved bits, with a [*PacketError]. It does not allocate.
func ParseConnack(p Packet) (Connack, error) {
	head, err := open(p, TypeConnack, 0)
	if err != nil {
		return Connack{}, err
	}
	r := reader{p: p, i: head, t: TypeConnack}
	flags := r.u8(partConnackFlags)
	if flags > 1 {
		r.fail(partConnackFlags, faultConnackReserved, head, 1)
	}
	c := Connack{SessionPresent: flags == 1, Code: ReturnCode(r.u8(partReturnCode))}
	if c.Code > NotAuthorized {
		r.fail(partReturnCode, faultReturnCode, head+1, int(NotAuthorized))
	}
	if c.SessionPresent && c.Code != Accepted {
		r.fail(partConnackFlags, faultSession, head, 0)
	}
	if err := r.end(); err != nil {
		return Connack{}, err
	}
	return c, nil
}
