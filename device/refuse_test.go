package device_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

// tokens is a [sas.TokenSource].
type tokens func() (string, time.Time, error)

func (f tokens) Token(context.Context, string) (string, time.Time, error) { return f() }

// token makes a token for a resource with a device's key.
func (b *bench) token(resource string, of hubwire.Identity, expires time.Time) tokens {
	b.t.Helper()
	d, err := b.hub.Device(of)
	if err != nil {
		b.t.Fatal(err)
	}
	key, err := sas.NewKey(sas.Secret(d.PrimaryKey))
	if err != nil {
		b.t.Fatal(err)
	}
	text, err := sas.AppendToken(b.t.Context(), nil, key, resource, "", expires)
	return func() (string, time.Time, error) { return string(text), expires, err }
}

func (b *bench) credentials(id hubwire.Identity, t sas.TokenSource) device.Credentials {
	return device.Credentials{HostName: b.hub.HostName(), Identity: id, Tokens: t}
}

func TestARefusedLoginEndsDialAtOnce(t *testing.T) {
	other := hubwire.Identity{DeviceID: "dev-2"}
	for name, credentials := range map[string]func(*bench) device.Credentials{
		"a wrong key": func(b *bench) device.Credentials {
			return b.credentials(dev, b.token("localhost/devices/dev-1", other, time.Now().Add(time.Hour)))
		},
		"an expired token": func(b *bench) device.Credentials {
			return b.credentials(dev, b.token("localhost/devices/dev-1", dev, time.Now().Add(-time.Hour)))
		},
		"another device's token": func(b *bench) device.Credentials {
			return b.credentials(dev, b.token("localhost/devices/dev-2", other, time.Now().Add(time.Hour)))
		},
		"an unknown device": func(b *bench) device.Credentials {
			return b.credentials(hubwire.Identity{DeviceID: "nobody"}, b.token("localhost/devices/nobody", dev, time.Now().Add(time.Hour)))
		},
		"a disabled device": func(b *bench) device.Credentials {
			d, err := b.hub.Device(dev)
			if err != nil {
				b.t.Fatal(err)
			}
			d.Disabled = true
			if _, err := b.hub.Update(b.t.Context(), d, ""); err != nil {
				b.t.Fatal(err)
			}
			return b.credentials(dev, b.token("localhost/devices/dev-1", dev, time.Now().Add(time.Hour)))
		},
		"no token": func(b *bench) device.Credentials {
			return b.credentials(dev, tokens(func() (string, time.Time, error) { return "", time.Time{}, nil }))
		},
		"a token source that is certain": func(b *bench) device.Credentials {
			return b.credentials(dev, tokens(func() (string, time.Time, error) {
				return "", time.Time{}, &hubwire.Error{Code: hubwire.Unauthorized, Outcome: hubwire.NotSent}
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
				if _, err := b.hub.Create(t.Context(), &hub.Device{Identity: other}); err != nil {
					t.Fatal(err)
				}
				var l stateLog
				start := time.Now()
				c, err := device.DialCredentials(t.Context(), credentials(b), b.transport, b.options(l.watched))
				var e *hubwire.Error
				if name == "no token" && !b.mqtt() && errors.Is(err, hubwire.ArgumentInvalid) {
					return // who puts a token must have one
				}
				if c != nil || !errors.As(err, &e) || e.Op != "dial" || e.Retryable ||
					e.Code != hubwire.Unauthorized && (b.transport.String() != "https" || e.Code != hubwire.UnauthorizedAccess && e.Code != hubwire.DeviceDisabled) { // HTTPS says more
					t.Errorf("%v", err)
				}
				if d := time.Since(start); d > time.Second { // the back-off of the one retry that an expired token gets
					t.Errorf("it took %v", d)
				}
				states, _ := l.told()
				if last := states[len(states)-1]; last != device.Closed {
					t.Errorf("the last state is %v", last)
				}
			})
		})
	}
}

