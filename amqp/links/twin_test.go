package links

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

func TestATwinIsReadAndReported(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		version, err := g.Report(g.soon(), []byte(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		body, err := g.Twin(g.soon())
		if err != nil {
			t.Fatal(err)
		}
		var twin struct{ Reported map[string]any }
		if err := json.Unmarshal(body, &twin); err != nil || twin.Reported["a"] != 1.0 || twin.Reported["$version"] != float64(version) {
			t.Errorf("version %d, %s, %v", version, body, err)
		}
	})
}

func TestATwinRequestThatTheHubRefuses(t *testing.T) {
	refuse := hub.Verdict{}
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) (v hub.Verdict) {
		if op.Kind == hub.OpTwinGet || op.Kind == hub.OpTwinReport {
			return refuse
		}
		return v
	}}
	over(t, cfg, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		for _, code := range []hubwire.Code{hubwire.Throttled, hubwire.ArgumentInvalid, hubwire.ServerError, hubwire.ServiceUnavailable} {
			refuse = hub.Verdict{Refuse: code}
			_, get := g.Twin(g.soon())
			_, report := g.Report(g.soon(), []byte("{}"))
			for op, err := range map[string]error{"twin get": get, "twin report": report} {
				var e *hubwire.Error
				if !errors.As(err, &e) || e.Op != op || e.Code != code || e.Outcome != hubwire.Refused || e.Retryable != code.Retryable() || e.TrackingID == "" {
					t.Errorf("%+v", err)
				}
			}
		}
	})
}

func TestRequestsThatAreLostAreMadeAgain(t *testing.T) {
	delay := time.Minute
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) (v hub.Verdict) {
		if op.Kind == hub.OpTwinGet {
			v.Delay, delay = delay, 0
		}
		return v
	}}
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			over(t, cfg, func(t *testing.T, b *bench) {
				delay = 0
				g := b.guest(dev)
				if _, err := g.Twin(g.soon()); err != nil {
					t.Fatal(err)
				}
				delay = time.Minute
				answered := make(chan error, 1)
				go func() { _, err := g.Twin(g.soon()); answered <- err }()
				synctest.Wait()
				if name == "a lost link" {
					g.c.linkEnded(g.twins().responses.core.live.Load(), &amqpclient.Error{Level: amqpclient.LevelLink}) // the hub does not answer an attach either
				} else {
					lose(g, g.twins().responses)
				}
				if err := <-answered; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestARefusalBehindALostAnswerIsInDoubt has a patch whose answer is lost, and the second one refused: the first
// may have been written.
func TestARefusalBehindALostAnswerIsInDoubt(t *testing.T) {
	asked := 0
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) (v hub.Verdict) {
		if op.Kind != hub.OpTwinReport {
			return v
		}
		if asked++; asked == 1 {
			return hub.Verdict{Delay: time.Minute}
		}
		return hub.Verdict{Refuse: hubwire.ArgumentInvalid}
	}}
	over(t, cfg, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		report := make(chan error, 1)
		go func() { _, err := g.Report(g.soon(), []byte("{}")); report <- err }()
		synctest.Wait()
		losses["a lost connection"](g, nil)
		var e *hubwire.Error
		if err := <-report; !errors.As(err, &e) || e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.Unknown {
			t.Errorf("%+v", err)
		}
		if _, err := g.Report(g.soon(), []byte("{}")); !errors.As(err, &e) || e.Outcome != hubwire.Refused {
			t.Errorf("the next one: %+v", err)
		}
	})
}

func TestATwinRequestEndsWithItsContextAndWithTheDevice(t *testing.T) {
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) (v hub.Verdict) {
		v.SwallowAck = op.Kind == hub.OpTwinReport
		return v
	}}
	over(t, cfg, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		if _, err := g.Twin(g.soon()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var e *hubwire.Error
		if _, err := g.Report(ctx, []byte("{}")); !errors.As(err, &e) || e.Outcome != hubwire.Unknown || !e.Retryable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v", err)
		}
		if _, err := g.Report(ctx, []byte("{}")); !errors.As(err, &e) || e.Outcome != hubwire.NotSent {
			t.Errorf("with a context that was over: %+v", err)
		}
		failed := make(chan error, 1)
		go func() { _, err := g.Report(t.Context(), []byte("{}")); failed <- err }()
		synctest.Wait()
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if err := <-failed; !errors.As(err, &e) || e.Outcome != hubwire.Unknown || !errors.Is(err, ErrClosed) {
			t.Errorf("%+v", err)
		}
	})
}

