package amqpserver_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// Outcomes of a stream are told in batches, and a peer that waits for them is kept waiting seldom, and for no
// longer than a millisecond.
func TestOutcomesWaitForEachOtherInAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &space{sinks: map[string]*sink{"sink": {settle: accept}}}
		p, _ := meet(t, &amqpserver.Config{Credit: 100_000, Window: 100_000, MaxUnsettled: 100_000}, s.handler())
		p.send(sender("a", "sink", 0))
		p.frames()
		id := uint32(0)
		one := func() { p.send(message(0, id, "x")); id++ }
		lockStep := func(n int) {
			t.Helper()
			for range n {
				one()
				p.want(fmt.Sprintf("disposition receiver %d settled accepted", id-1))
			}
		}
		lockStep(256) // told at once
		for range 4 { // a batch that fills
			for range 31 {
				one()
				p.want()
			}
			one()
			p.want(fmt.Sprintf("disposition receiver %d-%d settled accepted", id-32, id-1))
		}
		one()
		p.want()
		time.Sleep(time.Millisecond)
		p.want(fmt.Sprintf("disposition receiver %d settled accepted", id-1))
		lockStep(256)
		one()
		p.want()
		p.send(&amqp10.Flow{Echo: amqp10.Some(true)}) // another answer takes it along
		p.want(fmt.Sprintf("disposition receiver %d settled accepted", id-1), fmt.Sprintf("flow in=%d+100000 out=1", id))
	})
}

func TestWhatIsHeldGoesOutBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &space{sinks: map[string]*sink{"sink": {settle: accept}}}
		p, c := meet(t, &amqpserver.Config{Credit: 1000}, s.handler())
		p.send(sender("a", "sink", 0))
		for id := range uint32(257) {
			p.send(message(0, id, "x"))
			synctest.Wait()
		}
		p.frames()
		c.Close(nil)
		p.want("disposition receiver 256 settled accepted", "close")
	})
}
