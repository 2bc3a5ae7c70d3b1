package device_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

func TestThePacketHookSeesAllButSecrets(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		seen := map[bool][]byte{}
		c := b.dial(b.device, func(o *device.Options) {
			o.Hooks = &device.Hooks{Packet: func(sent bool, p []byte) {
				mu.Lock()
				defer mu.Unlock()
				seen[sent] = append(seen[sent], p...)
			}}
		})
		if err := c.Send(t.Context(), &hubwire.Message{Body: []byte("telemetry")}); err != nil {
			t.Fatal(err)
		}
		b.tell(dev, "command")
		b.receive(c, "command")
		mu.Lock()
		defer mu.Unlock()
		if !bytes.Contains(seen[true], []byte("telemetry")) || !bytes.Contains(seen[false], []byte("command")) {
			t.Errorf("sent %q, received %q", seen[true], seen[false])
		}
		if bytes.Contains(seen[true], []byte("SharedAccessSignature")) || bytes.Contains(seen[true], []byte("sig=")) {
			t.Error("the token shows")
		}
	})
}

func TestAPanicInAnyFunctionOfTheProgramIsContained(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		told := map[any]bool{}
		c := b.dial(b.device, func(o *device.Options) {
			o.Hooks = &device.Hooks{
				State:  func(device.State, error) { panic("state") },
				Packet: func(bool, []byte) { panic("packet") },
				HandlerPanic: func(v any, _ []byte) {
					mu.Lock()
					defer mu.Unlock()
					told[v] = true
					panic("and this too")
				},
			}
		})
		if err := c.SendAsync(t.Context(), &hubwire.Message{}, func(error) { panic("done") }); err != nil {
			t.Fatal(err)
		}
		b.next()
		b.hub.Disconnect(dev)
		b.awaitConnected(c)
		if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		for _, where := range []string{"state", "packet", "done"} {
			if !told[where] {
				t.Errorf("nobody was told of the panic in %s: %v", where, told)
			}
		}
	})
}

func TestAPanicInAFunctionThatAConnectionNeedsFailsThatAttempt(t *testing.T) {
	for name, spoil := range map[string]func(*device.Credentials, *device.Options, func()){
		"the token source": func(cred *device.Credentials, _ *device.Options, mayPanic func()) {
			cred.Tokens = tokens(func(next func() (string, time.Time, error)) tokens {
				return func() (string, time.Time, error) { mayPanic(); return next() }
			}(cred.Tokens.(tokens)))
		},
		"Dial": func(_ *device.Credentials, o *device.Options, mayPanic func()) {
			next := o.Dial
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				mayPanic()
				return next(ctx, network, addr)
			}
		},
		"a verification of TLS": func(_ *device.Credentials, o *device.Options, mayPanic func()) {
			o.TLSConfig.VerifyConnection = func(tls.ConnectionState) error { mayPanic(); return nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
				op := "connect"
				if name == "the token source" && !b.mqtt() {
					op = "put-token"
				}
				var l stateLog
				told := make(chan any, 100)
				cred := b.credentials(dev, b.token("localhost/devices/dev-1", dev, time.Now().Add(time.Hour)))
				panics := 2
				o := b.options(func(o *device.Options) {
					l.watched(o)
					o.Hooks.HandlerPanic = func(v any, _ []byte) { told <- v }
				})
				spoil(&cred, o, func() {
					if panics--; panics >= 0 {
						panic(name)
					}
				})
				c, err := device.DialCredentials(t.Context(), cred, b.transport, o)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				panics = 2
				b.hub.Disconnect(dev)
				b.awaitConnected(c)
				if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if n := len(told); n != 4 {
					t.Errorf("told of %d panics", n)
				} else if first := <-told; first != name {
					t.Errorf("told of %v", first)
				}
				failed := 0
				_, reasons := l.told()
				for _, reason := range reasons {
					if e, ok := errors.AsType[*hubwire.Error](reason); ok && e.Op == op && e.Retryable && e.Outcome == hubwire.NotSent && strings.Contains(reason.Error(), "panicked") {
						failed++
					}
				}
				if failed != 4 {
					t.Errorf("reasons %v", reasons)
				}
			})
		})
	}
	t.Run("GetClientCertificate", func(t *testing.T) {
		overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
			cert, thumbprint := selfSigned(t)
			calls, told := 0, make(chan any, 100)
			c, err := b.dialX509(&hub.Device{Auth: hub.AuthSelfSigned, PrimaryThumbprint: thumbprint}, func() *tls.Certificate {
				if calls++; calls <= 2 {
					panic("no key")
				}
				return cert
			}, func(o *device.Options) {
				o.Hooks = &device.Hooks{HandlerPanic: func(v any, _ []byte) { told <- v }}
			})
			synctest.Wait()
			if err != nil || len(told) != 2 {
				t.Fatalf("told of %d panics, %v", len(told), err)
			}
			b.works(c, "with a certificate")
		})
	})
}

// brokenCache is a cache of TLS sessions that panics, which TLS 1.3 calls in the middle of a Read.
type brokenCache struct{}

func (brokenCache) Get(string) (*tls.ClientSessionState, bool) { panic("Get") }
func (brokenCache) Put(string, *tls.ClientSessionState)        { panic("Put") }

func TestACacheOfTLSSessionsThatPanicsIsDoneWithout(t *testing.T) {
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		told := make(chan any, 100)
		c := b.dial(b.device, func(o *device.Options) {
			o.TLSConfig.ClientSessionCache = brokenCache{}
			o.Hooks = &device.Hooks{HandlerPanic: func(v any, _ []byte) { told <- v }, State: func(_ device.State, reason error) {
				if reason != nil {
					t.Errorf("the connection was lost: %v", reason)
				}
			}}
		})
		if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		heard := map[any]bool{}
		for range len(told) {
			heard[<-told] = true
		}
		if !maps.Equal(heard, map[any]bool{"Get": true, "Put": true}) {
			t.Errorf("told of %v", heard)
		}
	})
}

// HandlerPanic is a hook like others, wherever the panic was.
func TestCloseInHandlerPanic(t *testing.T) {
	for _, where := range []string{"Read", "Write", "Close", "Packet", "State", "done"} {
		t.Run(where, func(t *testing.T) {
			overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
				var on atomic.Bool
				panics := func(in string) {
					if in == where && on.CompareAndSwap(true, false) {
						panic(in)
					}
				}
				closed := make(chan error, 1)
				var c *device.Client
				c = b.dial(b.device, func(o *device.Options) {
					o.Hooks = &device.Hooks{
						Packet:       func(bool, []byte) { panics("Packet") },
						State:        func(device.State, error) { panics("State") },
						HandlerPanic: func(any, []byte) { closed <- c.Close() },
					}
					next := o.Dial
					o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
						nc, err := next(ctx, network, addr)
						odd := &oddConn{Conn: nc, on: &on, close: func(nc net.Conn) error { err := nc.Close(); panics("Close"); return err }}
						switch where {
						case "Read":
							odd.read = func(net.Conn, []byte) (int, error) { panics("Read"); return 0, net.ErrClosed }
						case "Write":
							odd.write = func([]byte) (int, error) { panics("Write"); return 0, net.ErrClosed }
						}
						return odd, err
					}
				})
				on.Store(true)
				if where == "Close" || where == "State" {
					b.hub.Disconnect(dev)
				} else if err := c.SendAsync(t.Context(), &hubwire.Message{}, func(error) { panics("done") }); err != nil {
					t.Fatal(err)
				}
				if err := <-closed; err != nil {
					t.Error(err)
				}
				<-c.Done()
			})
		})
	}
}
