package device_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestAThousandCallsAtOnceAreNotMixedUp(t *testing.T) {
	const n = 1000
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		var running, most atomic.Int64
		for _, name := range []string{"a", "b", "c"} {
			b.handle(c, name, func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
				now := running.Add(1)
				defer running.Add(-1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				time.Sleep(time.Duration(1+rand.IntN(20_000)) * time.Millisecond) // not 0, or not all run at once
				var i int
				_, err := fmt.Sscanf(string(r.Payload), `"call %d"`, &i)
				return hubwire.MethodResponse{Status: i, Payload: fmt.Appendf(nil, `{"%s":%s}`, name, r.Payload)}, err
			})
		}
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				name := string(rune('a' + i%3))
				resp, err := b.invoke(name, fmt.Sprintf(`"call %d"`, i))
				if err != nil {
					t.Errorf("call %d: %v", i, err)
				} else if want := fmt.Sprintf(`{"%s":"call %d"}`, name, i); resp.Status != i || string(resp.Payload) != want {
					t.Errorf("call %d was answered %d %s", i, resp.Status, resp.Payload)
				}
			})
		}
		all.Wait()
		if most.Load() != n {
			t.Errorf("at most %d ran at a time, want all %d", most.Load(), n)
		}
	})
}

// TestLargeCallsAtOnce has more to say to the device than the hub keeps for one that does not read. This one does.
func TestLargeCallsAtOnce(t *testing.T) {
	const size = 100_000
	n := 300
	if testkit.RaceEnabled { // which looks at each byte that is copied
		n = 100 // still twice the unanswered payload that the hub lets a device have
	}
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		b.handle(c, "size", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			time.Sleep(time.Millisecond)
			return hubwire.MethodResponse{Status: len(r.Payload)}, nil
		})
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				resp, err := b.invoke("size", fmt.Sprintf("%*d", size+i, i))
				if err != nil || resp.Status != size+i {
					t.Errorf("call %d: %+v, %v", i, resp, err)
				}
			})
		}
		all.Wait()
	})
}

func TestCallsBeyondTheLimitAreAnsweredSo(t *testing.T) {
	const n, limit = 200, 150
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, func(o *device.Options) { o.MaxMethods = limit })
		b.handle(c, "echo", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			time.Sleep(time.Second) // by the bubble's clock: all run at once
			return hubwire.MethodResponse{Status: 200, Payload: r.Payload}, nil
		})
		flood := func() map[int]int {
			var mu sync.Mutex
			got := map[int]int{}
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() {
					resp, err := b.invoke("echo", fmt.Sprint(i))
					if err != nil {
						t.Errorf("call %d: %v", i, err)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					got[resp.Status]++
				})
			}
			all.Wait()
			return got
		}
		for range 2 { // and there is room again afterwards
			if diff := cmp.Diff(map[int]int{200: limit, 429: n - limit}, flood()); diff != "" {
				t.Errorf("statuses (-want +got):\n%s", diff)
			}
			time.Sleep(time.Second) // a call counts until the hub has said that it took its answer, and the caller may have it before
		}
	})
}

