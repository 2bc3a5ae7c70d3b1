package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/internal/testkit"
)

// This is the theme of features that do not come back: whatever ends a connection, and how often, each
// feature works again within one back-off period, and what was under way has an outcome.

// TestFiftyKills kills the connections of a device and of its module fifty times in each way, at random
// moments of every feature's use.
func TestFiftyKills(t *testing.T) {
	const kills = 50
	for _, p := range everywhere {
		for i := range cuts {
			x := &cuts[i]
			if x.only != nil && !x.only(p) {
				continue
			}
			t.Run(p.name+"/"+x.name, func(t *testing.T) {
				inBubble(t, p, setting{inspects: x.inspects}, func(t *testing.T, v *venue) {
					c := newCrowd(v, nil)
					c.uses("before", v.recovery(), false)
					for kill := range kills {
						if !p.skips(kill) {
							c.kill(kill, func() { x.hit(v) })
						}
					}
				})
			})
		}
	}
}

// TestAKillAtEachByte cuts each connection after so many bytes, in one direction or the other: in TLS,
// the upgrade to a WebSocket, the login, the subscriptions, an answer.
func TestAKillAtEachByte(t *testing.T) {
	const most = 8000
	step := 53
	if testkit.RaceEnabled {
		step *= 2
	}
	overAll(t, setting{}, func(t *testing.T, v *venue) {
		c := newCrowd(v, nil)
		c.uses("before", v.recovery(), false)
		for n := 0; n < most; n += step {
			if v.protocol.skips(n / step) {
				continue
			}
			for _, up := range []bool{true, false} {
				cut := 0 // only the next line, so that one after it stands
				v.net.set(func(net *network) {
					net.prepare = func(r *testkit.Relay) {
						if cut++; cut > 2 {
							return
						}
						if up {
							r.Up.After(n, r.Reset)
						} else {
							r.Down.After(n, r.Reset)
						}
					}
				})
				c.kill(n, func() { v.net.each((*testkit.Relay).Reset) })
			}
		}
	})
}

// crowd is a device and its module, who use every feature.
type crowd struct {
	v      *venue
	seed   uint64
	rand   *rand.Rand
	users  []user
	rounds int
}

// user is somebody who uses one feature.
type user struct {
	feature
	use use
	c   *device.Client
}

func newCrowd(v *venue, change func(*device.Options)) *crowd {
	seed := rand.Uint64()
	c := &crowd{v: v, seed: seed, rand: rand.New(rand.NewPCG(seed, 0))}
	v.t.Cleanup(func() {
		if v.t.Failed() {
			v.t.Logf("seed %#x", seed)
		}
	})
	clients := map[hubwire.Identity]*device.Client{dev: v.dial(dev, change), mod: v.dial(mod, change)}
	for _, f := range features {
		if v.protocol.requests && !f.requests {
			continue
		}
		client := clients[f.who]
		c.users = append(c.users, user{f, f.open(v, client), client})
	}
	return c
}

// uses has everybody use his feature once, at the same time.
func (c *crowd) uses(when string, limit time.Duration, mayFail bool) {
	c.rounds++
	n := c.rounds
	var all sync.WaitGroup
	for _, u := range c.users {
		all.Go(func() {
			if err := c.v.bounded(limit, u.use, n); err != nil {
				if c.v.typed(when, err); !mayFail || !u.mayFail {
					c.v.t.Errorf("%s, %s: %v", when, u.name, err)
				}
			}
		})
	}
	all.Wait()
}

// meanwhile has something happen at a random moment of a round.
func (c *crowd) meanwhile(what string, hit func()) {
	done := make(chan struct{})
	go func() { c.uses("meanwhile "+what, c.v.pace.patience, true); close(done) }()
	time.Sleep(time.Duration(c.rand.IntN(3)) * time.Microsecond) // most of a round takes no time at all
	hit()
	<-done
}

// kill has something happen to the connections at a random moment of a round, and then wants
// every feature to work within one back-off period.
func (c *crowd) kill(n int, hit func()) {
	v := c.v
	before := v.audit.connections()
	c.meanwhile(fmt.Sprint(n), hit)
	v.net.set(func(net *network) { net.prepare = nil })
	v.net.each(func(r *testkit.Relay) { r.Up.After(0, nil); r.Down.After(0, nil) }) // what has not struck by now will not
	v.settle()
	if !v.protocol.requests {
		ctx, cancel := context.WithTimeout(v.t.Context(), 2*(v.pace.backoff+v.pace.connect))
		defer cancel()
		if err := v.audit.await(ctx, before+1); err != nil { // both of them
			v.t.Errorf("kill %d: %v", n, err)
		}
		v.settle()
	}
	c.uses(fmt.Sprintf("after kill %d", n), v.recovery(), false)
}
