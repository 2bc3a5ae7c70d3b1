package service_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/service"
)

// TestAMQPGoesThroughTheProxy has AMQP and AMQP over WebSockets, to the hub and to its endpoint.
func TestAMQPGoesThroughTheProxy(t *testing.T) {
	for name, tt := range map[string]struct {
		web  bool
		asks string
	}{"amqp": {false, "CONNECT localhost:5671"}, "amqp-ws": {true, "CONNECT localhost:443"}} {
		t.Run(name, func(t *testing.T) {
			onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, _ *service.Client) {
				p := &testkit.Proxy{Up: h.Dial}
				c := clientOf(t, h, "service", func(o *service.Options) {
					o.Dial, o.Proxy, o.AMQPWebSocket = p.Dial, testkit.ProxyURL(testkit.ProxyUser()), tt.web
				})
				if _, err := c.EventHubInfo(t.Context()); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{tt.asks, tt.asks}, p.Asked()); diff != "" {
					t.Errorf("asked for (-want +got):\n%s", diff)
				}
				c.Close()
				p.End(t)
			})
		})
	}
}

// TestRoadsThatAMQPCannotTake are refused at once, and others are tried again.
func TestRoadsThatAMQPCannotTake(t *testing.T) {
	allowed := testkit.ProxyUser()
	for name, tt := range map[string]struct {
		proxy   *url.URL
		behaves func(net.Conn)
		change  func(*service.Options)
		says    string
		retry   bool
	}{
		"a wrong password":               {proxy: testkit.ProxyURL(url.UserPassword("u", "secret")), says: "407"},
		"a proxy that forbids":           {proxy: testkit.ProxyURL(allowed), behaves: testkit.ProxySays("403 Forbidden"), says: "403"},
		"a proxy that is busy":           {proxy: testkit.ProxyURL(allowed), behaves: testkit.ProxySays("503 Service Unavailable"), says: "503", retry: true},
		"a proxy that hangs up":          {proxy: testkit.ProxyURL(allowed), behaves: func(net.Conn) {}, says: "EOF", retry: true},
		"a proxy of SOCKS":               {proxy: &url.URL{Scheme: "socks5", Host: "proxy.example:1080"}, says: "socks5"},
		"an authority that nobody knows": {change: func(o *service.Options) { o.TLSConfig = nil }, says: "certificate"},
		"a port where nobody is":         {change: func(o *service.Options) { o.AMQPPort, o.Port = 1, 1 }, says: "refused", retry: true},
		"a dial that panics": {change: func(o *service.Options) {
			o.Dial = func(context.Context, string, string) (net.Conn, error) { panic("the program's own") }
		}, says: "the program's own", retry: true},
		"a dial that gives nothing": {change: func(o *service.Options) {
			o.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, nil }
		}, says: "neither", retry: true},
		"a verification that panics": {change: func(o *service.Options) {
			o.TLSConfig = o.TLSConfig.Clone()
			o.TLSConfig.VerifyConnection = func(tls.ConnectionState) error { panic("the program's own") }
		}, says: "the program's own", retry: true},
	} {
		for way, web := range map[string]bool{"amqp": false, "amqp-ws": true} {
			t.Run(name+"/"+way, func(t *testing.T) {
				onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, _ *service.Client) {
					p := &testkit.Proxy{Up: h.Dial}
					p.Become(tt.behaves)
					c := clientOf(t, h, "service", func(o *service.Options) {
						if o.AMQPWebSocket = web; tt.proxy != nil {
							o.Dial, o.Proxy = p.Dial, tt.proxy
						}
						if tt.change != nil {
							tt.change(o)
						}
					})
					start := time.Now()
					e := errorOf(t, c.SendC2D(t.Context(), dev, &hubwire.Message{}))
					if e.Outcome != hubwire.NotSent || e.Retryable != tt.retry || !strings.Contains(e.Error(), tt.says) || strings.Contains(e.Error(), "secret") {
						t.Error(e)
					}
					if took := time.Since(start); took > 4*time.Minute || !tt.retry && took > 0 {
						t.Errorf("it took %v", took)
					}
					c.Close()
					p.End(t)
				})
			})
		}
	}
}

