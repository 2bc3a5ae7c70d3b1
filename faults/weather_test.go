package faults_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

// weather is faults at random, as long as it lasts.
type weather struct {
	v *venue

	mu   sync.Mutex
	rand *rand.Rand
	over bool
}

// overSeeds runs a test for each of these protocols and for so many seeds: one under the race detector,
// which makes them cost ten times as much, and sees the same code in all of them.
func overSeeds(t *testing.T, ps []protocol, seeds uint64, s setting, test func(t *testing.T, v *venue, w *weather)) {
	if testkit.RaceEnabled {
		seeds = 1
	}
	for _, p := range ps {
		for seed := range seeds {
			t.Run(fmt.Sprintf("%s/seed %d", p.name, seed), func(t *testing.T) {
				inBubble(t, p, s, func(t *testing.T, v *venue) {
					test(t, v, &weather{v: v, rand: rand.New(rand.NewPCG(seed, 0))})
				})
			})
		}
	}
}

// upTo is a random number below n.
func (w *weather) upTo(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rand.IntN(n)
}

// moment is a random time below d.
func (w *weather) moment(d time.Duration) time.Duration { return time.Duration(w.upTo(int(d))) }

// rages reports whether it lasts.
func (w *weather) rages() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.over
}

// strikes are what a bad network and a bad hub do: before something is written, between that and its
// acknowledgement, after it.
var strikes = []func(w *weather){
	func(w *weather) { w.v.net.each((*testkit.Relay).Reset) },
	func(w *weather) { w.v.net.each((*testkit.Relay).Finish) },
	func(w *weather) { w.v.theHub().Disconnect(dev) },
	func(w *weather) { n := w.upTo(20_000); w.v.net.each(func(r *testkit.Relay) { r.Up.After(n, r.Reset) }) },
	func(w *weather) { n := w.upTo(2000); w.v.net.each(func(r *testkit.Relay) { r.Down.After(n, r.Reset) }) },
	func(w *weather) {
		n := w.upTo(20_000)
		w.v.net.each(func(r *testkit.Relay) { r.Up.After(n, func() { r.Up.Swallow(true) }) })
	},
	func(w *weather) {
		n := w.upTo(2000)
		w.v.net.each(func(r *testkit.Relay) { r.Down.After(n, func() { r.Down.Swallow(true) }) })
	},
	func(w *weather) { w.v.net.each(swallow) },
	func(w *weather) { w.v.net.each(func(r *testkit.Relay) { r.Up.Stop(true) }) },
	func(w *weather) { w.v.on(1, always(hub.Verdict{DropBefore: true})) },
	func(w *weather) { w.v.on(1, always(hub.Verdict{DropAfter: true})) },
	func(w *weather) {
		w.v.on(1, always(hub.Verdict{SwallowAck: true}), hub.OpPublish, hub.OpConnect, hub.OpSubscribe)
	},
	func(w *weather) { w.v.on(3, always(hub.Verdict{Delay: w.moment(time.Second)})) },
	func(w *weather) {
		w.v.net.set(func(n *network) { n.refuse = refusing })
		w.v.net.each((*testkit.Relay).Reset)
		time.Sleep(w.moment(5 * time.Second))
		w.v.net.set(func(n *network) { n.refuse = nil })
	},
}

// blow lets one strike follow another for so long, each a random time after the last.
func (w *weather) blow(d, pause time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(w.moment(pause))
		strikes[w.upTo(len(strikes))](w)
	}
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.v.noRules()
	w.v.net.each((*testkit.Relay).Reset)
}
