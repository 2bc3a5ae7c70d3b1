package device_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

// until calls f again and again, until ctx ends.
func until(ctx context.Context, every time.Duration, f func()) {
	for ctx.Err() == nil {
		f()
		time.Sleep(every)
	}
}

// What a Client does while its network has gone.
var (
	nothing      = func(ctx context.Context, _ *bench, _ *device.Client) { <-ctx.Done() }
	sendsOnAndOn = func(ctx context.Context, _ *bench, c *device.Client) { // which fills the window, or the buffers
		until(ctx, 10*time.Millisecond, func() { _ = c.SendAsync(ctx, &hubwire.Message{Body: make([]byte, 1000)}, nil) })
	}
	asksOnAndOn = func(ctx context.Context, _ *bench, c *device.Client) {
		until(ctx, 10*time.Millisecond, func() { _, _ = c.Twin(ctx) })
	}
	isCalled = func(ctx context.Context, b *bench, _ *device.Client) {
		until(ctx, time.Second, func() {
			_, _ = b.hub.Invoke(ctx, dev, hubwire.MethodRequest{Name: "echo"}, &hub.InvokeOptions{ResponseTimeout: 5 * time.Second})
		})
	}
)

func TestADeadLinkIsNoticed(t *testing.T) {
	const keep, off = time.Minute, -1
	for _, tt := range []struct {
		name       string
		in, out    bool // what stops, without a word
		work       func(context.Context, *bench, *device.Client)
		atMostOnce bool // QoS 0
		keep, ack  time.Duration
		want       error
		within     time.Duration
	}{
		{"both ways, under silence", true, true, nothing, false, keep, off, mqtt.ErrKeepAlive, keep * 3 / 2},
		{"inwards, under silence", true, false, nothing, false, keep, off, mqtt.ErrKeepAlive, keep * 3 / 2},
		{"outwards, under silence", false, true, nothing, false, keep, off, mqtt.ErrKeepAlive, keep * 3 / 2},
		{"both ways, under sends", true, true, sendsOnAndOn, false, keep, off, mqtt.ErrKeepAlive, keep * 3 / 2},
		{"inwards, under sends", true, false, sendsOnAndOn, false, keep, off, mqtt.ErrKeepAlive, keep * 3 / 2},
		{"outwards, under sends", false, true, sendsOnAndOn, false, keep, off, mqtt.ErrKeepAlive, keep * 3 / 2},
		{"both ways, under sends that need no acknowledgement", true, true, sendsOnAndOn, true, keep, off, mqtt.ErrKeepAlive, keep * 3 / 2},
		{"inwards, under sends that need no acknowledgement", true, false, sendsOnAndOn, true, keep, off, mqtt.ErrKeepAlive, keep * 3 / 2},
		{"outwards, under sends that need no acknowledgement", false, true, sendsOnAndOn, true, keep, off, mqtt.ErrKeepAlive, keep * 3 / 2},
		{"inwards, under requests", true, false, asksOnAndOn, false, keep, off, mqtt.ErrKeepAlive, keep * 3 / 2},
		{"outwards, under calls, which the hub gives up", false, true, isCalled, false, keep, off, mqtt.ErrServerClosed, keep * 3 / 2},
		{"both ways, and an acknowledgement is due", true, true, sendsOnAndOn, false, off, 20 * time.Second, mqtt.ErrAckTimeout, 21 * time.Second},
		{"inwards, and an acknowledgement is due", true, false, sendsOnAndOn, false, off, 20 * time.Second, mqtt.ErrAckTimeout, 21 * time.Second},
		{"outwards, and the buffers are full", false, true, sendsOnAndOn, true, off, 20 * time.Second, mqtt.ErrAckTimeout, 22 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overMQTT(t, hub.Config{}, func(t *testing.T, b *bench) {
				n := &network{b: b}
				b.adjust(device.MQTTOptions{AtMostOnce: tt.atMostOnce, Will: &hubwire.Message{ID: "will"}})
				lost := make(chan error, 1)
				c := b.dial(b.device, func(o *device.Options) {
					n.options(o)
					o.KeepAlive, o.AckTimeout = tt.keep, tt.ack
					o.Hooks = &device.Hooks{State: func(s device.State, reason error) {
						if s == device.Connecting {
							select {
							case lost <- reason:
							default:
							}
						}
					}}
				})
				b.handle(c, "echo", echo)
				time.Sleep(time.Second)
				if tt.in {
					n.nc.StopReads(0)
				}
				if tt.out {
					n.nc.StopWrites(0)
				}
				start := time.Now()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var working sync.WaitGroup
				working.Go(func() { tt.work(ctx, b, c) })
				reason := <-lost
				if d := time.Since(start); d > tt.within {
					t.Errorf("it took %v", d)
				}
				hubToo := tt.out && !tt.in && errors.Is(reason, mqtt.ErrServerClosed) // at the same moment
				if !errors.Is(reason, net.ErrClosed) || !errors.Is(reason, tt.want) && !hubToo {
					t.Errorf("lost for %v", reason)
				}
				cancel()
				working.Wait()
				b.awaitConnected(c)
				if err := c.Send(t.Context(), &hubwire.Message{ID: "after"}); err != nil {
					t.Error(err)
				}
				will := false
				for id := ""; id != "after"; id = b.next().ID {
					will = will || id == "will"
				}
				if !will {
					t.Error("the hub published no will")
				}
			})
		})
	}
}

