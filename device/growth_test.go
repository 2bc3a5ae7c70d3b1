package device_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

// trouble is a way in which attempts to connect fail, while it is on.
type trouble struct {
	name string
	on   atomic.Bool

	dials, logins atomic.Int32                                           // over AMQP a refusal leaves the connection
	dial          func(b *bench, network, addr string) (net.Conn, error) // nil: the hub's
	hub           func(op *hub.Op) hub.Verdict                           // nil: lets pass
	tls           error                                                  // what the certificate is refused with
}

var errUntrusted = &tls.CertificateVerificationError{Err: errors.New("on purpose")}

// troubles are those that can pass: a Client that was connected goes on trying.
func troubles() []*trouble {
	refuse := func(kind hub.OpKind, v hub.Verdict) func(*hub.Op) hub.Verdict {
		return func(op *hub.Op) hub.Verdict {
			if op.Kind == kind {
				return v
			}
			return hub.Verdict{}
		}
	}
	return []*trouble{
		{name: "refused", dial: func(_ *bench, network, _ string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}},
		{name: "half-open", dial: func(*bench, string, string) (net.Conn, error) {
			client, _ := testkit.Pipe() // whose other end nobody serves
			return client, nil
		}},
		{name: "accepted and dropped", dial: func(*bench, string, string) (net.Conn, error) {
			client, server := testkit.Pipe()
			server.Close()
			return client, nil
		}},
		{name: "answered in another protocol", dial: func(*bench, string, string) (net.Conn, error) {
			client, server := testkit.Pipe()
			fmt.Fprint(server, "220 ready\r\n")
			server.Close()
			return client, nil
		}},
		{name: "TLS failed", tls: errUntrusted},
		{name: "TLS and then nothing", hub: refuse(hub.OpConnect, hub.Verdict{SwallowAck: true})},
		{name: "WebSocket refused, or cut", hub: func(op *hub.Op) hub.Verdict {
			switch op.Kind {
			case hub.OpTunnel:
				return hub.Verdict{Refuse: hubwire.ServiceUnavailable}
			case hub.OpConnect:
				return hub.Verdict{DropBefore: true}
			}
			return hub.Verdict{}
		}},
		{name: "throttled", hub: refuse(hub.OpConnect, hub.Verdict{Refuse: hubwire.Throttled})},
		{name: "logged in and dropped", hub: refuse(hub.OpConnect, hub.Verdict{DropAfter: true})},
	}
}

// config is of a hub that makes the trouble.
func (tr *trouble) config() hub.Config {
	return hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		if op.Kind == hub.OpConnect {
			tr.logins.Add(1)
		}
		if !tr.on.Load() || tr.hub == nil {
			return hub.Verdict{}
		}
		return tr.hub(op)
	}}
}

// options make a Client that has the trouble, and counts its attempts.
func (tr *trouble) options(b *bench) func(*device.Options) {
	return func(o *device.Options) {
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			tr.dials.Add(1)
			if tr.on.Load() && tr.dial != nil {
				return tr.dial(b, network, addr)
			}
			return b.hub.Dial(ctx, network, addr)
		}
		quick(o.TLSConfig, nil)
		o.TLSConfig.VerifyConnection = func(tls.ConnectionState) error {
			if tr.on.Load() {
				return tr.tls
			}
			return nil
		}
	}
}

// awaitAttempt waits for the next attempt, and until all is still that can be.
func (tr *trouble) awaitAttempt() {
	made := func() int32 { return tr.dials.Load() + tr.logins.Load() }
	for before := made(); made() == before; {
		time.Sleep(10 * time.Millisecond) // by the bubble's clock
	}
	synctest.Wait()
}

// minutes is for how long connecting fails, by the bubble's clock.
func minutes() int {
	if testkit.RaceEnabled { // which makes a TLS handshake slow
		return 3
	}
	return 5
}

