package amqpfront

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// TestManyFightOverADevice has connections take a device from each other all the time, while a service
// sends to it, calls it and changes its twin, until the hub closes. Nothing hangs, and nothing is left.
func TestManyFightOverADevice(t *testing.T) {
	for name, cfg := range map[string]core.Config{
		"alone": {},
		"with an intercept function": {Intercept: func(context.Context, *core.Op) core.Verdict {
			return core.Verdict{}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { manyFight(t, cfg) })
		})
	}
}

func manyFight(t *testing.T, cfg core.Config) {
	const fighters, rounds = 4, 20
	f := newFront(t, cfg, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var fight, service sync.WaitGroup
	over := make(chan struct{})
	service.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			_ = f.core.SendC2D(ctx, dev, &hubwire.Message{Body: []byte("for you")})
			_, _ = f.core.Invoke(ctx, dev, &core.Invocation{MethodRequest: hubwire.MethodRequest{Name: "m"}, ResponseTimeout: time.Millisecond})
			_, _ = f.core.PatchTwin(ctx, dev, &core.TwinUpdate{Desired: []byte(`{"a":1}`)}, "")
		}
	})
	for range fighters {
		fight.Go(func() {
			for range rounds {
				f.round(ctx)
			}
		})
	}
	fight.Wait()
	close(over)
	service.Wait()
	f.close()
	if n := len(f.server.open) + f.server.current.Len(); n != 0 || f.server.conns.Len() != 0 {
		t.Errorf("%d connections and identities are left, and %d sockets", n, f.server.conns.Len())
	}
	if ctx.Err() != nil {
		t.Error("it hung")
	}
}

// round connects, attaches what it can, sends a little and goes, one way or another.
func (f *front) round(ctx context.Context) {
	c, err := f.client(&goamqp.ConnOptions{SASLType: goamqp.SASLTypePlain("dev@sas.localhost", f.token)})
	if err != nil {
		return
	}
	defer c.Close()
	s, err := c.NewSession(ctx, nil)
	if err != nil {
		return
	}
	for _, source := range []string{"/devices/dev/messages/devicebound", "/devices/dev/methods/devicebound", "/devices/dev/twin"} {
		if r, err := s.NewReceiver(ctx, source, &goamqp.ReceiverOptions{Credit: 10}); err == nil {
			defer r.Close(ctx)
		}
	}
	if _, err := s.NewSender(ctx, "/devices/dev/methods/devicebound", nil); err != nil {
		return
	}
	l, err := s.NewSender(ctx, "/devices/dev/messages/events", nil)
	for range 10 {
		if err == nil {
			err = l.Send(ctx, goamqp.NewMessage([]byte("hi")), nil)
		}
	}
}
