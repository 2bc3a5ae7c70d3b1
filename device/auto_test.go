package device_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

// barrier is a way to a hub in which ports can be barred, each in a way of its own.
type barrier struct {
	up    func(ctx context.Context, network, addr string) (net.Conn, error)
	bars  bars
	mu    sync.Mutex
	asked []string // ports
	conns []net.Conn
}

// become bars other ports.
func (n *barrier) become(b bars) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.bars = b
}

// bars are what happens to who dials, by port.
type bars map[string]func(ctx context.Context, addr string) (net.Conn, error)

func (n *barrier) dial(ctx context.Context, kind, addr string) (net.Conn, error) {
	_, port, _ := net.SplitHostPort(addr)
	n.mu.Lock()
	n.asked = append(n.asked, port)
	bar := n.bars[port]
	n.mu.Unlock()
	if bar != nil {
		return bar(ctx, addr)
	}
	nc, err := n.up(ctx, kind, addr)
	if err == nil {
		n.mu.Lock()
		n.conns = append(n.conns, nc)
		n.mu.Unlock()
	}
	return nc, err
}

// cut cuts all connections.
func (n *barrier) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, nc := range n.conns {
		nc.Close()
	}
	n.conns = nil
}

func closedPort(_ context.Context, addr string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

func swallowing(ctx context.Context, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// serving has somebody else answer.
func serving(answer func(net.Conn)) func(context.Context, string) (net.Conn, error) {
	return func(context.Context, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() { defer far.Close(); answer(far) }()
		return near, nil
	}
}

// overAuto runs a test with a hub behind a network.
func overAuto(t *testing.T, o *device.AutoOptions, bars bars, test func(*testing.T, *bench, *barrier, *device.Options)) {
	t.Helper()
	over(t, device.Auto(o), hub.Config{}, func(t *testing.T, b *bench) {
		n := &barrier{up: b.hub.Dial, bars: bars}
		opts := b.options(func(o *device.Options) { o.Dial = n.dial })
		test(t, b, n, opts)
	})
}

// passed is what was in the way, by transport.
func passed(c device.Choice) []string {
	var all []string
	for _, d := range c.Passed {
		all = append(all, d.Transport.String()+": "+d.Obstacle.String())
	}
	return all
}

func TestAutoTakesTheFirstTransportThatTheHubAnswersBy(t *testing.T) {
	hangUp := serving(func(net.Conn) {})
	for _, tt := range []struct {
		name   string
		o      *device.AutoOptions
		bars   bars
		want   string
		passed []string
		took   time.Duration
	}{
		{name: "all are open", want: "mqtt"},
		{name: "8883 is closed", bars: bars{"8883": closedPort}, want: "mqtt-ws", passed: []string{"mqtt: refused"}},
		{name: "8883 is swallowed", bars: bars{"8883": swallowing}, want: "mqtt-ws", passed: []string{"mqtt: timed out"}, took: 10 * time.Second},
		{name: "8883 is swallowed, and nobody patient", o: &device.AutoOptions{Patience: time.Second}, bars: bars{"8883": swallowing}, want: "mqtt-ws", passed: []string{"mqtt: timed out"}, took: time.Second},
		{name: "8883 hangs up", bars: bars{"8883": hangUp}, want: "mqtt-ws", passed: []string{"mqtt: cut off"}},
		{name: "8883 is no TLS", bars: bars{"8883": serving(func(nc net.Conn) {
			nc.Read(make([]byte, 4096))
			nc.Write([]byte("220 mail.example ready\r\n"))
		})}, want: "mqtt-ws", passed: []string{"mqtt: no TLS"}},
		{name: "8883 and 443 are closed", bars: bars{"8883": closedPort, "443": closedPort}, want: "amqp", passed: []string{"mqtt: refused", "mqtt-ws: refused"}},
		{name: "5671 is swallowed", o: &device.AutoOptions{Transports: []device.Transport{device.AMQP(nil), device.AMQPWebSocket(nil)}},
			bars: bars{"5671": swallowing}, want: "amqp-ws", passed: []string{"amqp: timed out"}, took: 10 * time.Second},
		{name: "5671 hangs up", o: &device.AutoOptions{Transports: []device.Transport{device.AMQP(nil), device.AMQPWebSocket(nil)}},
			bars: bars{"5671": hangUp}, want: "amqp-ws", passed: []string{"amqp: cut off"}},
		{name: "another order", o: &device.AutoOptions{Transports: []device.Transport{device.HTTPS(nil), device.MQTT(nil)}}, want: "https"},
		{name: "what HTTPS has not is needed", o: &device.AutoOptions{
			Transports: []device.Transport{device.HTTPS(nil), device.MQTT(nil), device.MQTTWebSocket(nil)}, Needs: []device.Feature{device.FeatureMethods},
		}, want: "mqtt", passed: []string{"https: lacks a feature"}},
		{name: "what MQTT has not is needed", o: &device.AutoOptions{
			Transports: []device.Transport{device.MQTT(nil), device.HTTPS(nil)}, Needs: []device.Feature{device.FeatureReject},
		}, want: "https", passed: []string{"mqtt: lacks a feature"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overAuto(t, tt.o, tt.bars, func(t *testing.T, b *bench, n *barrier, o *device.Options) {
				start := time.Now()
				c, err := device.Dial(t.Context(), b.device, b.transport, o)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if took := time.Since(start); took != tt.took {
					t.Errorf("it took %v, not %v", took, tt.took)
				}
				choice := c.Choice()
				if got := choice.Transport.String(); got != tt.want {
					t.Errorf("the choice is %s, not %s", got, tt.want)
				}
				if diff := cmp.Diff(tt.passed, passed(choice)); diff != "" {
					t.Errorf("passed over (-want +got):\n%s", diff)
				}
				if err := c.Send(t.Context(), &hubwire.Message{Body: []byte("hello")}); err != nil {
					t.Error(err)
				}
				if got := b.next(); string(got.Body) != "hello" {
					t.Errorf("the hub has %q", got.Body)
				}
			})
		})
	}
}

func TestAutoSaysWhatIsLost(t *testing.T) {
	o := &device.AutoOptions{Transports: []device.Transport{device.MQTT(nil), device.MQTTWebSocket(nil), device.HTTPS(nil)}}
	overAuto(t, o, bars{"8883": closedPort}, func(t *testing.T, b *bench, _ *barrier, o *device.Options) {
		c, err := device.Dial(t.Context(), b.device, b.transport, o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var lost []string
		for _, l := range c.Choice().Lost {
			lost = append(lost, l.Feature.String())
		}
		want := []string{"batches on the wire", "C2D reject", "C2D abandon", "X.509 certificates", "token renewal in place", "refusals with their reason"}
		if diff := cmp.Diff(want, lost); diff != "" {
			t.Errorf("lost (-want +got):\n%s", diff)
		}
	})
}

func TestARefusalByTheHubIsNotAReasonToTurnToAnotherTransport(t *testing.T) {
	overAuto(t, nil, nil, func(t *testing.T, b *bench, n *barrier, o *device.Options) {
		var told []device.State
		o.Hooks = &device.Hooks{State: func(s device.State, _ error) { told = append(told, s) }}
		wrong := strings.Replace(b.device, "SharedAccessKey=", "SharedAccessKey=AAAA", 1)
		_, err := device.Dial(t.Context(), wrong, b.transport, o)
		e, ok := errors.AsType[*hubwire.Error](err)
		if !ok || e.Code != hubwire.Unauthorized || e.Op != "dial" || e.Retryable {
			t.Errorf("it ended with %v", err)
		}
		if slices.Contains(n.asked, "443") {
			t.Errorf("it asked at %v", n.asked)
		}
		if len(told) == 0 || told[len(told)-1] != device.Closed || slices.Index(told, device.Closed) != len(told)-1 {
			t.Errorf("the states were %v", told)
		}
	})
}

// TestABusyHubIsWaitedFor: its answer shows that the door is open.
func TestABusyHubIsWaitedFor(t *testing.T) {
	start := time.Time{}
	busy := func(_ context.Context, op *hub.Op) hub.Verdict {
		if op.Kind == hub.OpConnect && time.Since(start) < time.Minute {
			return hub.Verdict{Refuse: hubwire.ServiceUnavailable}
		}
		return hub.Verdict{}
	}
	over(t, device.Auto(nil), hub.Config{Intercept: busy}, func(t *testing.T, b *bench) {
		start = time.Now()
		c := b.dial(b.device, nil)
		if got := c.Choice(); got.Transport.String() != "mqtt" || len(got.Passed) > 0 {
			t.Errorf("the choice is %v after %v", got.Transport, passed(got))
		}
	})
}

func TestAutoGoesOnUntilThereIsAWay(t *testing.T) {
	barred := bars{"8883": closedPort, "5671": closedPort, "443": swallowing}
	overAuto(t, nil, barred, func(t *testing.T, b *bench, n *barrier, o *device.Options) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		_, err := device.Dial(ctx, b.device, b.transport, o)
		e, ok := errors.AsType[*hubwire.Error](err)
		if !ok || e.Op != "dial" || !e.Retryable || e.Outcome != hubwire.NotSent || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("it ended with %v", err)
		}
		none, ok := errors.AsType[*device.NoDoorError](err)
		if !ok || len(none.Doors) == 0 || none.Doors[0].Obstacle != device.ObstacleRefused {
			t.Errorf("it ended with %v", err)
		}
		if rounds := len(n.asked); rounds < 10 || rounds > 60 {
			t.Errorf("%d dials in five minutes", rounds)
		}

		time.AfterFunc(time.Minute, func() { n.become(nil) })
		c, err := device.Dial(t.Context(), b.device, b.transport, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatWouldNotPassEndsAutoAtOnce(t *testing.T) {
	overAuto(t, nil, nil, func(t *testing.T, b *bench, n *barrier, o *device.Options) {
		o.TLSConfig = nil // the system knows nothing of the hub's authority
		start := time.Now()
		_, err := device.Dial(t.Context(), b.device, b.transport, o)
		e, ok := errors.AsType[*hubwire.Error](err)
		if !ok || e.Retryable || e.Outcome != hubwire.NotSent || time.Since(start) > 0 {
			t.Errorf("it ended with %v after %v", err, time.Since(start))
		}
		none, ok := errors.AsType[*device.NoDoorError](err)
		if !ok || len(none.Doors) != 5 {
			t.Fatalf("it ended with %v", err)
		}
		for _, d := range none.Doors {
			if d.Obstacle != device.ObstacleCertificate {
				t.Errorf("%v: %v", d.Transport, d.Obstacle)
			}
		}
	})
}

func TestAutoRefusesWhatItCannotDo(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		o          device.AutoOptions
		port       int
		module     bool
		is         error
	}{
		{name: "a feature that nobody has", o: device.AutoOptions{Transports: []device.Transport{device.MQTT(nil)}, Needs: []device.Feature{device.FeatureReject}}, says: "C2D reject", is: errors.ErrUnsupported},
		{name: "features that nobody has all of", o: device.AutoOptions{
			Transports: []device.Transport{device.MQTT(nil), device.HTTPS(nil)}, Needs: []device.Feature{device.FeatureReject, device.FeatureTwin},
		}, says: "C2D reject, twin", is: errors.ErrUnsupported},
		{name: "a feature that there is not", o: device.AutoOptions{Needs: []device.Feature{200}}, says: "no feature", is: errors.ErrUnsupported},
		{name: "a module without inputs", o: device.AutoOptions{Transports: []device.Transport{device.HTTPS(nil)}}, module: true, says: "module inputs", is: errors.ErrUnsupported},
		{name: "one port for all", port: 8883, says: "Options.Port"},
		{name: "the zero transport", o: device.AutoOptions{Transports: []device.Transport{{}}}, says: "no way"},
		{name: "Auto itself", o: device.AutoOptions{Transports: []device.Transport{device.Auto(nil)}}, says: "no way"},
		{name: "no patience", o: device.AutoOptions{Patience: -1}, says: "Patience"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overAuto(t, &tt.o, nil, func(t *testing.T, b *bench, n *barrier, o *device.Options) {
				o.Port = tt.port
				who := b.device
				if tt.module {
					who = b.module
				}
				_, err := device.Dial(t.Context(), who, b.transport, o)
				e, ok := errors.AsType[*hubwire.Error](err)
				if !ok || e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.NotSent || !strings.Contains(err.Error(), tt.says) || tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("it ended with %v", err)
				}
				if len(n.asked) > 0 {
					t.Errorf("it dialled %v", n.asked)
				}
			})
		})
	}
}

// outlasts sends a message, which is to arrive although there is no connection.
func (b *bench) outlasts(c *device.Client) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Minute)
	defer cancel()
	if err := c.Send(ctx, &hubwire.Message{Body: []byte("meanwhile")}); err != nil {
		b.t.Fatal(err)
	}
	if got := b.next(); string(got.Body) != "meanwhile" {
		b.t.Errorf("the hub has %q", got.Body)
	}
}

