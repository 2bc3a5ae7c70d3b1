package faults_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
)

// This is the theme of calls that meet the end of everything at random: of their contexts, of the connection, of the client.

// TestClientsComeAndGoInBadWeather has one client of a device follow another, each used by many at once until it is closed
// in the midst of it: from outside, or by one of its own functions.
func TestClientsComeAndGoInBadWeather(t *testing.T) {
	overSeeds(t, mqttProtocols, 3, setting{}, func(t *testing.T, v *venue, w *weather) {
		var all sync.WaitGroup
		clients := 0
		l := &ledger{v: v}
		all.Go(func() {
			for ; w.rages(); clients++ {
				v.churn(w, l, clients)
			}
		})
		all.Go(func() {
			for n := 0; w.rages(); n++ {
				_ = v.theHub().SendC2D(t.Context(), dev, &hubwire.Message{}) // refused when many wait
				_, _ = v.theHub().Invoke(v.deadline(w.moment(5*time.Second)), dev, hubwire.MethodRequest{Name: "m"}, nil)
				time.Sleep(w.moment(time.Second))
			}
		})
		w.blow(30*time.Second, 2*time.Second)
		all.Wait()
		v.settle()
		acknowledged, unknown, notSent := l.balance()
		v.inOrder("stream ")
		t.Logf("%d clients; %d messages acknowledged, %d unknown, %d not sent", clients, acknowledged, unknown, notSent)
		if clients < 3 || acknowledged < 20 || unknown+notSent == 0 {
			t.Error("that was no bad weather")
		}
	})
}

// churned is a client of which little is left but the end.
type churned struct {
	v *venue
	w *weather
	c *device.Client
}

// churn is the n-th client's life.
func (v *venue) churn(w *weather, l *ledger, n int) {
	ctx, cancel := context.WithTimeout(v.t.Context(), w.moment(20*time.Second))
	defer cancel()
	c, err := v.tryDial(ctx, dev, func(o *device.Options) {
		o.Window, o.TokenTTL, o.MaxMethods = 1+w.upTo(50), 2*time.Second+w.moment(20*time.Second), 1+w.upTo(5)
		o.AckTimeout, o.KeepAlive, o.ConnectTimeout, o.MaxBackoff = 3*time.Second, 4*time.Second, 3*time.Second, 500*time.Millisecond
	})
	if err != nil {
		v.typed("dial", err)
		time.Sleep(w.moment(100 * time.Millisecond))
		return
	}
	x := &churned{v: v, w: w, c: c}
	v.client = c
	done := func(body string) func(error) {
		return func(err error) {
			l.enter(body, err)
			switch n := w.upTo(300); {
			case n == 0:
				x.close()
			case n < 50: // it must not, but a call that waits for what comes behind it keeps its context
				time.Sleep(w.moment(300 * time.Millisecond))
			}
		}
	}
	var users sync.WaitGroup
	use := func(what string, pause time.Duration, call func(ctx context.Context, i int) error) {
		users.Go(func() {
			for i, after := 0, 0; after < 3; i++ {
				ended := c.Err() != nil
				if ended {
					after++
				}
				if err := x.call(what, func(ctx context.Context) error { return call(ctx, i) }); ended && !errors.Is(err, net.ErrClosed) && !errors.Is(err, context.DeadlineExceeded) {
					v.t.Errorf("%s after the end of the client: %v", what, err)
				}
				time.Sleep(w.moment(pause))
			}
		})
	}
	use("send", 10*time.Millisecond, func(ctx context.Context, i int) error {
		body := fmt.Sprintf("sync %06d %06d", n, i)
		err := c.Send(ctx, &hubwire.Message{Body: []byte(body)})
		l.enter(body, err)
		return err
	})
	use("send async", 30*time.Millisecond, func(ctx context.Context, i int) error {
		body := fmt.Sprintf("stream %06d %06d", n, i)
		err := c.SendAsync(ctx, &hubwire.Message{Body: []byte(body)}, done(body))
		if err != nil {
			l.enter(body, err)
		}
		return err
	})
	use("report", time.Second, func(ctx context.Context, i int) error { _, err := c.Report(ctx, map[string]int{"n": i}); return err })
	use("twin", time.Second, func(ctx context.Context, _ int) error { _, err := c.Twin(ctx); return err })
	use("receive", 100*time.Millisecond, func(ctx context.Context, _ int) error {
		m, err := c.Receive(ctx)
		if err == nil {
			_ = m.Complete(ctx) // lost with its connection, if need be
		}
		return err
	})
	use("handle method", time.Second, func(ctx context.Context, _ int) error {
		return c.HandleMethod(ctx, "m", func(ctx context.Context, _ hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			if w.upTo(10) == 0 {
				x.close()
			}
			return hubwire.MethodResponse{}, nil
		})
	})
	use("desired", time.Second, func(ctx context.Context, _ int) (last error) {
		for _, err := range c.Desired(ctx) {
			last = err
		}
		return last
	})
	select {
	case <-time.After(w.moment(10 * time.Second)):
	case <-c.Done():
	}
	x.close()
	<-c.Done()
	users.Wait()
	if err := c.Err(); !errors.Is(err, net.ErrClosed) {
		v.t.Errorf("the client has ended: %v", err)
	}
}

// close closes the client, in time, and whoever else does: one may have to tell that a function of the other's has not returned.
func (x *churned) close() {
	start := time.Now()
	err := x.c.Close()
	if took := time.Since(start); took > closeTimeout || err != nil && !errors.Is(err, context.DeadlineExceeded) {
		x.v.t.Errorf("close took %v: %v", took, err)
	}
}

// call makes a call whose context ends at random, and holds what is true of any.
func (x *churned) call(what string, f func(context.Context) error) error {
	limit := x.w.moment([]time.Duration{time.Millisecond, 100 * time.Millisecond, 3 * time.Second, 20 * time.Second}[x.w.upTo(4)])
	ctx, cancel := context.WithTimeout(x.v.t.Context(), limit)
	defer cancel()
	start := time.Now()
	err := f(ctx)
	if took := time.Since(start); took > limit {
		x.v.t.Errorf("%s took %v, its context %v: %v", what, took, limit, err)
	}
	if err == nil {
		return nil
	}
	switch e := x.v.typed(what, err); {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil, errors.Is(err, net.ErrClosed), e.Retryable:
	default:
		x.v.t.Errorf("%s: %v", what, err)
	}
	return err
}