func TestTwinRequestsAtOnceGetTheirOwnAnswers(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		var all sync.WaitGroup
		versions := make(chan int64, 300)
		for i := range 300 {
			all.Go(func() {
				v, err := g.Report(g.soon(), fmt.Appendf(nil, `{"k%d":%d}`, i%10, i))
				if err != nil {
					t.Error(err)
				}
				versions <- v
			})
		}
		all.Wait()
		close(versions)
		seen := map[int64]bool{}
		for v := range versions {
			if seen[v] {
				t.Errorf("the version %d came twice", v)
			}
			seen[v] = true
		}
	})
}

// wishes collects what WatchDesired tells.
type wishes struct {
	mu  sync.Mutex
	log []string
}

func (w *wishes) change(version int64, patch []byte) { w.add(fmt.Sprint(version, " ", string(patch))) }
func (w *wishes) reset()                             { w.add("reset") }

func (w *wishes) add(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, s)
}

// take returns what was told since the last time.
func (w *wishes) take() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.log
	w.log = nil
	return log
}

// wish changes the desired properties of the guest.
func (g *guest) wish(patch string) {
	g.t.Helper()
	if _, err := g.b.hub.PatchTwin(g.t.Context(), g.id, hub.TwinUpdate{Desired: []byte(patch)}, ""); err != nil {
		g.t.Fatal(err)
	}
}

func TestChangesOfTheDesiredPropertiesComeInOrder(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		var w wishes
		g.wish(`{"before":1}`)
		stop, err := g.WatchDesired(g.soon(), w.change, w.reset)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range 20 {
			g.wish(fmt.Sprintf(`{"n":%d}`, i))
			want = append(want, fmt.Sprintf(`%d {"n":%d,"$version":%d}`, i+3, i, i+3))
		}
		if got := w.take(); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		stop()
		g.wish(`{"n":1000}`)
		if got := w.take(); len(got) > 0 {
			t.Errorf("after stop: %q", got)
		}
		if stop, err = g.WatchDesired(g.soon(), w.change, w.reset); err != nil {
			t.Fatal(err)
		}
		defer stop()
		g.wish(`{"n":1001}`)
		if got := w.take(); len(got) != 1 {
			t.Errorf("watched again: %q", got)
		}
	})
}

func TestWhoTakesOverWatchesOnWhenTheOtherStops(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		var first, second wishes
		stop, err := g.WatchDesired(g.soon(), first.change, first.reset)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = g.WatchDesired(g.soon(), second.change, second.reset); err != nil {
			t.Fatal(err)
		}
		stop()
		g.wish(`{"n":1}`)
		if got := second.take(); len(got) != 1 || len(first.take()) > 0 {
			t.Errorf("the second was told %q, the first %q", got, first.take())
		}
	})
}

func TestTheSubscriptionIsRenewedAheadOfTheReset(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			over(t, hub.Config{}, func(t *testing.T, b *bench) {
				g := b.guest(dev)
				var w wishes
				stop, err := g.WatchDesired(g.soon(), w.change, w.reset)
				if err != nil {
					t.Fatal(err)
				}
				defer stop()
				for i := range 3 {
					lose(g, g.twins().responses)
					time.Sleep(2 * time.Minute)
					if got := w.take(); len(got) != 1 || got[0] != "reset" {
						t.Errorf("told of %q", got)
					}
					g.wish(fmt.Sprintf(`{"n":%d}`, i))
					if got := w.take(); len(got) != 1 || got[0] == "reset" {
						t.Errorf("afterwards told of %q", got)
					}
				}
			})
		})
	}
}

