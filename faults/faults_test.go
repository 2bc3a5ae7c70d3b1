package faults_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

// fault is one layer of the table: something that happens to a client that is at work.
type fault struct {
	name string
	hit  func(v *venue) // the moment it strikes; must not wait, if it can strike within a use
	heal func(v *venue) // when lasts has passed; nil when it is over at once

	lasts    time.Duration
	keeps    bool // the connection
	slow     bool // what is wrong with the connection is noticed by its silence only
	inspects bool // the network has to look into TLS
	restarts bool // the hub has to
	anywhere bool // it makes sense between the operations of a feature, too
	only     func(protocol) bool

	// allows says which errors a use that it strikes may end with; nil: none.
	allows func(e *hubwire.Error) bool
}

// cuts are the ways in which a connection ends.
var cuts = []fault{
	{name: "RST", anywhere: true, hit: eachLine((*testkit.Relay).Reset)},
	{name: "FIN", anywhere: true, hit: eachLine((*testkit.Relay).Finish)},
	{name: "end of TLS", anywhere: true, inspects: true, hit: eachLine(func(r *testkit.Relay) {
		r.Client().(*tls.Conn).CloseWrite()
		r.Finish()
	})},
	{name: "half an end of TLS", anywhere: true, inspects: true, hit: eachLine(func(r *testkit.Relay) {
		r.Down.Swallow(true)
		r.Client().(*tls.Conn).CloseWrite()
	})},
	{name: "close frame", anywhere: true, inspects: true, only: webSocket, hit: eachLine(func(r *testkit.Relay) {
		r.Down.Swallow(true)
		r.Client().Write([]byte{0x88, 2, 1001 >> 8, 1001 & 0xff}) // fails when the line is down already
	})},
	{name: "WebSocket 1006, inside a frame", anywhere: true, inspects: true, only: webSocket, hit: eachLine(func(r *testkit.Relay) {
		r.Down.Swallow(true)
		r.Client().Write([]byte{0x82, 100, 'x'})
		r.Client().(*tls.Conn).CloseWrite()
		r.Finish()
	})},
	{name: "an alert of TLS", anywhere: true, hit: eachLine(func(r *testkit.Relay) {
		r.Down.Swallow(true)
		r.Client().Write([]byte{21, 3, 3, 0, 2, 2, 40}) // handshake_failure, in the clear
	})},
	{name: "cut by the hub", anywhere: true, hit: func(v *venue) {
		v.theHub().Disconnect(dev)
		v.theHub().Disconnect(mod)
	}},
}

func webSocket(p protocol) bool { return p.webSocket }

func connects(p protocol) bool { return !p.requests }

func speaksAMQP(p protocol) bool { return p.amqp }

func eachLine(f func(*testkit.Relay)) func(*venue) {
	return func(v *venue) { v.net.each(f) }
}

// holes are networks that take and do not give.
var holes = []fault{
	{name: "black hole to the hub", anywhere: true, slow: true, hit: eachLine(func(r *testkit.Relay) { r.Up.Swallow(true) })},
	{name: "black hole from the hub", anywhere: true, slow: true, hit: eachLine(func(r *testkit.Relay) { r.Down.Swallow(true) })},
	{name: "black hole", anywhere: true, slow: true, hit: eachLine(func(r *testkit.Relay) {
		r.Up.Swallow(true)
		r.Down.Swallow(true)
	})},
	{name: "a peer that stops reading", anywhere: true, slow: true, hit: eachLine(func(r *testkit.Relay) { r.Up.Stop(true) })},
	{name: "a peer that stalls inside a frame", slow: true, hit: eachLine(func(r *testkit.Relay) {
		r.Down.After(11, func() { r.Down.Stop(true) })
	})},
	{name: "a peer that stalls, and goes on", keeps: true, anywhere: true, lasts: 5 * time.Second,
		hit:  eachLine(func(r *testkit.Relay) { r.Down.Stop(true) }),
		heal: eachLine(func(r *testkit.Relay) { r.Down.Stop(false) }),
	},
	{name: "a peer that dribbles", keeps: true, anywhere: true, hit: eachLine(func(r *testkit.Relay) {
		r.Down.Chunk(func() int { return 1 }, time.Millisecond)
	})},
	{name: "a network that cuts everything anew", keeps: true, anywhere: true, hit: eachLine(func(r *testkit.Relay) {
		r.Up.Chunk(uneven(), 0)
		r.Down.Chunk(uneven(), 0)
	})},
	{name: "a slow network", keeps: true, anywhere: true, hit: eachLine(func(r *testkit.Relay) {
		r.Up.Chunk(nil, 300*time.Millisecond)
		r.Down.Chunk(nil, 300*time.Millisecond)
	})},
}

