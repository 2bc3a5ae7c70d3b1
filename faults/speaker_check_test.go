package faults_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/ws"
)

// TestTheSpeakerIsUnderstood holds that a client hears what the network says in the hub's place, that the hub
// then means the same as the client, and that neither hears of it twice. The client is go-amqp, bare.
func TestTheSpeakerIsUnderstood(t *testing.T) {
	for _, p := range amqpProtocols {
		t.Run(p.name, func(t *testing.T) {
			inBubble(t, p, setting{inspects: true}, func(t *testing.T, v *venue) {
				c := &bare{v: v}
				c.connect()
				c.session()
				c.putToken()
				for range 3 {
					c.attach()
					c.sends(nil)
					met := v.on(1, func(*hub.Op) hub.Verdict {
						v.net.speak(func(s *speaker) {
							if n := s.detach(linkOf(dev, amqp.Telemetry), forced); n != 1 {
								t.Errorf("%d links were detached", n)
							}
						})
						return hub.Verdict{}
					}, hub.OpPublish)
					c.sends(&goamqp.LinkError{})
					<-met
					c.sends(&goamqp.LinkError{})
				}
				c.attach()
				v.net.speak(func(s *speaker) {
					if n := s.end(linkOf(dev), forced); n != 1 {
						t.Errorf("%d sessions were ended", n)
					}
				})
				c.sends(&goamqp.SessionError{})
				c.session()
				c.attach()
				c.sends(nil)
				v.net.speak(func(s *speaker) { s.hush(amqp10.DescAttach) })
				if _, err := c.s.NewReceiver(v.deadline(time.Minute), "$cbs", nil); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("an attach without an answer: %v", err)
				}
				v.net.speak(func(s *speaker) { s.close(forced) })
				c.sends(&goamqp.ConnError{})
			})
		})
	}
}

var forced = &amqp10.Error{Condition: amqp10.DetachForced}

// bare is a client without a mind of its own, on a line of the venue's network.
type bare struct {
	v    *venue
	conn *goamqp.Conn
	s    *goamqp.Session
	d2c  *goamqp.Sender
}

func (c *bare) check(err error) {
	c.v.t.Helper()
	if err != nil {
		c.v.t.Fatal(err)
	}
}

func (c *bare) connect() {
	var nc net.Conn
	var err error
	roots := c.v.options(nil).TLSConfig
	if c.v.protocol.webSocket {
		nc, err = ws.Dial(c.v.t.Context(), "localhost:443", &ws.DialOptions{Subprotocol: ws.AMQP, Dial: c.v.net.dial, TLSConfig: roots})
	} else {
		nc, err = c.v.net.dial(c.v.t.Context(), "tcp", "localhost:5671")
		roots.ServerName = "localhost"
		nc = tls.Client(nc, roots)
	}
	c.check(err)
	c.conn, err = goamqp.NewConn(c.v.t.Context(), nc, nil)
	c.check(err)
	c.v.t.Cleanup(func() { c.conn.Close() })
}

func (c *bare) session() {
	var err error
	c.s, err = c.conn.NewSession(c.v.t.Context(), nil)
	c.check(err)
}

// putToken is the venue's device's login, for an hour.
func (c *bare) putToken() {
	in, err := c.s.NewReceiver(c.v.t.Context(), "$cbs", nil)
	c.check(err)
	out, err := c.s.NewSender(c.v.t.Context(), "$cbs", nil)
	c.check(err)
	put := amqp.PutToken{
		ID:   amqp10.ValueOf(amqp10.AppendString(nil, "1")),
		Type: amqp.SASTokenType, Name: "dev", Token: sas.NewSecret((&tokens{v: c.v}).mint(time.Now().Add(time.Hour))),
	}
	var m goamqp.Message
	c.check(m.UnmarshalBinary(amqp.AppendPutToken(nil, &put)))
	c.check(out.Send(c.v.t.Context(), &m, nil))
	_, err = in.Receive(c.v.t.Context(), nil)
	c.check(err)
}

func (c *bare) attach() {
	var err error
	c.d2c, err = c.s.NewSender(c.v.t.Context(), "/devices/dev/messages/events", nil)
	c.check(err)
}

// sends sends a message, which is to fail with an error of that type, if there is one.
func (c *bare) sends(want error) {
	c.v.t.Helper()
	c.v.settle()
	err := c.d2c.Send(c.v.t.Context(), goamqp.NewMessage([]byte("hi")), nil)
	if fmt.Sprintf("%T", err) != fmt.Sprintf("%T", want) {
		c.v.t.Errorf("%T: %v, want %T", err, err, want)
	}
}
