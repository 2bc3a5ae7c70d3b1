package faults_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/mqtt"
)

// end is what the hub may have against a client, from the next login on: what no waiting can mend, but for
// those refusals that say so.
type end struct {
	name     string
	hit      func(v *venue)
	heal     func(v *venue)
	inspects bool
	is       error        // that of a Dial matches, or nil
	code     hubwire.Code // of a client that ends
	attempts int          // to connect, after which the client gives up; 0: never. Over AMQP one connection is enough for all
}

// connack has the network put a return code in the place of the hub's.
func connack(code mqtt.ReturnCode, attempts int, want hubwire.Code) end {
	return end{
		name: fmt.Sprintf("CONNACK %d", code), inspects: true, is: code, code: want, attempts: attempts,
		hit:  func(v *venue) { v.net.set(func(n *network) { n.tamper = func(b []byte) { refuse(b, code) } }) },
		heal: func(v *venue) { v.net.set(func(n *network) { n.tamper = nil }) },
	}
}

// mqttRefusals are all that a login over MQTT can be refused with.
var mqttRefusals = []end{
	connack(mqtt.BadProtocol, 1, hubwire.InvalidProtocolVersion),
	connack(mqtt.BadClientID, 1, hubwire.Unauthorized),
	connack(mqtt.Unavailable, 0, 0),
	connack(mqtt.BadCredentials, 2, hubwire.Unauthorized), // it may have been a token that got too old
	connack(mqtt.NotAuthorized, 2, hubwire.Unauthorized),
}

// refuse makes a CONNACK in b one of that code.
func refuse(b []byte, code mqtt.ReturnCode) {
	for _, accepted := range [][]byte{{0x20, 2, 0, 0}, {0x20, 2, 1, 0}} {
		if i := bytes.Index(b, accepted); i >= 0 {
			copy(b[i:], []byte{0x20, 2, 0, byte(code)})
		}
	}
}

// refused has the hub refuse what a login over AMQP is made of: a token, or the first link.
func refused(op hub.OpKind, code hubwire.Code, attempts int) end {
	return end{
		name: fmt.Sprintf("%v of %s", code, op), is: code, code: code, attempts: attempts,
		hit:  func(v *venue) { v.on(1_000_000, always(hub.Verdict{Refuse: code}), op) },
		heal: (*venue).noRules,
	}
}

// amqpRefusals are those that stand for what a login over AMQP can be refused with.
var amqpRefusals = []end{
	refused(hub.OpToken, hubwire.Unauthorized, 1),
	refused(hub.OpToken, hubwire.DeviceNotFound, 1),
	refused(hub.OpToken, hubwire.Throttled, 0),
	refused(hub.OpConnect, hubwire.Unauthorized, 1),
	refused(hub.OpConnect, hubwire.DeviceNotFound, 1),
	refused(hub.OpConnect, hubwire.HubSuspended, 1),
	refused(hub.OpConnect, hubwire.InvalidOperation, 1),
	refused(hub.OpConnect, hubwire.Throttled, 0),
	refused(hub.OpConnect, hubwire.QuotaExceeded, 0),
	refused(hub.OpConnect, hubwire.ServiceUnavailable, 0),
	refused(hub.OpConnect, hubwire.ServerError, 0),
}

var ends = []end{
	{name: "disabled", code: hubwire.Unauthorized, attempts: 2,
		hit:  func(v *venue) { v.disable(true) },
		heal: func(v *venue) { v.disable(false) },
	},
	{name: "deleted", code: hubwire.Unauthorized, attempts: 2,
		hit: func(v *venue) {
			if err := v.theHub().Delete(v.t.Context(), dev); err != nil {
				v.t.Error(err)
			}
		},
		heal: (*venue).create,
	},
	{name: "another key", code: hubwire.Unauthorized, attempts: 2, hit: func(v *venue) {
		d, err := v.theHub().Device(dev)
		if err == nil {
			d.PrimaryKey, d.SecondaryKey = hub.Secret{}, hub.Secret{}
			_, err = v.theHub().Update(v.t.Context(), d, "")
		}
		if err != nil {
			v.t.Error(err)
		}
	}},
}

