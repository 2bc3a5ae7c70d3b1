package device_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/ws"
)

func TestUploadsGoThroughTheProxy(t *testing.T) {
	ways := func(p *testkit.Proxy) map[string]func(*device.Options) device.Transport {
		all := proxied(p, testkit.ProxyUser())
		maps.Copy(all, proxiedHTTPS(p, testkit.ProxyUser()))
		return all
	}
	for name := range ways(nil) {
		t.Run(name, func(t *testing.T) {
			over(t, device.Transport{}, hub.Config{}, func(t *testing.T, b *bench) {
				p := &testkit.Proxy{Up: b.hub.Dial}
				o := b.options(nil)
				c, err := device.Dial(t.Context(), b.device, ways(p)[name](o), o)
				if err != nil {
					t.Fatal(err)
				}
				p.Become(testkit.ProxySays("407 Proxy Authentication Required"))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err = c.InitiateUpload(ctx, "x")
				var pe *ws.ProxyError
				if e, ok := errors.AsType[*hubwire.Error](err); !ok || e.Outcome != hubwire.NotSent || !errors.As(err, &pe) || pe.Status != 407 {
					t.Errorf("while the proxy refuses: %v", err)
				}
				before := p.Become(nil)
				u := initiate(t, c, "x")
				if err := write(t.Context(), c, u, "body"); err != nil {
					t.Fatal(err)
				}
				if err := c.CompleteUpload(t.Context(), u.CorrelationID); err != nil {
					t.Fatal(err)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				// One connection to the hub and one to the account, which here is the same host.
				if got := p.Asked()[before:]; !slices.Equal(got, []string{"CONNECT localhost:443", "CONNECT localhost:443"}) {
					t.Errorf("asked for %q", got)
				}
				p.End(t)
			})
		})
	}
}

func TestPortsOfUploads(t *testing.T) {
	for name, c := range map[string]struct {
		transport       device.Transport
		port, httpsPort int
		want            string
	}{
		"beside MQTT":                          {device.MQTT(nil), 0, 0, "443"},
		"beside MQTT on a port of its own":     {device.MQTT(nil), 8883, 0, "443"},
		"on a port of their own":               {device.MQTT(nil), 0, 443, "443"},
		"beside a WebSocket":                   {device.MQTTWebSocket(nil), 443, 0, "443"},
		"beside a WebSocket, on another port":  {device.MQTTWebSocket(nil), 0, 8443, "8443"},
		"beside telemetry over HTTPS, on that": {device.HTTPS(nil), 443, 0, "443"},
	} {
		t.Run(name, func(t *testing.T) {
			over(t, c.transport, hub.Config{}, func(t *testing.T, b *bench) {
				var last atomic.Value
				client := b.dial(b.device, func(o *device.Options) {
					o.Port, o.HTTPSPort = c.port, c.httpsPort
					o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
						_, port, _ := net.SplitHostPort(addr)
						last.Store(port)
						if port == "8443" {
							addr = "localhost:443"
						}
						return b.hub.Dial(ctx, network, addr)
					}
				})
				u := initiate(t, client, "x")
				if last.Load() != c.want {
					t.Errorf("the port is %v", last.Load())
				}
				// The hub tells the device of the account as the device has found the hub.
				if err := write(t.Context(), client, u, "body"); err != nil || last.Load() != c.want {
					t.Errorf("storage: %v, by port %v", err, last.Load())
				}
			})
		})
	}
}

func TestUploadsSpeakHTTPWhateverTheClientSpeaks(t *testing.T) {
	over(t, device.MQTT(nil), hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, func(o *device.Options) {
			o.TLSConfig = o.TLSConfig.Clone()
			o.TLSConfig.NextProtos = []string{"mqtt", "h2"} // of which an HTTPS door knows none
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		u, err := c.InitiateUpload(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		if err := write(ctx, c, u, "body"); err != nil {
			t.Error(err)
		}
	})
}

func TestAStorageConnectionThatStallsIsLost(t *testing.T) {
	for name, body := range map[string]string{"a small body": "body", "a large body": strings.Repeat("x", 4<<20)} {
		t.Run(name, func(t *testing.T) {
			over(t, device.MQTT(nil), hub.Config{}, func(t *testing.T, b *bench) {
				holes := make(chan *testkit.Hole, 10)
				c := b.dial(b.device, b.throughHoles(holes))
				u := initiate(t, c, "x")
				if err := write(t.Context(), c, u, "body"); err != nil {
					t.Fatal(err)
				}
				for len(holes) > 0 {
					(<-holes).Swallow(true)
				}
				start := time.Now()
				if err := write(t.Context(), c, u, body); err == nil || time.Since(start) > 2*time.Minute {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				if err := write(t.Context(), c, u, body); err != nil {
					t.Errorf("on another connection: %v", err)
				}
			})
		})
	}
}

type deaf struct {
	net.Conn
	stalled *atomic.Bool
	closed  chan struct{}
	once    sync.Once
}

func (d *deaf) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if d.stalled.Load() {
		<-d.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (d *deaf) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.Conn.Close()
}

func TestAnAnswerOfStorageThatStallsIsLost(t *testing.T) {
	over(t, device.MQTT(nil), hub.Config{}, func(t *testing.T, b *bench) {
		var stalled atomic.Bool
		c := b.dial(b.device, func(o *device.Options) {
			dial := o.Dial
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := dial(ctx, network, addr)
				if err == nil && strings.HasSuffix(addr, ":443") {
					nc = &deaf{Conn: nc, stalled: &stalled, closed: make(chan struct{})}
				}
				return nc, err
			}
		})
		u := initiate(t, c, "x")
		if err := write(t.Context(), c, u, strings.Repeat("x", 4<<20)); err != nil {
			t.Fatal(err)
		}
		read := func(middle func()) error {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.URL.Reveal(), nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := c.StorageTransport().RoundTrip(r)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if _, err := io.CopyN(io.Discard, res.Body, 1000); err != nil {
				return err
			}
			for range 2 {
				middle()
				if _, err := io.CopyN(io.Discard, res.Body, 1<<20); err != nil {
					return err
				}
			}
			_, err = io.Copy(io.Discard, res.Body)
			return err
		}
		start := time.Now()
		if err := read(func() { stalled.Store(true) }); !errors.Is(err, net.ErrClosed) || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		stalled.Store(false)
		if err := read(func() { time.Sleep(50 * time.Second) }); err != nil { // it is the reader that is slow
			t.Errorf("on another connection: %v", err)
		}
	})
}
