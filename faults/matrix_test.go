package faults_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

// table runs the table of some faults.
func table(t *testing.T, faults []fault) {
	for _, p := range everywhere {
		for k, f := range features {
			for i := range faults {
				x := &faults[i]
				if p.skips(k+i) || x.only != nil && !x.only(p) || p.requests && !f.requests {
					continue
				}
				for _, at := range points(f, x) {
					t.Run(fmt.Sprintf("%s/%s/%s, %s", p.name, f.name, x.name, at), func(t *testing.T) {
						inBubble(t, p, setting{inspects: x.inspects, restarts: x.restarts}, func(t *testing.T, v *venue) { v.run(f, x, at) })
					})
				}
			}
		}
	}
}

// point is when a fault strikes.
type point struct {
	moment moment
	op     hub.OpKind // of within
}

type moment int

const (
	before moment = iota // a use, with the client none the wiser
	within               // when the hub has got an operation, and not acted on it
	after                // a use
)

func (p point) String() string {
	switch p.moment {
	case before:
		return "before"
	case after:
		return "after"
	}
	return "within " + string(p.op)
}

func points(f feature, x *fault) []point {
	ps := []point{{moment: before}, {moment: after}}
	if x.anywhere {
		for _, op := range f.ops {
			ps = append(ps, point{within, op})
		}
	}
	return ps
}

func TestCuts(t *testing.T)     { table(t, cuts) }
func TestHoles(t *testing.T)    { table(t, holes) }
func TestTroubles(t *testing.T) { table(t, troubles) }
func TestHandlers(t *testing.T) { table(t, handlers) }

func TestVerdictsOfTheHub(t *testing.T) {
	for _, p := range everywhere {
		for _, f := range features {
			if p.requests && !f.requests {
				continue
			}
			for _, op := range f.ops {
				for _, w := range verdicts {
					if op == hub.OpTwinDesired && w.verdict.Refuse != 0 {
						continue // nothing tells a device of a change that it was not told of, until the next
					}
					x := &fault{name: w.name, keeps: w.keeps, slow: w.keeps, allows: w.allows}
					x.hit = func(v *venue) { v.on(1, always(w.verdict), op) }
					if w.cut {
						x.lasts, x.heal = time.Second, eachLine((*testkit.Relay).Reset)
					}
					t.Run(fmt.Sprintf("%s/%s/%s %s", p.name, f.name, op, w.name), func(t *testing.T) {
						inBubble(t, p, setting{}, func(t *testing.T, v *venue) { v.run(f, x, point{moment: before}) })
					})
				}
			}
		}
	}
}

// run is one case of the table.
func (v *venue) run(f feature, x *fault, at point) {
	c := v.dial(f.who, nil)
	v.client = c
	use := f.open(v, c)
	v.settle()
	if err := v.bounded(v.pace.patience, use, 1); err != nil {
		v.t.Fatalf("before: %v", err)
	}
	before := v.audit.connections()
	struck := v.strike(x, at)
	outcome := make(chan error, 1)
	if at.moment == after {
		outcome <- nil
	} else {
		go func() { outcome <- v.bounded(v.pace.patience, use, 2) }()
	}
	<-struck
	v.pass(x.lasts)
	if x.heal != nil {
		x.heal(v)
	}
	if err := <-outcome; err != nil {
		e := v.typed("meanwhile", err)
		if !f.mayFail && (x.allows == nil || !x.allows(e)) {
			v.t.Errorf("meanwhile: %v", err)
		}
	}
	if !v.protocol.requests {
		v.recovers(c, x, before)
	}
	if err := v.bounded(v.pace.within(v.recovery()), use, 3); err != nil {
		v.t.Errorf("afterwards: %v", err)
	}
	if err := c.Err(); err != nil {
		v.t.Errorf("the client has ended: %v", err)
	}
	v.audit.finish()
}

// recovery is how long a use may take when the trouble is over.
func (v *venue) recovery() time.Duration {
	if v.protocol.requests {
		// Only a request shows what a connection is worth, and a message whose receiver was cut off is locked.
		return v.pace.backoff + v.pace.ackTimeout + v.pace.connect + httpsLock
	}
	return v.pace.backoff
}

// strike has a fault strike now, or at its point, and returns a channel that is closed when it has.
func (v *venue) strike(x *fault, at point) <-chan struct{} {
	if at.moment == within {
		return v.on(1, func(*hub.Op) hub.Verdict { x.hit(v); return hub.Verdict{} }, at.op)
	}
	x.hit(v)
	now := make(chan struct{})
	close(now)
	return now
}

// recovers waits until the client has another connection, as long as that may take.
func (v *venue) recovers(c *device.Client, x *fault, before int) {
	v.t.Helper()
	limit := v.pace.connect + v.pace.backoff // an attempt that met the end of the fault, and the wait after it
	if x.slow {
		limit += max(v.pace.noticed(), v.protocol.unheard)
	}
	if x.keeps {
		before = 0
	}
	ctx, cancel := context.WithTimeout(v.t.Context(), v.pace.within(limit))
	defer cancel()
	if err := v.audit.await(ctx, before); err != nil {
		v.t.Errorf("%v after: %v", limit, err)
	}
}

// bounded uses a feature with so much time, and fails the test when it takes longer.
func (v *venue) bounded(d time.Duration, use use, n int) error {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), d)
	defer cancel()
	start := time.Now()
	err := use(ctx, n)
	if took := time.Since(start); v.pace.bubble && took > d {
		v.t.Errorf("a use with %v took %v", d, took)
	}
	return err
}
