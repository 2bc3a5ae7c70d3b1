package device_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/internal/testkit"
)

// contents returns the bodies of the messages of each request.
func (h *restHub) contents() (all [][]string) {
	h.t.Helper()
	for _, r := range h.taken() {
		if !httpsx.IsBatch(r.Header) {
			all = append(all, []string{r.body})
			continue
		}
		var ms []string
		for m, err := range httpsx.ParseBatch([]byte(r.body)) {
			if err != nil {
				h.t.Fatal(err)
			}
			ms = append(ms, string(m.Body))
		}
		all = append(all, ms)
	}
	return all
}

func numbered(n int) *hubwire.Message { return &hubwire.Message{Body: fmt.Append(nil, n)} }

// counter counts calls of done functions.
type counter struct {
	mu    sync.Mutex
	order []int
	errs  []error
}

func (c *counter) done(i int) func(error) {
	return func(err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.order, c.errs = append(c.order, i), append(c.errs, err)
	}
}

func (c *counter) all() ([]int, []error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order, c.errs
}

func TestHTTPSWhatWaitsSharesARequest(t *testing.T) {
	slow := func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Second) // by the bubble's clock
		w.WriteHeader(http.StatusNoContent)
	}
	large := func(n int) *hubwire.Message {
		return &hubwire.Message{Body: append(fmt.Append(nil, n), make([]byte, 200<<10)...)}
	}
	for _, tt := range []struct {
		name    string
		options device.HTTPSOptions
		message func(int) *hubwire.Message
		n       int
		pause   time.Duration
		want    []int // messages in each request
	}{
		{"one alone", device.HTTPSOptions{}, numbered, 1, 0, []int{1}},
		{"those behind it, together", device.HTTPSOptions{}, numbered, 5, 0, []int{1, 4}},
		{"as many as fit", device.HTTPSOptions{BatchBytes: 100}, numbered, 6, 0, []int{1, 2, 2, 1}},
		{"each by itself", device.HTTPSOptions{Linger: -1}, numbered, 3, 0, []int{1, 1, 1}},
		{"those of a while", device.HTTPSOptions{Linger: 10 * time.Second}, numbered, 5, 3 * time.Second, []int{4, 1}},
		{"no while, once a request is full", device.HTTPSOptions{Linger: time.Hour, BatchBytes: 2000}, func(i int) *hubwire.Message {
			return &hubwire.Message{Body: append(fmt.Append(nil, i), make([]byte, 800)...)}
		}, 2, 0, []int{1, 1}},
		{"what no batch holds, by itself", device.HTTPSOptions{}, large, 3, 0, []int{1, 1, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overREST(t, func(t *testing.T, h *restHub) {
				c := h.dial(&tt.options, nil)
				h.answers(slow)
				var count counter
				for i := range tt.n {
					if err := c.SendAsync(t.Context(), tt.message(i), count.done(i)); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					time.Sleep(tt.pause)
				}
				time.Sleep(time.Minute)
				if tt.options.Linger == time.Hour {
					time.Sleep(2 * time.Hour)
				}
				synctest.Wait()
				var sizes, order []int
				next := 0
				for _, ms := range h.contents() {
					sizes = append(sizes, len(ms))
					for _, m := range ms {
						if m[:1] != fmt.Sprint(next) {
							t.Errorf("%.1s came in the place of %d", m, next)
						}
						next++
					}
				}
				if diff := cmp.Diff(tt.want, sizes); diff != "" {
					t.Errorf("messages in each request (-want +got):\n%s", diff)
				}
				order, errs := count.all()
				for i, n := range order {
					if n != i || errs[i] != nil {
						t.Errorf("done %d is called with %v, as number %d", n, errs[i], i)
					}
				}
				if len(order) != tt.n {
					t.Errorf("%d of %d are done", len(order), tt.n)
				}
			})
		})
	}
}

