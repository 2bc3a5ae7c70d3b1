package device_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// feedback returns what became of each message, by its id, once there are n records.
func (b *bench) feedback(n int) map[string]string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Hour)
	defer cancel()
	got := map[string]string{}
	for len(got) < n {
		records, err := b.hub.Feedback(ctx)
		if err != nil {
			b.t.Fatalf("after %v: %v", got, err)
		}
		for _, r := range records {
			if before, twice := got[r.MessageID]; twice {
				b.t.Errorf("%s: %s after %s", r.MessageID, r.Status, before)
			}
			got[r.MessageID] = r.Status
		}
	}
	return got
}

// noFeedback fails the test when there is more.
func (b *bench) noFeedback() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	if records, err := b.hub.Feedback(ctx); err == nil {
		b.t.Errorf("more feedback: %+v", records)
	}
}

// order queues a message with an id, a body of the same, and the feedback that is wanted.
func (b *bench) order(id string, ack hubwire.Ack, expiry time.Time) {
	b.t.Helper()
	if err := b.hub.SendC2D(b.t.Context(), dev, &hubwire.Message{ID: id, Body: []byte(id), Ack: ack, Expiry: expiry}); err != nil {
		b.t.Fatal(err)
	}
}

func TestAMessageWhoseConnectionIsLostBeforeItIsSettledComesAgain(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		b.order("a", hubwire.AckFull, time.Time{})
		first := b.receive(c, "a")
		if first.Redelivered {
			t.Error("the first delivery is marked as another")
		}
		b.hub.Disconnect(dev)
		synctest.Wait()
		b.awaitConnected(c)
		for range 2 {
			err := first.Complete(t.Context())
			var e *hubwire.Error
			if !errors.As(err, &e) || !errors.Is(err, hubwire.MessageLockLost) || !errors.Is(err, net.ErrClosed) ||
				e.Op != "complete" || e.Outcome != hubwire.NotSent || e.Retryable {
				t.Errorf("a settlement after its connection: %+v", err)
			}
		}
		if first.Settled() {
			t.Error("it counts as settled")
		}
		b.waiting(dev, 1)
		again := b.receive(c, "a")
		if again.Redelivered != b.mqtt() || again.ID != first.ID {
			t.Errorf("%+v", again)
		}
		if err := again.Complete(t.Context()); err != nil {
			t.Error(err)
		}
		b.waiting(dev, 0)
		if diff := cmp.Diff(map[string]string{"a": "Success"}, b.feedback(1)); diff != "" {
			t.Errorf("feedback (-want +got):\n%s", diff)
		}
		b.noFeedback()
	})
}

// A PUBACK that is lost with its connection looks like a success here: the hub delivers again.
func TestACompletionThatIsLostWithItsConnection(t *testing.T) {
	var lose atomic.Bool // two connections can be asked about at a time
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		return hub.Verdict{DropBefore: op.Kind == hub.OpAck && lose.CompareAndSwap(true, false)}
	}}
	overMQTT(t, cfg, func(t *testing.T, b *bench) {
		lose.Store(true)
		c := b.dial(b.device, nil)
		b.order("a", hubwire.AckFull, time.Time{})
		if err := b.receive(c, "a").Complete(t.Context()); err != nil {
			t.Error(err)
		}
		if err := b.receive(c, "a").Complete(t.Context()); err != nil {
			t.Error(err)
		}
		b.waiting(dev, 0)
		b.feedback(1)
		b.noFeedback()
	})
}

// The delivery count is what an abandon raises, which MQTT does not have: no
// number of lost connections and locks makes the hub give a message up.
func TestLostConnectionsAndLocksDoNotUseAMessageUp(t *testing.T) {
	overEach(t, hub.Config{MaxDeliveryCount: 3, LockTimeout: 10 * time.Second}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		b.order("a", hubwire.AckNegative, time.Time{})
		for range 10 {
			if m := b.receive(c, "a"); m.DeliveryCount != 0 { // MQTT does not carry it
				t.Errorf("delivery count %d", m.DeliveryCount)
			}
			b.hub.Disconnect(dev)
			synctest.Wait()
			b.awaitConnected(c)
		}
		held := b.receive(c, "a")
		if b.mqtt() {
			time.Sleep(10 * time.Minute) // sixty locks
		}
		if err := held.Complete(t.Context()); err != nil {
			t.Error(err)
		}
		b.waiting(dev, 0)
		b.noFeedback() // a success is not negative
	})
}

