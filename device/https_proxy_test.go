package device_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/ws"
)

// proxiedHTTPS is the ways through a proxy that HTTPS has: by its own option, and by Options.Dial.
func proxiedHTTPS(p *connectProxy, user *url.Userinfo) map[string]func(*device.Options) device.Transport {
	proxy := &url.URL{Scheme: "http", Host: proxyAddr, User: user}
	return map[string]func(*device.Options) device.Transport{
		"its own option": func(o *device.Options) device.Transport {
			o.Dial = p.dial
			return device.HTTPS(&device.HTTPSOptions{PollInterval: time.Second, Proxy: proxy})
		},
		"Options.Dial": func(o *device.Options) device.Transport {
			o.Dial = ws.ProxyDialer(proxy, p.dial)
			return device.HTTPS(&device.HTTPSOptions{PollInterval: time.Second})
		},
	}
}

func TestHTTPSThroughAProxyThatFailsAtTimes(t *testing.T) {
	for name, behaves := range map[string]func(net.Conn){
		"not at all": nil, "407 first": answer("407 Proxy Authentication Required"), "503": answer("503 Service Unavailable"),
		"a redirect": answer("302 Found\r\nLocation: http://elsewhere.example/"), "it hangs up": func(net.Conn) {}, "it stalls": stalling,
		"it leads nowhere": func(nc net.Conn) { answer("200 OK")(nc); stalling(nc) },
	} {
		for by := range proxiedHTTPS(nil, nil) {
			t.Run(name+" by "+by, func(t *testing.T) {
				over(t, device.Transport{}, hub.Config{}, func(t *testing.T, b *bench) {
					p := &connectProxy{hub: b.hub}
					o := b.options(nil)
					b.transport = proxiedHTTPS(p, proxyUser)[by](o)
					c, err := device.Dial(t.Context(), b.device, b.transport, o)
					if err != nil {
						t.Fatal(err)
					}
					b.works(c, "at first")
					time.Sleep(2 * time.Minute) // the connection goes
					p.become(behaves)
					sent := make(chan error, 1)
					go func() { sent <- c.Send(t.Context(), &hubwire.Message{ID: "after all", Body: []byte("x")}) }()
					time.Sleep(5 * time.Minute)
					p.become(nil)
					if err := <-sent; err != nil {
						t.Error(err)
					}
					if got := b.next().ID; got != "after all" {
						t.Errorf("the hub got %q", got)
					}
					if err := c.Close(); err != nil {
						t.Error(err)
					}
					p.end(t)
					if asked := p.requests(); asked[0] != "CONNECT localhost:443" || behaves != nil && len(asked) < 4 {
						t.Errorf("the proxy was asked for %q", asked)
					}
				})
			})
		}
	}
}

func TestHTTPSAProxyThatRefusesEndsTheFirstDial(t *testing.T) {
	for name, user := range map[string]*url.Userinfo{"a wrong password": url.UserPassword("u", "secret word"), "no user": nil} {
		for by := range proxiedHTTPS(nil, nil) {
			t.Run(name+" by "+by, func(t *testing.T) {
				over(t, device.Transport{}, hub.Config{}, func(t *testing.T, b *bench) {
					p := &connectProxy{hub: b.hub}
					o := b.options(nil)
					_, err := device.Dial(t.Context(), b.device, proxiedHTTPS(p, user)[by](o), o)
					var e *hubwire.Error
					var pe *ws.ProxyError
					if !errors.As(err, &e) || !errors.As(err, &pe) || e.Retryable || e.Outcome != hubwire.NotSent || pe.Status != 407 || strings.Contains(err.Error(), "secret") {
						t.Error(err)
					}
					p.end(t)
				})
			})
		}
	}
}

func TestHTTPSACertificateIsReplacedBeforeItEnds(t *testing.T) {
	overHTTPS(t, device.HTTPSOptions{}, hub.Config{}, func(t *testing.T, b *bench) {
		first, firstPrint := selfSigned(t)
		second, secondPrint := selfSigned(t)
		var now atomic.Pointer[tls.Certificate]
		now.Store(first)
		d := &hub.Device{Auth: hub.AuthSelfSigned, PrimaryThumbprint: firstPrint, SecondaryThumbprint: secondPrint}
		dials := 0
		c, err := b.dialX509(d, now.Load, func(o *device.Options) {
			dial := o.Dial
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dials++
				return dial(ctx, network, addr)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		end := time.Now().Add(24 * time.Hour)
		// Requests keep the connection in use; after 80 % of the certificate's time there is another.
		for time.Until(end) > 0 {
			b.works(c, "again")
			now.Store(second)
			time.Sleep(50 * time.Second)
			if dials > 1 {
				break
			}
		}
		if left := time.Until(end); dials != 2 || left < 4*time.Hour || left > 5*time.Hour {
			t.Errorf("%d connections, and %v left", dials, left)
		}
		d.PrimaryThumbprint = secondPrint
		b.update(d)
		b.works(c, "with the second alone")

		now.Store(first)
		time.Sleep(2 * time.Minute) // the connection goes
		err = c.Send(t.Context(), &hubwire.Message{})
		if e, ok := errors.AsType[*hubwire.Error](err); !ok || e.Code.Status() != 401 || e.Retryable {
			t.Errorf("with a certificate that was retired: %v", err)
		}
		<-c.Done()
		if diff := cmp.Diff(device.Closed, c.State()); diff != "" {
			t.Error(diff)
		}
	})
}