func TestSlowHandlersHoldNothingUp(t *testing.T) {
	var pings atomic.Int64
	cfg := hub.Config{LockTimeout: time.Hour, Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		if op.Kind == hub.OpPing {
			pings.Add(1)
		}
		return hub.Verdict{}
	}}
	overEach(t, cfg, func(t *testing.T, b *bench) {
		pings.Store(0)
		var l stateLog
		c := b.dial(b.device, func(o *device.Options) {
			l.watched(o)
			o.KeepAlive = 10 * time.Second
		})
		b.handle(c, "slow", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			time.Sleep(4 * time.Minute)
			return hubwire.MethodResponse{Status: 200}, nil
		})
		b.handle(c, "echo", echo)
		b.tell(dev, "before")
		held := b.receive(c, "before")
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				resp, err := b.hub.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "slow"}, &hub.InvokeOptions{ResponseTimeout: 5 * time.Minute})
				if err != nil || resp.Status != 200 {
					t.Errorf("%+v, %v", resp, err)
				}
			})
		}
		time.Sleep(2 * time.Minute)
		if n := pings.Load(); n < 10 && b.mqtt() { // AMQP has empty frames, which the hub does not tell of
			t.Errorf("%d pings in two minutes", n)
		}
		start := time.Now()
		if err := held.Complete(t.Context()); err != nil {
			t.Error(err)
		}
		b.tell(dev, "beside")
		if err := b.receive(c, "beside").Complete(t.Context()); err != nil {
			t.Error(err)
		}
		if err := c.Send(t.Context(), &hubwire.Message{ID: "beside"}); err != nil || b.next().ID != "beside" {
			t.Errorf("%v", err)
		}
		if _, err := c.Twin(t.Context()); err != nil {
			t.Error(err)
		}
		if resp, err := b.invoke("echo", "1"); err != nil || resp.Status != 200 {
			t.Errorf("%+v, %v", resp, err)
		}
		b.waiting(dev, 0)
		if d := time.Since(start); d > 0 {
			t.Errorf("beside slow handlers all that took %v", d)
		}
		all.Wait()
		if states, _ := l.told(); len(states) != 1 {
			t.Errorf("the connection went through %v", states)
		}
	})
}

func TestAnAnswerThatComesTooLateIsHarmless(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		var done atomic.Int64
		b.handle(c, "slow", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			defer done.Add(1)
			time.Sleep(time.Minute)
			return hubwire.MethodResponse{Status: 200, Payload: []byte(`"late"`)}, nil
		})
		b.handle(c, "echo", echo)
		for range 20 {
			start := time.Now()
			_, err := b.invoke("slow", "")
			if !errors.Is(err, hubwire.GatewayTimeout) || time.Since(start) != 30*time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		}
		time.Sleep(time.Minute)
		if n := done.Load(); n != 20 {
			t.Errorf("%d handlers have returned", n)
		}
		if resp, err := b.invoke("echo", "1"); err != nil || string(resp.Payload) != "1" || c.State() != device.Connected {
			t.Errorf("afterwards %+v, %v", resp, err)
		}
	})
}

func TestWhatACallerWaitsForAndGets(t *testing.T) {
	for name, tt := range map[string]struct {
		device func(*testing.T, *bench) // in what state the device is
		o      *hub.InvokeOptions
		want   error
		took   time.Duration
		atMost time.Duration // when not took exactly
	}{
		"nobody is there": {func(*testing.T, *bench) {}, nil, hubwire.DeviceNotOnline, 0, 0},
		"nobody comes":    {func(*testing.T, *bench) {}, &hub.InvokeOptions{ConnectTimeout: time.Minute}, hubwire.DeviceNotOnline, time.Minute, 0},
		"it is there, without methods": {func(t *testing.T, b *bench) { b.dial(b.device, nil) },
			&hub.InvokeOptions{ConnectTimeout: time.Minute}, hubwire.DeviceNotOnline, time.Minute, 0},
		"it comes in time": {func(t *testing.T, b *bench) {
			go func() {
				time.Sleep(30 * time.Second)
				c := b.dial(b.device, nil)
				handled := make(chan struct{})
				t.Cleanup(func() { <-handled }) // the call may be answered before that, and end the test
				defer close(handled)
				if err := c.HandleMethod(context.WithoutCancel(t.Context()), "m", echo); err != nil {
					t.Error(err)
				}
			}()
		}, &hub.InvokeOptions{ConnectTimeout: time.Minute}, nil, 30 * time.Second, 0},
		"it comes back in time": {func(t *testing.T, b *bench) {
			var away atomic.Bool
			c := b.dial(b.device, func(o *device.Options) {
				o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					if away.Load() {
						return nil, errors.New("no network")
					}
					return b.hub.Dial(ctx, network, addr)
				}
			})
			b.handle(c, "m", echo)
			away.Store(true)
			b.hub.Disconnect(dev)
			synctest.Wait()
			time.AfterFunc(20*time.Second, func() { away.Store(false) })
		}, &hub.InvokeOptions{ConnectTimeout: 2 * time.Minute}, nil, 0, 90 * time.Second},
		"it does not answer": {func(t *testing.T, b *bench) {
			b.handle(b.dial(b.device, nil), "m", func(ctx context.Context, _ hubwire.MethodRequest) (r hubwire.MethodResponse, _ error) {
				<-ctx.Done()
				return r, nil
			})
		}, &hub.InvokeOptions{ConnectTimeout: time.Minute, ResponseTimeout: 5 * time.Second}, hubwire.GatewayTimeout, 5 * time.Second, 0},
		"it goes before it answers": {func(t *testing.T, b *bench) {
			b.handle(b.dial(b.device, nil), "m", func(context.Context, hubwire.MethodRequest) (r hubwire.MethodResponse, _ error) {
				time.Sleep(3 * time.Second)
				b.hub.Disconnect(dev)
				time.Sleep(time.Second)
				return r, nil
			})
		}, nil, hubwire.ConnectionClosedRemotely, 3 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
				tt.device(t, b)
				start := time.Now()
				_, err := b.hub.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "m"}, tt.o)
				if !errors.Is(err, tt.want) {
					t.Errorf("%v, want %v", err, tt.want)
				}
				if d := time.Since(start); d != tt.took && (tt.atMost == 0 || d > tt.atMost) {
					t.Errorf("it took %v, want %v", d, tt.took)
				}
			})
		})
	}
}

