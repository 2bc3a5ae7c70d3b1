package device_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

// obstacles is what is in the way, by transport.
func obstacles(doors []device.Door) map[string]string {
	found := map[string]string{}
	for _, d := range doors {
		found[d.Transport.String()] = d.Obstacle.String()
	}
	return found
}

func TestProbeTellsWhatIsInTheWay(t *testing.T) {
	lookup := func(context.Context, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "hub", IsNotFound: true}}
	}
	noRoute := func(context.Context, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ENETUNREACH}
	}
	strange := func(context.Context, string) (net.Conn, error) { return nil, errors.New("no permission") }
	panics := func(context.Context, string) (net.Conn, error) { panic("a mistake") }
	nothing := func(context.Context, string) (net.Conn, error) { return nil, nil }
	for _, tt := range []struct {
		name string
		bar  func(context.Context, string) (net.Conn, error)
		want string
		took time.Duration
	}{
		{"it is open", nil, "none", 0},
		{"no such name", lookup, "no such name", 0},
		{"no route", noRoute, "unreachable", 0},
		{"a closed port", closedPort, "refused", 0},
		{"a firewall that swallows", swallowing, "timed out", 10 * time.Second},
		{"a peer that says nothing", serving(func(nc net.Conn) { io.Copy(io.Discard, nc) }), "timed out", 10 * time.Second},
		{"a peer that hangs up", serving(func(net.Conn) {}), "cut off", 0},
		{"no TLS", serving(func(nc net.Conn) { nc.Read(make([]byte, 4096)); nc.Write([]byte("220 mail.example ready\r\n")) }), "no TLS", 0},
		{"another failure", strange, "failed", 0},
		{"a dial function that panics", panics, "failed", 0},
		{"a dial function without result", nothing, "failed", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			over(t, device.Transport{}, hub.Config{}, func(t *testing.T, b *bench) {
				n := &barrier{up: b.hub.Dial, bars: bars{"8883": tt.bar, "443": tt.bar, "5671": tt.bar}}
				start := time.Now()
				doors, err := device.Probe(t.Context(), "localhost", nil, b.options(func(o *device.Options) { o.Dial, o.ConnectTimeout = n.dial, 10*time.Second }))
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("it took %v, not %v", took, tt.took)
				}
				for _, d := range doors {
					if got := d.Obstacle.String(); got != tt.want || d.Open() != (tt.want == "none") || d.Latency != tt.took || d.Addr == "" {
						t.Errorf("%v at %s: %s after %v: %v", d.Transport, d.Addr, got, d.Latency, d.Err)
					}
				}
			})
		})
	}
}

// impostor has TLS as the hub has it, which o comes to trust, and something else behind it.
func impostor(o *device.Options, says string) {
	cert := testkit.Certificate("localhost")
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	o.TLSConfig = &tls.Config{RootCAs: pool}
	answer := serving(func(nc net.Conn) {
		secured := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{cert}})
		defer secured.Close()
		secured.Read(make([]byte, 4096))
		io.WriteString(secured, says)
	})
	o.Dial = func(ctx context.Context, _, addr string) (net.Conn, error) { return answer(ctx, addr) }
}

