package amqpclient_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqp10/frametext"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

var headSASL = []byte("AMQP\x03\x01\x00\x00")

// mechanisms is the offer of a server.
func mechanisms(names ...string) sasl {
	return sasl{&amqp10.SASLMechanisms{Mechanisms: amqp10.ValueOf(amqp10.AppendSymbolArray(nil, names...))}}
}

func TestAuthenticationGoesStepByStep(t *testing.T) {
	for want, how := range map[string]*amqpclient.SASL{
		`init ANONYMOUS "anonymous" h`:      amqpclient.Anonymous(),
		`init EXTERNAL "" h`:                amqpclient.External(),
		`init PLAIN "\x00user\x00secret" h`: amqpclient.Plain("user", "secret"),
	} {
		synctest.Test(t, func(t *testing.T) {
			p, nc := newPeer(t)
			c := later(func() (*amqpclient.Conn, error) {
				return amqpclient.Open(t.Context(), nc, &amqpclient.Options{HostName: "h", SASL: how})
			})
			p.want("AMQP 3")
			p.raw(headSASL)
			p.want()
			p.send(mechanisms("PLAIN", "ANONYMOUS", "EXTERNAL"))
			p.want(want)
			p.send(sasl{&amqp10.SASLOutcome{}})
			p.want("AMQP 0", "open hubwire")
			p.raw(headAMQP)
			p.send(&amqp10.Open{})
			c.must(t).Abort()
		})
	}
}

func TestOpenFails(t *testing.T) {
	for _, c := range []struct {
		name string
		sasl *amqpclient.SASL
		send func(p *peer)
		want error
		text string
	}{
		{"at a peer of another protocol", nil, func(p *peer) { p.raw([]byte("HTTP/1.1 400")) },
			amqpclient.ErrProtocol, "offset 0: not the protocol header"},
		{"at a peer that wants SASL", nil, func(p *peer) { p.raw(headSASL) },
			amqpclient.ErrProtocol, "the peer wants protocol 3, not 0"},
		{"at a peer that offers no mechanism that is known", amqpclient.External(), func(p *peer) { p.raw(headSASL); p.send(mechanisms("PLAIN")) },
			amqpclient.ErrSASL, "the peer does not offer EXTERNAL"},
		{"at a peer that does not know us", amqpclient.Anonymous(), func(p *peer) {
			p.raw(headSASL)
			p.send(mechanisms("ANONYMOUS"), sasl{&amqp10.SASLOutcome{Code: amqp10.SASLAuth}})
		}, amqpclient.ErrSASL, "outcome 1"},
		{"at a frame of AMQP within the SASL layer", amqpclient.Anonymous(), func(p *peer) { p.raw(headSASL); p.send(&amqp10.Open{}) },
			amqpclient.ErrProtocol, "a frame of AMQP within the SASL layer"},
		{"at a challenge", amqpclient.Anonymous(), func(p *peer) {
			p.raw(headSASL)
			p.send(mechanisms("ANONYMOUS"), sasl{&amqp10.SASLChallenge{}})
		}, amqpclient.ErrProtocol, "is not described as what is due here"},
		{"at a close instead of an open", nil, func(p *peer) {
			p.raw(headAMQP)
			p.send(&amqp10.Close{Error: &amqp10.Error{Condition: amqp10.ConnectionForced, Description: "busy"}})
		}, nil, "amqp:connection:forced: busy"},
		{"at a begin instead of an open", nil, func(p *peer) { p.raw(headAMQP); p.send(&amqp10.Begin{}); time.Sleep(time.Minute) },
			amqpclient.ErrProtocol, "the first frame is not an open"},
		{"at an open with frames that are too small", nil, func(p *peer) {
			p.raw(headAMQP)
			p.send(&amqp10.Open{MaxFrameSize: amqp10.Some[uint32](511)})
			time.Sleep(time.Minute)
		}, amqpclient.ErrProtocol, "max-frame-size is less than 512"},
		{"at an open that wants heartbeats all the time", nil, func(p *peer) {
			p.raw(headAMQP)
			p.send(&amqp10.Open{IdleTimeout: amqp10.Some[uint32](1)})
			time.Sleep(time.Minute)
		}, amqpclient.ErrProtocol, "idle-time-out is less than 100ms"},
		{"when the peer hangs up", nil, func(p *peer) { synctest.Wait(); p.nc.Close() }, io.EOF, "hung up"}, // and what we say was not cut off
		{"when the peer is silent", nil, func(p *peer) { time.Sleep(time.Hour) }, context.DeadlineExceeded, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, nc := newPeer(t)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				o := &amqpclient.Options{SASL: c.sasl, OnEnd: func(error) { t.Error("the end of what was not opened is told") }}
				opened := later(func() (*amqpclient.Conn, error) { return amqpclient.Open(ctx, nc, o) })
				c.send(p)
				_, err := opened.result(t)
				if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("Open returned %v", err)
				}
				synctest.Wait()
				if p.frames(); !p.closed {
					t.Error("the connection is not closed")
				}
			})
		})
	}
}

func TestTraceShowsAllButSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p, nc := newPeer(t)
		o := &amqpclient.Options{SASL: amqpclient.Plain("user", "hush"), Trace: func(sent bool, frame []byte) {
			if strings.Contains(string(frame), "hush") {
				t.Errorf("a secret is shown: %q", frame)
			}
			if frame[0] == 'A' {
				j.add("%v AMQP %d", sent, frame[4])
				return
			}
			text, err := frametext.Of(frame)
			if err != nil {
				t.Error(err)
			}
			j.add("%v %s", sent, strings.TrimSpace(text))
		}}
		c := later(func() (*amqpclient.Conn, error) { return amqpclient.Open(t.Context(), nc, o) })
		p.raw(headSASL)
		p.send(mechanisms("PLAIN"), sasl{&amqp10.SASLOutcome{}})
		p.raw(headAMQP)
		p.send(&amqp10.Open{ContainerID: []byte("peer")})
		s := later(func() (*amqpclient.Session, error) { return c.must(t).Begin(t.Context(), nil) })
		synctest.Wait()
		p.send(begin(0))
		for name, secret := range map[string]bool{"secret": true, "open": false} {
			l := later(func() (*amqpclient.Sender, error) {
				return s.must(t).Sender(t.Context(), &amqpclient.SenderOptions{Name: name, Secret: secret})
			})
			synctest.Wait()
			p.send(attach(name, 9, amqp10.RoleReceiver), linkFlow(9, 0, 10))
			payload := "plain"
			if secret {
				payload = "hush"
			}
			must[bool](t)(l.must(t).TrySend([]byte(payload), amqpclient.Outgoing{}))
			if !strings.Contains(strings.Join(p.frames(), ""), payload) {
				t.Error("the peer does not get the message")
			}
			later(func() (struct{}, error) { return struct{}{}, l.v.Detach(t.Context(), nil) })
			synctest.Wait()
			p.send(detach(9, nil))
		}
		c.v.Abort()
		<-c.v.Done()
		var transfers []string
		for _, line := range j.lines {
			if strings.Contains(line, "transfer") {
				transfers = append(transfers, line[:len("true transfer 0")]+line[strings.LastIndex(line, " format=0"):])
			}
		}
		// The map has them in any order.
		if len(transfers) == 2 && transfers[0] > transfers[1] {
			transfers[0], transfers[1] = transfers[1], transfers[0]
		}
		if diff := cmp.Diff([]string{"true transfer 0 format=0", "true transfer 0 format=0 plain"}, transfers); diff != "" {
			t.Errorf("transfers (-want +got):\n%s", diff)
		}
		want := []string{"true AMQP 3", "false AMQP 3", "false mechanisms PLAIN", `true init PLAIN ""`, "false outcome 0", "true AMQP 0", "true open hubwire", "false AMQP 0", "false open peer"}
		if diff := cmp.Diff(want, j.lines[:len(want)]); diff != "" {
			t.Errorf("the beginning (-want +got):\n%s", diff)
		}
	})
}
