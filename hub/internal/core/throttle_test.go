package core

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
)

func TestLimiter(t *testing.T) {
	const ms = time.Millisecond
	type step struct {
		after, patience time.Duration // after the step before
		n               int
		wait            time.Duration
		ok              bool
	}
	for _, tt := range []struct {
		name  string
		rate  float64
		steps []step
	}{
		{"a second's worth comes at once", 2, []step{{0, 0, 1, 0, true}, {0, 0, 1, 0, true}, {0, 0, 1, 500 * ms, false}}},
		{"who waits keeps the turn", 1, []step{{0, 0, 1, 0, true}, {0, time.Minute, 1, 1000 * ms, true}, {0, time.Minute, 1, 2000 * ms, true}}},
		{"who does not wait takes none", 1, []step{{0, 0, 1, 0, true}, {0, 0, 1, 1000 * ms, false}, {1000 * ms, 0, 1, 0, true}}},
		{"turns come back with time, up to a second's worth", 2, []step{{0, 0, 2, 0, true}, {500 * ms, 0, 1, 0, true}, {0, 0, 1, 500 * ms, false},
			{time.Hour, 0, 2, 0, true}, {0, 0, 1, 500 * ms, false}}},
		{"a slow rate lets one through at a time", 0.1, []step{{0, 0, 1, 0, true}, {0, 0, 1, 10_000 * ms, false}, {10_000 * ms, 0, 1, 0, true}}},
		{"what counts more than a second's worth comes through, and is paid for", 2, []step{{0, 0, 6, 0, true}, {0, 0, 1, 2500 * ms, false}, {2500 * ms, 0, 1, 0, true}}},
		{"no rate is no limit", 0, []step{{0, 0, 1000, 0, true}}},
		{"an endless rate is none either", math.Inf(1), []step{{0, 0, 1000, 0, true}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(tt.rate)
				for i, s := range tt.steps {
					time.Sleep(s.after)
					if wait, ok := l.take(s.n, s.patience); wait != s.wait || ok != s.ok {
						t.Errorf("step %d: %v, %v, want %v, %v", i, wait, ok, s.wait, s.ok)
					}
				}
			})
		})
	}
}

func TestThrottleSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, &Config{Throttle: Throttle{TwinReads: 1, Telemetry: 1, MaxDelay: time.Second, MessagesADay: 2}})
		var e *hubwire.Error
		c.Twin(ctx, dev)
		if _, err := c.Twin(ctx, dev); !errors.As(err, &e) || e.Code != hubwire.Throttled || e.RetryAfter != time.Second || !e.Retryable {
			t.Errorf("twin: %v", err)
		}
		c.TelemetryTurn(1)
		if wait, err := c.TelemetryTurn(1); wait != time.Second || err != nil {
			t.Errorf("a second message: %v, %v", wait, err)
		}
		if _, err := c.TelemetryTurn(1); !errors.As(err, &e) || e.Code != hubwire.QuotaExceeded || e.RetryAfter != 24*time.Hour {
			t.Errorf("over the quota: %v", err)
		}
		time.Sleep(24*time.Hour - time.Second)
		if _, err := c.TelemetryTurn(1); !errors.Is(err, hubwire.QuotaExceeded) {
			t.Errorf("a second before midnight: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := c.TelemetryTurn(4097); err != nil {
			t.Errorf("two blocks at midnight: %v", err)
		}
		if _, err := c.TelemetryTurn(0); !errors.Is(err, hubwire.QuotaExceeded) {
			t.Errorf("one more: %v", err)
		}
	})
}

func TestTheQuotaCountsWhatIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, &Config{Throttle: Throttle{Telemetry: 1, MaxDelay: -1, MessagesADay: 2}})
		for i, want := range []error{nil, hubwire.ThrottleBacklogLimitExceeded, hubwire.ThrottleBacklogLimitExceeded} {
			if _, err := c.TelemetryTurn(1); !errors.Is(err, want) {
				t.Errorf("message %d: %v", i, err)
			}
		}
		time.Sleep(time.Second)
		if _, err := c.TelemetryTurn(1); err != nil {
			t.Errorf("the second that is taken: %v", err)
		}
		// A clock that was wrong, and is put right, does not close the hub until then.
		c.throttle.quota.day = c.throttle.quota.day.AddDate(50, 0, 0)
		time.Sleep(time.Second)
		if _, err := c.TelemetryTurn(1); err != nil {
			t.Errorf("on an earlier day: %v", err)
		}
	})
}

func TestABatchHasOneTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, &Config{Throttle: Throttle{Telemetry: 2, MessagesADay: 6}})
		if wait, err := c.TelemetryTurn(1, 1, 4097); wait != 0 || err != nil {
			t.Errorf("more than a second's worth: %v, %v", wait, err)
		}
		if wait, err := c.TelemetryTurn(1, 1); wait != 1500*time.Millisecond || err != nil {
			t.Errorf("the next: %v, %v", wait, err)
		}
		if _, err := c.TelemetryTurn(1); !errors.Is(err, hubwire.QuotaExceeded) {
			t.Errorf("over the quota: %v", err)
		}
	})
}

func TestWaitEndsWithContextAndHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if err := c.Wait(gone, time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that is over: %v", err)
		}
		time.AfterFunc(time.Minute, func() { c.Close() })
		start := time.Now()
		if err := c.Wait(ctx, time.Hour); !errors.Is(err, ErrDrop) || time.Since(start) != time.Minute {
			t.Errorf("when the hub is closed: %v after %v", err, time.Since(start))
		}
	})
}
