package device_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
)

// fleet is many Clients of one hub, all of whose attempts to connect are noted
// from the moment on that they are cut off.
type fleet struct {
	b *bench

	mu       sync.Mutex
	conns    []net.Conn
	cutAt    time.Time                // zero: not yet
	attempts [][]time.Duration        // of each Client, since cutAt
	reach    func() (net.Conn, error) // after that; nil: the hub
}

// dial is Options.Dial of the i-th Client.
func (f *fleet) dial(i int) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.cutAt.IsZero() {
			f.attempts[i] = append(f.attempts[i], time.Since(f.cutAt))
			if f.reach != nil {
				return f.reach()
			}
		}
		nc, err := f.b.hub.Dial(ctx, network, addr)
		f.conns = append(f.conns, nc)
		return nc, err
	}
}

// cut ends all connections at once.
func (f *fleet) cut(reach func() (net.Conn, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cutAt, f.reach = time.Now(), reach
	f.attempts = make([][]time.Duration, len(f.attempts))
	for _, nc := range f.conns {
		nc.Close()
	}
	f.conns = nil
}

// all are the attempts of all Clients.
func (f *fleet) all() (times []time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.attempts {
		times = append(times, a...)
	}
	return times
}

// launch connects n Clients.
func launch(b *bench, n int, change func(*device.Options)) *fleet {
	f := &fleet{b: b, attempts: make([][]time.Duration, n)}
	resume := tls.NewLRUClientSessionCache(1)
	var ready sync.WaitGroup
	for i := range n {
		connectionString := hubtest.Device(b.t, b.hub, fmt.Sprint("member-", i))
		ready.Go(func() {
			o := b.options(change)
			o.Dial = f.dial(i)
			quick(o.TLSConfig, resume)
			c, err := device.Dial(b.t.Context(), connectionString, b.transport, o)
			if err != nil {
				b.t.Error(err)
				return
			}
			b.t.Cleanup(func() { c.Close() })
		})
	}
	ready.Wait()
	return f
}

func TestAFleetThatIsCutOffDoesNotComeBackInStep(t *testing.T) {
	n, bucket := 1000, 100*time.Millisecond
	if testkit.RaceEnabled { // which makes a TLS handshake slow
		n, bucket = 100, time.Second
	}
	const soon = 1200 * time.Millisecond // a little more than the first wait, of a second at most
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		f := launch(b, n, func(o *device.Options) { o.MaxBackoff = 10 * time.Second })
		time.Sleep(time.Minute)
		f.cut(nil) // as a hub does that restarts
		time.Sleep(time.Minute)
		back := f.all()
		if len(back) != n {
			t.Errorf("%d attempts of %d Clients", len(back), n)
		}
		testkit.NoSpike(t, back, 0, soon, bucket)

		f.cut(func() (net.Conn, error) { // and then accepts and drops
			client, server := testkit.Pipe()
			server.Close()
			return client, nil
		})
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		times := f.all()
		testkit.NoSpike(t, times, 0, soon, bucket)
		testkit.NoSpike(t, times, time.Minute, 3*time.Minute, bucket)
		for i, a := range f.attempts {
			for k := range a {
				limit, wait := min(10*time.Second, time.Second<<min(k, 4)), a[k]
				if k > 0 {
					wait -= a[k-1]
				}
				if wait < 0 || wait > limit {
					t.Fatalf("Client %d waited for %v before attempt %d, the limit is %v", i, wait, k, limit)
				}
			}
		}
		f.mu.Lock()
		f.reach = nil
		f.mu.Unlock()
		time.Sleep(15 * time.Second)
		for i := range n {
			if !b.hub.Connected(hubwire.Identity{DeviceID: fmt.Sprint("member-", i)}) {
				t.Fatalf("Client %d is not back", i)
			}
		}
	})
}

// TestAFleetThatIsToldToWaitDoesNotComeBackInStep, though all of it is told to wait for as long.
func TestAFleetThatIsToldToWaitDoesNotComeBackInStep(t *testing.T) {
	n := testkit.Fewer(500)
	const asked = 10 * time.Second
	var mu sync.Mutex
	var start time.Time
	var attempts []time.Duration
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		mu.Lock()
		defer mu.Unlock()
		if op.Kind != hub.OpPublish {
			return hub.Verdict{}
		}
		at := time.Since(start)
		attempts = append(attempts, at)
		if at < asked {
			return hub.Verdict{Refuse: hubwire.Throttled, RetryAfter: asked}
		}
		return hub.Verdict{}
	}}
	over(t, device.HTTPS(nil), cfg, func(t *testing.T, b *bench) {
		clients := make([]*device.Client, n)
		for i := range clients {
			clients[i] = b.dial(hubtest.Device(t, b.hub, fmt.Sprint("member-", i)), func(o *device.Options) { quick(o.TLSConfig, nil) })
		}
		start = time.Now()
		var all sync.WaitGroup
		for _, c := range clients {
			all.Go(func() {
				if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(attempts) != 2*n {
			t.Errorf("%d attempts of %d Clients", len(attempts), n)
		}
		testkit.NoSpike(t, attempts, asked, asked+time.Second, 100*time.Millisecond)
	})
}