func TestARefusalLaterOnEndsTheClient(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		var l stateLog
		c := b.dial(b.device, l.watched)
		received := make(chan error)
		go func() { _, err := c.Receive(t.Context()); received <- err }()
		synctest.Wait() // else the link that it waits for may be refused before the Client ends
		if err := b.hub.Delete(t.Context(), dev); err != nil {
			t.Fatal(err)
		}
		<-c.Done()
		var e *hubwire.Error
		if err := c.Err(); !errors.As(err, &e) || !errors.Is(err, hubwire.Unauthorized) || c.State() != device.Closed {
			t.Errorf("%v, %v", c.State(), err)
		}
		for name, err := range map[string]error{
			"receive": <-received, "send": c.Send(t.Context(), &hubwire.Message{}),
			"handle method": c.HandleMethod(t.Context(), "m", echo),
		} {
			if !errors.As(err, &e) || e.Op != name || !errors.Is(err, hubwire.Unauthorized) || !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, reasons := l.told()
		if reason := reasons[len(reasons)-1]; !errors.Is(reason, hubwire.Unauthorized) {
			t.Errorf("it was closed for %v", reason)
		}
	})
}

func TestATokenWithoutAKeyLastsUntilItExpires(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		text, _, err := b.token("localhost/devices/dev-1", dev, time.Now().Add(time.Hour))()
		if err != nil {
			t.Fatal(err)
		}
		c := b.dial("HostName=localhost;DeviceId=dev-1;SharedAccessSignature="+text, nil)
		time.Sleep(time.Hour)
		if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
			t.Errorf("while the hub allows for clocks that differ: %v", err)
		}
		start := time.Now()
		<-c.Done()
		if d := time.Since(start); d > 11*time.Minute || !errors.Is(c.Err(), sas.ErrExpired) || !errors.Is(c.Err(), hubwire.Unauthorized) {
			t.Errorf("after %v: %v", d, c.Err())
		}
	})
}

func TestTroubleThatCanPassIsRetried(t *testing.T) {
	var refusals atomic.Int32
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		if op.Kind == hub.OpConnect && refusals.Add(1)%6 != 0 {
			return hub.Verdict{Refuse: hubwire.ServiceUnavailable}
		}
		return hub.Verdict{}
	}}
	overEach(t, cfg, func(t *testing.T, b *bench) {
		var l stateLog
		unsure := 3
		key := b.token("localhost/devices/dev-1", dev, time.Now().Add(time.Hour))
		source := tokens(func() (string, time.Time, error) {
			if unsure--; unsure >= 0 {
				return "", time.Time{}, errors.New("the module that signs is busy")
			}
			return key()
		})
		dials := 0
		c, err := device.DialCredentials(t.Context(), b.credentials(dev, source), b.transport, b.options(func(o *device.Options) {
			l.watched(o)
			dial := o.Dial
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dials++; dials <= 3 {
					return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("no route")}
				}
				return dial(ctx, network, addr)
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		synctest.Wait() // Dial does not wait for the hook
		var texts []string
		_, reasons := l.told()
		for _, reason := range reasons {
			texts = append(texts, fmt.Sprint(reason))
		}
		all := strings.Join(texts, "\n")
		for _, want := range []string{"busy", "no route", "ServiceUnavailable", "<nil>"} {
			if !strings.Contains(all, want) {
				t.Errorf("no reason tells of %q:\n%s", want, all)
			}
		}
	})
}

func TestDialEndsWithItsContext(t *testing.T) {
	hang := func(b *bench) *device.Options {
		return b.options(func(o *device.Options) {
			o.Dial = func(context.Context, string, string) (net.Conn, error) {
				nc, _ := testkit.Pipe() // whose other end nobody serves
				return nc, nil
			}
		})
	}
	refuse := func(b *bench) *device.Options {
		return b.options(func(o *device.Options) { o.Port = 1 })
	}
	mute := func(b *bench) *device.Options { // TLS, and then nothing
		return b.options(nil)
	}
	for name, options := range map[string]func(*bench) *device.Options{
		"a server that accepts and says nothing": hang, "a port that nobody serves": refuse, "a hub that does not answer": mute,
	} {
		t.Run(name, func(t *testing.T) {
			cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
				return hub.Verdict{SwallowAck: op.Kind == hub.OpConnect}
			}}
			overEach(t, cfg, func(t *testing.T, b *bench) {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
				defer cancel()
				start := time.Now()
				_, err := device.Dial(ctx, b.device, b.transport, options(b))
				var e *hubwire.Error
				if !errors.As(err, &e) || !errors.Is(err, context.DeadlineExceeded) || e.Op != "dial" || e.Outcome != hubwire.NotSent || !e.Retryable {
					t.Errorf("%v", err)
				}
				if d := time.Since(start); d > 101*time.Second {
					t.Errorf("it took %v", d)
				}
			})
		})
	}
}

