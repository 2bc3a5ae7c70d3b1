package device_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

// TestTwoClientsOfOneDevice has them take the place from each other, which no
// client can mend, or know of: the reason says what a client can see.
func TestTwoClientsOfOneDevice(t *testing.T) {
	overMQTT(t, hub.Config{}, func(t *testing.T, b *bench) {
		var first, second stateLog
		b.dial(b.device, first.watched)
		b.dial(b.device, second.watched)
		time.Sleep(time.Hour)
		synctest.Wait()
		for name, l := range map[string]*stateLog{"first": &first, "second": &second} {
			l.mu.Lock()
			connects := 0
			for i, s := range l.states {
				switch reason := l.reasons[i]; {
				case s == device.Connected:
					connects++
				case i > 10 && !strings.Contains(reason.Error(), "has another client the same id?"):
					t.Errorf("no word of the rival: %v", reason)
				case s != device.Connecting || !errors.Is(reason, mqtt.ErrServerClosed) || !errors.Is(reason, net.ErrClosed) || !errors.Is(reason, hubwire.ConnectionClosedRemotely):
					t.Errorf("%v: %v", s, reason)
				}
			}
			l.mu.Unlock()
			// After the first minutes each waits for half a minute on average, while the other is connected.
			t.Logf("the %s connects %d times in an hour", name, connects)
			if connects < 30 || connects > 120 {
				t.Errorf("the %s connects %d times in an hour", name, connects)
			}
		}
	})
}

func TestAHubThatThrottlesIsNotHammered(t *testing.T) {
	for _, code := range []hubwire.Code{hubwire.ServiceUnavailable, hubwire.Throttled} {
		t.Run(code.Error(), func(t *testing.T) {
			var on atomic.Bool
			var logins atomic.Int32
			cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
				if op.Kind == hub.OpConnect && on.Load() {
					logins.Add(1)
					return hub.Verdict{Refuse: code}
				}
				return hub.Verdict{}
			}}
			overMQTT(t, cfg, func(t *testing.T, b *bench) {
				var l stateLog
				c := b.dial(b.device, l.watched)
				on.Store(true)
				logins.Store(0)
				b.hub.Disconnect(dev)
				time.Sleep(time.Hour)
				if n := logins.Load(); n < 80 || n > 180 { // 6 at first, and then one in half a minute on average
					t.Errorf("%d logins in an hour", n)
				}
				_, reasons := l.told()
				if last := reasons[len(reasons)-1]; !errors.Is(last, hubwire.ServiceUnavailable) || !errors.Is(last, mqtt.Unavailable) {
					t.Errorf("%v", last)
				}
				on.Store(false)
				start := time.Now()
				if err := c.Send(t.Context(), &hubwire.Message{}); err != nil || time.Since(start) > time.Minute {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
}

// TestAResumeKeepsToTheWindow cuts the connection again and again while more is
// to be sent than the window holds, to a hub that takes its time.
func TestAResumeKeepsToTheWindow(t *testing.T) {
	const n, window = 2000, 50
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		if op.Kind == hub.OpPublish {
			return hub.Verdict{Delay: 10 * time.Millisecond}
		}
		return hub.Verdict{}
	}}
	overMQTT(t, cfg, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		open, most, resumed := map[uint16]bool{}, 0, 0 // the publishes of a connection that are not acknowledged
		c := b.dial(b.device, func(o *device.Options) {
			o.Window, o.MaxBackoff = window, time.Second
			o.Hooks = &device.Hooks{Packet: func(sent bool, raw []byte) {
				mu.Lock()
				defer mu.Unlock()
				switch p := mqtt.Packet(raw); {
				case sent && p.Type() == mqtt.TypeConnect:
					clear(open)
				case sent && p.Type() == mqtt.TypePublish:
					m, _ := mqtt.ParsePublish(p)
					open[m.ID] = true
					most = max(most, len(open))
					if m.Dup {
						resumed++
					}
				case !sent && p.Type() == mqtt.TypePuback:
					ack, _ := mqtt.ParsePuback(p)
					delete(open, ack.ID)
				}
			}}
		})
		var y tally
		ctx, cancel := context.WithCancel(t.Context())
		var cutting sync.WaitGroup
		cutting.Go(func() {
			until(ctx, 1500*time.Millisecond, func() { b.hub.Disconnect(dev) })
		})
		for i := range n {
			if err := c.SendAsync(t.Context(), &hubwire.Message{Body: fmt.Append(nil, "m ", i)}, y.done(i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Send(t.Context(), &hubwire.Message{Body: fmt.Append(nil, "m ", n)}); err != nil {
			t.Error(err)
		}
		cancel()
		cutting.Wait()
		y.once(t, n, func(err error) bool { return err == nil })
		inOrder(b, "m", n+1)
		mu.Lock()
		defer mu.Unlock()
		t.Logf("%d under way at most, %d sent again", most, resumed)
		if most > window || resumed < 10*window/2 {
			t.Errorf("%d under way at most, the window is %d; %d sent again", most, window, resumed)
		}
	})
}

// inOrder reads what the hub took and fails the test unless the n messages of that
// name are there, the first of each in order.
func inOrder(b *bench, name string, n int) {
	r, err := b.hub.Events(b.t.Context(), nil)
	if err != nil {
		b.t.Error(err)
		return
	}
	next := 0
	for {
		ev, err := r.TryNext(b.t.Context())
		if ev == nil || err != nil {
			break
		}
		var i int
		if k, _ := fmt.Sscanf(string(ev.Body), name+" %d", &i); k == 1 && i >= next {
			if i > next {
				b.t.Errorf("%s %d comes after %d", name, i, next-1)
			}
			next = i + 1
		}
	}
	if next != n {
		b.t.Errorf("%s %d of %d is lost", name, next, n)
	}
}