func TestProbeTellsWhatAnswersInTheHubsPlace(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		want       map[string]string
	}{
		{"a page to log in", "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
			map[string]string{"mqtt": "another protocol", "mqtt-ws": "no WebSocket", "https": "another protocol"}},
		{"a server that knows nothing", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
			map[string]string{"mqtt": "another protocol", "mqtt-ws": "no WebSocket", "https": "none"}},
		{"a server of mail", "220 mail.example ready\r\n",
			map[string]string{"mqtt": "another protocol", "mqtt-ws": "no WebSocket", "https": "another protocol"}},
		{"half an answer", "\x20", map[string]string{"mqtt": "another protocol", "mqtt-ws": "no WebSocket", "https": "another protocol"}},
		{"no answer", "", map[string]string{"mqtt": "cut off", "mqtt-ws": "no WebSocket", "https": "cut off"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			over(t, device.Transport{}, hub.Config{}, func(t *testing.T, b *bench) {
				o := b.options(nil)
				impostor(o, tt.says)
				doors, err := device.Probe(t.Context(), "localhost", nil, o)
				if err != nil {
					t.Fatal(err)
				}
				got := obstacles(doors)
				delete(got, "amqp")
				delete(got, "amqp-ws")
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestProbeGoesThroughTheProxiesOfTheTransports(t *testing.T) {
	for name, tt := range map[string]struct {
		behaves func(net.Conn)
		want    string
	}{
		"it lets through": {nil, "none"},
		"it refuses":      {testkit.ProxySays("403 Forbidden"), "refused by the proxy"},
		"it stalls":       {testkit.ProxyStalls, "timed out"},
		"it hangs up":     {func(net.Conn) {}, "refused by the proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			over(t, device.Transport{}, hub.Config{}, func(t *testing.T, b *bench) {
				p := &testkit.Proxy{Up: b.hub.Dial}
				p.Become(tt.behaves)
				proxy := testkit.ProxyURL(testkit.ProxyUser())
				doors, err := device.Probe(t.Context(), b.device, []device.Transport{
					device.MQTTWebSocket(&device.MQTTWebSocketOptions{Proxy: proxy}), device.HTTPS(&device.HTTPSOptions{Proxy: proxy}),
				}, b.options(func(o *device.Options) { o.Dial = p.Dial }))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(map[string]string{"mqtt-ws": tt.want, "https": tt.want}, obstacles(doors)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				for _, d := range doors {
					if d.Err != nil && strings.Contains(d.Err.Error(), "secret") {
						t.Errorf("the password is in %v", d.Err)
					}
				}
				p.End(t)
			})
		})
	}
}

func TestProbeKnowsTheHubByWhateverNamesIt(t *testing.T) {
	over(t, device.Transport{}, hub.Config{}, func(t *testing.T, b *bench) {
		owner, err := b.hub.PolicyConnectionString("iothubowner")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"localhost", b.device, b.module, owner} {
			doors, err := device.Probe(t.Context(), name, []device.Transport{device.Auto(nil)}, b.options(nil))
			if err != nil || len(doors) < 3 {
				t.Errorf("%d doors, %v", len(doors), err)
			}
			for _, d := range doors {
				if !d.Open() || !strings.HasPrefix(d.Addr, "localhost:") {
					t.Errorf("%v at %s: %v", d.Transport, d.Addr, d.Err)
				}
			}
		}
		if b.hub.Connected(dev) {
			t.Error("the hub takes the device for connected")
		}
	})
}

func TestProbeRefuses(t *testing.T) {
	var none context.Context
	for _, tt := range []struct {
		name, hub  string
		ctx        context.Context
		transports []device.Transport
		o          *device.Options
	}{
		{"no context", "localhost", none, nil, nil},
		{"no hub", "", t.Context(), nil, nil},
		{"a port", "localhost:8883", t.Context(), nil, nil},
		{"half a connection string", "HostName=;SharedAccessKey=secret", t.Context(), nil, nil},
		{"the zero transport", "localhost", t.Context(), []device.Transport{{}}, nil},
		{"one port for several", "localhost", t.Context(), nil, &device.Options{Port: 8883}},
		{"bad options", "localhost", t.Context(), nil, &device.Options{Port: -1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doors, err := device.Probe(tt.ctx, tt.hub, tt.transports, tt.o)
			e, ok := errors.AsType[*hubwire.Error](err)
			if !ok || doors != nil || e.Op != "probe" || e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.NotSent || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v, %v", doors, err)
			}
		})
	}
}

// TestProbeDoesNotWaitForADialThatNeverReturns, and when it does, closes what it gave.
func TestProbeDoesNotWaitForADialThatNeverReturns(t *testing.T) {
	over(t, device.Transport{}, hub.Config{}, func(t *testing.T, b *bench) {
		release := make(chan struct{})
		stuck := func(context.Context, string, string) (net.Conn, error) {
			<-release
			return b.hub.Dial(t.Context(), "tcp", "localhost:8883")
		}
		start := time.Now()
		doors, err := device.Probe(t.Context(), "localhost", []device.Transport{device.MQTT(nil)}, b.options(func(o *device.Options) { o.Dial = stuck }))
		if err != nil || len(doors) != 1 || doors[0].Obstacle != device.ObstacleTimeout || time.Since(start) > time.Minute {
			t.Errorf("%v, %v after %v", doors, err, time.Since(start))
		}
		close(release)
	})
}

func TestProbeEndsWithItsContext(t *testing.T) {
	over(t, device.Transport{}, hub.Config{}, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		n := &barrier{bars: bars{"8883": swallowing, "443": swallowing, "5671": swallowing}}
		start := time.Now()
		doors, err := device.Probe(ctx, "localhost", nil, b.options(func(o *device.Options) { o.Dial = n.dial }))
		if err != nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		for _, d := range doors {
			if !errors.Is(d.Err, context.Canceled) {
				t.Errorf("%v: %v", d.Transport, d.Err)
			}
		}
	})
}