func TestAServerCertificateThatDoesNotVerifyEndsTheFirstDial(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		start := time.Now()
		_, err := device.Dial(t.Context(), b.device, b.transport, b.options(func(o *device.Options) {
			o.TLSConfig = &tls.Config{RootCAs: x509.NewCertPool()}
		}))
		var e *hubwire.Error
		var v *tls.CertificateVerificationError
		if !errors.As(err, &e) || !errors.As(err, &v) || e.Retryable || e.Op != "dial" || e.Outcome != hubwire.NotSent || time.Since(start) > 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}

		// Later on it is a network that meddles, and may stop.
		var meddle atomic.Bool
		c := b.dial(b.device, func(o *device.Options) {
			pool := o.TLSConfig.RootCAs
			o.TLSConfig.InsecureSkipVerify = true
			o.TLSConfig.VerifyConnection = func(cs tls.ConnectionState) error {
				roots := pool
				if meddle.Load() {
					roots = x509.NewCertPool()
				}
				if _, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: cs.ServerName}); err != nil {
					return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
				}
				return nil
			}
		})
		meddle.Store(true)
		b.hub.Disconnect(dev)
		time.Sleep(10 * time.Minute)
		if s := c.State(); s != device.Connecting {
			t.Errorf("the state is %v: %v", s, c.Err())
		}
		meddle.Store(false)
		b.awaitConnected(c)
	})
}

func TestDialRefusesWhatCannotWork(t *testing.T) {
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		for name, dial := range map[string]func() (*device.Client, error){
			"an empty connection string": func() (*device.Client, error) {
				return device.Dial(t.Context(), "", b.transport, b.options(nil))
			},
			"a policy's connection string": func() (*device.Client, error) {
				return device.Dial(t.Context(), "HostName=h;SharedAccessKeyName=p;SharedAccessKey=AAAA", b.transport, b.options(nil))
			},
			"x509=true without a certificate": func() (*device.Client, error) {
				return device.Dial(t.Context(), "HostName=h;DeviceId=d;x509=true", b.transport, b.options(nil))
			},
			"a port in the host name": func() (*device.Client, error) {
				return device.Dial(t.Context(), "HostName=h:8883;DeviceId=d;SharedAccessKey=AAAA", b.transport, b.options(nil))
			},
			"the zero Transport": func() (*device.Client, error) {
				return device.Dial(t.Context(), b.device, device.Transport{}, b.options(nil))
			},
			"no credentials": func() (*device.Client, error) {
				return device.DialCredentials(t.Context(), device.Credentials{}, b.transport, b.options(nil))
			},
			"an option beyond its limit": func() (*device.Client, error) {
				return device.Dial(t.Context(), b.device, b.transport, b.options(func(o *device.Options) { o.Window = -1 }))
			},
			"a will that the hub would refuse": func() (*device.Client, error) {
				b.adjust(device.MQTTOptions{Will: &hubwire.Message{Properties: []hubwire.Property{{}}}})
				return device.Dial(t.Context(), b.device, b.transport, b.options(nil))
			},
			"a will that no packet can hold": func() (*device.Client, error) {
				b.adjust(device.MQTTOptions{Will: &hubwire.Message{Body: make([]byte, 1<<17)}})
				return device.Dial(t.Context(), b.device, b.transport, b.options(nil))
			},
		} {
			c, err := dial()
			var e *hubwire.Error
			if c != nil || !errors.As(err, &e) || e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.NotSent || e.Retryable {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
