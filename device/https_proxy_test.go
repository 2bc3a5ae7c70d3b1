package device_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/ws"
)

// proxiedHTTPS is the ways through a proxy that HTTPS has: by its own option, and by Options.Dial.
func proxiedHTTPS(p *testkit.Proxy, user *url.Userinfo) map[string]func(*device.Options) device.Transport {
	proxy := testkit.ProxyURL(user)
	return map[string]func(*device.Options) device.Transport{
		"its own option": func(o *device.Options) device.Transport {
			o.Dial = p.Dial
			return device.HTTPS(&device.HTTPSOptions{PollInterval: time.Second, Proxy: proxy})
		},
		"Options.Dial": func(o *device.Options) device.Transport {
			o.Dial = ws.ProxyDialer(proxy, p.Dial)
			return device.HTTPS(&device.HTTPSOptions{PollInterval: time.Second})
		},
	}
}

func TestHTTPSThroughAProxyThatFailsAtTimes(t *testing.T) {
	for name, behaves := range map[string]func(net.Conn){
		"not at all": nil, "407 first": testkit.ProxySays("407 Proxy Authentication Required"), "503": testkit.ProxySays("503 Service Unavailable"),
		"a redirect": testkit.ProxySays("302 Found\r\nLocation: http://elsewhere.example/"), "it hangs up": func(net.Conn) {}, "it stalls": testkit.ProxyStalls,
		"it leads nowhere": testkit.ProxyLeadsNowhere,
	} {
		for by := range proxiedHTTPS(nil, nil) {
			t.Run(name+" by "+by, func(t *testing.T) {
				over(t, device.Transport{}, hub.Config{}, func(t *testing.T, b *bench) {
					p := &testkit.Proxy{Up: b.hub.Dial}
					o := b.options(nil)
					b.transport = proxiedHTTPS(p, testkit.ProxyUser())[by](o)
					c, err := device.Dial(t.Context(), b.device, b.transport, o)
					if err != nil {
						t.Fatal(err)
					}
					b.works(c, "at first")
					time.Sleep(2 * time.Minute) // the connection goes
					p.Become(behaves)
					sent := make(chan error, 1)
					go func() { sent <- c.Send(t.Context(), &hubwire.Message{ID: "after all", Body: []byte("x")}) }()
					time.Sleep(5 * time.Minute)
					p.Become(nil)
					if err := <-sent; err != nil {
						t.Error(err)
					}
					if got := b.next().ID; got != "after all" {
						t.Errorf("the hub got %q", got)
					}
					if err := c.Close(); err != nil {
						t.Error(err)
					}
					p.End(t)
					if asked := p.Asked(); asked[0] != "CONNECT localhost:443" || behaves != nil && len(asked) < 4 {
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
					p := &testkit.Proxy{Up: b.hub.Dial}
					o := b.options(nil)
					_, err := device.Dial(t.Context(), b.device, proxiedHTTPS(p, user)[by](o), o)
					var e *hubwire.Error
					var pe *ws.ProxyError
					if !errors.As(err, &e) || !errors.As(err, &pe) || e.Retryable || e.Outcome != hubwire.NotSent || pe.Status != 407 || strings.Contains(err.Error(), "secret") {
						t.Error(err)
					}
					p.End(t)
				})
			})
		}
	}
}

func TestHTTPSACertificateIsReplacedBeforeItEnds(t *testing.T) {
	const life = time.Hour
	root := newAuthority(t, "root", nil)
	overHTTPS(t, device.HTTPSOptions{}, hub.Config{VerifiedCAs: []*x509.Certificate{root.cert}}, func(t *testing.T, b *bench) {
		var made []time.Time
		c, err := b.dialX509(&hub.Device{Auth: hub.AuthCA}, func() *tls.Certificate {
			made = append(made, time.Now())
			return root.issue(t, "x509", time.Now(), time.Now().Add(life))
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 200 { // the connection is always in use
			b.works(c, "again")
			time.Sleep(50 * time.Second)
		}
		if n := len(made); n != 4 {
			t.Errorf("%d certificates in 10000 s", n)
		}
		for i := range made[1:] {
			if d := made[i+1].Sub(made[i]); d < life*8/10 || d > life*8/10+time.Minute {
				t.Errorf("certificate %d was replaced after %v", i, d)
			}
		}
		d, err := b.hub.Device(x509Device)
		if err != nil {
			t.Fatal(err)
		}
		d.Disabled = true
		b.update(d)
		err = c.Send(t.Context(), &hubwire.Message{})
		if e, ok := errors.AsType[*hubwire.Error](err); !ok || e.Code == 0 || e.Retryable {
			t.Errorf("when it is not let in: %v", err)
		}
		<-c.Done()
		if s := c.State(); s != device.Closed {
			t.Errorf("the state is %v", s)
		}
	})
}