// TestTheHubGivesUpAClientThatHasGone is the other side of the same: the hub hears nothing more.
func TestTheHubGivesUpAClientThatHasGone(t *testing.T) {
	const keep = 40 * time.Second
	overMQTT(t, hub.Config{}, func(t *testing.T, b *bench) {
		n := &network{b: b}
		b.adjust(device.MQTTOptions{Will: &hubwire.Message{ID: "will"}})
		b.dial(b.device, func(o *device.Options) { n.options(o); o.KeepAlive = keep })
		n.breakWith(hangs)
		n.nc.StopReads(0)
		n.nc.StopWrites(0)
		start := time.Now()
		if ev := b.next(); ev.ID != "will" {
			t.Errorf("%q came", ev.ID)
		}
		if d := time.Since(start); d > keep*3/2 || b.hub.Connected(dev) {
			t.Errorf("it took %v", d)
		}
		n.breakWith(nil)
	})
}

func TestPingsAreSentOnlyInSilence(t *testing.T) {
	for name, tt := range map[string]struct {
		work  func(context.Context, *bench, *device.Client)
		pings int32 // in an hour
	}{
		"under silence": {nothing, 15},
		"under sends": {func(ctx context.Context, _ *bench, c *device.Client) {
			until(ctx, time.Minute, func() { _ = c.Send(ctx, &hubwire.Message{}) })
		}, 0},
		"under calls": {func(ctx context.Context, b *bench, _ *device.Client) {
			until(ctx, time.Minute, func() { _, _ = b.invoke("echo", "1") })
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			overMQTT(t, hub.Config{}, func(t *testing.T, b *bench) {
				var pings atomic.Int32
				c := b.dial(b.device, func(o *device.Options) {
					o.KeepAlive, o.TokenTTL = 4*time.Minute, 24*time.Hour
					o.Hooks = &device.Hooks{Packet: func(sent bool, p []byte) {
						if sent && mqtt.Packet(p).Type() == mqtt.TypePingreq {
							pings.Add(1)
						}
					}}
				})
				b.handle(c, "echo", echo)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour+time.Second)
				defer cancel()
				tt.work(ctx, b, c)
				if n := pings.Load(); n != tt.pings || c.State() != device.Connected {
					t.Errorf("%d pings in an hour, want %d; %v", n, tt.pings, c.State())
				}
			})
		})
	}
}