func TestHTTPSABatchFailsTogether(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		c := h.dial(&device.HTTPSOptions{Linger: time.Second}, nil)
		h.answers(refusing(&hubwire.Error{Code: hubwire.ServerBusy}), cut, refusing(&hubwire.Error{Code: hubwire.ArgumentInvalid}), status(204))
		err := c.SendAll(t.Context(), []*hubwire.Message{numbered(0), numbered(1), numbered(2)})
		failed := err.(interface{ Unwrap() []error }).Unwrap()
		for _, err := range failed {
			// The connection that was cut may have brought it.
			if e, ok := errors.AsType[*hubwire.Error](err); !ok || e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.Unknown {
				t.Error(err)
			}
		}
		if len(failed) != 3 || len(h.taken()) != 3 {
			t.Errorf("%d failed in %d requests", len(failed), len(h.taken()))
		}
		if err := c.SendAll(t.Context(), []*hubwire.Message{numbered(0), numbered(1)}); err != nil {
			t.Error(err)
		}
	})
}

func TestHTTPSTheWindowIsBounded(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		c := h.dial(nil, func(o *device.Options) { o.Window = 3 })
		goOn := make(chan struct{})
		h.answers(func(w http.ResponseWriter, _ *http.Request) { <-goOn; w.WriteHeader(204) })
		var count counter
		for i := range 3 {
			if err := c.SendAsync(t.Context(), numbered(i), count.done(i)); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := c.SendAsync(ctx, numbered(3), count.done(3))
		if e, ok := errors.AsType[*hubwire.Error](err); !ok || !errors.Is(err, context.DeadlineExceeded) || e.Outcome != hubwire.NotSent {
			t.Errorf("the fourth: %v", err)
		}
		waiting := make(chan error)
		go func() { waiting <- c.SendAsync(t.Context(), numbered(4), count.done(4)) }()
		synctest.Wait()
		close(goOn)
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if order, _ := count.all(); !cmp.Equal(order, []int{0, 1, 2, 4}) {
			t.Errorf("done: %v", order)
		}
	})
}

func TestHTTPSDoneFunctionsThatDoMore(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		panics := 0
		c := h.dial(nil, func(o *device.Options) {
			o.Window = 2
			o.Hooks = &device.Hooks{HandlerPanic: func(any, []byte) { panics++ }}
		})
		var count counter
		full := make(chan error, 1)
		all := make(chan error, 1)
		err := c.SendAsync(t.Context(), numbered(0), func(error) {
			c.SendAsync(t.Context(), numbered(1), func(error) { runtime.Goexit() })
			c.SendAsync(t.Context(), numbered(2), func(error) { panic("done") })
			full <- c.SendAsync(t.Context(), numbered(3), nil)
			all <- c.SendAll(t.Context(), []*hubwire.Message{numbered(3)})
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, ch := range []chan error{full, all} {
			if e, ok := errors.AsType[*hubwire.Error](<-ch); !ok || e.Outcome != hubwire.NotSent {
				t.Errorf("what would wait for itself: %v", e)
			}
		}
		synctest.Wait()
		closed := make(chan error, 1)
		if err := c.SendAsync(t.Context(), numbered(5), func(error) { closed <- c.Close() }); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := <-closed; err != nil || time.Since(start) != 0 {
			t.Errorf("Close inside took %v: %v", time.Since(start), err)
		}
		<-c.Done()
		if got := h.contents(); !cmp.Equal(got, [][]string{{"0"}, {"1", "2"}, {"5"}}) || panics != 1 {
			t.Errorf("the hub has %v; %d panics; %v", got, panics, count.order)
		}
	})
}

