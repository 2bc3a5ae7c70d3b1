package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/sas"
)

func TestTheNewestConnectionWins(t *testing.T) {
	c := newCore(t, nil)
	first, l1 := connect(t, c, dev)
	second, l2 := connect(t, c, dev)
	if l1.closed() != hubwire.ConnectionClosedOnNew || l2.closed() != 0 {
		t.Errorf("links closed with %d, %d", l1.closed(), l2.closed())
	}
	err := first.Telemetry(ctx, &hubwire.Message{})
	if !errors.Is(err, hubwire.ConnectionClosedOnNew) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Telemetry of the loser = %v", err)
	}
	if !errors.Is(first.Err(), hubwire.ConnectionClosedOnNew) || second.Err() != nil {
		t.Errorf("Err = %v, %v", first.Err(), second.Err())
	}
	<-first.Done()
	first.Disconnect() // the loser's good-bye must not hurt the winner
	if d, _ := c.Device(dev); !d.Connected {
		t.Error("not connected after the loser's good-bye")
	}
	must(t, second.Telemetry(ctx, &hubwire.Message{}))
	if n := len(l1.reasons); n != 1 {
		t.Errorf("the loser was closed %d times", n)
	}
}

func TestConnectionStateIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		check := func(when string, connected bool, changed, active time.Time) {
			t.Helper()
			d, err := c.Device(dev)
			if err != nil || d.Connected != connected || !d.ConnectionUpdated.Equal(changed) || !d.LastActivity.Equal(active) {
				t.Errorf("%s: %v, connection changed %v, active %v", when, d.Connected, d.ConnectionUpdated, d.LastActivity)
			}
		}
		check("at first", false, time.Time{}, time.Time{})
		start := time.Now()
		s, _ := connect(t, c, dev)
		check("connected", true, start, start)
		time.Sleep(time.Second)
		must(t, s.Telemetry(ctx, &hubwire.Message{}))
		check("after telemetry", true, start, start.Add(time.Second))
		time.Sleep(time.Second)
		s.Disconnect()
		s.Disconnect()
		check("disconnected", false, start.Add(2*time.Second), start.Add(time.Second))
		if err := s.Err(); !errors.Is(err, hubwire.ConnectionClosedRemotely) {
			t.Errorf("Err = %v", err)
		}
	})
}

func TestAChangedIdentityLosesItsConnection(t *testing.T) {
	cases := []struct {
		name   string
		change func(*Device)
		code   hubwire.Code // 0: it stays
	}{
		{"disabled", func(d *Device) { d.Disabled = true }, hubwire.DeviceDisabled},
		{"its key is regenerated", func(d *Device) { d.Auth.Primary = sas.Secret{} }, hubwire.Unauthorized},
		{"the other key is regenerated", func(d *Device) { d.Auth.Secondary = sas.Secret{} }, 0},
		{"the keys are swapped", func(d *Device) { d.Auth.Primary, d.Auth.Secondary = d.Auth.Secondary, d.Auth.Primary }, 0},
		{"it authenticates in another way", func(d *Device) { d.Auth.Type = AuthCA }, hubwire.Unauthorized},
		{"only its status reason changes", func(d *Device) { d.StatusReason = "x" }, 0},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := newCore(t, nil)
			g := grant(t, c, dev)
			_, l := connect(t, c, dev)
			d, _ := c.Device(dev)
			tc.change(d)
			_, err := c.Update(ctx, d, "*")
			must(t, err)
			if l.closed() != tc.code {
				t.Errorf("closed with %d, want %d", l.closed(), tc.code)
			}
			_, err = c.Connect(ctx, g, nil, &fakeLink{})
			if tc.code != 0 {
				wantCode(t, "Connect with the old grant", err, hubwire.Unauthorized)
			} else if err != nil {
				t.Errorf("Connect with the old grant: %v", err)
			}
		})
	}
}

func TestAGrantDoesNotOutliveItsIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		g := grant(t, c, dev)
		key := Auth{Primary: g.by.value, Secondary: g.by.value}
		must(t, c.Delete(ctx, dev, "*"))
		_, err := c.Connect(ctx, g, nil, &fakeLink{})
		wantCode(t, "Connect after Delete", err, hubwire.Unauthorized)
		time.Sleep(time.Millisecond)
		create(t, c, &Device{ID: dev, Auth: key})
		_, err = c.Connect(ctx, g, nil, &fakeLink{})
		wantCode(t, "Connect with the grant of a former generation", err, hubwire.Unauthorized)
	})
}

