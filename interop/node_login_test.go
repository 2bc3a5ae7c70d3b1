package interop

import (
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
)

// token makes a SAS token with the key in a connection string.
func token(t *testing.T, connectionString, resource, policy string, expires time.Time) string {
	t.Helper()
	cs, err := sas.ParseConnectionString(connectionString)
	if err != nil {
		t.Fatal(err)
	}
	key, err := sas.NewKey(cs.SharedAccessKey)
	if err != nil {
		t.Fatal(err)
	}
	b, err := sas.AppendToken(t.Context(), nil, key, resource, policy, expires)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// refusal is what the SDK makes of CONNACK 5; of a connection that fails in
// any other way the last words are others.
const refusal = "(Failure on first connection (Not authorized): Connection refused: Not authorized)"

func (c *court) refused(t *testing.T) {
	id, cs := c.device(t)
	_, other := c.device(t)
	audience := sas.Audience(c.HostName(), id)
	service, err := c.PolicyConnectionString("service")
	if err != nil {
		t.Fatal(err)
	}
	disabledID, disabled := c.device(t)
	if _, err := c.Update(within(t), &hub.Device{Identity: disabledID, Disabled: true}, ""); err != nil {
		t.Fatal(err)
	}
	d, err := c.Device(disabledID)
	if err != nil {
		t.Fatal(err)
	}
	disabled, _, _ = strings.Cut(disabled, "SharedAccessKey=")
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	withToken := func(token string) string {
		return "HostName=" + c.HostName() + ";DeviceId=" + id.DeviceID + ";SharedAccessSignature=" + token
	}
	for name, cs := range map[string]string{
		"the key of another device":                   swapKey(cs, other),
		"an unknown device":                           strings.Replace(cs, id.DeviceID, "nobody", 1),
		"a disabled device":                           disabled + "SharedAccessKey=" + d.PrimaryKey.Reveal(),
		"a token that expired an hour ago":            withToken(token(t, cs, audience, "", past)),
		"a token signed by another device":            withToken(token(t, other, audience, "", soon)),
		"a token of a policy that may not connect":    withToken(token(t, service, audience, "service", soon)),
		"a token that names a policy and has its key": withToken(token(t, cs, audience, "iothubowner", soon)),
	} {
		t.Run(name, func(t *testing.T) {
			p := c.client(t, setup{ConnectionString: cs, Transport: c.transport})
			c.denied(t, p)
		})
	}
	if c.Connected(id) || c.Connected(disabledID) {
		t.Error("a device is connected")
	}
}

// denied has a client that the hub is to refuse. Over AMQP a token may be good, and
// only be none for the device, which comes out with the first link.
func (c *court) denied(t *testing.T, p *peer) {
	t.Helper()
	if !c.amqp() {
		p.fails(t, "UnauthorizedError", refusal, "open", nil)
		return
	}
	_, err := c.call(within(t), p.name, "open", nil)
	if err == nil {
		_, err = c.call(within(t), p.name, "send", sdkMessage{})
	}
	if e, ok := err.(*sdkError); !ok || e.Name != "UnauthorizedError" {
		t.Errorf("the error is %v", err)
	}
}

// swapKey gives a connection string the key of another one.
func swapKey(cs, other string) string {
	who, _, _ := strings.Cut(cs, "SharedAccessKey=")
	_, key, _ := strings.Cut(other, "SharedAccessKey=")
	return who + "SharedAccessKey=" + key
}

// logins are good ones, besides that with the primary key.
func (c *court) logins(t *testing.T) {
	id, cs := c.device(t)
	d, err := c.Device(id)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := c.PolicyConnectionString("device")
	if err != nil {
		t.Fatal(err)
	}
	who, _, _ := strings.Cut(cs, "SharedAccessKey=")
	soon := time.Now().Add(time.Hour)
	for name, cs := range map[string]string{
		"the secondary key":                   who + "SharedAccessKey=" + d.SecondaryKey.Reveal(),
		"a token":                             who + "SharedAccessSignature=" + token(t, cs, sas.Audience(c.HostName(), id), "", soon),
		"a token of the policy device":        who + "SharedAccessSignature=" + token(t, policy, c.HostName()+"/devices/"+id.DeviceID, "device", soon),
		"the policy's key instead of its own": who + "SharedAccessKeyName=device;" + policy[strings.Index(policy, "SharedAccessKey="):],
	} {
		t.Run(name, func(t *testing.T) {
			p := c.client(t, setup{ConnectionString: cs, Transport: c.transport})
			p.do(t, "open", nil)
			events := c.events(t, id)
			p.do(t, "send", sdkMessage{Body: []byte(name)})
			arrives(t, events, c.sent(id, hubwire.Message{Body: []byte(name)}))
		})
	}
}

// TestNodeGateway has a hub with a name that no resolver knows: devices reach it
// by the name of their gateway, and go on to use the hub's in user name and token.
func TestNodeGateway(t *testing.T) {
	wanted(t)
	s := openSite(t, hub.Config{HostName: "myhub.azure-devices.net"})
	j := startJudge(t, s.caFile)
	for _, transport := range []string{"mqtt", "mqtt-ws", "amqp", "amqp-ws"} {
		t.Run(transport, func(t *testing.T) {
			c := &court{s, j, transport}
			id, cs := s.device(t)
			p := j.client(t, setup{ConnectionString: cs + ";GatewayHostName=localhost", Transport: transport})
			p.do(t, "open", nil)
			events := s.events(t, id)
			p.do(t, "send", sdkMessage{Body: []byte("x")})
			arrives(t, events, c.sent(id, hubwire.Message{Body: []byte("x")}))
		})
	}
}

// revoked has identities that lose their right while they are connected.
func (c *court) revoked(t *testing.T) {
	for name, revoke := range map[string]func(hubwire.Identity) error{
		"disabled": func(id hubwire.Identity) error {
			d, err := c.Device(id)
			if err != nil {
				return err
			}
			d.Disabled = true
			_, err = c.Update(within(t), d, "")
			return err
		},
		"deleted": func(id hubwire.Identity) error { return c.Delete(within(t), id) },
		"with new keys": func(id hubwire.Identity) error {
			_, err := c.Update(within(t), &hub.Device{Identity: id}, "")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			id, p := c.open(t)
			p.do(t, "send", sdkMessage{}) // over AMQP it is connected by a link
			if err := revoke(id); err != nil {
				t.Fatal(err)
			}
			p.next(t, "disconnect")
			if c.amqp() {
				c.denied(t, p)
				return
			}
			// CONNACK 5 again. The SDK gives this class to all but first connections.
			p.fails(t, "NotConnectedError", "Connection refused: Not authorized", "open", nil)
		})
	}
}

func (c *court) takeOver(t *testing.T) {
	id, cs := c.device(t)
	first := c.client(t, setup{ConnectionString: cs, Transport: c.transport})
	first.do(t, "messages", nil)
	first.do(t, "open", nil)
	second := c.client(t, setup{ConnectionString: cs, Transport: c.transport})
	second.do(t, "messages", nil)
	second.do(t, "open", nil)
	first.next(t, "disconnect")
	c.sendC2D(t, id, hubwire.Message{Body: []byte("for the second")})
	if m := nextInto[sdkMessage](t, second, "message"); string(m.Body) != "for the second" {
		t.Errorf("message %q", m.Body)
	}
	second.do(t, "settleLast", nil)
	c.queueIsEmpty(t, id)
	first.silent(t, "message")
	second.silent(t, "disconnect")
	if !c.Connected(id) {
		t.Error("the device is not connected")
	}
}