// The hub fails a call when its connection goes. The handler runs on, and its answer
// goes out on the next connection, where nobody waits for it any more.
func TestAConnectionThatIsLostWhileHandlersRun(t *testing.T) {
	var answers atomic.Int64
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		if op.Kind == hub.OpMethodResponse {
			answers.Add(1)
		}
		return hub.Verdict{}
	}}
	overEach(t, cfg, func(t *testing.T, b *bench) {
		answers.Store(0)
		c := b.dial(b.device, nil)
		b.handle(c, "slow", func(ctx context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			time.Sleep(time.Minute)
			return hubwire.MethodResponse{Status: 200, Payload: r.Payload}, ctx.Err() // it ends with the Client, not the connection
		})
		const n = 10
		failed := make(chan error, n)
		for i := range n {
			go func() { _, err := b.invoke("slow", fmt.Sprint(i)); failed <- err }()
		}
		synctest.Wait()
		start := time.Now()
		b.hub.Disconnect(dev)
		for range n {
			if err := <-failed; !errors.Is(err, hubwire.ConnectionClosedRemotely) || time.Since(start) > 0 {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		}
		b.awaitConnected(c)
		const later = 10 // which have other request ids, and get their own answers
		var all sync.WaitGroup
		for i := range later {
			all.Go(func() {
				resp, err := b.hub.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "slow", Payload: fmt.Append(nil, 100+i)}, &hub.InvokeOptions{ResponseTimeout: 5 * time.Minute})
				if err != nil || string(resp.Payload) != fmt.Sprint(100+i) {
					t.Errorf("%+v, %v", resp, err)
				}
			})
		}
		all.Wait()
		synctest.Wait()
		if got := answers.Load(); got != n+later {
			t.Errorf("the hub got %d answers, want %d", got, n+later)
		}
	})
}