// TestEnds holds that a refusal for good ends the client, and every call with a word of why;
// and that another client works when it is mended.
func TestEnds(t *testing.T) {
	for _, p := range protocols {
		for _, x := range slices.Concat(p.refusals, ends) {
			for _, f := range features {
				if f.who != dev || x.attempts == 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", p.name, f.name, x.name), func(t *testing.T) {
					inBubble(t, p, setting{inspects: x.inspects}, func(t *testing.T, v *venue) { v.ends(f, x) })
				})
			}
		}
	}
}

func (v *venue) ends(f feature, x end) {
	c := v.dial(f.who, nil)
	use := f.open(v, c)
	if err := v.bounded(v.pace.patience, use, 1); err != nil {
		v.t.Fatalf("before: %v", err)
	}
	dials := v.net.dials()
	// What is under way when it happens is held up by the network, so that nothing of it is done.
	v.net.each(func(r *testkit.Relay) { r.Up.Stop(true); r.Down.Stop(true) })
	meanwhile := make(chan error, 1)
	go func() { meanwhile <- v.bounded(v.pace.patience, use, 2) }()
	v.settle()
	x.hit(v)
	v.net.each((*testkit.Relay).Reset)
	select {
	case <-c.Done():
	case <-time.After(v.pace.patience):
		v.t.Fatalf("the client lives on, %v", c.State())
	}
	for what, err := range map[string]error{"meanwhile": <-meanwhile, "afterwards": v.bounded(time.Second, use, 3)} {
		e := v.typed(what, err)
		if e.Op == "" || !f.mayFail && !errors.Is(err, hubwire.DeviceNotFound) && (!v.ended(err) || !errors.Is(err, x.code) || e.Retryable) {
			v.t.Errorf("%s: %v", what, err)
		}
	}
	if e := v.typed("the client", c.Err()); e.Code != x.code || e.Retryable || c.State() != device.Closed {
		v.t.Errorf("the client has ended: %v, %v", c.State(), e)
	}
	if n := v.net.dials() - dials; n != x.attempts && !(v.protocol.amqp && n == 1) {
		v.t.Errorf("%d attempts to connect", n)
	}
	if x.heal != nil {
		x.heal(v)
	}
	if _, err := v.theHub().Purge(v.t.Context(), dev); err != nil {
		v.t.Error(err)
	}
	again := v.dial(f.who, nil)
	if err := v.bounded(v.pace.patience, f.open(v, again), 4); err != nil {
		v.t.Errorf("another client: %v", err)
	}
}

// ended reports whether err tells that the client has ended, or over AMQP that the one link that a call needs is refused.
func (v *venue) ended(err error) bool {
	return errors.Is(err, net.ErrClosed) || v.protocol.amqp && v.typed("refused", err).Outcome == hubwire.Refused
}

// TestARefusedDial holds that Dial tells at once what waiting cannot mend, and else goes on trying.
func TestARefusedDial(t *testing.T) {
	for _, p := range protocols {
		for _, x := range p.refusals {
			t.Run(p.name+"/"+x.name, func(t *testing.T) {
				inBubble(t, p, setting{inspects: x.inspects}, func(t *testing.T, v *venue) {
					x.hit(v)
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
					defer cancel()
					start := time.Now()
					_, err := v.tryDial(ctx, dev, nil)
					e := v.typed("dial", err)
					if again := x.attempts == 0; e.Retryable != again || errors.Is(err, context.DeadlineExceeded) != again {
						t.Errorf("after %v: %v", time.Since(start), err)
					}
					if !errors.Is(err, x.is) {
						t.Errorf("%v does not say %v", err, x.is)
					}
				})
			})
		}
	}
}