// TestAProxyThatWantsTLS is one of scheme https.
func TestAProxyThatWantsTLS(t *testing.T) {
	proxyName := "proxy.example"
	cert := testkit.Certificate(proxyName)
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, _ *service.Client) {
		p := &testkit.Proxy{Up: h.Dial}
		hubtest.Device(t, h, "dev-1")
		c := clientOf(t, h, "service", func(o *service.Options) {
			o.TLSConfig.RootCAs = o.TLSConfig.RootCAs.Clone()
			o.TLSConfig.RootCAs.AddCert(cert.Leaf)
			o.Proxy = &url.URL{Scheme: "https", Host: proxyName, User: testkit.ProxyUser()}
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if addr != proxyName+":443" {
					t.Errorf("it dials %s", addr)
				}
				plain, err := p.Dial(ctx, network, testkit.ProxyURL(nil).Host)
				if err != nil {
					return nil, err
				}
				client, server := testkit.Pipe()
				front := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{cert}})
				go func() { io.Copy(plain, front); plain.Close() }()
				go func() { io.Copy(front, plain); front.Close() }()
				return client, nil
			}
		})
		if err := c.SendC2D(t.Context(), dev, &hubwire.Message{}); err != nil {
			t.Fatal(err)
		}
		c.Close()
		p.End(t)
	})
}

// TestTokensThatAMQPCannotUse end a call, or are asked for again.
func TestTokensThatAMQPCannotUse(t *testing.T) {
	broken := errors.New("no network to the issuer")
	for name, tt := range map[string]struct {
		token func(n int) (string, time.Time, error)
		code  hubwire.Code
		is    error
		ok    bool
	}{
		"a source that fails for a while": {ok: true},
		"a source that fails for good":    {token: func(int) (string, time.Time, error) { return "", time.Time{}, broken }, is: broken},
		"a token that the hub refuses":    {token: func(int) (string, time.Time, error) { return "Bearer x", time.Time{}, nil }, code: hubwire.Unauthorized},
		"a token that has expired": {token: func(int) (string, time.Time, error) {
			return shortToken, time.Now().Add(-time.Minute), nil
		}, code: hubwire.Unauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, _ *service.Client) {
				hubtest.Device(t, h, "dev-1")
				cs, err := h.PolicyConnectionString("service")
				if err != nil {
					t.Fatal(err)
				}
				cred, err := service.CredentialsFromConnectionString(cs)
				if err != nil {
					t.Fatal(err)
				}
				asked, good := 0, cred.Tokens
				cred.Tokens = tokenFunc(func(ctx context.Context, audience string) (string, time.Time, error) {
					asked++
					if tt.token != nil {
						return tt.token(asked)
					}
					if asked < 4 {
						return "", time.Time{}, broken
					}
					return good.Token(ctx, audience)
				})
				c, err := service.NewWithCredentials(cred, &service.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()})
				if err != nil {
					t.Fatal(err)
				}
				closedInTheEnd(t, c)
				err = c.SendC2D(t.Context(), dev, &hubwire.Message{})
				if tt.ok {
					if err != nil {
						t.Error(err)
					}
					return
				}
				if e := errorOf(t, err); e.Outcome == hubwire.Unknown || tt.code != 0 && e.Code != tt.code || tt.is != nil && !errors.Is(e, tt.is) {
					t.Errorf("after asking %d times: %v", asked, err)
				}
			})
		})
	}
}

type tokenFunc func(ctx context.Context, audience string) (string, time.Time, error)

func (f tokenFunc) Token(ctx context.Context, audience string) (string, time.Time, error) {
	return f(ctx, audience)
}

// TestAFileNotification has a device upload a file.
func TestAFileNotification(t *testing.T) {
	overAMQP(t, hub.Config{DataDir: t.TempDir()}, func(t *testing.T, h *hub.Hub, c *service.Client, dials *dialled) {
		ctx := t.Context()
		hubtest.Device(t, h, "dev-1")
		d := online(t, h, dev)
		upload(t, d, "a.txt", "twelve bytes")
		f, err := c.ReceiveFileNotification(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if f.DeviceID != "dev-1" || f.BlobName != "dev-1/a.txt" || f.Size != 12 || f.BlobURI == "" || f.LastUpdated.IsZero() || f.Enqueued.IsZero() {
			t.Errorf("%+v", f)
		}
		dials.cut()
		for f, err := range c.FileNotifications(ctx) { // it comes again
			if err != nil || f.BlobName != "dev-1/a.txt" {
				t.Fatalf("%+v, %v", f, err)
			}
			if err := f.Complete(ctx); err != nil {
				t.Error(err)
			}
			break
		}
		if err := f.Complete(ctx); !errors.Is(err, hubwire.MessageLockLost) {
			t.Errorf("the first delivery: %v", err)
		}
		short, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		if f, err := c.ReceiveFileNotification(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v, %v", f, err)
		}
	})
}

// upload puts a file where a device wants it.
func upload(t *testing.T, d *device.Client, name, body string) {
	t.Helper()
	u, err := d.InitiateUpload(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, u.URL.Reveal(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("x-ms-blob-type", "BlockBlob")
	res, err := d.StorageTransport().RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if err := d.CompleteUpload(t.Context(), u.CorrelationID); err != nil {
		t.Fatal(err)
	}
}
