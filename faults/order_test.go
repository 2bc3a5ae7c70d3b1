package faults_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/internal/testkit"
)

// This is the theme of queued messages that overtake each other when a connection comes back.

// TestOrderOverAHundredDisconnects holds that the hub takes the messages of a device in the order in which they were
// sent, those that come again included, and whether it has kept the session or not.
func TestOrderOverAHundredDisconnects(t *testing.T) {
	const disconnects = 100
	for name, cut := range map[string]func(*weather){
		"with the session kept": func(w *weather) {
			switch n := w.upTo(3000); w.upTo(3) {
			case 0:
				w.v.net.each((*testkit.Relay).Reset)
			case 1:
				w.v.net.each(func(r *testkit.Relay) { r.Up.After(n, r.Reset) })
			case 2:
				w.v.net.each(func(r *testkit.Relay) { r.Down.After(n/10, r.Reset) })
			}
		},
		"with the session gone": func(w *weather) { w.v.anew() },
	} {
		t.Run(name, func(t *testing.T) {
			overSeeds(t, protocols, 2, setting{}, func(t *testing.T, v *venue, w *weather) {
				c := v.dial(dev, func(o *device.Options) { o.Window, o.MaxBackoff = 50, time.Second })
				receive := commands(v, c)
				var sender sync.WaitGroup
				sent := 0
				sender.Go(func() {
					for ; w.rages(); sent++ {
						if err := c.SendAsync(t.Context(), &hubwire.Message{Body: fmt.Appendf(nil, "%08d", sent)}, nil); err != nil {
							t.Errorf("message %d: %v", sent, err)
						}
						time.Sleep(w.moment(10 * time.Millisecond))
					}
				})
				for n := range disconnects {
					if v.protocol.skips(n) {
						continue
					}
					time.Sleep(w.moment(300 * time.Millisecond))
					before := v.audit.connections()
					cut(w)
					if err := v.audit.await(v.deadline(time.Minute), before); err != nil {
						t.Fatal(err)
					}
					if n%10 == 0 {
						if err := v.bounded(time.Minute, receive, n); err != nil {
							t.Errorf("a message to the device after disconnect %d: %v", n, err)
						}
					}
				}
				w.blow(0, 0)
				sender.Wait()
				if err := c.Send(t.Context(), &hubwire.Message{Body: fmt.Appendf(nil, "%08d", sent)}); err != nil {
					t.Error(err)
				}
				v.strictly(sent + 1)
			})
		})
	}
}

// strictly holds that the hub has the messages 0 to n-1 in order: each is the next one, or begins
// again what was not acknowledged.
func (v *venue) strictly(n int) {
	v.t.Helper()
	last, most := -1, -1
	for _, body := range v.log.all() {
		var i int
		if _, err := fmt.Sscan(strings.TrimLeft(body, "0"), &i); err != nil && strings.Trim(body, "0") != "" {
			v.t.Fatalf("%q: %v", body, err)
		}
		if i > last+1 {
			v.t.Errorf("message %d came after %d", i, last)
		}
		last, most = i, max(most, i)
	}
	if most != n-1 || last != n-1 {
		v.t.Errorf("the hub ends with message %d, and has %d; %d were sent", last, most, n)
	}
}
