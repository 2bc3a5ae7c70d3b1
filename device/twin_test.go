package device_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
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
)

// wish patches the desired properties and returns their version.
func (b *bench) wish(patch string) int64 {
	b.t.Helper()
	twin, err := b.hub.PatchTwin(b.t.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(patch)}, "")
	if err != nil {
		b.t.Fatal(err)
	}
	return twin.Desired.Version
}

func TestTheTwinIsReadAndReported(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		b.wish(`{"interval":10,"unit":"°C"}`)
		for i, patch := range []any{
			map[string]any{"temperature": 21.5, "gone": true},
			struct {
				Gone *int `json:"gone"`
			}{},
			json.RawMessage(` {"nested":{"a":"b"}}`),
		} {
			version, err := c.Report(t.Context(), patch)
			if want := int64(i + 2); err != nil || version != want {
				t.Fatalf("report %d: version %d, want %d: %v", i, version, want, err)
			}
		}
		twin, err := c.Twin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := &hubwire.Twin{
			Identity: dev,
			Desired:  hubwire.TwinSection{Version: 2, JSON: json.RawMessage(`{"interval":10,"unit":"°C"}`)},
			Reported: hubwire.TwinSection{Version: 4, JSON: json.RawMessage(`{"nested":{"a":"b"},"temperature":21.5}`)},
		}
		if diff := cmp.Diff(want, twin, sameJSON); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for name, patch := range map[string]any{
			"an array": []int{1}, "nothing": nil, "broken": json.RawMessage(`{"a"`), "two": json.RawMessage(`{}{}`),
			"not JSON": func() {}, "a string": "x",
		} {
			var e *hubwire.Error
			if _, err := c.Report(t.Context(), patch); !errors.As(err, &e) || e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.NotSent {
				t.Errorf("%s: %v", name, err)
			}
		}
		var e *hubwire.Error
		_, err = c.Report(t.Context(), map[string]string{"long": strings.Repeat("x", hubwire.MaxTwinSectionSize)})
		if !errors.As(err, &e) || e.Outcome != hubwire.Refused || e.Retryable || e.Code.Status()/100 != 4 {
			t.Errorf("over the limit: %v", err)
		}
	})
}

// sameJSON compares JSON by what it says.
var sameJSON = cmp.Comparer(func(a, b json.RawMessage) bool {
	var x, y any
	return a == nil && b == nil || json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && cmp.Equal(x, y)
})

// swallow answers the first n requests of the kinds with silence.
func swallow(n int32, kinds ...hub.OpKind) func(context.Context, *hub.Op) hub.Verdict {
	var seen atomic.Int32
	return func(_ context.Context, op *hub.Op) hub.Verdict {
		for _, k := range kinds {
			if op.Kind == k && seen.Add(1) <= n {
				return hub.Verdict{SwallowAck: true}
			}
		}
		return hub.Verdict{}
	}
}

func TestATwinRequestWithoutAnAnswer(t *testing.T) {
	overEach(t, hub.Config{Intercept: swallow(1e6, hub.OpTwinGet, hub.OpTwinReport)}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, func(o *device.Options) { o.OperationTimeout = 90 * time.Second })
		start := time.Now()
		_, err := c.Twin(t.Context())
		var e *hubwire.Error
		if !errors.As(err, &e) || e.Outcome != hubwire.Unknown || !e.Retryable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if d := time.Since(start); d != 90*time.Second {
			t.Errorf("it took %v", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Report(ctx, map[string]int{}); !errors.As(err, &e) || e.Outcome != hubwire.Unknown || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		failed := make(chan error)
		go func() { _, err := c.Twin(t.Context()); failed <- err }()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-failed; !errors.As(err, &e) || e.Outcome != hubwire.Unknown || !errors.Is(err, net.ErrClosed) {
			t.Errorf("when the client is closed: %v", err)
		}
	})
}

func TestATwinRequestIsAskedAgainOnTheNextConnection(t *testing.T) {
	for name, verdict := range map[string]hub.Verdict{
		"cut before it was done":    {DropBefore: true},
		"cut instead of the answer": {DropAfter: true},
		"no answer, then cut":       {SwallowAck: true},
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[hub.OpKind]int{}
			cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
				if op.Kind != hub.OpTwinGet && op.Kind != hub.OpTwinReport {
					return hub.Verdict{}
				}
				if seen[op.Kind]++; seen[op.Kind] > 1 {
					return hub.Verdict{}
				}
				return verdict
			}}
			overEach(t, cfg, func(t *testing.T, b *bench) {
				clear(seen)
				c := b.dial(b.device, nil)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				if _, err := c.Report(ctx, map[string]int{"a": 1}); err != nil {
					t.Errorf("report: %v", err)
				}
				if twin, err := c.Twin(ctx); err != nil || string(twin.Reported.JSON) != `{"a":1}` {
					t.Errorf("twin: %v, %v", twin, err)
				}
			})
		})
	}
}

func TestARefusalBehindALostAnswerLeavesTheOutcomeUnknown(t *testing.T) {
	for name, verdict := range map[string]hub.Verdict{
		"with its acknowledgement": {DropAfter: true}, // which goes out ahead of the answer, or not
		"without":                  {SwallowAck: true},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
				if op.Kind != hub.OpTwinReport {
					return hub.Verdict{}
				}
				if asked.Add(1) == 1 {
					return verdict
				}
				return hub.Verdict{Refuse: hubwire.Throttled}
			}}
			overEach(t, cfg, func(t *testing.T, b *bench) {
				asked.Store(0)
				c := b.dial(b.device, nil)
				var e *hubwire.Error
				if _, err := c.Report(t.Context(), map[string]int{"a": 1}); !errors.As(err, &e) || e.Code != hubwire.Throttled || e.Outcome != hubwire.Unknown {
					t.Errorf("asked %d times: %v", asked.Load(), err)
				}
				if _, err := c.Report(t.Context(), map[string]int{"a": 2}); !errors.As(err, &e) || e.Code != hubwire.Throttled || e.Outcome != hubwire.Refused {
					t.Errorf("asked once more: %v", err)
				}
			})
		})
	}
}

