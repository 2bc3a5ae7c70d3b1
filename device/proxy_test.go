package device_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
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

// connectProxy is an HTTP proxy that lets one user through to a hub, and all of
// the network that there is.
type connectProxy struct {
	hub *hub.Hub

	mu       sync.Mutex
	behaves  func(net.Conn) // in the place of an answer; nil lets through
	asked    []string
	directly []string // dials to anything else
	open     sync.WaitGroup
}

const proxyAddr = "proxy.example:3128"

func (p *connectProxy) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if addr != proxyAddr {
		p.directly = append(p.directly, addr)
		return nil, errors.New("a direct dial to " + addr)
	}
	client, server := testkit.Pipe()
	p.open.Go(func() { p.serve(ctx, server) })
	return client, nil
}

func (p *connectProxy) serve(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	req, err := http.ReadRequest(bufio.NewReader(nc))
	if err != nil {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, req.Method+" "+req.Host)
	behaves := p.behaves
	p.mu.Unlock()
	if behaves != nil {
		behaves(nc)
		return
	}
	req.Header.Set("Authorization", req.Header.Get("Proxy-Authorization"))
	if user, password, ok := req.BasicAuth(); !ok || user != "u" || password != "p" {
		answer("407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"")(nc)
		return
	}
	up, err := p.hub.Dial(context.WithoutCancel(ctx), "tcp", req.Host)
	if err != nil {
		return
	}
	defer up.Close()
	answer("200 OK")(nc)
	p.open.Go(func() { io.Copy(up, nc); up.Close() })
	io.Copy(nc, up)
}

// become changes what the proxy does with who comes, and returns how many came until then.
func (p *connectProxy) become(behaves func(net.Conn)) (asked int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behaves = behaves
	return len(p.asked)
}

// requests returns what the proxy was asked for.
func (p *connectProxy) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// end waits for the proxy's goroutines, of which none waits for a client that has gone.
func (p *connectProxy) end(t *testing.T) {
	t.Helper()
	p.open.Wait()
	if p.directly != nil {
		t.Errorf("there were dials past the proxy: %q", p.directly)
	}
}

// answer is a proxy that gives this answer.
func answer(status string) func(net.Conn) {
	return func(nc net.Conn) { io.WriteString(nc, "HTTP/1.1 "+status+"\r\n\r\n") }
}

// dribbling is a proxy that takes its time: a byte in ten seconds.
func dribbling(nc net.Conn) {
	for i := 0; ; i++ {
		if _, err := nc.Write([]byte{"HTTP/1.1 200 OK\r\nX: xxxxxxxxxx"[min(i, 27)]}); err != nil {
			return
		}
		time.Sleep(10 * time.Second)
	}
}

// stalling is a proxy that reads, and does not answer.
func stalling(nc net.Conn) { io.Copy(io.Discard, nc) }

// proxied is the ways through a proxy that a Client has.
func proxied(p *connectProxy, user *url.Userinfo) map[string]func(*device.Options) device.Transport {
	proxy := &url.URL{Scheme: "http", Host: proxyAddr, User: user}
	return map[string]func(*device.Options) device.Transport{
		"mqtt": func(o *device.Options) device.Transport {
			o.Dial = ws.ProxyDialer(proxy, p.dial)
			return device.MQTT(nil)
		},
		"mqtt-ws": func(o *device.Options) device.Transport {
			o.Dial = p.dial
			return device.MQTTWebSocket(&device.MQTTWebSocketOptions{Proxy: proxy})
		},
	}
}

// throughProxy runs a test over each way through a proxy.
func throughProxy(t *testing.T, user *url.Userinfo, test func(t *testing.T, b *bench, p *connectProxy, o *device.Options)) {
	t.Helper()
	for name := range proxied(nil, user) {
		t.Run(name, func(t *testing.T) {
			over(t, device.Transport{}, hub.Config{}, func(t *testing.T, b *bench) {
				p := &connectProxy{hub: b.hub}
				o := b.options(nil)
				b.transport = proxied(p, user)[name](o)
				test(t, b, p, o)
				p.end(t)
			})
		})
	}
}

var proxyUser = url.UserPassword("u", "p")

func TestEverythingGoesThroughTheProxy(t *testing.T) {
	throughProxy(t, proxyUser, func(t *testing.T, b *bench, p *connectProxy, o *device.Options) {
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
		to := "CONNECT localhost:" + map[string]string{"mqtt": "8883", "mqtt-ws": "443"}[b.transport.String()]
		if diff := cmp.Diff([]string{to, to}, p.requests()); diff != "" {
			t.Errorf("asked for (-want +got):\n%s", diff)
		}
	})
}

// TestAProxyThatFailsLaterIsOutlasted: once a connection has stood, nothing
// that a proxy does is final, and nothing of it is answered at full speed.
func TestAProxyThatFailsLaterIsOutlasted(t *testing.T) {
	for name, behaves := range map[string]func(net.Conn){
		"407 first":          answer("407 Proxy Authentication Required"),
		"403":                answer("403 Forbidden"),
		"503":                answer("503 Service Unavailable"),
		"a redirect":         answer("302 Found\r\nLocation: http://elsewhere.example/"),
		"it hangs up":        func(net.Conn) {},
		"it stalls":          stalling,
		"it dribbles":        dribbling,
		"it talks on and on": func(nc net.Conn) { io.WriteString(nc, "HTTP/1.1 200 OK\r\nA: "+strings.Repeat("x", 1<<20)) },
		"it is no proxy":     func(nc net.Conn) { io.WriteString(nc, "220 ready\r\n") },
		"it leads nowhere":   func(nc net.Conn) { answer("200 OK")(nc); stalling(nc) },
		"it meddles":         func(nc net.Conn) { answer("200 OK")(nc); io.WriteString(nc, "<html>log in first</html>") },
	} {
		t.Run(name, func(t *testing.T) {
			throughProxy(t, proxyUser, func(t *testing.T, b *bench, p *connectProxy, o *device.Options) {
				c, err := device.Dial(t.Context(), b.device, b.transport, o)
				if err != nil {
					t.Fatal(err)
				}
				before := p.become(behaves)
				b.hub.Disconnect(dev)
				time.Sleep(10 * time.Minute)
				if s := c.State(); s != device.Connecting {
					t.Fatalf("the state is %v: %v", s, c.Err())
				}
				if n := p.become(nil) - before; n < 5 || n > 60 {
					t.Errorf("%d attempts in ten minutes", n)
				}
				b.awaitConnected(c)
				b.works(c, "after all")

				p.become(behaves)
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
		"forbidden":        {proxyUser, answer("403 Forbidden"), 403},
	} {
		t.Run(name, func(t *testing.T) {
			over(t, device.MQTTWebSocket(nil), hub.Config{}, func(t *testing.T, b *bench) {
				p := &connectProxy{hub: b.hub, behaves: tt.behaves}
				o := b.options(nil)
				start := time.Now()
				_, err := device.Dial(t.Context(), b.device, proxied(p, tt.user)["mqtt-ws"](o), o)
				var e *hubwire.Error
				var pe *ws.ProxyError
				if !errors.As(err, &e) || !errors.As(err, &pe) || e.Retryable || e.Outcome != hubwire.NotSent || pe.Status != tt.status || time.Since(start) > 0 {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("the password is in %v", err)
				}
				p.end(t)
			})
		})
	}
}

// TestAProxyThatIsBusyAtFirstIsOutlasted has no connection yet, and trouble that can pass.
func TestAProxyThatIsBusyAtFirstIsOutlasted(t *testing.T) {
	for name, behaves := range map[string]func(net.Conn){
		"503": answer("503 Service Unavailable"), "429": answer("429 Too Many Requests"), "it hangs up": func(net.Conn) {}, "it stalls": stalling,
	} {
		t.Run(name, func(t *testing.T) {
			throughProxy(t, proxyUser, func(t *testing.T, b *bench, p *connectProxy, o *device.Options) {
				p.become(behaves)
				dialled := make(chan error, 1)
				var c *device.Client
				go func() {
					var err error
					c, err = device.Dial(t.Context(), b.device, b.transport, o)
					dialled <- err
				}()
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				if p.become(nil) < 2 {
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