func TestARenewalThatIsRefusedIsMadeAgain(t *testing.T) {
	refuse := 0
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) (v hub.Verdict) {
		if op.Kind == hub.OpSubscribe && op.Name == "/notifications/twin/properties/desired" && refuse > 0 {
			refuse--
			v.Refuse = hubwire.InvalidOperation
			if refuse%2 == 0 {
				v.Refuse = hubwire.Throttled
			}
		}
		return v
	}}
	over(t, cfg, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		var w wishes
		refuse = 1 // which is throttled, and waited for
		stop, err := g.WatchDesired(g.soon(), w.change, w.reset)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		refuse = 4
		b.cut()
		time.Sleep(10 * time.Minute)
		g.wish(`{"n":1}`)
		// The first answer by a new link, of whatever kind, and the one that counts.
		if got := w.take(); len(got) != 3 || got[1] != "reset" || got[2] == "reset" {
			t.Errorf("told of %q", got)
		}
		if len(g.unexpected) != 2 {
			t.Errorf("unexpected: %v", g.unexpected)
		}
	})
}

func TestAChangeSaysItsVersionInAnAnnotationOrInItsBody(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		var w wishes
		stop, err := g.WatchDesired(g.soon(), w.change, w.reset)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		come := func(r *amqp.TwinResponse) {
			t.Helper()
			g.twins().received(g.twins().heard, amqp.AppendTwinResponse(nil, r))
		}
		come(&amqp.TwinResponse{Version: 7, Body: []byte(`{"a":1}`)})
		come(&amqp.TwinResponse{Body: []byte(`{"b":1,"$version":8}`)})
		come(&amqp.TwinResponse{Body: []byte(`{"c":1}`)})
		come(&amqp.TwinResponse{Body: []byte(`no JSON`)})
		come(&amqp.TwinResponse{ID: amqp.String("nobody's").Value(), Status: 200})
		g.twins().received(g.twins().heard, []byte{0xff})
		want := []string{`7 {"a":1}`, `8 {"b":1,"$version":8}`, "reset", "reset"}
		if got := w.take(); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if len(g.unexpected) != 3 {
			t.Errorf("unexpected: %v", g.unexpected)
		}
	})
}

func TestNobodyWaitsInACallback(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		errs := make(chan error, 4)
		stop, err := g.WatchDesired(g.soon(), func(int64, []byte) {
			_, twin := g.Twin(t.Context())
			_, receive := g.Receive(t.Context())
			errs <- twin
			errs <- receive
		}, func() {})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		g.wish(`{"n":1}`)
		for range 2 {
			if err := <-errs; !errors.Is(err, ErrWouldDeadlock) {
				t.Errorf("%v", err)
			}
		}
	})
}

// TestAnAnswerThatIsAllCostsNothing has a peer that answers twin requests, and never settles them.
func TestAnAnswerThatIsAllCostsNothing(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		p.script = func(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) bool {
			asked := c.linkTo(channel, body)
			if what != amqp10.DescTransfer || asked.address == cbsAddress {
				return false
			}
			for _, l := range c.links {
				if l.receives && l.address == asked.address {
					var transfer amqp10.Transfer
					payload, _ := transfer.Parse(body)
					r, err := read(payload, amqp.ParseTwinRequest)
					if err != nil {
						t.Error(err)
					}
					c.deliver(l, amqp.AppendTwinResponse(nil, &amqp.TwinResponse{ID: r.ID, Status: 200, Body: []byte("{}")}))
					return true
				}
			}
			return false
		}
		const ackTimeout = 10 * time.Second
		d, err := p.conn(nil).Device(t.Context(), dev, &DeviceOptions{Tokens: fixed("t"), AckTimeout: ackTimeout})
		if err != nil {
			t.Fatal(err)
		}
		if body, err := d.Twin(t.Context()); err != nil || string(body) != "{}" {
			t.Errorf("%s, %v", body, err)
		}
		sessions := p.asked("begin")
		time.Sleep(3 * ackTimeout)
		if n := p.asked("begin"); n != sessions || p.asked("end") != 0 {
			t.Errorf("%d sessions, of %d, and %d ends", n, sessions, p.asked("end"))
		}
	})
}
