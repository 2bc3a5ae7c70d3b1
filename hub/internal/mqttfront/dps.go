package mqttfront

import (
	"net/http"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/dps"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/topics"
)

// Provisioning imitates DPS behind the same door: a user name that begins with
// its id scope opens a connection that registers, and can do nothing else. There is
// no session to keep, one filter, and two topics to publish to; answers come at the QoS
// that was granted, behind the PUBACK of their request. There may be several connections
// of a registration, of which the one that registered last can ask how it is going; and a will
// is not published. The documents do not say what else should happen.

// provisioning is the state of a connection that registers.
type provisioning struct {
	grant  *dps.Grant
	expiry *time.Timer // cuts the connection when its token is over; may be nil

	subscribed bool
	qos        mqtt.QoS
	lastID     uint16 // packet identifier of the last answer
}

// registers reports whether a CONNECT is for DPS, and says what its user name does.
func (c *conn) registers(m *mqtt.Connect) (u topics.DPSUserName, ok bool) {
	s := c.server.opt.Provisioning
	if s == nil {
		return u, false
	}
	u, err := topics.ParseDPSUserName(string(m.UserName))
	return u, err == nil && u.IDScope == s.IDScope()
}

// connectDPS answers a CONNECT for DPS. An error ends the connection.
func (c *conn) connectDPS(m *mqtt.Connect, u *topics.DPSUserName) error {
	if string(m.ClientID) != u.RegistrationID {
		c.server.opt.Log.Warn("provisioning: login refused", "reason", "the client id is not the registration id")
		return c.refuse(mqtt.NotAuthorized)
	}
	c.id = hubwire.Identity{DeviceID: u.RegistrationID}
	v, err := c.intercept(core.OpConnect, "registration", nil, nil)
	var g *dps.Grant
	if err == nil {
		g, err = c.server.opt.Provisioning.Authenticate(&dps.Login{
			RegistrationID: u.RegistrationID, Token: sas.NewSecret(string(m.Password.Reveal())), Certificates: c.peer.Certificates,
		})
	}
	if e := refusal(err); e != nil {
		return c.refuse(returnCode(e))
	} else if err != nil {
		return err
	}
	c.dps = &provisioning{grant: g}
	if !g.Expires.IsZero() {
		c.dps.expiry = time.AfterFunc(time.Until(g.Expires.Add(c.server.opt.Skew)), c.cut)
	}
	c.peer.Admit()
	c.silence = silence(m.KeepAlive)
	switch {
	case v.DropAfter:
		return core.ErrDrop
	case v.SwallowAck:
		return nil
	}
	c.out.open((&mqtt.Connack{Code: mqtt.Accepted}).AppendTo)
	return nil
}

// handleDPS acts on a packet after CONNECT. An error ends the connection.
func (c *conn) handleDPS(p mqtt.Packet) error {
	switch p.Type() {
	case mqtt.TypePublish:
		return c.publishDPS(p)
	case mqtt.TypePuback:
		return nil // of an answer, which nobody would repeat; .NET sends them for QoS 0 too
	case mqtt.TypeSubscribe:
		return c.subscribeDPS(p)
	case mqtt.TypeUnsubscribe:
		return c.unsubscribeDPS(p)
	case mqtt.TypePingreq:
		return c.ping(p)
	case mqtt.TypeDisconnect:
		return c.disconnect(p)
	}
	return violation("%v is not for a client that registers to send", p.Type())
}

func (c *conn) subscribeDPS(p mqtt.Packet) error {
	m, err := mqtt.ParseSubscribe(p)
	if err != nil {
		return err
	}
	v, refused := c.intercept(core.OpSubscribe, topics.DPSResponseFilter, nil, nil)
	if refused != nil && refusal(refused) == nil {
		return refused
	}
	var codes []byte
	var qos mqtt.QoS
	granted := false
	for filter, asked := range m.Filters.All() {
		known := string(filter) == topics.DPSResponseFilter
		switch {
		case known && refused == nil:
			granted, qos = true, min(asked, mqtt.AtLeastOnce)
			codes = append(codes, byte(qos))
		case known || c.server.opt.RefuseFilters:
			codes = append(codes, mqtt.SubackFailure)
		default:
			return violation("topic filter %s is unknown", quote(filter))
		}
	}
	return c.respond(v, func() error {
		if granted {
			c.dps.subscribed, c.dps.qos = true, qos
		}
		return nil
	}, (&mqtt.Suback{ID: m.ID, Codes: codes}).AppendTo)
}

