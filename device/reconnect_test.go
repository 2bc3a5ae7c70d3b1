package device_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// stateLog records what the State hook is told.
type stateLog struct {
	mu      sync.Mutex
	states  []device.State
	reasons []error
}

func (l *stateLog) hook(s device.State, reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states, l.reasons = append(l.states, s), append(l.reasons, reason)
}

// watched makes options report to l.
func (l *stateLog) watched(o *device.Options) { o.Hooks = &device.Hooks{State: l.hook} }

func (l *stateLog) check(t *testing.T, want ...device.State) []error {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if diff := cmp.Diff(want, l.states); diff != "" {
		t.Errorf("states (-want +got):\n%s\nreasons: %v", diff, l.reasons)
		return slices.Repeat([]error{nil}, len(want))
	}
	return l.reasons
}

func TestTheStateHookTellsEachChangeWithItsReason(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		var l stateLog
		c := b.dial(b.device, l.watched)
		if s := c.State(); s != device.Connected || c.Err() != nil {
			t.Errorf("%v, %v", s, c.Err())
		}
		b.hub.Disconnect(dev)
		b.awaitConnected(c)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		<-c.Done()
		if err := c.Err(); !errors.Is(err, net.ErrClosed) || c.State() != device.Closed {
			t.Errorf("%v, %v", c.State(), err)
		}
		reasons := l.check(t, device.Connected, device.Connecting, device.Connected, device.Closed)
		if reasons[0] != nil || reasons[2] != nil || reasons[3] != nil {
			t.Errorf("reasons %v", reasons)
		}
		var e *hubwire.Error
		if !errors.As(reasons[1], &e) || !e.Retryable || !errors.Is(e, net.ErrClosed) || !errors.Is(e, hubwire.ConnectionClosedRemotely) {
			t.Errorf("lost for %v", reasons[1])
		}
	})
}

func TestNothingIsLostWhenConnectionsAreCut(t *testing.T) {
	const n = 300
	for name, verdict := range map[string]hub.Verdict{
		"before the hub took the message": {DropBefore: true},
		"before the acknowledgement":      {DropAfter: true},
		"without an acknowledgement":      {SwallowAck: true},
	} {
		t.Run(name, func(t *testing.T) {
			seen := 0
			cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
				if op.Kind != hub.OpPublish {
					return hub.Verdict{}
				}
				if seen++; seen%37 != 0 {
					return hub.Verdict{}
				}
				return verdict
			}}
			overEach(t, cfg, func(t *testing.T, b *bench) {
				c := b.dial(b.device, func(o *device.Options) { o.Window = 20 })
				ms := make([]*hubwire.Message, n)
				for i := range ms {
					ms[i] = &hubwire.Message{Body: fmt.Append(nil, i)}
				}
				if err := c.SendAll(t.Context(), ms); err != nil {
					t.Fatal(err)
				}
				next := 0
				for next < n { // in order, but for what is sent again from some place on
					ev := b.next()
					var i int
					fmt.Sscan(string(ev.Body), &i)
					if i > next {
						t.Fatalf("message %d came when %d was due", i, next)
					}
					if i == next {
						next++
					}
				}
			})
		})
	}
}

func TestTokensAreRenewedWithoutLoss(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		var l stateLog
		c := b.dial(b.device, func(o *device.Options) {
			l.watched(o)
			o.TokenTTL = 40 * time.Minute
		})
		b.handle(c, "echo", echo)
		start := time.Now()
		for i := 0; time.Since(start) < 40*time.Minute; i++ {
			if err := c.Send(t.Context(), &hubwire.Message{Body: fmt.Append(nil, i)}); err != nil {
				t.Fatal(err)
			}
			if ev := b.next(); string(ev.Body) != fmt.Sprint(i) {
				t.Fatalf("%q arrived, want %d", ev.Body, i)
			}
			b.tell(dev, fmt.Sprint(i))
			m := b.receive(c, fmt.Sprint(i))
			if err := m.Complete(t.Context()); err != nil {
				t.Fatal(err)
			}
			if resp, err := b.invoke("echo", "1"); err != nil || resp.Status != 200 {
				t.Fatalf("%+v, %v", resp, err)
			}
			time.Sleep(7 * time.Second)
		}
		if c.State() != device.Connected {
			t.Errorf("the state is %v", c.State())
		}
		l.check(t, device.Connected, device.Renewing, device.Connected)
		b.noMore()
	})
}