// TestANetworkThatBarsAPortLaterIsGoneAround with the session kept: no message is lost, no subscription.
func TestANetworkThatBarsAPortLaterIsGoneAround(t *testing.T) {
	for name, tt := range map[string]struct {
		port  string
		first []device.Transport
		ways  [2]string
	}{
		"MQTT": {"8883", nil, [...]string{"mqtt", "mqtt-ws"}},
		"AMQP": {"5671", []device.Transport{device.AMQP(nil), device.MQTT(nil), device.AMQPWebSocket(nil)}, [...]string{"amqp", "amqp-ws"}},
	} {
		t.Run(name, func(t *testing.T) {
			overAuto(t, &device.AutoOptions{Transports: tt.first}, nil, func(t *testing.T, b *bench, n *barrier, o *device.Options) {
				var closed atomic.Bool
				o.Hooks = &device.Hooks{State: func(s device.State, _ error) { closed.Store(s == device.Closed) }}
				c, err := device.Dial(t.Context(), b.device, b.transport, o)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				everyFeature(t, b, c, 1000)
				n.become(bars{tt.port: closedPort})
				n.cut()
				b.outlasts(c)
				everyFeature(t, b, c, 1000)
				synctest.Wait() // the choice is told with the state, beside the traffic
				if got := c.Choice(); got.Transport.String() != tt.ways[1] || !cmp.Equal(passed(got), []string{tt.ways[0] + ": refused"}) {
					t.Errorf("the choice is %v after %v", got.Transport, passed(got))
				}
				n.become(bars{"443": closedPort})
				n.cut()
				b.outlasts(c)
				everyFeature(t, b, c, 1000)
				synctest.Wait() // the choice is told with the state, beside the traffic
				if got := c.Choice().Transport.String(); got != tt.ways[0] {
					t.Errorf("the choice is %v", got)
				}
				if closed.Load() {
					t.Error("the Client was closed meanwhile")
				}
			})
		})
	}
}