func TestAHandlerMayUseItsClient(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		b.handle(c, "all", func(ctx context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			if err := c.Send(ctx, &hubwire.Message{ID: "from a handler"}); err != nil {
				return hubwire.MethodResponse{}, err
			}
			acked := make(chan error)
			if err := c.SendAsync(ctx, &hubwire.Message{ID: "from a handler, too"}, func(err error) { acked <- err }); err != nil {
				return hubwire.MethodResponse{}, err
			}
			if err := errors.Join(<-acked, c.SendAll(ctx, []*hubwire.Message{{}, {}})); err != nil {
				return hubwire.MethodResponse{}, err
			}
			if _, err := c.Report(ctx, map[string]string{"by": "handler"}); err != nil {
				return hubwire.MethodResponse{}, err
			}
			for _, err := range c.Desired(ctx) {
				if err != nil {
					return hubwire.MethodResponse{}, err
				}
				break
			}
			m, err := c.Receive(ctx)
			if err == nil {
				err = m.Complete(ctx)
			}
			if err == nil {
				err = c.HandleMethod(ctx, "another", echo)
			}
			if err == nil {
				err = c.HandleMethod(ctx, "all", nil) // itself
			}
			twin, twinErr := c.Twin(ctx)
			if err := errors.Join(err, twinErr); err != nil {
				return hubwire.MethodResponse{}, err
			}
			return hubwire.MethodResponse{Status: 200, Payload: twin.Reported.JSON}, nil
		})
		b.tell(dev, "x")
		resp, err := b.invoke("all", "")
		if err != nil || resp.Status != 200 || string(resp.Payload) != `{"by":"handler"}` {
			t.Fatalf("%+v, %v", resp, err)
		}
		for method, status := range map[string]int{"another": 200, "all": 501} {
			if resp, err := b.invoke(method, "1"); err != nil || resp.Status != status {
				t.Errorf("%s: %+v, %v", method, resp, err)
			}
		}
		b.waiting(dev, 0)
	})
}

func TestPayloadsOfMethodsHaveALimit(t *testing.T) {
	limit := `"` + strings.Repeat("x", hubwire.MaxMethodPayload-2) + `"`
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		b.handle(c, "echo", echo)
		b.handle(c, "more", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{Payload: []byte(limit + " ")}, nil
		})
		if resp, err := b.invoke("echo", limit); err != nil || resp.Status != 200 || string(resp.Payload) != limit {
			t.Errorf("of 128 KiB both ways: %v", err)
		}
		if _, err := b.invoke("echo", limit+" "); !errors.Is(err, hubwire.MessageTooLarge) {
			t.Errorf("a request beyond the limit: %v", err)
		}
		if resp, err := b.invoke("more", ""); err != nil || resp.Status != 500 || !strings.Contains(string(resp.Payload), "limit is 131072") {
			t.Errorf("an answer beyond the limit: %+v, %v", resp, err)
		}
		if s := c.State(); s != device.Connected {
			t.Errorf("the state is %v", s)
		}
	})
}

// A hub that does not acknowledge answers fills the window with them. Calls for which there is no
// room are lost to their callers, and to nobody else.
func TestAFloodOfCallsWhoseAnswersAreNotAcknowledged(t *testing.T) {
	var mute atomic.Bool
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		return hub.Verdict{SwallowAck: op.Kind == hub.OpMethodResponse && mute.Load()}
	}}
	overEach(t, cfg, func(t *testing.T, b *bench) {
		mute.Store(true)
		c := b.dial(b.device, func(o *device.Options) { o.MaxMethods, o.Window = 20, 10 })
		b.handle(c, "echo", echo)
		answered := 0
		var all sync.WaitGroup
		var mu sync.Mutex
		for i := range 500 {
			all.Go(func() {
				time.Sleep(time.Duration(rand.IntN(120)) * time.Second)
				resp, err := b.invoke("echo", fmt.Sprint(i))
				switch {
				case errors.Is(err, hubwire.GatewayTimeout), errors.Is(err, hubwire.ConnectionClosedRemotely), errors.Is(err, hubwire.DeviceNotOnline):
				case err != nil:
					t.Error(err)
				case resp.Status == 200 && string(resp.Payload) != fmt.Sprint(i):
					t.Errorf("call %d was answered %s", i, resp.Payload)
				default:
					mu.Lock()
					answered++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		// Over AMQP the hub has an answer when it is written: there the window is not in its way.
		if answered < 10 || answered == 500 && b.mqtt() {
			t.Errorf("%d calls were answered; the window is 10", answered)
		}
		mute.Store(false)
		time.Sleep(5 * time.Minute)
		b.awaitConnected(c)
		if resp, err := b.invoke("echo", "1"); err != nil || string(resp.Payload) != "1" {
			t.Errorf("afterwards %+v, %v", resp, err)
		}
	})
}
