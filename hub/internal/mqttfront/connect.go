package mqttfront

import (
	"errors"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/topics"
)

// The login imitates what IoT Edge's hub and Protocol Gateway do with CONNECT:
// the user name says who it is, the client id must agree to the letter, and the
// password is a SAS token, or none when TLS showed a certificate. A refusal is 1
// for another version of MQTT, 2 for a client id that MQTT itself forbids, 5 for
// all that is the client's fault and 3 for all that may pass; then the
// connection ends. Which of 3 and 5 the service sends for a disabled device is
// not documented. Left out: MQTT 5.

// maxSilence is the longest that IoT Hub waits for a packet, also when the
// client asks for more or for no keep-alive at all: 29.45 minutes.
const maxSilence = 1767 * time.Second

// errOvertaken is why a connection is over whose CONNECT was held up until one that came later was in.
var errOvertaken = errors.New("mqtt: a connection that came later is there already")

// errRefused is why a connection is over whose CONNECT was answered with a refusal.
var errRefused = errors.New("mqtt: CONNECT refused")

// connect answers the first packet. An error ends the connection.
func (c *conn) connect(p mqtt.Packet) error {
	if p.Type() != mqtt.TypeConnect {
		return violation("%v came before CONNECT", p.Type())
	}
	m, err := mqtt.ParseConnect(p)
	switch {
	case errors.Is(err, mqtt.ErrProtocolLevel):
		return c.refuse(mqtt.BadProtocol)
	case errors.Is(err, mqtt.ErrClientID):
		return c.refuse(mqtt.BadClientID)
	case err != nil:
		return err
	}
	if u, ok := c.registers(&m); ok {
		return c.connectDPS(&m, &u)
	}
	u, err := c.identify(&m)
	if err != nil {
		c.server.opt.Log.Warn("login refused", "protocol", c.peer.Protocol, "peer", c.peer.Raw.RemoteAddr(), "reason", err)
		return c.refuse(mqtt.NotAuthorized)
	}
	arrival := c.server.arrived.Add(1)
	v, err := c.intercept(core.OpConnect, "", nil, nil)
	if err == nil {
		err = c.login(&m, &u, arrival)
	}
	if errors.Is(err, hubwire.ConnectionClosedOnNew) {
		return errOvertaken // as if it had been let in before
	}
	if e := refusal(err); e != nil {
		return c.refuse(returnCode(e))
	} else if err != nil {
		return err
	}
	c.silence = silence(m.KeepAlive)
	return c.welcome(v)
}

// identify says who the peer claims to be: the user name decides, and the
// client id must agree.
func (c *conn) identify(m *mqtt.Connect) (u topics.UserName, err error) {
	u, err = topics.ParseUserName(string(m.UserName), &topics.UserNameOptions{Lenient: c.server.opt.AllowNoAPIVersion})
	if err != nil {
		return u, err
	}
	id := u.Identity
	if err := id.Check(); err != nil {
		return u, err
	}
	if string(m.ClientID) != id.String() {
		return u, violation("the client id, of %d bytes, is not the %d bytes of identity that the user name says", len(m.ClientID), len(id.String()))
	}
	if m.Will.Topic != nil {
		if c.will, err = willMessage(id, &m.Will); err != nil {
			return u, err
		}
	}
	c.id = id
	return u, nil
}

// login begins the session. The error of a refusal is a [*hubwire.Error].
func (c *conn) login(m *mqtt.Connect, u *topics.UserName, arrival uint64) error {
	g, err := c.server.core.Authenticate(c.ctx, &core.Login{
		Identity: c.id, Protocol: c.peer.Protocol, Chain: u.AuthChain,
		Token: sas.NewSecret(string(m.Password.Reveal())), Certificates: c.peer.Certificates,
	})
	if err != nil {
		return err
	}
	session, err := c.server.core.Connect(c.ctx, g, &core.ConnectOptions{
		Protocol: c.peer.Protocol, Clean: m.CleanSession, ModelID: u.ModelID, Purge: c.server.opt.PurgeUnsubscribed,
		Will: c.lastWill(), Arrival: arrival,
	}, c)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.session = session
	c.mu.Unlock()
	c.server.current.Set(c.id, c, func() bool { return c.session.Err() == nil })
	c.peer.Admit()
	return nil
}

// welcome sends CONNACK, and right after it what a kept session has waiting.
func (c *conn) welcome(v core.Verdict) error {
	switch {
	case v.DropAfter:
		return core.ErrDrop
	case v.SwallowAck:
		return nil // what the hub has to send waits behind it
	}
	ack := mqtt.Connack{SessionPresent: c.session.Present(), Code: mqtt.Accepted}
	c.out.open(ack.AppendTo)
	c.deliver()
	return nil
}

// refuse answers CONNECT with a refusal.
func (c *conn) refuse(code mqtt.ReturnCode) error {
	c.out.open((&mqtt.Connack{Code: code}).AppendTo)
	c.out.flush()
	return errRefused
}

// returnCode is what CONNACK can say of a refusal: that it is the client's
// fault, or that it is worth another try.
func returnCode(e *hubwire.Error) mqtt.ReturnCode {
	switch e.Code.Status() {
	case 400, 401, 404:
		return mqtt.NotAuthorized
	case 403:
		if e.Code != hubwire.QuotaExceeded {
			return mqtt.NotAuthorized
		}
	}
	return mqtt.Unavailable
}

// silence is how long the hub waits for a packet: 1.5 times the keep-alive,
// with a cap, which also stands for no keep-alive.
func silence(keepAlive uint16) time.Duration {
	d := time.Duration(keepAlive) * time.Second * 3 / 2
	if d == 0 || d > maxSilence {
		return maxSilence
	}
	return d
}