// TestANetworkThatLaterLetsNothingButTLSThroughIsGoneAround, as a firewall does that looks at what is said.
func TestANetworkThatLaterLetsNothingButTLSThroughIsGoneAround(t *testing.T) {
	for name, verdict := range map[string]hub.Verdict{"cut off": {DropBefore: true}, "timed out": {SwallowAck: true}} {
		t.Run(name, func(t *testing.T) {
			var barred atomic.Value
			barred.Store("")
			cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
				if op.Kind == hub.OpConnect && op.Protocol == barred.Load() {
					return verdict
				}
				return hub.Verdict{}
			}}
			over(t, device.Auto(nil), cfg, func(t *testing.T, b *bench) {
				c := b.dial(b.device, nil)
				ways := [...]string{"mqtt", "mqtt-ws"}
				for i := range 4 {
					was, is := ways[i%2], ways[(i+1)%2]
					barred.Store(was)
					b.hub.Disconnect(dev)
					b.outlasts(c)
					everyFeature(t, b, c, 1000)
					synctest.Wait() // the choice is told with the state, beside the traffic
					if got := c.Choice(); got.Transport.String() != is || !slices.Contains(passed(got), was+": "+name) {
						t.Errorf("the choice is %v after %v", got.Transport, passed(got))
					}
				}
			})
		})
	}
}

