package device_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

func TestWaitingOutlastsSubscriptionsThatCostTheConnection(t *testing.T) {
	for name, wait := range map[string]func(*testing.T, *bench, *device.Client){
		"Receive": func(t *testing.T, b *bench, c *device.Client) { b.receive(c, "x") },
		"HandleMessages": func(t *testing.T, b *bench, c *device.Client) {
			ctx, cancel := context.WithCancel(t.Context())
			err := c.HandleMessages(ctx, func(context.Context, *hubwire.Received) error { cancel(); return nil })
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		},
		"Desired": func(t *testing.T, b *bench, c *device.Client) {
			for _, err := range c.Desired(t.Context()) {
				if err != nil {
					t.Error(err)
				}
				break
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var dropped atomic.Int32
			cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
				return hub.Verdict{DropBefore: op.Kind == hub.OpSubscribe && dropped.Add(1) <= 10}
			}}
			overMQTT(t, cfg, func(t *testing.T, b *bench) {
				dropped.Store(0)
				b.tell(dev, "x")
				c := b.dial(b.device, nil)
				// What does not wait by its nature gets an error, and can be tried again.
				var e *hubwire.Error
				if err := c.HandleMethod(t.Context(), "m", echo); !errors.As(err, &e) || !e.Retryable || !errors.Is(err, net.ErrClosed) {
					t.Errorf("HandleMethod: %v", err)
				}
				wait(t, b, c)
				if n := dropped.Load(); n < 10 {
					t.Errorf("only %d connections were lost", n)
				}
			})
		})
	}
}

func TestADeviceThatIsMadeAnewWhileItsClientIsAway(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		var away atomic.Bool
		c := b.dial(b.device, func(o *device.Options) {
			reach := o.Dial
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if away.Load() {
					return nil, errors.New("no network")
				}
				return reach(ctx, network, addr)
			}
		})
		b.handle(c, "echo", echo)
		b.wish(`{"old":1}`)
		b.wish(`{"old":2}`)
		if _, err := c.Report(t.Context(), map[string]int{"a": 1}); err != nil {
			t.Fatal(err)
		}
		changes := make(chan hubwire.DesiredChange)
		go func() {
			for d, err := range c.Desired(t.Context()) {
				if err == nil {
					changes <- d
				}
			}
			close(changes)
		}()
		change := func() (d hubwire.DesiredChange) {
			t.Helper()
			select {
			case d = <-changes:
			case <-time.After(time.Hour):
				t.Error("no change of the desired properties")
			}
			return d
		}
		change()
		b.tell(dev, "x")
		if err := b.receive(c, "x").Complete(t.Context()); err != nil {
			t.Fatal(err)
		}

		away.Store(true)
		b.hub.Disconnect(dev)
		synctest.Wait()
		old, err := b.hub.Device(dev)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.hub.Delete(t.Context(), dev); err != nil {
			t.Fatal(err)
		}
		if _, err := b.hub.Create(t.Context(), &hub.Device{Identity: dev, PrimaryKey: old.PrimaryKey, SecondaryKey: old.SecondaryKey}); err != nil {
			t.Fatal(err)
		}
		b.wish(`{"new":1}`)
		b.wish(`{"new":2}`) // the version that the old one had
		away.Store(false)
		b.awaitConnected(c)

		if d := change(); !d.Full || d.Version != 3 || string(d.JSON) != `{"new":2}` {
			t.Errorf("desired: %+v", d)
		}
		b.tell(dev, "y") // the hub had forgotten every subscription
		if err := b.receive(c, "y").Complete(t.Context()); err != nil {
			t.Error(err)
		}
		if resp, err := b.invoke("echo", "1"); err != nil || resp.Status != 200 {
			t.Errorf("%+v, %v", resp, err)
		}
		b.wish(`{"new":3}`)
		if d := change(); d.Full || d.Version != 4 {
			t.Errorf("desired: %+v", d)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for range changes {
		}
	})
}