func TestHTTPSCloseGivesAMoment(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		took   time.Duration
		failed bool
	}{
		{"to what gets its answer", func(w http.ResponseWriter, _ *http.Request) { time.Sleep(300 * time.Millisecond); w.WriteHeader(204) }, 600 * time.Millisecond, false},
		{"but no more to what gets none", stall, time.Second, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overREST(t, func(t *testing.T, h *restHub) {
				var last device.State
				c := h.dial(nil, func(o *device.Options) {
					o.Hooks = &device.Hooks{State: func(s device.State, _ error) { last = s }}
				})
				h.answers(tt.answer)
				var count counter
				for i := range 3 {
					if err := c.SendAsync(t.Context(), numbered(i), count.done(i)); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				sent := make(chan error, 1)
				go func() { sent <- c.Send(t.Context(), numbered(9)) }()
				received := make(chan error, 1)
				go func() { _, err := c.Receive(t.Context()); received <- err }()
				synctest.Wait()
				start := time.Now()
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				if d := time.Since(start); d != tt.took {
					t.Errorf("it took %v, want %v", d, tt.took)
				}
				order, errs := count.all()
				if len(order) != 3 {
					t.Errorf("done is called for %v", order)
				}
				for _, err := range append(errs, <-sent) {
					if errors.Is(err, net.ErrClosed) != tt.failed || (err != nil) != tt.failed {
						t.Errorf("a send: %v", err)
					}
				}
				if err := <-received; !errors.Is(err, net.ErrClosed) {
					t.Errorf("receive: %v", err)
				}
				if err := c.Send(t.Context(), numbered(0)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("a send afterwards: %v", err)
				}
				if err := c.Close(); err != nil || last != device.Closed {
					t.Errorf("again: %v; the last state is %v", err, last)
				}
			})
		})
	}
}

// tokenThatNeverComes gives one token for a minute, and then waits for its context.
type tokenThatNeverComes struct{ asked atomic.Bool }

func (s *tokenThatNeverComes) Token(ctx context.Context, _ string) (string, time.Time, error) {
	if !s.asked.Swap(true) {
		return "token", time.Now().Add(time.Minute), nil
	}
	<-ctx.Done()
	return "", time.Time{}, ctx.Err()
}

func TestHTTPSCloseEndsTheWaitForAToken(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		cred := device.Credentials{HostName: "hub.example", Identity: hubwire.Identity{DeviceID: "dev-1"}, Tokens: new(tokenThatNeverComes)}
		c, err := device.DialCredentials(t.Context(), cred, device.HTTPS(nil), h.options(nil))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		sent := make(chan error, 2)
		for range cap(sent) { // one asks for the token, one waits for its turn
			go func() { sent <- c.Send(t.Context(), numbered(0)) }()
		}
		synctest.Wait()
		start := time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for range cap(sent) {
			if err := <-sent; !errors.Is(err, net.ErrClosed) {
				t.Errorf("a send: %v", err)
			}
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

func TestHTTPSAnIdleClientHasNoGoroutines(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		before := testkit.Running()
		var clients []*device.Client
		for range 20 {
			c := h.dial(nil, nil)
			if err := c.SendAll(t.Context(), []*hubwire.Message{numbered(0), numbered(1)}); err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if more := testkit.Running().Beyond(before); len(more) > 0 {
			t.Errorf("%d goroutines for %d clients:\n%s", len(more), len(clients), more[0])
		}
		if err := clients[0].Send(t.Context(), numbered(2)); err != nil {
			t.Error(err)
		}
	})
}

func TestHTTPSStatesAreToldInOrder(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		var states []device.State
		var c *device.Client
		c = h.dial(nil, func(o *device.Options) {
			o.Hooks = &device.Hooks{State: func(s device.State, reason error) {
				states = append(states, s)
				if s == device.Connecting {
					if reason == nil {
						t.Error("no reason")
					}
					c.State()
					c.Send(t.Context(), numbered(1)) // inside, it does not wait for what it holds up
				}
			}}
		})
		h.answers(cut, status(204))
		if err := c.Send(t.Context(), numbered(0)); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		want := []device.State{device.Connected, device.Connecting, device.Connected, device.Closed}
		if diff := cmp.Diff(want, states); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