func TestASessionEndsWhenItsTokenHasExpired(t *testing.T) {
	for _, tc := range []struct {
		name string
		skew time.Duration // in Config
		want time.Duration
	}{
		{"five minutes later by default", 0, 5 * time.Minute},
		{"with the configured skew", time.Minute, time.Minute},
		{"at once without skew", -1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCore(t, &Config{Skew: tc.skew})
				g := grant(t, c, dev)
				g.Expires = time.Now().Add(time.Hour)
				s, l := connectWith(t, c, g, nil)
				time.Sleep(time.Hour + tc.want - time.Nanosecond)
				synctest.Wait()
				if s.Err() != nil {
					t.Fatalf("ended too early: %v", s.Err())
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if l.closed() != hubwire.Unauthorized {
					t.Errorf("closed with %d", l.closed())
				}
				time.Sleep(time.Nanosecond)
				_, err := c.Connect(ctx, g, nil, &fakeLink{})
				wantCode(t, "Connect with an expired grant", err, hubwire.Unauthorized)
			})
		})
	}
}

func TestRenewMovesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, &Config{Skew: -1})
		g := grant(t, c, dev)
		g.Expires = time.Now().Add(time.Hour)
		s, l := connectWith(t, c, g, nil)
		later := *g
		later.Expires = time.Now().Add(2 * time.Hour)
		must(t, s.Renew(&later))
		wantCode(t, "Renew for another", s.Renew(grant(t, c, mod)), hubwire.Unauthorized)
		time.Sleep(2*time.Hour - time.Nanosecond)
		synctest.Wait()
		if s.Err() != nil {
			t.Fatalf("ended too early: %v", s.Err())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if l.closed() != hubwire.Unauthorized {
			t.Errorf("closed with %d", l.closed())
		}
		if err := s.Renew(&later); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Renew after the end = %v", err)
		}
	})
}

func TestAKeptSessionKeepsItsSubscriptions(t *testing.T) {
	c := newCore(t, nil)
	g := grant(t, c, dev)
	a, b := Subscription{"a", 1, FeatureC2D}, Subscription{"b", 0, FeatureMethods}
	s1, _ := connectWith(t, c, g, nil)
	if s1.Present() {
		t.Error("the first session goes on with one")
	}
	must(t, s1.Subscribe(ctx, b, Subscription{"a", 0, FeatureC2D}, Subscription{"c", 1, 0}))
	must(t, s1.Subscribe(ctx, a))
	must(t, s1.Unsubscribe(ctx, "c"))
	s2, _ := connectWith(t, c, g, nil)
	if diff := cmp.Diff([]Subscription{b, a}, s2.Subscriptions()); diff != "" || !s2.Present() {
		t.Errorf("present %v, subscriptions (-want +got):\n%s", s2.Present(), diff)
	}
	clean, _ := connectWith(t, c, g, &ConnectOptions{Clean: true})
	if clean.Present() || len(clean.Subscriptions()) != 0 {
		t.Errorf("a clean session has %v", clean.Subscriptions())
	}
	must(t, clean.Subscribe(ctx, a))
	s3, _ := connectWith(t, c, g, nil)
	if s3.Present() || len(s3.Subscriptions()) != 0 {
		t.Errorf("after a clean session there is %v", s3.Subscriptions())
	}
	s4, _ := connectWith(t, c, g, nil)
	if !s4.Present() || len(s4.Subscriptions()) != 0 {
		t.Errorf("a kept session without subscriptions: present %v, %v", s4.Present(), s4.Subscriptions())
	}
}

func TestTooManySubscriptionsAreRefusedWhole(t *testing.T) {
	c := newCore(t, nil)
	s, _ := connectWith(t, c, grant(t, c, dev), nil)
	for i := range 4 {
		must(t, s.Subscribe(ctx, Subscription{Filter: fmt.Sprint(i)}))
	}
	err := s.Subscribe(ctx, Subscription{Filter: "4"}, Subscription{Filter: "5"})
	wantCode(t, "a sixth subscription", err, hubwire.InvalidOperation)
	if n := len(s.Subscriptions()); n != 4 {
		t.Errorf("%d subscriptions after the refusal", n)
	}
	must(t, s.Subscribe(ctx, Subscription{Filter: "4"}, Subscription{Filter: "3"}))
}

func TestSubscribeSurvivesAStoreThatFails(t *testing.T) {
	bs := &brokenStore{Store: store.NewMemory(nil)}
	c := newCoreOn(t, nil, bs)
	g := grant(t, c, dev)
	s, _ := connectWith(t, c, g, nil)
	bs.broken = true
	wantCode(t, "Subscribe", s.Subscribe(ctx, Subscription{"a", 1, FeatureC2D}), hubwire.ServerError)
	if len(s.Subscriptions()) != 0 || s.features() != 0 {
		t.Errorf("subscriptions %v", s.Subscriptions())
	}
	wantCode(t, "Telemetry", s.Telemetry(ctx, &hubwire.Message{}), hubwire.ServerError)
	_, err := c.Connect(ctx, g, &ConnectOptions{Clean: true}, &fakeLink{})
	wantCode(t, "Connect", err, hubwire.ServerError)
	if s.Err() != nil {
		t.Errorf("a failed Connect ended the session: %v", s.Err())
	}
}

