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

// TestEverythingOutlastsAStorm has a device and its module use every feature at once in bad weather, with tokens
// that are renewed all the time.
func TestEverythingOutlastsAStorm(t *testing.T) {
	const lasts = time.Minute
	overSeeds(t, everywhere, 3, setting{}, func(t *testing.T, v *venue, w *weather) {
		c := newCrowd(v, func(o *device.Options) {
			o.TokenTTL, o.AckTimeout, o.KeepAlive, o.MaxBackoff = 20*time.Second, 3*time.Second, 5*time.Second, 2*time.Second
		})
		var busy sync.WaitGroup
		for _, u := range c.users {
			if u.name == "messages to the device" {
				busy.Go(func() { v.settlements(w, u.c) })
				continue
			}
			busy.Go(func() {
				for n := 1; w.rages(); n++ {
					if err := v.bounded(v.pace.patience, u.use, n); err != nil {
						if v.typed(u.name, err); !u.mayFail {
							t.Errorf("%s %d: %v", u.name, n, err)
						}
					}
					time.Sleep(w.moment(200 * time.Millisecond))
				}
			})
		}
		w.blow(lasts, 2*time.Second)
		busy.Wait()
		c.rounds = 1_000_000
		c.uses("in good weather", v.pace.patience, false)
		for _, u := range c.users {
			if err := u.c.Err(); err != nil {
				t.Errorf("the client has ended: %v", err)
			}
		}
	})
}

// settlements holds that each message for the device gets there, whoever settles it, late, out of order
// and twice; and that only what the hub has not yet heard of comes again.
func (v *venue) settlements(w *weather, c *device.Client) {
	ctx, cancel := context.WithCancel(v.t.Context())
	var mu sync.Mutex
	got := map[string]int{}
	settle := func(m *hubwire.Received) {
		err := m.Complete(context.Background())
		if v.protocol.settles && err != nil && (errors.Is(err, hubwire.MessageLockLost) || v.typed("complete", err).Outcome == hubwire.Unknown) {
			return // an attempt whose answer was lost may have completed it; if not, it comes again
		}
		if err != nil && (!errors.Is(err, hubwire.MessageLockLost) || !errors.Is(err, net.ErrClosed)) {
			v.t.Errorf("complete %s: %v", m.Body, err)
		}
	}
	var receivers sync.WaitGroup
	for range 3 {
		receivers.Go(func() {
			for {
				m, err := c.Receive(ctx)
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						v.t.Error(err)
					}
					return
				}
				mu.Lock()
				got[string(m.Body)]++
				if v.protocol.marks && got[string(m.Body)] > 1 && !m.Redelivered {
					v.t.Errorf("message %s comes again without a word", m.Body)
				}
				mu.Unlock()
				time.Sleep(w.moment(2 * time.Second))
				for range 2 {
					receivers.Go(func() { settle(m) })
				}
			}
		})
	}
	told := 0
	for ; w.rages(); told++ {
		if err := v.theHub().SendC2D(ctx, dev, &hubwire.Message{Body: fmt.Append(nil, told)}); err != nil {
			if !errors.Is(err, hubwire.QueueDepthExceeded) {
				v.t.Error(err)
			}
			told--
		}
		time.Sleep(w.moment(time.Second))
	}
	v.until(time.Hour, "all messages are completed", func() bool {
		left, err := v.theHub().QueueLength(dev)
		return left == 0 && err == nil
	})
	cancel()
	receivers.Wait()
	for i := range told {
		if got[fmt.Sprint(i)] == 0 {
			v.t.Errorf("message %d of %d is lost", i, told)
		}
	}
}
