package mqtt

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatExpiresFirstIsRenewedFor(t *testing.T) {
	in := func(d time.Duration) func() time.Time {
		return func() time.Time { return time.Now().Add(d) }
	}
	for _, tt := range []struct {
		name        string
		login       time.Duration // 0: does not expire
		dialExpires func() time.Time
		want        time.Duration // what is renewed for; 0: nothing
	}{
		{"nothing expires", 0, nil, 0},
		{"what it was dialled with does not expire either", 0, func() time.Time { return time.Time{} }, 0},
		{"the login alone", time.Hour, nil, time.Hour},
		{"what it was dialled with alone", 0, in(time.Hour), time.Hour},
		{"the login first", time.Hour, in(2 * time.Hour), time.Hour},
		{"what it was dialled with first", 2 * time.Hour, in(time.Hour), time.Hour},
		{"what it was dialled with has expired", 0, in(-time.Hour), 0},
		{"ten thousand years", 0, func() time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }, 0},
		{"a function that panics", time.Hour, func() time.Time { panic("no") }, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, well)
				var panics atomic.Int32
				s, err := StartSession(t.Context(), f.dial, func(context.Context) (Login, error) {
					l := Login{ClientID: "d"}
					if tt.login != 0 {
						l.Expires = time.Now().Add(tt.login)
					}
					return l, nil
				}, &SessionOptions{KeepAlive: -1, DialExpires: tt.dialExpires, OnPanic: func(any, []byte) { panics.Add(1) }})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { s.Close(); f.running.Wait() }()
				if n := panics.Load(); (n > 0) != (tt.name == "a function that panics") {
					t.Errorf("%d panics", n)
				}
				time.Sleep(90 * time.Minute)
				dials := f.dials()
				if tt.want == 0 {
					if len(dials) != 1 {
						t.Errorf("%d connections", len(dials))
					}
					return
				}
				if len(dials) != 2 {
					t.Fatalf("%d connections", len(dials))
				}
				if d := dials[1].Sub(dials[0]); d < tt.want*78/100 || d > tt.want*82/100 {
					t.Errorf("renewed after %v", d)
				}
			})
		})
	}
}

func TestARefusalOfALoginThatHasExpired(t *testing.T) {
	for _, tt := range []struct {
		name     string
		life     time.Duration // of a login when it is given
		attempts int           // that a dial takes two seconds in
		want     bool          // that the session gets through
	}{
		{"may be for how long the way took", time.Second, 1, true},
		{"may be for that again and again", time.Second, 5, true},
		{"is believed the second time, when it had expired before", -time.Second, 2, false},
		{"is believed at once, when it has not", time.Hour, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, func(c *fakeConn) {
					if c.n > tt.attempts {
						well(c)
					} else {
						c.answer(NotAuthorized)
					}
				})
				s, err := StartSession(t.Context(), func(ctx context.Context) (net.Conn, error) {
					time.Sleep(2 * time.Second)
					return f.dial(ctx)
				}, func(context.Context) (Login, error) {
					return Login{ClientID: "d", Expires: time.Now().Add(tt.life)}, nil
				}, nil)
				if err == nil {
					s.Close()
				}
				f.running.Wait()
				if (err == nil) != tt.want || err != nil && !errors.Is(err, NotAuthorized) {
					t.Errorf("StartSession: %v", err)
				}
				if !tt.want && f.connections() != tt.attempts {
					t.Errorf("%d attempts, want %d", f.connections(), tt.attempts)
				}
			})
		})
	}
}