// uneven gives sizes from 1 to 97 bytes.
func uneven() func() int {
	n := 0
	return func() int { n = n*5%97 + 1; return n }
}

// away cuts all connections, and lets none through while it lasts.
func away(name string, refuse func(*network)) fault {
	return fault{
		name: name, lasts: time.Minute,
		hit:  func(v *venue) { v.net.set(refuse); v.net.each((*testkit.Relay).Reset) },
		heal: func(v *venue) { v.net.set(func(n *network) { n.refuse, n.prepare = nil, nil }) },
	}
}

// refusal cuts all connections, and has the hub refuse the next logins.
func refusal(name string, times int, verdict hub.Verdict) fault {
	return fault{name: name, lasts: 2 * time.Minute, only: connects, hit: func(v *venue) {
		v.on(times, always(verdict), hub.OpConnect)
		v.net.each((*testkit.Relay).Reset)
	}}
}

// troubles are whatever else a client has to come through.
var troubles = []fault{
	away("nobody listens", func(n *network) { n.refuse = refusing }),
	away("dialling hangs", func(n *network) { n.refuse = hanging }),
	away("a listener that answers nothing", func(n *network) {
		n.prepare = func(r *testkit.Relay) { r.Down.Swallow(true) }
	}),
	away("connections that are cut inside the handshake", func(n *network) {
		n.prepare = func(r *testkit.Relay) { r.Down.After(100, r.Reset) }
	}),
	refusal("logins refused for now", 5, hub.Verdict{Refuse: hubwire.ServiceUnavailable}),
	refusal("throttled logins", 5, hub.Verdict{Refuse: hubwire.Throttled}),
	refusal("a login refused once", 1, hub.Verdict{Refuse: hubwire.Unauthorized}),
	refusal("logins without an answer", 3, hub.Verdict{SwallowAck: true}),
	refusal("logins that are cut off", 5, hub.Verdict{DropBefore: true}),
	refusal("logins that are cut off, and count", 5, hub.Verdict{DropAfter: true}),
	refusal("slow logins", 3, hub.Verdict{Delay: 5 * time.Second}),
	{name: "throttled for a while", keeps: true, lasts: time.Minute, allows: throttled,
		hit: func(v *venue) {
			v.on(1_000_000, always(hub.Verdict{Refuse: hubwire.Throttled}), hub.OpPublish, hub.OpTwinGet, hub.OpTwinReport)
		},
		heal: (*venue).noRules,
	},
	{name: "a hub that is slow for a while", keeps: true, lasts: time.Minute,
		hit:  func(v *venue) { v.on(1_000_000, always(hub.Verdict{Delay: 3 * time.Second})) },
		heal: (*venue).noRules,
	},
	{name: "taken over by another client", hit: func(v *venue) { v.takeOver() }},
	{name: "the hub forgets the session", hit: func(v *venue) { v.anew() }},
	{name: "the hub forgets the session, and begins one for another client", hit: func(v *venue) {
		v.away(func() { v.forget(); v.takeOver() })
	}},
	{name: "a restart of the hub", restarts: true, hit: (*venue).restart},
	{name: "disabled for a while", lasts: time.Minute,
		hit: func(v *venue) {
			v.net.set(func(n *network) { n.refuse = refusing })
			v.disable(true)
			v.net.each((*testkit.Relay).Reset)
		},
		heal: func(v *venue) {
			v.disable(false)
			v.net.set(func(n *network) { n.refuse = nil })
		},
	},
}

