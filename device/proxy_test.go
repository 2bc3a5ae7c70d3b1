package device_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/ws"
)

// dribbling is a proxy that takes its time: a byte in ten seconds.
func dribbling(nc net.Conn) {
	for i := 0; ; i++ {
		if _, err := nc.Write([]byte{"HTTP/1.1 200 OK\r\nX: xxxxxxxxxx"[min(i, 27)]}); err != nil {
			return
		}
		time.Sleep(10 * time.Second)
	}
}

// proxied is the ways through a proxy that a Client has.
func proxied(p *testkit.Proxy, user *url.Userinfo) map[string]func(*device.Options) device.Transport {
	proxy := testkit.ProxyURL(user)
	return map[string]func(*device.Options) device.Transport{
		"mqtt": func(o *device.Options) device.Transport {
			o.Dial = ws.ProxyDialer(proxy, p.Dial)
			return device.MQTT(nil)
		},
		"mqtt-ws": func(o *device.Options) device.Transport {
			o.Dial = p.Dial
			return device.MQTTWebSocket(&device.MQTTWebSocketOptions{Proxy: proxy})
		},
		"amqp": func(o *device.Options) device.Transport {
			o.Dial = ws.ProxyDialer(proxy, p.Dial)
			return device.AMQP(nil)
		},
		"amqp-ws": func(o *device.Options) device.Transport {
			o.Dial = p.Dial
			return device.AMQPWebSocket(&device.AMQPWebSocketOptions{Proxy: proxy})
		},
	}
}

// throughProxy runs a test over each way through a proxy.
func throughProxy(t *testing.T, user *url.Userinfo, test func(t *testing.T, b *bench, p *testkit.Proxy, o *device.Options)) {
	t.Helper()
	for name := range proxied(nil, user) {
		t.Run(name, func(t *testing.T) {
			over(t, device.Transport{}, hub.Config{}, func(t *testing.T, b *bench) {
				p := &testkit.Proxy{Up: b.hub.Dial}
				o := b.options(nil)
				b.transport = proxied(p, user)[name](o)
				test(t, b, p, o)
				p.End(t)
			})
		})
	}
}

func TestEverythingGoesThroughTheProxy(t *testing.T) {
	throughProxy(t, testkit.ProxyUser(), func(t *testing.T, b *bench, p *testkit.Proxy, o *device.Options) {
		c, err := device.Dial(t.Context(), b.device, b.transport, o)
		if err != nil {
			t.Fatal(err)
		}
		everyFeature(t, b, c, 250_000)
		b.hub.Disconnect(dev)
		b.awaitConnected(c)
		b.works(c, "after a cut")
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		to := "CONNECT localhost:" + map[string]string{"mqtt": "8883", "mqtt-ws": "443", "amqp": "5671", "amqp-ws": "443"}[b.transport.String()]
		if diff := cmp.Diff([]string{to, to}, p.Asked()); diff != "" {
			t.Errorf("asked for (-want +got):\n%s", diff)
		}
	})
}

// TestAProxyThatFailsLaterIsOutlasted: once a connection has stood, nothing
// that a proxy does is final, and nothing of it is answered at full speed.
func TestAProxyThatFailsLaterIsOutlasted(t *testing.T) {
	for name, behaves := range map[string]func(net.Conn){
		"407 first":          testkit.ProxySays("407 Proxy Authentication Required"),
		"403":                testkit.ProxySays("403 Forbidden"),
		"503":                testkit.ProxySays("503 Service Unavailable"),
		"a redirect":         testkit.ProxySays("302 Found\r\nLocation: http://elsewhere.example/"),
		"it hangs up":        func(net.Conn) {},
		"it stalls":          testkit.ProxyStalls,
		"it dribbles":        dribbling,
		"it talks on and on": func(nc net.Conn) { io.WriteString(nc, "HTTP/1.1 200 OK\r\nA: "+strings.Repeat("x", 1<<20)) },
		"it is no proxy":     func(nc net.Conn) { io.WriteString(nc, "220 ready\r\n") },
		"it leads nowhere":   testkit.ProxyLeadsNowhere,
		"it meddles":         func(nc net.Conn) { testkit.ProxySays("200 OK")(nc); io.WriteString(nc, "<html>log in first</html>") },
	} {
		t.Run(name, func(t *testing.T) {
			throughProxy(t, testkit.ProxyUser(), func(t *testing.T, b *bench, p *testkit.Proxy, o *device.Options) {
				c, err := device.Dial(t.Context(), b.device, b.transport, o)
				if err != nil {
					t.Fatal(err)
				}
				before := p.Become(behaves)
				b.hub.Disconnect(dev)
				time.Sleep(10 * time.Minute)
				if s := c.State(); s != device.Connecting {
					t.Fatalf("the state is %v: %v", s, c.Err())
				}
				if n := p.Become(nil) - before; n < 5 || n > 60 {
					t.Errorf("%d attempts in ten minutes", n)
				}
				b.awaitConnected(c)
				b.works(c, "after all")

				p.Become(behaves)
				b.hub.Disconnect(dev)
				time.Sleep(5 * time.Second)
				start := time.Now()
				if err := c.Close(); err != nil || time.Since(start) > 2*time.Second {
					t.Errorf("close: %v after %v", err, time.Since(start))
				}
			})
		})
	}
}