func TestCloseEndsEverything(t *testing.T) { synctest.Test(t, closeEndsEverything) }

func closeEndsEverything(t *testing.T) {
	c := newCore(t, nil)
	g := grant(t, c, dev)
	g.Expires = time.Now().Add(time.Hour)
	s, l := connectWith(t, c, g, nil)
	must(t, s.Subscribe(ctx, Subscription{"a", 1, FeatureMethods}))
	send(t, c, dev, hubwire.Message{})
	calls := make(chan error, 2)
	invoked := make(chan struct{})
	l.onMethod = func(MethodCall) { close(invoked) }
	go func() {
		_, err := c.Invoke(ctx, dev, &Invocation{MethodRequest: hubwire.MethodRequest{Name: "m"}})
		calls <- err
	}()
	go func() {
		_, err := c.Invoke(ctx, mod, &Invocation{MethodRequest: hubwire.MethodRequest{Name: "m"}, ConnectTimeout: time.Minute})
		calls <- err
	}()
	<-invoked
	must(t, c.Close())
	must(t, c.Close())
	synctest.Wait() // whoever has called the link tells it of the end too
	if l.closed() != hubwire.ServiceUnavailable {
		t.Errorf("link closed with %d", l.closed())
	}
	for range 2 {
		if err := <-calls; !errors.Is(err, hubwire.ConnectionClosedRemotely) && !errors.Is(err, hubwire.ServiceUnavailable) {
			t.Errorf("Invoke = %v", err)
		}
	}
	_, err := c.Connect(ctx, g, nil, &fakeLink{})
	wantCode(t, "Connect", err, hubwire.ServiceUnavailable)
	_, err = c.Create(ctx, &Device{ID: hubwire.Identity{DeviceID: "new"}})
	wantCode(t, "Create", err, hubwire.ServiceUnavailable)
	s.Disconnect()
}

// reentrant is a link that calls its session from within every call.
type reentrant struct {
	fakeLink
	s    *Session
	seen []string
}

func (l *reentrant) C2DReady() {
	r := l.s.NextOf(anyC2D)
	l.seen = append(l.seen, r.ID)
	l.s.Settle(ctx, r.LockToken, hubwire.Complete)
}

func (l *reentrant) Close(reason *hubwire.Error) { l.s.Disconnect(); l.fakeLink.Close(reason) }

func TestALinkMayCallItsSession(t *testing.T) {
	c := newCore(t, nil)
	l := &reentrant{}
	s, err := c.Connect(ctx, grant(t, c, dev), nil, l)
	must(t, err)
	l.s = s
	must(t, s.Subscribe(ctx, Subscription{"c2d", 1, FeatureC2D}))
	send(t, c, dev, hubwire.Message{ID: "a"})
	send(t, c, dev, hubwire.Message{ID: "b"})
	if !cmp.Equal(l.seen, []string{"a", "b"}) {
		t.Errorf("seen %v", l.seen)
	}
	must(t, c.Delete(ctx, dev, "*"))
	if l.closed() != hubwire.DeviceNotFound {
		t.Errorf("closed with %d", l.closed())
	}
}

func TestManyConnectionsOfManyDevices(t *testing.T) {
	c := newCore(t, nil)
	var all []hubwire.Identity
	for i := range 8 {
		id := hubwire.Identity{DeviceID: fmt.Sprint("d", i)}
		create(t, c, &Device{ID: id})
		all = append(all, id)
	}
	var wg sync.WaitGroup
	for _, id := range all {
		for range 3 { // who fight for the identity
			wg.Go(func() {
				for range 20 {
					s, err := c.Connect(ctx, grant(t, c, id), nil, &fakeLink{})
					if err != nil {
						t.Errorf("Connect: %v", err)
						return
					}
					s.Subscribe(ctx, Subscription{"x", 1, FeatureC2D | FeatureDesired | FeatureMethods})
					s.Telemetry(ctx, &hubwire.Message{})
					s.PatchReported(ctx, []byte(`{"n":1}`), 0)
					if r := s.NextOf(anyC2D); r != nil {
						s.Settle(ctx, r.LockToken, hubwire.Complete)
					}
					s.Disconnect()
				}
			})
		}
		wg.Go(func() {
			for range 20 {
				c.SendC2D(ctx, id, &hubwire.Message{Ack: hubwire.AckFull})
				c.PatchTwin(ctx, id, &TwinUpdate{Desired: []byte(`{"n":1}`)}, "")
				c.Devices(10)
				c.Statistics()
			}
		})
	}
	wg.Wait()
	for _, id := range all {
		tw, err := c.Twin(ctx, id)
		d, err2 := c.Device(id)
		if err != nil || err2 != nil || tw.Desired.Version != 21 || d.Connected {
			t.Errorf("%v: desired version %d, connected %v, %v", id, tw.Desired.Version, d.Connected, err)
		}
	}
}