// verdicts are what the hub may do with one operation of a feature.
var verdicts = []struct {
	name    string
	verdict hub.Verdict
	cut     bool // a moment later
	keeps   bool // the connection, whatever the operation is
	allows  func(*hubwire.Error) bool
}{
	{name: "cut before it acts", verdict: hub.Verdict{DropBefore: true}},
	{name: "cut before it answers", verdict: hub.Verdict{DropAfter: true}},
	{name: "without an answer", verdict: hub.Verdict{SwallowAck: true}, keeps: true, allows: unanswered},
	{name: "without an answer, and then cut", verdict: hub.Verdict{SwallowAck: true}, cut: true},
	{name: "slow", verdict: hub.Verdict{Delay: 5 * time.Second}, keeps: true},
	{name: "refused", verdict: hub.Verdict{Refuse: hubwire.Throttled}, keeps: true, allows: throttled},
}

// takeOver has another client of the same device connect, and leave.
func (v *venue) takeOver() {
	for _, id := range []hubwire.Identity{dev, mod} {
		c, err := v.tryDial(v.t.Context(), id, func(o *device.Options) {
			o.Dial, o.TLSConfig = v.reach, v.theHub().ClientTLS() // by a line of its own
			o.Hooks = nil
		})
		if err != nil {
			v.t.Errorf("another client: %v", err)
			continue
		}
		v.close(c)
	}
}

// disable changes whether the hub takes the devices.
func (v *venue) disable(disabled bool) {
	for _, id := range []hubwire.Identity{dev, mod} {
		d, err := v.theHub().Device(id)
		if err == nil {
			d.Disabled = disabled
			_, err = v.theHub().Update(v.t.Context(), d, "")
		}
		if err != nil {
			v.t.Error(err)
		}
	}
}

// anew has the hub forget the devices while the clients are away.
func (v *venue) anew() { v.away(v.forget) }

// away does something while no client gets to the hub.
func (v *venue) away(do func()) {
	v.net.set(func(n *network) { n.refuse = refusing })
	defer v.net.set(func(n *network) { n.refuse = nil })
	v.net.each((*testkit.Relay).Reset)
	v.settle()
	do()
}

// forget deletes the devices, and makes them again.
func (v *venue) forget() {
	if err := v.theHub().Delete(v.t.Context(), dev); err != nil { // and its modules
		v.t.Error(err)
	}
	v.create()
}

// create makes the devices, as they were before, in the registry of the venue's hub.
func (v *venue) create() {
	for _, id := range []hubwire.Identity{dev, mod} {
		d := v.keys[id]
		_, err := v.theHub().Create(v.t.Context(), &hub.Device{Identity: id, PrimaryKey: d.PrimaryKey, SecondaryKey: d.SecondaryKey})
		if err != nil {
			v.t.Error(err)
		}
	}
	v.age()
}

// age gives the twins of devices that were made anew another version than they had, which is all that
// shows to a device that was away.
func (v *venue) age() {
	for _, id := range []hubwire.Identity{dev, mod} {
		for i := range 5 {
			if _, err := v.theHub().PatchTwin(v.t.Context(), id, hub.TwinUpdate{Desired: fmt.Appendf(nil, `{"life":%d}`, i)}, ""); err != nil {
				v.t.Error(err)
			}
		}
	}
}

// unanswered allows the error of a call whose context ended before the hub had answered.
func unanswered(e *hubwire.Error) bool {
	return errors.Is(e, context.DeadlineExceeded) && e.Outcome == hubwire.Unknown
}

// throttled allows the errors that say to try again later.
func throttled(e *hubwire.Error) bool { return errors.Is(e, hubwire.Throttled) && e.Retryable }