func (c *conn) unsubscribeDPS(p mqtt.Packet) error {
	m, err := mqtt.ParseUnsubscribe(p)
	if err != nil {
		return err
	}
	v, err := c.intercept(core.OpUnsubscribe, topics.DPSResponseFilter, nil, nil)
	if err != nil {
		return err
	}
	return c.respond(v, func() error {
		for filter := range m.Filters.All() {
			if string(filter) == topics.DPSResponseFilter {
				c.dps.subscribed = false
			}
		}
		return nil
	}, (&mqtt.Unsuback{ID: m.ID}).AppendTo)
}

// publishDPS acts on a PUBLISH: a registration, or the question how it is going.
func (c *conn) publishDPS(p mqtt.Packet) error {
	m, err := mqtt.ParsePublish(p)
	if err != nil {
		return err
	}
	if m.QoS > mqtt.AtLeastOnce {
		return violation("PUBLISH at QoS 2")
	}
	t, err := topics.Parse(m.Topic)
	if err != nil {
		return err
	}
	s, g := c.server.opt.Provisioning, c.dps.grant
	switch t.Kind {
	case topics.DPSRegister:
		return c.requestDPS(core.OpRegister, &m, &t, "", func() (*dps.Answer, error) {
			r, err := topics.ParseDPSRegistration(m.Payload)
			if err != nil {
				return nil, &hubwire.Error{Op: "register", Code: hubwire.FormatError, Outcome: hubwire.Refused, Message: "the body is no registration"}
			}
			return s.Register(c.ctx, g, &r)
		})
	case topics.DPSQuery:
		operation := string(topics.AppendUnescape(nil, t.OperationID()))
		return c.requestDPS(core.OpRegisterQuery, &m, &t, operation, func() (*dps.Answer, error) {
			return s.Query(g, operation)
		})
	}
	return violation("topic %s is not for a client that registers", quote(m.Topic))
}

// requestDPS answers a request with what act returns, or with its refusal.
func (c *conn) requestDPS(kind core.OpKind, m *mqtt.Publish, t *topics.Topic, name string, act func() (*dps.Answer, error)) error {
	v, refused := c.intercept(kind, name, nil, m.Payload)
	var answer provisioningAnswer
	return c.respond(v, func() error {
		var a *dps.Answer
		err := refused
		if err == nil {
			a, err = act()
		}
		if e := refusal(err); e != nil {
			answer = refusalDPS(e)
			return nil
		} else if err != nil {
			return err
		}
		answer, err = answerDPS(a)
		return err
	}, func(dst []byte) []byte {
		if m.QoS != mqtt.AtMostOnce {
			dst = (&mqtt.Puback{ID: m.ID}).AppendTo(dst)
		}
		if c.dps.subscribed {
			dst = c.dps.append(dst, &answer, t.RequestID())
		}
		return dst
	})
}

// provisioningAnswer is what a request is answered with.
type provisioningAnswer struct {
	status     int
	retryAfter time.Duration
	body       []byte
}

func answerDPS(a *dps.Answer) (provisioningAnswer, error) {
	body, err := topics.AppendDPSResult(nil, &a.Result)
	status := http.StatusOK
	if a.RetryAfter > 0 {
		status = http.StatusAccepted
	}
	return provisioningAnswer{status, a.RetryAfter, body}, err
}

func refusalDPS(e *hubwire.Error) provisioningAnswer {
	a := refusalAnswer(e)
	return provisioningAnswer{a.status, e.RetryAfter, a.body}
}

// append appends the answer to the request rid.
func (p *provisioning) append(dst []byte, a *provisioningAnswer, rid []byte) []byte {
	m := mqtt.Publish{Payload: a.body, QoS: p.qos}
	if m.QoS != mqtt.AtMostOnce {
		p.lastID = p.lastID&idMask + 1
		m.ID = p.lastID
	}
	at := len(dst)
	dst = mqtt.OpenPublish(dst, len(a.body))
	dst = topics.AppendDPSResponse(dst, a.status, rid, a.retryAfter)
	// A request id that fills a topic has no room in that of an answer: none is sent.
	dst, _ = mqtt.ClosePublish(dst, at, &m)
	return dst
}
