package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
)

// source is a token source that numbers its tokens.
type source struct {
	asked atomic.Int64
	life  time.Duration // of a token; 0 when it does not say
	takes time.Duration
	fails atomic.Bool
}

var errNoToken = errors.New("the source has none")

func (s *source) Token(ctx context.Context, audience string) (string, time.Time, error) {
	n := s.asked.Add(1)
	select {
	case <-ctx.Done():
		return "", time.Time{}, ctx.Err()
	case <-time.After(s.takes):
	}
	if s.fails.Load() {
		return "", time.Time{}, errNoToken
	}
	var expires time.Time
	if s.life != 0 {
		expires = time.Now().Add(s.life)
	}
	return fmt.Sprintf("%s/%d", audience, n), expires, nil
}

func TestATokenIsUsedForFourFifthsOfItsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTokens(&source{life: 100 * time.Second}, "hub")
		start := time.Now()
		for _, tt := range []struct {
			at   time.Duration
			want string
		}{{0, "hub/1"}, {79 * time.Second, "hub/1"}, {80 * time.Second, "hub/2"}, {159 * time.Second, "hub/2"}, {1000 * time.Second, "hub/3"}} {
			time.Sleep(tt.at - time.Since(start))
			if got, err := ts.get(t.Context(), ""); got != tt.want || err != nil {
				t.Errorf("at %v: %s, %v", tt.at, got, err)
			}
		}
	})
}

func TestATokenThatDoesNotSayHowLongItHoldsIsAskedForEachTime(t *testing.T) {
	ts := newTokens(&source{}, "hub")
	for i := range 3 {
		if got, err := ts.get(t.Context(), ""); got != fmt.Sprint("hub/", i+1) || err != nil {
			t.Errorf("%s, %v", got, err)
		}
	}
}

func TestARefusedTokenIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTokens(&source{life: time.Hour}, "hub")
		first, _ := ts.get(t.Context(), "")
		if second, err := ts.get(t.Context(), first); second != "hub/2" || err != nil {
			t.Errorf("%s, %v", second, err)
		}
		if second, err := ts.get(t.Context(), first); second != "hub/2" || err != nil {
			t.Errorf("a second call with the refused token: %s, %v", second, err)
		}
	})
}

// TestManyCallsAskOnce has a hundred calls want a token while the source takes its time.
func TestManyCallsAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{life: 100 * time.Second, takes: 5 * time.Second}
		ts := newTokens(src, "hub")
		get := func(want string, within time.Duration) {
			var calls sync.WaitGroup
			start := time.Now()
			for range 100 {
				calls.Go(func() {
					got, err := ts.get(t.Context(), "")
					if err != nil || time.Since(start) > within {
						t.Errorf("%s, %v after %v", got, err, time.Since(start))
					}
				})
			}
			calls.Wait()
			if got, err := ts.get(t.Context(), ""); got != want || err != nil {
				t.Errorf("%s, %v", got, err)
			}
		}
		get("hub/1", 5*time.Second)
		time.Sleep(85 * time.Second) // due, and not over
		get("hub/2", 5*time.Second)
		if n := src.asked.Load(); n != 2 {
			t.Errorf("the source was asked %d times", n)
		}
	})
}

func TestATokenIsUsedWhileTheSourceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{life: 100 * time.Second}
		ts := newTokens(src, "hub")
		first, _ := ts.get(t.Context(), "")
		src.fails.Store(true)
		time.Sleep(90 * time.Second)
		if got, err := ts.get(t.Context(), ""); got != first || err != nil {
			t.Errorf("due: %s, %v", got, err)
		}
		if _, err := ts.get(t.Context(), first); !errors.Is(err, errNoToken) {
			t.Errorf("refused by the hub: %v", err)
		}
		time.Sleep(10 * time.Second)
		if _, err := ts.get(t.Context(), ""); !errors.Is(err, errNoToken) {
			t.Errorf("expired: %v", err)
		}
	})
}

func TestWaitingForATokenEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTokens(&source{life: time.Hour, takes: time.Hour}, "hub")
		var first sync.WaitGroup
		long, cancel := context.WithCancel(t.Context())
		first.Go(func() { _, _ = ts.get(long, "") })
		synctest.Wait()
		ctx, done := context.WithTimeout(t.Context(), time.Minute)
		defer done()
		start := time.Now()
		if _, err := ts.get(ctx, ""); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		cancel()
		first.Wait()
	})
}

// given is a token source that gives this.
type given string

func (g given) Token(context.Context, string) (string, time.Time, error) {
	return string(g), time.Time{}, nil
}

func TestATokenThatCannotStandInAHeaderIsRefused(t *testing.T) {
	for _, text := range []given{"", "secret\r\nX: y", "secret\x00", "sécret"} {
		_, err := newTokens(text, "hub").get(t.Context(), "")
		var e *hubwire.Error
		if !errors.As(err, &e) || e.Outcome != hubwire.NotSent || e.Retryable || errors.Is(err, errNoToken) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestBearer(t *testing.T) {
	expires := time.Now().Add(time.Hour)
	ts := newTokens(Bearer(func(_ context.Context, scope string) (string, time.Time, error) {
		return "jwt for " + scope, expires, nil
	}), "hub")
	if got, err := ts.get(t.Context(), ""); got != "Bearer jwt for https://iothubs.azure.net/.default" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	failing := newTokens(Bearer(func(context.Context, string) (string, time.Time, error) { return "", expires, errNoToken }), "hub")
	if _, err := failing.get(t.Context(), ""); !errors.Is(err, errNoToken) {
		t.Errorf("%v", err)
	}
}