func TestWhatTheSenderHearsOfAMessage(t *testing.T) {
	const success, expired, purged = "Success", "Expired", "Purged"
	acks := []hubwire.Ack{"", hubwire.AckNone, hubwire.AckPositive, hubwire.AckNegative, hubwire.AckFull}
	for fate, tt := range map[string]struct {
		make func(*testing.T, *bench, *device.Client)
		want map[hubwire.Ack]string
	}{
		"completed": {func(t *testing.T, b *bench, c *device.Client) {
			for _, ack := range acks {
				if err := b.receive(c, "is "+string(ack)).Complete(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}, map[hubwire.Ack]string{hubwire.AckPositive: success, hubwire.AckFull: success}},
		"expired before it was received": {func(t *testing.T, b *bench, c *device.Client) {
			time.Sleep(3 * time.Minute)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if m, err := c.Receive(ctx); err == nil {
				t.Errorf("%q came after its expiry", m.Body)
			}
		}, map[hubwire.Ack]string{hubwire.AckNegative: expired, hubwire.AckFull: expired}},
		"expired at work, and completed too late": {func(t *testing.T, b *bench, c *device.Client) {
			var held []*hubwire.Received
			for _, ack := range acks {
				held = append(held, b.receive(c, "is "+string(ack)))
			}
			time.Sleep(5 * time.Minute)
			for _, m := range held {
				err := m.Complete(t.Context()) // a PUBACK cannot come too late, it says no more than "done"
				if b.mqtt() && err != nil || !b.mqtt() && !errors.Is(err, hubwire.MessageLockLost) {
					t.Error(err)
				}
			}
		}, map[hubwire.Ack]string{hubwire.AckNegative: expired, hubwire.AckFull: expired}},
		"purged": {func(t *testing.T, b *bench, c *device.Client) {
			if n, err := b.hub.Purge(t.Context(), dev); n != len(acks) || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}, map[hubwire.Ack]string{hubwire.AckPositive: purged, hubwire.AckNegative: purged, hubwire.AckFull: purged}},
	} {
		t.Run(fate, func(t *testing.T) {
			overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
				for _, ack := range acks {
					b.order("is "+string(ack), ack, time.Now().Add(2*time.Minute))
				}
				if fate == "expired before it was received" {
					time.Sleep(2 * time.Minute)
				}
				c := b.dial(b.device, nil)
				tt.make(t, b, c)
				want := map[string]string{}
				for ack, status := range tt.want {
					want["is "+string(ack)] = status
				}
				if diff := cmp.Diff(want, b.feedback(len(want))); diff != "" {
					t.Errorf("feedback (-want +got):\n%s", diff)
				}
				b.noFeedback()
				b.waiting(dev, 0)
			})
		})
	}
}

func TestWhatAHandlerSettledItselfStaysAsItIs(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		for _, id := range []string{"completes and fails", "completes and panics", "rejects, then all is well", "gives it to another goroutine"} {
			b.order(id, hubwire.AckFull, time.Time{})
		}
		ctx, cancel := context.WithCancel(t.Context())
		left := 4
		err := c.HandleMessages(ctx, func(ctx context.Context, m *hubwire.Received) error {
			if left--; left == 0 {
				defer cancel()
			}
			switch m.ID {
			case "rejects, then all is well":
				if err := m.Reject(ctx); b.mqtt() && !errors.Is(err, errors.ErrUnsupported) || !b.mqtt() && err != nil {
					t.Error(err)
				}
				return nil
			case "gives it to another goroutine":
				done := make(chan error)
				go func() { done <- m.Complete(ctx) }()
				return <-done
			}
			if err := m.Complete(ctx); err != nil {
				t.Error(err)
			}
			if m.ID == "completes and panics" {
				panic("later")
			}
			return errors.New("later")
		})
		if !errors.Is(err, context.Canceled) || !errors.Is(c.HandleMessages(t.Context(), nil), hubwire.ArgumentInvalid) {
			t.Errorf("%v", err)
		}
		for id, status := range b.feedback(4) {
			want := "Success"
			if id == "rejects, then all is well" && !b.mqtt() {
				want = "Rejected"
			}
			if status != want {
				t.Errorf("%s: %s", id, status)
			}
		}
	})
}

func TestManyMaySettleOneMessageAtOnce(t *testing.T) {
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		b.order("a", hubwire.AckFull, time.Time{})
		b.order("b", hubwire.AckFull, time.Time{})
		m := b.receive(c, "a")
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				if i%5 == 0 && b.mqtt() { // where it would be the end of it, if it came first
					if err := m.Abandon(t.Context()); err != nil && !errors.Is(err, errors.ErrUnsupported) {
						t.Error(err)
					}
					return
				}
				if err := m.Complete(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if !m.Settled() {
			t.Error("it is not settled")
		}
		if err := b.receive(c, "b").Complete(t.Context()); err != nil { // which one PUBACK too many would have hit
			t.Error(err)
		}
		if diff := cmp.Diff(map[string]string{"a": "Success", "b": "Success"}, b.feedback(2)); diff != "" {
			t.Errorf("feedback (-want +got):\n%s", diff)
		}
	})
}

// Receivers settle on goroutines of their own, late and in any order, while
// connections are lost: what the hub counts as done was completed, or may have been.
func TestSettlingWhileConnectionsAreLost(t *testing.T) {
	const n = 200
	overEach(t, hub.Config{LockTimeout: 20 * time.Second}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var mu sync.Mutex
		completed := map[string]bool{}
		for range 4 {
			all.Go(func() {
				for {
					m, err := c.Receive(ctx)
					if err != nil {
						if !errors.Is(err, context.Canceled) {
							t.Error(err)
						}
						return
					}
					all.Go(func() {
						time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond)
						err := m.Complete(t.Context())
						e, ok := errors.AsType[*hubwire.Error](err)
						switch {
						case err == nil, ok && e.Code == hubwire.MessageLockLost && e.Outcome == hubwire.Unknown: // the answer was lost
							mu.Lock()
							completed[m.ID] = true
							mu.Unlock()
						case !errors.Is(err, hubwire.MessageLockLost):
							t.Error(err)
						}
					})
				}
			})
		}
		all.Go(func() {
			for ctx.Err() == nil {
				time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond)
				b.hub.Disconnect(dev)
			}
		})
		want := map[string]string{}
		go func() {
			for i := range n {
				m := &hubwire.Message{ID: fmt.Sprint(i), Ack: hubwire.AckFull}
				for errors.Is(b.hub.SendC2D(ctx, dev, m), hubwire.QueueDepthExceeded) {
					time.Sleep(time.Second)
				}
			}
		}()
		for i := range n {
			want[fmt.Sprint(i)] = "Success"
		}
		got := b.feedback(n)
		stop()
		all.Wait()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("feedback (-want +got):\n%s", diff)
		}
		for id := range maps.Keys(want) {
			if !completed[id] {
				t.Errorf("message %s counts as done, and nobody completed it", id)
			}
		}
		b.waiting(dev, 0)
	})
}
