package main

import (
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// Issue 5's table: what each row is held to. Half of what the sender costs is twice as fast; 0.8 times as many messages
// are 1.25 times the time.
func TestTheGatesOfAMQP(t *testing.T) {
	want := map[string][]bound{
		"AMQP message, append":                                   {atLeast(12)},
		"AMQP message, parse to a view":                          {atLeast(18)},
		"hub: telemetry in over AMQP, TLS, recorded":             {atLeast(2)},
		"hub: events out to go-amqp, TLS":                        {atMost(1.25)},
		"10,000 idle links of 2,000 devices, in KiB of the hub":  {oursAtMost(4)},
		"10,000 idle links of 10,000 devices, in KiB of the hub": {oursAtMost(4)},
	}
	allocs := map[string]int{
		"AMQP message, append": 0, "AMQP message, parse to a view": 0, "AMQP message, parse and look at each value": 0,
	}
	contests, err := openAMQP()
	defer func() {
		for _, c := range contests {
			c.close()
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	holdTo(t, contests, want, allocs)
	tryAll(t, contests, window*3/2)
}

func TestTheOtherEndIsThePeer(t *testing.T) {
	r := new(race)
	ours := r.client("", "counter", r.server("generous"), setup{})
	defer r.close()
	row := &row{figure: serverCPU, ours: ours, peer: r.otherEnd("its client", ours)}
	done := map[*work]stretch{ours: {n: 10, client: usage{CPU: 40 * time.Microsecond, Wall: time.Second}, server: usage{CPU: 10 * time.Microsecond}}}
	r.mirror(done)
	if d := cmp.Diff(sample{ours: 1, peer: 4, rate: 10}, row.compare(done), cmp.AllowUnexported(sample{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A gateway whose hub has detached a link, or is gone, has no links to measure.
func TestAGatewayThatLostALinkCountsNone(t *testing.T) {
	for _, tt := range []struct {
		name string
		says []performative
		want int64
	}{
		{"the state of the session", []performative{&amqp10.Flow{}}, 5},
		{"credit, and then that", []performative{&amqp10.Flow{Handle: amqp10.Some[uint32](3)}, &amqp10.Flow{}}, 5},
		{"a detach before it", []performative{&amqp10.Detach{Handle: 3}, &amqp10.Flow{}}, 0},
		{"nothing, and hangs up", nil, 0},
	} {
		near, far := net.Pipe()
		hub := newAMQPPeer(far)
		go func() {
			defer far.Close()
			hub.await(amqp10.DescFlow)
			for _, p := range tt.says {
				hub.say(amqp10.FrameAMQP, p)
			}
			hub.flush()
		}()
		g := &gateway{peer: newAMQPPeer(near), links: 5}
		if got := g.count(); got != tt.want {
			t.Errorf("the hub says %s: %d links, want %d", tt.name, got, tt.want)
		}
		near.Close()
	}
}
