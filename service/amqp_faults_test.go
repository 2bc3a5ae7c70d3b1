package service_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/service"
)

// fault has one verdict for the first operation that what picks, once it is armed.
type fault struct {
	what    func(*hub.Op) bool
	verdict hub.Verdict
	armed   atomic.Bool
}

func (f *fault) intercept(_ context.Context, op *hub.Op) hub.Verdict {
	if !f.what(op) || !f.armed.CompareAndSwap(true, false) {
		return hub.Verdict{}
	}
	return f.verdict
}

// toDevices picks the messages of a service.
func toDevices(op *hub.Op) bool {
	return op.Kind == hub.OpPublish && op.Identity == (hubwire.Identity{})
}

// TestAMessageIsSentOnce has each fault strike a message, on its way to the hub or back.
func TestAMessageIsSentOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		verdict hub.Verdict
		outcome hubwire.Outcome
		code    hubwire.Code
		retry   bool
		queued  int
	}{
		"cut before the hub has it": {hub.Verdict{DropBefore: true}, hubwire.Unknown, hubwire.ConnectionClosedRemotely, true, 0},
		"cut before it answers":     {hub.Verdict{DropAfter: true}, hubwire.Unknown, hubwire.ConnectionClosedRemotely, true, 1},
		"no answer":                 {hub.Verdict{SwallowAck: true}, hubwire.Unknown, hubwire.ConnectionClosedRemotely, true, 1},
		"throttled":                 {hub.Verdict{Refuse: hubwire.Throttled}, hubwire.Refused, hubwire.Throttled, true, 0},
		"busy":                      {hub.Verdict{Refuse: hubwire.ServiceUnavailable}, hubwire.Refused, hubwire.ServiceUnavailable, true, 0},
		"not allowed":               {hub.Verdict{Refuse: hubwire.Unauthorized}, hubwire.Refused, hubwire.Unauthorized, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			strikes := &fault{what: toDevices, verdict: tt.verdict}
			overAMQP(t, hub.Config{Intercept: strikes.intercept}, func(t *testing.T, h *hub.Hub, c *service.Client, _ *dialled) {
				strikes.armed.Store(true)
				hubtest.Device(t, h, "dev-1")
				start := time.Now()
				e := errorOf(t, c.SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte("x")}))
				if e.Outcome != tt.outcome || e.Code != tt.code || e.Retryable != tt.retry || e.Op != "send c2d" {
					t.Errorf("after %v: %v", time.Since(start), e)
				}
				if tt.code == hubwire.ConnectionClosedRemotely && !errors.Is(e, net.ErrClosed) {
					t.Errorf("it does not match net.ErrClosed: %v", e)
				}
				if n, err := h.QueueLength(dev); n != tt.queued || err != nil {
					t.Errorf("%d messages are in the queue, %v", n, err)
				}
				if err := c.SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte("y")}); err != nil {
					t.Errorf("the next one: %v", err)
				}
			})
		})
	}
}

// TestADeadConnectionIsLeft has the connection swallow all that it is given, both ways, and nobody end it.
func TestADeadConnectionIsLeft(t *testing.T) {
	const keepAlive, impatience = 20 * time.Second, 7 * time.Second
	for name, tt := range map[string]struct{ keepAlive, limit time.Duration }{
		"by KeepAlive":              {keepAlive, keepAlive * 3 / 2},
		"by what is never answered": {0, time.Minute + 5*time.Second}, // RequestTimeout, and what the end of a session may take
	} {
		t.Run(name, func(t *testing.T) {
			onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, _ *service.Client) {
				hubtest.Device(t, h, "dev-1")
				s := &stage{T: t, hub: h}
				c := clientOf(t, h, "service", func(o *service.Options) {
					o.Dial, o.KeepAlive = s.through(o.Dial), tt.keepAlive
				})
				defer s.each((*testkit.Relay).Close)
				if err := c.SendC2D(t.Context(), dev, &hubwire.Message{ID: "before"}); err != nil {
					t.Fatal(err)
				}
				s.each(func(r *testkit.Relay) {
					r.Up.Swallow(true)
					r.Down.Swallow(true)
				})
				start := time.Now()
				for {
					ctx, cancel := context.WithTimeout(t.Context(), impatience)
					err := c.SendC2D(ctx, dev, &hubwire.Message{ID: "after"})
					cancel()
					if err == nil {
						break
					}
					if e, took := errorOf(t, err), time.Since(start); e.Outcome != hubwire.Unknown || took > tt.limit+impatience {
						t.Fatalf("after %v: %v", took, e)
					}
				}
			})
		})
	}
}