func TestAnUploadGoesThroughTheProxyOfTheTransportThatWasChosen(t *testing.T) {
	over(t, device.Transport{}, hub.Config{}, func(t *testing.T, b *bench) {
		p := &testkit.Proxy{Up: b.hub.Dial}
		proxy := testkit.ProxyURL(testkit.ProxyUser())
		n := &barrier{up: p.Dial, bars: bars{"8883": closedPort}}
		o := b.options(func(o *device.Options) { o.Dial = n.dial })
		auto := device.Auto(&device.AutoOptions{Transports: []device.Transport{
			device.MQTT(nil), device.MQTTWebSocket(&device.MQTTWebSocketOptions{Proxy: proxy}),
		}})
		c, err := device.Dial(t.Context(), b.device, auto, o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.InitiateUpload(t.Context(), "file.txt"); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"CONNECT localhost:443", "CONNECT localhost:443"}, p.Asked()); diff != "" {
			t.Errorf("asked for (-want +got):\n%s", diff)
		}
		p.End(t)
	})
}

// TestASlowSourceOfTokensIsNotTheTransportsFault, nor is one that fails for a while.
func TestASlowSourceOfTokensIsNotTheTransportsFault(t *testing.T) {
	overAuto(t, nil, nil, func(t *testing.T, b *bench, n *barrier, o *device.Options) {
		cred, err := device.CredentialsFromConnectionString(b.device)
		if err != nil {
			t.Fatal(err)
		}
		asked, real := 0, cred.Tokens
		cred.Tokens = tokens(func() (string, time.Time, error) {
			if asked++; asked < 4 {
				time.Sleep(20 * time.Second)
				return "", time.Time{}, errors.New("the vault is closed")
			}
			return real.Token(t.Context(), sas.Audience(cred.HostName, dev))
		})
		c, err := device.DialCredentials(t.Context(), cred, b.transport, o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := c.Choice(); got.Transport.String() != "mqtt" {
			t.Errorf("the choice is %v after %v", got.Transport, passed(got))
		}
	})
}

func TestCloseInTheMiddleOfAChoiceOfAuto(t *testing.T) {
	overAuto(t, nil, bars{"8883": swallowing, "5671": swallowing, "443": swallowing}, func(t *testing.T, b *bench, n *barrier, o *device.Options) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { _, err := device.Dial(ctx, b.device, b.transport, o); ended <- err }()
		time.Sleep(3 * time.Second)
		cancel()
		synctest.Wait()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("it ended with %v", err)
			}
		default:
			t.Error("it goes on")
		}
	})
}
