package faults_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

// This is the theme of messages whose settlement is lost: until the hub has heard what becomes of a message
// it brings it again, and the sender hears once what became of it.

// fates are what a device may do with a message, and what its sender then hears.
var fates = map[hubwire.Disposition]string{
	hubwire.Complete: "Success", hubwire.Reject: "Rejected", hubwire.Abandon: "DeliveryCountExceeded",
}

// mishaps befall the first settlement of a message: before it, or in its midst.
var mishaps = []struct {
	name     string
	before   func(v *venue)
	within   hub.Verdict
	inspects bool
	only     func(protocol) bool
}{
	{name: "nothing"},
	{name: "the connection is lost before", only: connects, before: eachLine((*testkit.Relay).Reset)},
	{name: "its link is lost before", inspects: true, only: speaksAMQP, before: func(v *venue) {
		v.net.speak(func(s *speaker) { s.detach(linkOf(dev, amqp.C2D), forced) })
	}},
	{name: "its session is lost before", inspects: true, only: speaksAMQP, before: func(v *venue) {
		v.net.speak(func(s *speaker) { s.end(linkOf(dev), forced) })
	}},
	{name: "it is cut before the hub acts", within: hub.Verdict{DropBefore: true}},
	{name: "it is cut before the hub answers", within: hub.Verdict{DropAfter: true}},
	{name: "it has no answer", within: hub.Verdict{SwallowAck: true}},
	{name: "it is slow", within: hub.Verdict{Delay: 5 * time.Second}},
	{name: "it is refused", within: hub.Verdict{Refuse: hubwire.Throttled}},
}

// TestSettlementsThatAreLost has a device settle a message until its sender hears of it.
func TestSettlementsThatAreLost(t *testing.T) {
	const most = 3 // deliveries
	for _, p := range everywhere {
		for fate, want := range fates {
			for _, x := range mishaps {
				if x.only != nil && !x.only(p) || fate != hubwire.Complete && !p.settles {
					continue
				}
				t.Run(fmt.Sprintf("%s/%v/%s", p.name, fate, x.name), func(t *testing.T) {
					s := setting{inspects: x.inspects, hub: hub.Config{MaxDeliveryCount: most, LockTimeout: httpsLock}}
					inBubble(t, p, s, func(t *testing.T, v *venue) {
						c := v.dial(dev, nil)
						if err := v.theHub().SendC2D(t.Context(), dev, &hubwire.Message{ID: "m", Ack: hubwire.AckFull}); err != nil {
							t.Fatal(err)
						}
						m := v.delivered(c)
						if x.within != (hub.Verdict{}) {
							v.on(1, always(x.within), hub.OpAck)
						}
						if x.before != nil {
							x.before(v)
							v.settle()
						}
						v.settles(c, m, fate, most, x.before == nil && x.within == (hub.Verdict{}))
						v.until(time.Minute, "the message is gone", func() bool {
							n, err := v.theHub().QueueLength(dev)
							return n == 0 && err == nil
						})
						records, err := v.theHub().Feedback(v.deadline(time.Hour))
						if err != nil || len(records) != 1 || records[0].Status != want {
							t.Errorf("the sender hears %+v, %v; want %s", records, err, want)
						}
						if records, err := v.theHub().Feedback(v.deadline(time.Hour)); err == nil {
							t.Errorf("the sender hears more: %+v", records)
						}
					})
				})
			}
		}
	}
}

func (v *venue) delivered(c *device.Client) *hubwire.Received {
	v.t.Helper()
	m, err := c.Receive(v.deadline(time.Hour))
	if err != nil {
		v.t.Fatal(err)
	}
	return m
}

// settles settles m, and what comes after it, until nothing comes any more. calm says that nothing befalls it.
func (v *venue) settles(c *device.Client, m *hubwire.Received, fate hubwire.Disposition, most int, calm bool) {
	v.t.Helper()
	for deliveries := 1; ; deliveries++ {
		err := m.Settle(v.deadline(time.Minute), fate)
		if err != nil {
			if e := v.typed("settle", err); calm || e.Op == "" {
				v.t.Errorf("settle: %v", err)
			}
		}
		again, err := c.Receive(v.deadline(10 * time.Minute))
		if errors.Is(err, context.DeadlineExceeded) {
			return
		}
		if err != nil {
			v.t.Fatal(err)
		}
		if fate != hubwire.Abandon && calm || deliveries > 2*most {
			v.t.Errorf("delivery %d of what was settled: %+v", deliveries+1, again)
		}
		m = again
	}
}
