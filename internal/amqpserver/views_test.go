package amqpserver_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// A state belongs to who settles with it: what becomes of its memory later is not seen on the wire.
func TestStatesAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := amqp10.Accepted().AppendTo(nil)
		r := amqp10.NewReader(b)
		state := r.State()
		hold := &sink{settle: func(d *amqpserver.Delivery) {
			d.Settle(state)
			copy(b, "....")
		}}
		p, _ := meet(t, nil, (&space{sinks: map[string]*sink{"hold": hold}}).handler())
		p.send(sender("a", "hold", 0))
		p.frames()
		p.send(message(0, 0, "x"))
		p.want("disposition receiver 0 settled accepted")
	})
}

// A peer hears something in its idle time-out also while a node takes its time over a message.
func TestHeartbeatsWhileANodeIsAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &sink{settle: func(d *amqpserver.Delivery) { time.Sleep(time.Minute); accept(d) }}
		p, _ := connect(t, nil, (&space{sinks: map[string]*sink{"slow": slow}}).handler())
		p.raw([]byte(headAMQP))
		p.send(&amqp10.Open{IdleTimeout: amqp10.Some[uint32](1000)}, &amqp10.Begin{}, sender("a", "slow", 0))
		p.frames()
		p.send(message(0, 0, "x"))
		for range 50 {
			time.Sleep(time.Second)
			if got := p.frames(); len(got) == 0 {
				t.Fatal("nothing from the server within the idle time-out")
			}
		}
	})
}