func TestATwinRequestThatWaitedForAConnectionIsAskedOnce(t *testing.T) {
	const n = 20
	var asked atomic.Int64
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		if op.Kind == hub.OpTwinGet || op.Kind == hub.OpTwinReport {
			asked.Add(1)
		}
		return hub.Verdict{}
	}}
	overEach(t, cfg, func(t *testing.T, b *bench) {
		var down atomic.Bool
		c := b.dial(b.device, func(o *device.Options) {
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if down.Load() {
					return nil, syscall.ECONNREFUSED
				}
				return b.hub.Dial(ctx, network, addr)
			}
		})
		if _, err := c.Twin(t.Context()); err != nil { // which subscribes
			t.Fatal(err)
		}
		down.Store(true)
		b.hub.Disconnect(dev)
		time.Sleep(time.Minute)
		asked.Store(0)
		var calls sync.WaitGroup
		for range n {
			calls.Go(func() {
				if _, err := c.Twin(t.Context()); err != nil {
					t.Error(err)
				}
				if _, err := c.Report(t.Context(), map[string]int{"a": 1}); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Minute)
		down.Store(false)
		calls.Wait()
		if got := asked.Load(); got != 2*n {
			t.Errorf("the hub was asked %d times by %d calls", got, 2*n)
		}
	})
}

// follow applies changes until the state is that of a version, or has that member, and checks their order.
func follow(t *testing.T, c *device.Client, until int64, member string) (state map[string]any, full int) {
	t.Helper()
	t.Helper()
	var got replica
	for d, err := range c.Desired(t.Context()) {
		if err == nil {
			err = got.apply(d)
		}
		if err != nil {
			t.Fatalf("after version %d: %v", got.version, err)
		}
		for k := range got.state {
			if strings.HasPrefix(k, "$") {
				t.Errorf("version %d shows %s", got.version, k)
			}
		}
		if _, there := got.state[member]; there || got.version == until {
			break
		}
	}
	if got.anew > 0 {
		t.Errorf("the versions began again %d times", got.anew)
	}
	return got.state, got.full
}

func TestDesiredFollowsTheHubWithoutGaps(t *testing.T) {
	const n = 200
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		go func() {
			for i := range n {
				b.wish(fmt.Sprintf(`{"k%d":%d,"k%d":null,"last":%d}`, i%7, i, (i+3)%7, i))
				switch rand.IntN(8) {
				case 0:
					b.hub.Disconnect(dev)
				case 1:
					time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
				case 2:
					synctest.Wait()
				}
			}
		}()
		got, _ := follow(t, c, n+1, "")
		twin, err := b.hub.Twin(t.Context(), dev)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{}
		if err := twin.Desired.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestDesiredReadsAgainWhatItMissed(t *testing.T) {
	var lose atomic.Bool
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		if op.Kind == hub.OpTwinDesired && lose.Load() {
			return hub.Verdict{Refuse: hubwire.ServerError} // it is not sent
		}
		return hub.Verdict{}
	}}
	overEach(t, cfg, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		go func() {
			synctest.Wait()
			b.wish(`{"a":1}`)
			lose.Store(true)
			b.wish(`{"b":1}`)
			synctest.Wait()
			lose.Store(false)
			b.wish(`{"c":1}`)
		}()
		got, full := follow(t, c, 4, "")
		if diff := cmp.Diff(map[string]any{"a": 1., "b": 1., "c": 1.}, got); diff != "" || full != 2 {
			t.Errorf("%d full reads (-want +got):\n%s", full, diff)
		}
	})
}

func TestDesiredWaitsOutThrottling(t *testing.T) {
	cfg := hub.Config{Intercept: func() func(context.Context, *hub.Op) hub.Verdict {
		var seen atomic.Int32
		return func(_ context.Context, op *hub.Op) hub.Verdict {
			if op.Kind == hub.OpTwinGet && seen.Add(1)%4 != 0 {
				return hub.Verdict{Refuse: hubwire.Throttled}
			}
			return hub.Verdict{}
		}
	}()}
	overEach(t, cfg, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		version := b.wish(`{"a":1}`)
		if got, _ := follow(t, c, version, ""); len(got) != 1 {
			t.Errorf("%v", got)
		}
	})
}

func TestDesiredEnds(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		errs := 0
		for d, err := range c.Desired(ctx) {
			if err == nil && !d.Full {
				t.Errorf("%+v", d)
			}
			if err == nil {
				for _, err := range c.Desired(ctx) {
					if !errors.Is(err, hubwire.InvalidOperation) {
						t.Errorf("a second one: %v", err)
					}
				}
				continue
			}
			errs++
			var e *hubwire.Error
			if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || e.Op != "desired" {
				t.Errorf("%v", err)
			}
		}
		if errs != 1 {
			t.Errorf("%d errors", errs)
		}
		done := make(chan error)
		go func() {
			for _, err := range c.Desired(t.Context()) {
				if err != nil {
					done <- err
				}
			}
		}()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}