// TestManySendersAndCuts has messages come once when they were accepted, and at most once when nobody
// knows.
func TestManySendersAndCuts(t *testing.T) {
	overAMQP(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client, dials *dialled) {
		hubtest.Device(t, h, "dev-1")
		d := online(t, h, dev)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		got := map[string]int{}
		var receiving sync.WaitGroup
		receiving.Go(func() {
			for {
				m, err := d.Receive(ctx)
				if err != nil {
					return
				}
				got[m.ID]++
				if err := m.Complete(ctx); err != nil {
					t.Error(err)
				}
			}
		})
		const senders, each = 10, 40
		outcomes := make([]map[string]error, senders)
		var sending, cutting sync.WaitGroup
		for i := range senders {
			sending.Go(func() {
				random := rand.New(rand.NewPCG(uint64(i), 1))
				outcomes[i] = map[string]error{}
				for j := range each {
					id := fmt.Sprint(i, "-", j)
					outcomes[i][id] = c.SendC2D(ctx, dev, &hubwire.Message{ID: id})
					time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
				}
			})
		}
		stop := make(chan struct{})
		cutting.Go(func() {
			random := rand.New(rand.NewPCG(0, 2))
			for {
				select {
				case <-time.After(time.Duration(random.IntN(2000)) * time.Millisecond):
					dials.cut()
				case <-stop:
					return
				}
			}
		})
		sending.Wait()
		close(stop)
		cutting.Wait()
		time.Sleep(time.Minute)
		cancel()
		receiving.Wait()
		accepted := 0
		for _, of := range outcomes {
			for id, err := range of {
				switch {
				case err == nil && got[id] != 1, got[id] > 1:
					t.Errorf("%s came %d times: %v", id, got[id], err)
				case err == nil:
					accepted++
				case errorOf(t, err).Outcome != hubwire.Unknown:
					t.Errorf("%s: %v", id, err)
				}
			}
		}
		if accepted < senders*each/2 || dials.count() < 3 {
			t.Errorf("%d accepted, over %d connections", accepted, dials.count())
		}
	})
}

// TestFeedbackIsNotLost has its link end in each way before it is settled.
func TestFeedbackIsNotLost(t *testing.T) {
	answered := func(op *hub.Op) bool { return op.Kind == hub.OpAck && op.Identity == (hubwire.Identity{}) }
	for name, tt := range map[string]struct {
		verdict hub.Verdict
		spoil   func(*dialled)
		code    hubwire.Code
		outcome hubwire.Outcome
		again   bool // it comes again
	}{
		"cut before it is settled":      {spoil: (*dialled).cut, code: hubwire.MessageLockLost, outcome: hubwire.NotSent, again: true},
		"the lock is over":              {spoil: func(*dialled) { time.Sleep(2 * time.Minute) }, code: hubwire.MessageLockLost, outcome: hubwire.Refused, again: true},
		"cut before the hub settles it": {verdict: hub.Verdict{DropBefore: true}, code: hubwire.MessageLockLost, outcome: hubwire.Unknown, again: true},
		"cut before the hub says so":    {verdict: hub.Verdict{DropAfter: true}, code: hubwire.MessageLockLost, outcome: hubwire.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			strikes := &fault{what: answered, verdict: tt.verdict}
			overAMQP(t, hub.Config{Intercept: strikes.intercept}, func(t *testing.T, h *hub.Hub, c *service.Client, dials *dialled) {
				strikes.armed.Store(true)
				ctx := t.Context()
				hubtest.Device(t, h, "dev-1")
				if err := c.SendC2D(ctx, dev, &hubwire.Message{ID: "m", Ack: hubwire.AckFull}); err != nil {
					t.Fatal(err)
				}
				if _, err := h.Purge(ctx, dev); err != nil {
					t.Fatal(err)
				}
				f, err := c.ReceiveFeedback(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if tt.spoil != nil {
					tt.spoil(dials)
					time.Sleep(time.Millisecond)
				}
				e := errorOf(t, f.Complete(ctx))
				if e.Code != tt.code || e.Outcome != tt.outcome || e.Op != "complete" {
					t.Errorf("complete: %v", e)
				}
				short, cancel := context.WithTimeout(ctx, 5*time.Minute)
				defer cancel()
				f, err = c.ReceiveFeedback(short)
				if !tt.again {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%+v, %v", f, err)
					}
					return
				}
				if err != nil || f.Records[0].OriginalMessageID != "m" || !f.Records[0].Status.Is(service.FeedbackPurged) {
					t.Fatalf("again: %+v, %v", f, err)
				}
				if err := f.Complete(ctx); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestFeedbackIsGivenBack has it come again at once.
func TestFeedbackIsGivenBack(t *testing.T) {
	overAMQP(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client, _ *dialled) {
		ctx := t.Context()
		hubtest.Device(t, h, "dev-1")
		for i := range 3 {
			if err := c.SendC2D(ctx, dev, &hubwire.Message{ID: fmt.Sprint(i), Ack: hubwire.AckNegative}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := h.Purge(ctx, dev); err != nil {
			t.Fatal(err)
		}
		n := 0
		for f, err := range c.Feedback(ctx) {
			if err != nil || len(f.Records) != 3 {
				t.Fatalf("%+v, %v", f, err)
			}
			settle := f.Abandon
			if n++; n == 3 {
				settle = f.Complete
			}
			if err := settle(ctx); err != nil {
				t.Error(err)
			}
			if err := f.Complete(ctx); err != nil { // which is settled
				t.Error(err)
			}
			if n == 3 {
				break
			}
		}
		ctx, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		if f, err := c.ReceiveFeedback(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v, %v", f, err)
		}
	})
}
