package faults_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hubwire/hubwire/internal/testkit"
)

// loopback is the pace over sockets, where nothing hangs on how soon a fault is felt. A machine that is busy may answer late:
// no link is taken for dead because of that, but where it is by silence alone that a fault shows.
var loopback = pace{
	keepAlive: time.Minute, ackTimeout: time.Minute, backoff: 100 * time.Millisecond,
	connect: 10 * time.Second, patience: 5 * time.Minute, closing: time.Minute,
}

// TestOverSockets runs a part of the table over TCP and TLS: all that ends a connection,
// and each hole once, since it takes a second to be noticed.
func TestOverSockets(t *testing.T) {
	if testing.Short() {
		t.Skip("it opens sockets")
	}
	for _, p := range protocols {
		for i := range cuts {
			overSockets(t, p, &cuts[i], features)
		}
	}
	https := everywhere[len(everywhere)-1]
	for i := range cuts {
		overSockets(t, https, &cuts[i], features[:2]) // telemetry: what is locked for a receiver that was cut off takes its time
	}
	for i := range holes {
		overSockets(t, protocols[i%len(protocols)], &holes[i], features[(i+4)%len(features):][:1]) // +4: methods, which fail with their link, meet a hole that keeps it
		overSockets(t, https, &holes[i], features[i%2:][:1])
	}
}

func overSockets(t *testing.T, p protocol, x *fault, features []feature) {
	if x.only != nil && !x.only(p) {
		return
	}
	for _, f := range features {
		at := points(f, x)[len(points(f, x))-1]
		if x.slow && p.unheard > 0 {
			at = point{moment: before} // what is said is not acknowledged; who says nothing would have to wait for the hub
		}
		t.Run(fmt.Sprintf("%s/%s/%s, %s", p.name, f.name, x.name, at), func(t *testing.T) {
			testkit.LeakCheck(t)
			pace := loopback
			if x.slow {
				pace.keepAlive, pace.ackTimeout = time.Second, 500*time.Millisecond
			}
			newVenue(t, p, setting{inspects: x.inspects}, pace, socketPairs(t)).run(f, x, at)
		})
	}
}