func TestARefusalByTheProxyEndsTheFirstDial(t *testing.T) {
	wrong := url.UserPassword("u", "secret word")
	for name, tt := range map[string]struct {
		user    *url.Userinfo
		behaves func(net.Conn)
		status  int
	}{
		"a wrong password": {wrong, nil, 407},
		"no user":          {nil, nil, 407},
		"forbidden":        {testkit.ProxyUser(), testkit.ProxySays("403 Forbidden"), 403},
	} {
		t.Run(name, func(t *testing.T) {
			throughProxy(t, tt.user, func(t *testing.T, b *bench, p *testkit.Proxy, o *device.Options) {
				p.Become(tt.behaves)
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // else it would be forever
				defer cancel()
				_, err := device.Dial(ctx, b.device, b.transport, o)
				var e *hubwire.Error
				var pe *ws.ProxyError
				if !errors.As(err, &e) || !errors.As(err, &pe) || e.Retryable || e.Outcome != hubwire.NotSent || pe.Status != tt.status || time.Since(start) > 0 {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("the password is in %v", err)
				}
			})
		})
	}
}

func TestAProxyOfAKindThatCannotBeUsedEndsTheFirstDial(t *testing.T) {
	for _, at := range []string{"socks5://u:secret@proxy.example", "https://u:secret@proxy.example", "//proxy.example", "http://u%3Av:secret@proxy.example"} {
		proxy, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		for name, tr := range map[string]device.Transport{
			"mqtt": device.MQTT(nil), "mqtt-ws": device.MQTTWebSocket(&device.MQTTWebSocketOptions{Proxy: proxy}),
			"amqp": device.AMQP(nil), "amqp-ws": device.AMQPWebSocket(&device.AMQPWebSocketOptions{Proxy: proxy}),
			"https": device.HTTPS(&device.HTTPSOptions{Proxy: proxy}),
		} {
			t.Run(name+" "+proxy.Scheme, func(t *testing.T) {
				over(t, tr, hub.Config{}, func(t *testing.T, b *bench) {
					o := b.options(nil)
					if name == "mqtt" || name == "amqp" { // which have no option for it
						o.Dial = ws.ProxyDialer(proxy, o.Dial)
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					_, err := device.Dial(ctx, b.device, tr, o)
					var e *hubwire.Error
					if !errors.As(err, &e) || !errors.Is(err, ws.ErrProxyURL) || e.Retryable || e.Outcome != hubwire.NotSent || ctx.Err() != nil {
						t.Errorf("%v", err)
					}
					if strings.Contains(err.Error(), "secret") {
						t.Errorf("the password is in %v", err)
					}
				})
			})
		}
	}
}

// TestAProxyThatIsBusyAtFirstIsOutlasted has no connection yet, and trouble that can pass.
func TestAProxyThatIsBusyAtFirstIsOutlasted(t *testing.T) {
	for name, behaves := range map[string]func(net.Conn){
		"503": testkit.ProxySays("503 Service Unavailable"), "429": testkit.ProxySays("429 Too Many Requests"), "it hangs up": func(net.Conn) {}, "it stalls": testkit.ProxyStalls,
	} {
		t.Run(name, func(t *testing.T) {
			throughProxy(t, testkit.ProxyUser(), func(t *testing.T, b *bench, p *testkit.Proxy, o *device.Options) {
				p.Become(behaves)
				dialled := make(chan error, 1)
				var c *device.Client
				go func() {
					var err error
					c, err = device.Dial(t.Context(), b.device, b.transport, o)
					dialled <- err
				}()
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				if p.Become(nil) < 2 {
					t.Error("the proxy was not asked again")
				}
				if err := <-dialled; err != nil {
					t.Fatal(err)
				}
				b.works(c, "at last")
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
