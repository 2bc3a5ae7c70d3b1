package faults_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/internal/testkit"
)

// This is the theme of dead links that nobody notices: whatever a client does meanwhile, it knows within 1.5 times
// the keep-alive that it hears nothing more, and as soon as its protocol lets it that it is not heard.

// TestSilenceIsNoticed has the network swallow what passes, in one direction or in both, while no
// acknowledgement is due at any time.
func TestSilenceIsNoticed(t *testing.T) {
	const keep = time.Minute
	again := func(ctx context.Context, f func()) {
		for ctx.Err() == nil {
			f()
			time.Sleep(100 * time.Millisecond)
		}
	}
	for _, hole := range []struct {
		name     string
		up, down bool
	}{
		{"to the hub", true, false}, {"from the hub", false, true}, {"in both directions", true, true},
	} {
		for name, work := range map[string]func(context.Context, *venue, *device.Client){
			"silent": func(ctx context.Context, _ *venue, _ *device.Client) { <-ctx.Done() },
			"sending": func(ctx context.Context, v *venue, c *device.Client) {
				again(ctx, func() { _ = c.SendAsync(ctx, v.fresh(1000), nil) })
			},
			"asking": func(ctx context.Context, _ *venue, c *device.Client) {
				again(ctx, func() { _, _ = c.Twin(ctx) })
			},
		} {
			t.Run(hole.name+", while it is "+name, func(t *testing.T) {
				overEach(t, setting{}, func(t *testing.T, v *venue) {
					c := v.dial(dev, func(o *device.Options) { o.KeepAlive, o.AckTimeout = keep, -1 })
					if _, err := c.Twin(t.Context()); err != nil {
						t.Fatal(err)
					}
					v.pass(time.Second)
					limit := keep * 3 / 2
					if hole.up && !hole.down {
						limit = max(limit, v.protocol.unheard)
					}
					v.net.each(func(r *testkit.Relay) { r.Up.Swallow(hole.up); r.Down.Swallow(hole.down) })
					start, before := time.Now(), v.audit.losses()
					ctx, cancel := context.WithCancel(t.Context())
					var working sync.WaitGroup
					working.Go(func() { work(ctx, v, c) })
					v.until(limit, "the loss is noticed", func() bool { return v.audit.losses() > before })
					t.Logf("noticed after %v", time.Since(start))
					cancel()
					working.Wait()
					if err := v.bounded(v.recovery()+v.pace.connect, telemetry(v, c), 1); err != nil {
						t.Errorf("afterwards: %v", err)
					}
				})
			})
		}
	}
}

// TestNoBusyPings holds that a client that has nothing to say says little.
func TestNoBusyPings(t *testing.T) {
	overEach(t, setting{}, func(t *testing.T, v *venue) {
		var mu sync.Mutex
		said := 0
		c := v.dial(dev, func(o *device.Options) {
			o.KeepAlive, o.TokenTTL = 4*time.Minute, 24*time.Hour
			o.Hooks.Packet = func(sent bool, _ []byte) {
				mu.Lock()
				defer mu.Unlock()
				if sent {
					said++
				}
			}
		})
		if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		said = 0
		mu.Unlock()
		v.pass(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if most := 60; said == 0 || said > most || v.audit.losses() > 0 {
			t.Errorf("%d packets in an hour of silence, and %d connections were lost", said, v.audit.losses())
		}
	})
}
