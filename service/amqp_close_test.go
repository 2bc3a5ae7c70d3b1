package service_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/service"
)

// wireCalls are the calls that go over AMQP.
var wireCalls = map[string]func(ctx context.Context, c *service.Client) error{
	"send c2d":         func(ctx context.Context, c *service.Client) error { return c.SendC2D(ctx, dev, &hubwire.Message{}) },
	"receive feedback": func(ctx context.Context, c *service.Client) error { _, err := c.ReceiveFeedback(ctx); return err },
	"receive file notification": func(ctx context.Context, c *service.Client) error {
		_, err := c.ReceiveFileNotification(ctx)
		return err
	},
	"event hub info": func(ctx context.Context, c *service.Client) error { _, err := c.EventHubInfo(ctx); return err },
	"read events": func(ctx context.Context, c *service.Client) (err error) {
		for _, err = range c.Events(ctx, nil) {
		}
		return err
	},
}

// TestAMQPCallsThatHangCanBeEnded has each call hang in each way, and Close, or the end of its context,
// end it.
func TestAMQPCallsThatHangCanBeEnded(t *testing.T) {
	swallow := func(r *testkit.Relay) { r.Down.Swallow(true) }
	stuck := func(r *testkit.Relay) { r.Up.Stop(true); r.Down.Stop(true) }
	for name, tt := range map[string]struct {
		warm    bool // the connection stands before
		network func(*testkit.Relay)
		hangs   bool // the dial does
	}{
		"a dial that hangs":               {hangs: true},
		"a hub that says nothing":         {network: swallow},
		"a hub that says nothing anymore": {warm: true, network: swallow},
		"a hub that does not read":        {warm: true, network: stuck},
		"a connection that works":         {},
	} {
		for op, call := range wireCalls {
			if op != "receive feedback" && op != "receive file notification" && op != "read events" && tt.network == nil && !tt.hangs {
				continue // that does not hang
			}
			for end, closes := range map[string]bool{"close": true, "context": false} {
				t.Run(name+"/"+op+"/"+end, func(t *testing.T) {
					onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, _ *service.Client) {
						hubtest.Device(t, h, "dev-1")
						s := &stage{T: t}
						defer s.each((*testkit.Relay).Close)
						dial := s.through(h.Dial)
						c := clientOf(t, h, "service", func(o *service.Options) {
							o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
								if tt.hangs {
									<-ctx.Done()
									return nil, ctx.Err()
								}
								nc, err := dial(ctx, network, addr)
								if tt.network != nil && !tt.warm {
									s.each(tt.network)
								}
								return nc, err
							}
						})
						if tt.warm {
							if err := c.SendC2D(t.Context(), dev, &hubwire.Message{}); err != nil {
								t.Fatal(err)
							}
							s.each(tt.network)
						}
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						done := begun(func() error { return call(ctx, c) })
						start, want := time.Now(), context.Canceled
						if closes {
							want = net.ErrClosed
							if err := c.Close(); err != nil {
								t.Errorf("close: %v", err)
							}
						} else {
							cancel()
						}
						err := <-done
						if e := errorOf(t, err); !errors.Is(e, want) || e.Retryable == closes || e.Op != op {
							t.Error(err)
						}
						if took := time.Since(start); took > 3*time.Second {
							t.Errorf("it took %v", took)
						}
						if err := c.Close(); err != nil {
							t.Errorf("close: %v", err)
						}
						synctest.Wait()
					})
				})
			}
		}
	}
}

// TestServiceLinksLastForDays has tokens of an hour, which are renewed without a link being touched.
func TestServiceLinksLastForDays(t *testing.T) {
	overAMQP(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client, dials *dialled) {
		d := senders(t, h, 1)[0]
		l := newLedger(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		reading := make(chan struct{})
		go func() {
			defer close(reading)
			for ev, err := range c.Events(ctx, nil) {
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				l.add(ev)
			}
		}()
		const days = 3
		for range days * 24 {
			time.Sleep(time.Hour)
			d.send(1)
			if err := c.SendC2D(ctx, d.id, &hubwire.Message{ID: "m", Ack: hubwire.AckFull}); err != nil {
				t.Fatal(err)
			}
			if m, err := d.Receive(ctx); err != nil || m.Complete(ctx) != nil {
				t.Fatal(err)
			}
			f, err := c.ReceiveFeedback(ctx)
			if err != nil || f.Complete(ctx) != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if n := dials.count(); n != 2 {
			t.Errorf("%d connections in %d days", n, days)
		}
		cancel()
		<-reading
		if l.seen != days*24 {
			t.Errorf("%d events", l.seen)
		}
	})
}