func TestAHundredRenewalsInTheMidstOfTraffic(t *testing.T) {
	const renewals = 100
	overEach(t, hub.Config{Skew: -1}, func(t *testing.T, b *bench) {
		renewed := make(chan struct{}, 1)
		c := b.dial(b.device, func(o *device.Options) {
			o.TokenTTL = 2 * time.Second
			o.Hooks = &device.Hooks{State: func(s device.State, _ error) {
				if s == device.Renewing {
					renewed <- struct{}{}
				}
			}}
		})
		b.handle(c, "echo", echo)
		ctx, cancel := context.WithCancel(t.Context())
		var busy sync.WaitGroup
		sent, told := 0, 0
		every := func(d time.Duration, f func()) {
			busy.Go(func() {
				for ctx.Err() == nil {
					f()
					time.Sleep(d)
				}
			})
		}
		every(70*time.Millisecond, func() {
			if err := c.Send(t.Context(), &hubwire.Message{Body: fmt.Append(nil, sent)}); err != nil {
				t.Errorf("message %d: %v", sent, err)
			}
			sent++
		})
		every(110*time.Millisecond, func() {
			b.tell(dev, fmt.Sprint(told))
			m, err := c.Receive(t.Context())
			for err == nil && string(m.Body) != fmt.Sprint(told) && m.Redelivered { // the PUBACK of the last one was lost
				m.Complete(t.Context())
				m, err = c.Receive(t.Context())
			}
			if err != nil || string(m.Body) != fmt.Sprint(told) {
				t.Errorf("command %d: %v, %v", told, m, err)
			} else if err := m.Complete(t.Context()); err != nil && !errors.Is(err, hubwire.MessageLockLost) {
				t.Errorf("command %d: %v", told, err)
			}
			told++
		})
		every(130*time.Millisecond, func() {
			// A call that meets the moment of the renewal fails at its caller.
			resp, err := b.invoke("echo", "1")
			if err == nil && resp.Status != 200 {
				t.Errorf("%+v", resp)
			}
		})
		for range renewals {
			<-renewed
		}
		cancel()
		busy.Wait()
		if err := c.Err(); err != nil {
			t.Error(err)
		}
		last := -1
		for last < sent-1 {
			ev := b.next()
			var i int
			fmt.Sscan(string(ev.Body), &i)
			if i > last+1 {
				t.Fatalf("message %d came after %d", i, last)
			}
			last = max(last, i)
		}
	})
}

func TestAComputerThatSleptUsesAFreshToken(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		var asleep atomic.Bool
		c := b.dial(b.device, func(o *device.Options) {
			o.TokenTTL = 10 * time.Minute
			dial := o.Dial
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if asleep.Load() {
					return nil, errors.New("no network")
				}
				return dial(ctx, network, addr)
			}
		})
		asleep.Store(true)
		b.hub.Disconnect(dev)
		time.Sleep(time.Hour)
		asleep.Store(false)
		b.awaitConnected(c)
		if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
			t.Error(err)
		}
	})
}

func TestEveryFeatureComesBackAfterEachCut(t *testing.T) {
	overEach(t, hub.Config{Routes: []hub.Route{{From: mod, Output: "out", To: mod, Input: "in"}}}, func(t *testing.T, b *bench) {
		c := b.dial(b.module, nil)
		b.handle(c, "echo", echo)
		changes := make(chan int64)
		go func() {
			for d := range c.Desired(t.Context()) {
				changes <- d.Version
			}
			close(changes)
		}()
		last := <-changes
		for i := range 50 {
			b.hub.Disconnect(mod)
			b.awaitConnected(c)
			if err := c.Send(t.Context(), &hubwire.Message{Body: fmt.Append(nil, i), Output: "out"}); err != nil {
				t.Fatal(err)
			}
			if err := b.receive(c, fmt.Sprint(i)).Complete(t.Context()); err != nil {
				t.Fatal(err)
			}
			if resp, err := b.hub.Invoke(t.Context(), mod, hubwire.MethodRequest{Name: "echo"}, nil); err != nil || resp.Status != 200 {
				t.Fatalf("method after cut %d: %+v, %v", i, resp, err)
			}
			if _, err := c.Report(t.Context(), map[string]int{"i": i}); err != nil {
				t.Fatal(err)
			}
			if twin, err := c.Twin(t.Context()); err != nil || string(twin.Reported.JSON) != fmt.Sprintf(`{"i":%d}`, i) {
				t.Fatalf("twin after cut %d: %v", i, err)
			}
			twin, err := b.hub.PatchTwin(t.Context(), mod, hub.TwinUpdate{Desired: fmt.Appendf(nil, `{"i":%d}`, i)}, "")
			if err != nil {
				t.Fatal(err)
			}
			for last < twin.Desired.Version {
				last = <-changes
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for range changes {
		}
	})
}