func TestConnectAnnouncesTheModel(t *testing.T) {
	c := newCore(t, nil)
	s, _ := connectWith(t, c, grant(t, c, dev), &ConnectOptions{ModelID: "dtmi:a:b;1"})
	must(t, s.Telemetry(ctx, &hubwire.Message{}))
	tw, err := c.Twin(ctx, dev)
	if err != nil || tw.ModelID != "dtmi:a:b;1" {
		t.Errorf("twin model %q, %v", tw.ModelID, err)
	}
	connectWith(t, c, grant(t, c, dev), nil)
	if tw, _ := c.Twin(ctx, dev); tw.ModelID != "dtmi:a:b;1" {
		t.Errorf("a connection without a model made it %q", tw.ModelID)
	}
	r, _ := c.Events(ctx, AllPartitions, Start{})
	if ev, err := r.Next(ctx); err != nil || ev.ModelID != "dtmi:a:b;1" {
		t.Errorf("event = %+v, %v", ev, err)
	}
}

func TestInterceptVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var v Verdict
		var seen *Op
		c := newCore(t, &Config{Intercept: func(_ context.Context, op *Op) Verdict { seen = op; return v }})
		op := &Op{Kind: OpPublish, Identity: dev}
		if got, err := c.Intercept(ctx, op); got != v || err != nil || seen != op || !c.Intercepts() {
			t.Errorf("zero verdict = %+v, %v, saw %+v", got, err, seen)
		}
		start := time.Now()
		v = Verdict{Delay: time.Minute, DropAfter: true, SwallowAck: true}
		if got, err := c.Intercept(ctx, op); got != v || err != nil || time.Since(start) != time.Minute {
			t.Errorf("delay = %+v, %v after %v", got, err, time.Since(start))
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := c.Intercept(short, op); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("delay over the context's end = %v", err)
		}
		v = Verdict{Refuse: hubwire.Throttled, RetryAfter: time.Second}
		_, err := c.Intercept(ctx, op)
		wantCode(t, "refusal", err, hubwire.Throttled)
		var e *hubwire.Error
		if errors.As(err, &e); e.RetryAfter != time.Second || !e.Retryable {
			t.Errorf("refusal = %+v", e)
		}
		v = Verdict{DropBefore: true}
		if _, err := c.Intercept(ctx, op); !errors.Is(err, ErrDrop) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("drop = %v", err)
		}
		v = Verdict{Delay: time.Hour}
		done := make(chan error)
		go func() { _, err := c.Intercept(ctx, op); done <- err }()
		synctest.Wait()
		c.Close()
		if err := <-done; !errors.Is(err, ErrDrop) {
			t.Errorf("delay over Close = %v", err)
		}
	})
	c := newCore(t, nil)
	if v, err := c.Intercept(ctx, &Op{}); v != (Verdict{}) || err != nil || c.Intercepts() {
		t.Errorf("without a function = %+v, %v", v, err)
	}
}

func TestAnInterceptFunctionThatPanicsCutsTheConnection(t *testing.T) {
	var log strings.Builder
	c := newCore(t, &Config{
		Intercept: func(context.Context, *Op) Verdict { panic("a mistake") },
		Log:       slog.New(slog.NewTextHandler(&log, nil)),
	})
	if _, err := c.Intercept(ctx, &Op{Kind: OpPublish}); !errors.Is(err, ErrDrop) {
		t.Errorf("%v", err)
	}
	for _, want := range []string{"a mistake", "publish", "goroutine"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q: %s", want, log.String())
		}
	}
}

func TestCloseDoesNotWaitForTimersThatBeginMeanwhile(t *testing.T) {
	for range 50 {
		c := newCore(t, nil)
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range 20 {
				id := hubwire.Identity{DeviceID: fmt.Sprint(i)}
				c.Create(ctx, &Device{ID: id})
				c.SendC2D(ctx, id, &hubwire.Message{})
				c.SendC2D(ctx, dev, &hubwire.Message{Expiry: time.Now().Add(time.Duration(20-i) * time.Hour)})
			}
		})
		c.Close() // hangs for an hour when a timer gets away
		wg.Wait()
	}
}
