package service_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

// begun starts a call, and waits until it hangs.
func begun(call func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	synctest.Wait()
	return done
}

func TestCloseEndsTheCallsUnderWay(t *testing.T) {
	hangs := func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
	for name, tt := range map[string]struct {
		answer  http.HandlerFunc
		onDial  func(ctx context.Context, addr string) error
		outcome hubwire.Outcome
	}{
		"while the hub is silent":            {stalls, nil, hubwire.Unknown},
		"between attempts":                   {refuses(hubwire.ServerBusy, "Retry-After", "60"), nil, hubwire.Refused},
		"while a dial hangs":                 {stalls, hangs, hubwire.NotSent},
		"in the middle of an answer's body":  {halfway, nil, hubwire.Unknown},
		"in the middle of the TLS handshake": {stalls, nil, hubwire.NotSent},
	} {
		for kind, call := range kinds {
			if name == "between attempts" && kind == "invokes" || name == "in the middle of an answer's body" && kind == "changes" {
				continue // there is only one; it wants none
			}
			t.Run(name+"/"+kind, func(t *testing.T) {
				withFake(t, []http.HandlerFunc{tt.answer}, func(t *testing.T, f *fake) {
					f.onDial = tt.onDial
					f.deaf = name == "in the middle of the TLS handshake"
					c := f.client(nil)
					done := begun(func() error { return call(t.Context(), c) })
					start := time.Now()
					if err := c.Close(); err != nil || time.Since(start) != 0 {
						t.Errorf("close: %v after %v", err, time.Since(start))
					}
					err := <-done
					if e := errorOf(t, err); !errors.Is(err, net.ErrClosed) || e.Outcome != tt.outcome || e.Retryable || time.Since(start) != 0 {
						t.Errorf("%v after %v", err, time.Since(start))
					}
					_, err = c.Twin(t.Context(), dev)
					if e := errorOf(t, err); !errors.Is(err, net.ErrClosed) || e.Outcome != hubwire.NotSent || e.Retryable {
						t.Errorf("a call after Close: %v", err)
					}
					if err := c.Close(); err != nil {
						t.Errorf("a second close: %v", err)
					}
				})
			})
		}
	}
}

// halfway begins an answer, and then says no more.
func halfway(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "100")
	w.WriteHeader(200)
	if err := http.NewResponseController(w).Flush(); err != nil {
		panic(err)
	}
	stalls(w, r)
}

func TestTheEndOfAContextEndsACall(t *testing.T) {
	own := errors.New("the program's reason")
	for name, answer := range map[string]http.HandlerFunc{"silence": stalls, "half an answer": halfway, "between attempts": refuses(hubwire.ServerBusy, "Retry-After", "60")} {
		t.Run(name, func(t *testing.T) {
			withFake(t, []http.HandlerFunc{answer}, func(t *testing.T, f *fake) {
				c := f.client(nil)
				ctx, cancel := context.WithCancelCause(t.Context())
				done := begun(func() error { _, err := c.Twin(ctx, dev); return err })
				cancel(own)
				err := <-done
				if e := errorOf(t, err); !errors.Is(err, own) || !errors.Is(err, context.Canceled) || !e.Retryable || errors.Is(err, net.ErrClosed) {
					t.Errorf("%v", err)
				}
				if name == "between attempts" && !errors.Is(err, hubwire.ServerBusy) {
					t.Errorf("it does not say why it waited: %v", err)
				}
			})
		})
	}
}

func TestAContextThatHasEndedSendsNothing(t *testing.T) {
	withFake(t, []http.HandlerFunc{says(200, aTwin)}, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for kind, call := range kinds {
			if e := errorOf(t, call(ctx, f.client(nil))); e.Outcome != hubwire.NotSent || !errors.Is(e, context.Canceled) {
				t.Errorf("%s: %v", kind, e)
			}
		}
		if f.dialled() != 0 {
			t.Errorf("%d dials", f.dialled())
		}
	})
}

func TestCloseFromInsideAHook(t *testing.T) {
	withFake(t, []http.HandlerFunc{refuses(hubwire.ServerBusy)}, func(t *testing.T, f *fake) {
		var c *service.Client
		var took time.Duration
		c = f.client(func(o *service.Options) {
			o.Hooks = &service.Hooks{Attempt: func(service.Attempt) {
				start := time.Now()
				if err := c.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
				took = time.Since(start)
			}}
		})
		_, err := c.Twin(t.Context(), dev)
		if !errors.Is(err, net.ErrClosed) || !errors.Is(err, hubwire.ServerBusy) || took != 0 {
			t.Errorf("%v, close took %v", err, took)
		}
	})
}

func TestCloseDoesNotWaitForEverForADial(t *testing.T) {
	withFake(t, []http.HandlerFunc{says(200, aTwin)}, func(t *testing.T, f *fake) {
		release := make(chan struct{})
		f.onDial = func(context.Context, string) error { <-release; return errors.New("late") }
		o := f.options(func(o *service.Options) { o.CloseTimeout = time.Second })
		c, err := service.New(connectionString, o)
		if err != nil {
			t.Fatal(err)
		}
		done := begun(func() error { _, err := c.Twin(t.Context(), dev); return err })
		start := time.Now()
		if err := c.Close(); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("close: %v after %v", err, time.Since(start))
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		close(release)
	})
}
