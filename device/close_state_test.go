package device_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

// network is what lies between a Client and its hub, and how that goes wrong.
type network struct {
	b       *bench
	mu      sync.Mutex
	nc      *testkit.Stall // the newest connection
	broken  dialer         // or nil
	mute    atomic.Bool    // the hub answers no login
	without atomic.Bool    // the hub acknowledges nothing
	sent    atomic.Int32   // packets, to the hub
}

type dialer func(ctx context.Context) (net.Conn, error)

func (n *network) breakWith(d dialer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broken = d
}

func (n *network) intercept(_ context.Context, op *hub.Op) hub.Verdict {
	return hub.Verdict{SwallowAck: op.Kind == hub.OpConnect && n.mute.Load() || op.Kind == hub.OpPublish && n.without.Load()}
}

func (n *network) options(o *device.Options) {
	o.TokenTTL, o.AckTimeout = 40*time.Minute, 10*time.Minute
	o.Hooks = &device.Hooks{Packet: func(sent bool, _ []byte) {
		if sent {
			n.sent.Add(1)
		}
	}}
	o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		n.mu.Lock()
		broken := n.broken
		n.mu.Unlock()
		if broken != nil {
			return broken(ctx)
		}
		nc, err := n.b.hub.Dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.nc = testkit.Stallable(nc)
		return n.nc, nil
	}
}

// Ways for a dial to go wrong.
var (
	hangs   dialer = func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	refuses dialer = func(context.Context) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	silent  dialer = func(context.Context) (net.Conn, error) { nc, _ := testkit.Pipe(); return nc, nil }
)

// lose cuts the connection and waits until the Client is in the midst of the next attempt, or waits for it.
func (n *network) lose() {
	n.b.hub.Disconnect(dev)
	time.Sleep(3 * time.Second)
	synctest.Wait()
}

// renewals are due after 78 to 82 % of 40 minutes.
func untilRenewal() { time.Sleep(33 * time.Minute) }

