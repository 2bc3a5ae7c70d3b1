package device_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
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

// told returns what there is so far, also while there comes more.
func (l *stateLog) told() (states []device.State, reasons []error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.states), slices.Clone(l.reasons)
}

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
		if b.mqtt() {
			l.check(t, device.Connected, device.Renewing, device.Connected)
		} else { // the token is put beside all else, which goes on
			l.check(t, device.Connected)
		}
		b.noMore()
	})
}

func TestTheShortestTokensAreRenewedInTime(t *testing.T) {
	overEach(t, hub.Config{Skew: -1}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, func(o *device.Options) {
			o.TokenTTL = time.Second
			o.Hooks = &device.Hooks{State: func(s device.State, reason error) {
				if s == device.Connecting {
					t.Errorf("the connection was lost: %v", reason)
				}
			}}
		})
		for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(130 * time.Millisecond) {
			if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