func TestNothingGrowsWhileConnectingFails(t *testing.T) {
	for _, tr := range troubles() {
		t.Run(tr.name, func(t *testing.T) {
			overEach(t, tr.config(), func(t *testing.T, b *bench) {
				c := b.dial(b.device, func(o *device.Options) {
					tr.options(b)(o)
					o.MaxBackoff, o.ConnectTimeout = 2*time.Second, time.Second
				})
				for range 10 { // what waits for a connection is not what grows
					if err := c.SendAsync(t.Context(), &hubwire.Message{}, nil); err != nil {
						t.Fatal(err)
					}
				}
				tr.on.Store(true)
				defer tr.on.Store(false)
				b.hub.Disconnect(dev)
				time.Sleep(time.Minute)
				tr.dials.Store(0)
				tr.logins.Store(0)
				var g testkit.Growth
				for range minutes() {
					time.Sleep(time.Minute)
					g.Least(3, tr.awaitAttempt) // else a sample may be of a moment without a connection
				}
				// The fewest are over AMQP to a hub that answers no device: a connection is left for the next one after
				// three attaches, an end and two begins without an answer, which with the waits between them are 8 s.
				t.Logf("%d dials, %d logins", tr.dials.Load(), tr.logins.Load())
				if n := int(max(tr.dials.Load(), tr.logins.Load())); n < 8*minutes() || c.Err() != nil {
					t.Errorf("%d attempts in %d minutes; %v", n, minutes(), c.Err())
				}
				g.Check(t)
				tr.on.Store(false)
				b.awaitConnected(c)
			})
		})
	}
}

// TestNothingGrowsWhileDialFails has refusals that end a Dial at once.
func TestNothingGrowsWhileDialFails(t *testing.T) {
	for name, change := range map[string]func(*device.Options, *device.Credentials){
		"not authorized": func(_ *device.Options, c *device.Credentials) { c.Identity.DeviceID = "stranger" },
		"a certificate that does not verify": func(o *device.Options, _ *device.Credentials) {
			o.TLSConfig.VerifyConnection = func(tls.ConnectionState) error { return errUntrusted }
		},
		"a context that ends": func(o *device.Options, _ *device.Credentials) {
			o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				client, _ := testkit.Pipe()
				return client, nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
				cred := b.credentials(dev, b.token("localhost/devices/dev-1", dev, time.Now().Add(time.Hour)))
				o := b.options(nil)
				quick(o.TLSConfig, nil)
				change(o, &cred)
				var g testkit.Growth
				for range minutes() {
					for range 60 {
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						if c, err := device.DialCredentials(ctx, cred, b.transport, o); err == nil {
							c.Close()
							t.Error("it is connected")
						}
						cancel()
					}
					time.Sleep(time.Hour) // until then a stopped timer may hold on to the last connection
					g.Sample()
				}
				g.Check(t)
			})
		})
	}
}

func TestNothingGrowsWithSends(t *testing.T) {
	if testkit.RaceEnabled {
		t.Skip("it takes a minute then, and the same without the race detector sees what grows")
	}
	const logged, sends = 100_000, 100_000 // what a partition of the hub keeps; what is sent
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		m := &hubwire.Message{Body: make([]byte, 100)}
		async := func(n int) {
			var all sync.WaitGroup
			for range n {
				all.Add(1)
				err := c.SendAsync(t.Context(), m, func(err error) {
					if err != nil {
						t.Error(err)
					}
					all.Done()
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			all.Wait()
		}
		async(logged)
		var g testkit.Growth
		for range 10 {
			async(sends / 20)
			for range sends / 20 {
				if err := c.Send(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			g.Sample()
		}
		g.Check(t)
	})
}

// TestNothingGrowsWithRequests is the same with all that is asked and answered.
func TestNothingGrowsWithRequests(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		b.handle(c, "echo", echo)
		all := func() {
			t.Helper()
			_, twinErr := c.Twin(t.Context())
			_, reportErr := c.Report(t.Context(), map[string]int{"n": 1})
			_, callErr := b.invoke("echo", "1")
			b.tell(dev, "x")
			m := b.receive(c, "x")
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, cancelErr := c.Receive(ctx)
			for range c.Desired(t.Context()) {
				break
			}
			if err := errors.Join(twinErr, reportErr, callErr, m.Complete(t.Context())); err != nil || !errors.Is(cancelErr, context.Canceled) {
				t.Fatal(err, cancelErr)
			}
		}
		rounds := 100
		if testkit.RaceEnabled { // which makes each of them slow
			rounds = 30
		}
		for range 100 {
			all()
		}
		var g testkit.Growth
		for range 10 {
			for range rounds {
				all()
			}
			g.Sample()
		}
		g.Check(t)
	})
}
