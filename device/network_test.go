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

	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

// network is what lies between a Client and its hub, and how that goes wrong.
type network struct {
	b      *bench
	mu     sync.Mutex
	nc     *testkit.Stall // the newest connection
	broken dialer         // or nil
	sent   atomic.Int32   // packets, to the hub
}

type dialer func(ctx context.Context) (net.Conn, error)

func (n *network) breakWith(d dialer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broken = d
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