// closeStates are what a Client can be in when it is closed. deaf says that nothing
// that is under way then can succeed any more.
var closeStates = []struct {
	name    string
	arrange func(*testing.T, *network, *device.Client)
	deaf    bool
}{
	{"connected", func(*testing.T, *network, *device.Client) {}, false},
	{"a reconnect whose dial hangs", func(_ *testing.T, n *network, _ *device.Client) { n.breakWith(hangs); n.lose() }, true},
	{"a reconnect that waits for TLS", func(_ *testing.T, n *network, _ *device.Client) { n.breakWith(silent); n.lose() }, true},
	{"a reconnect that waits for the hub's answer", func(_ *testing.T, n *network, _ *device.Client) { n.mute.Store(true); n.lose() }, true},
	{"a wait of the back-off", func(_ *testing.T, n *network, _ *device.Client) { n.breakWith(refuses); n.lose() }, true},
	{"a renewal whose dial hangs", func(_ *testing.T, n *network, _ *device.Client) { n.breakWith(hangs); untilRenewal() }, true},
	{"a renewal that waits for acknowledgements", func(t *testing.T, n *network, c *device.Client) {
		time.Sleep(31 * time.Minute)
		n.without.Store(true)
		for last := int32(-1); n.sent.Load() != last; time.Sleep(200 * time.Millisecond) { // then what is new has to wait
			last = n.sent.Load()
			if err := c.SendAsync(t.Context(), &hubwire.Message{}, nil); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		if s := c.State(); s != device.Connected {
			t.Errorf("state %v", s)
		}
	}, true},
	{"a network that has gone", func(_ *testing.T, n *network, _ *device.Client) { n.nc.StopReads(0); n.nc.StopWrites(0) }, true},
	{"half a message in", func(t *testing.T, n *network, c *device.Client) {
		n.b.tell(dev, "first")
		if _, err := c.Receive(t.Context()); err != nil {
			t.Error(err)
		}
		n.nc.StopReads(20_000) // one TLS record of it, and half of the next
		n.b.tell(dev, string(make([]byte, 60_000)))
		synctest.Wait()
	}, true},
	{"half a message out", func(t *testing.T, n *network, c *device.Client) {
		n.nc.StopWrites(20_000)
		for range 3 { // more than the buffers hold
			if err := c.SendAsync(t.Context(), &hubwire.Message{Body: make([]byte, 100_000)}, nil); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
	}, true},
	{"a thousand sends that nobody acknowledges", func(t *testing.T, n *network, c *device.Client) {
		n.without.Store(true)
		for range 1000 { // the window
			if err := c.SendAsync(t.Context(), &hubwire.Message{}, nil); err != nil {
				t.Error(err)
			}
		}
	}, false},
}

// underWay are calls that wait when a Client is closed.
func underWay(t *testing.T, c *device.Client) map[string]func() error {
	ctx := t.Context()
	return map[string]func() error{
		"Send":    func() error { return c.Send(ctx, &hubwire.Message{}) },
		"SendAll": func() error { return c.SendAll(ctx, []*hubwire.Message{{}, {}}) },
		"Receive": func() error { _, err := c.Receive(ctx); return err },
		"HandleMessages": func() error {
			return c.HandleMessages(ctx, func(context.Context, *hubwire.Received) error { return nil })
		},
		"Twin":         func() error { _, err := c.Twin(ctx); return err },
		"Report":       func() error { _, err := c.Report(ctx, struct{}{}); return err },
		"HandleMethod": func() error { return c.HandleMethod(ctx, "m", echo) },
		"Desired": func() (last error) {
			for _, err := range c.Desired(ctx) {
				last = err
			}
			return last
		},
	}
}

func TestCloseInEachState(t *testing.T) {
	for _, tt := range closeStates {
		t.Run(tt.name, func(t *testing.T) {
			var n *network
			overEach(t, hub.Config{Intercept: func(ctx context.Context, op *hub.Op) hub.Verdict { return n.intercept(ctx, op) }}, func(t *testing.T, b *bench) {
				n = &network{b: b}
				before := testkit.Running()
				c := b.dial(b.device, n.options)
				tt.arrange(t, n, c)
				var calls sync.WaitGroup
				for name, call := range underWay(t, c) {
					calls.Go(func() {
						err := call()
						never := name == "Receive" || name == "HandleMessages" || name == "Desired" // end by themselves
						if !errors.Is(err, net.ErrClosed) && (tt.deaf || never || err != nil) {
							t.Errorf("%s: %v", name, err)
						}
					})
				}
				var y tally
				sent := 0
				if tt.deaf { // there is room in the window
					for ; sent < 10; sent++ {
						if err := c.SendAsync(t.Context(), &hubwire.Message{}, y.done(sent)); err != nil {
							t.Error(err)
						}
					}
				}
				synctest.Wait()
				start := time.Now()
				for range 2 { // at once
					calls.Go(func() {
						if err := c.Close(); err != nil {
							t.Errorf("Close: %v", err)
						}
					})
				}
				calls.Wait()
				if d := time.Since(start); d > closeTimeout {
					t.Errorf("it took %v", d)
				}
				y.once(t, sent, func(err error) bool { return errors.Is(err, net.ErrClosed) })
				nothingSince(t, before)
			})
		})
	}
}

func TestADialThatIsGivenUpLeavesNothing(t *testing.T) {
	for name, broken := range map[string]dialer{
		"while it dials": hangs, "while it waits for TLS": silent, "while it backs off": refuses, "while it waits for the hub's answer": nil,
	} {
		t.Run(name, func(t *testing.T) {
			cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
				return hub.Verdict{SwallowAck: op.Kind == hub.OpConnect}
			}}
			overEach(t, cfg, func(t *testing.T, b *bench) {
				n := &network{b: b, broken: broken}
				before := testkit.Running()
				ctx, cancel := context.WithCancel(t.Context())
				failed := make(chan error, 1)
				go func() {
					_, err := device.Dial(ctx, b.device, b.transport, b.options(n.options))
					failed <- err
				}()
				time.Sleep(3 * time.Second)
				synctest.Wait()
				start := time.Now()
				cancel()
				if err := <-failed; !errors.Is(err, context.Canceled) || time.Since(start) > 0 {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				nothingSince(t, before)
			})
		})
	}
}

// nothingSince fails the test when there are goroutines, now, that there were not before.
func nothingSince(t *testing.T, before testkit.Goroutines) {
	t.Helper()
	synctest.Wait()
	if left := testkit.Running().Beyond(before); len(left) > 0 {
		t.Errorf("%d goroutines are left:\n\n%s", len(left), strings.Join(left, "\n\n"))
	}
}
