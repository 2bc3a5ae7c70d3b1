package links

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// shut is a script that gives credit to the first device, and no room in its session, as long as it is on.
func shut(on *atomic.Bool) func(*peerConn, uint16, amqp10.Descriptor, []byte) bool {
	return func(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) bool {
		if what != amqp10.DescAttach || !on.Load() || linkOf(channel, body).address != eventsOf1 {
			return false
		}
		var a amqp10.Attach
		_ = a.Parse(body)
		c.attached[linkKey(channel, a.Handle)] = true
		a.Handle++
		a.Role = !a.Role
		c.send(channel, &a)
		c.send(channel, &amqp10.Flow{
			NextIncomingID: amqp10.Some[uint32](0), Handle: amqp10.Some(a.Handle),
			DeliveryCount: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](1000),
		})
		return true
	}
}

func TestASendIntoAFullSessionEndsWithItsContext(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		var on atomic.Bool
		on.Store(true)
		p.script = shut(&on)
		_, _, _, s1, s2 := two(t, p, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		_, _, err := s1.out.deliver(ctx, "send", amqp.AppendData(nil, []byte("late")))
		e, ok := errors.AsType[*hubwire.Error](err)
		if !ok || e.Outcome != hubwire.NotSent || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want that it is not sent", err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it took %v", took)
		}
		sent(t, s2, "another's")
		waits := make(chan error, 1)
		go func() { waits <- send(t.Context(), s1, "in time") }()
		synctest.Wait()
		on.Store(false)
		c := p.last()
		c.do(func() { c.detach(c.link(eventsOf1), "") })
		if err := <-waits; err != nil { // it goes by the next link
			t.Error(err)
		}
		if p.dialled() != 1 {
			t.Errorf("%d connections", p.dialled())
		}
	})
}

// failing gives one token, and then none.
type failing struct{ given atomic.Int32 }

func (f *failing) Token(context.Context, string) (string, time.Time, error) {
	if f.given.Add(1) > 1 {
		return "", time.Time{}, errors.New("no token today")
	}
	return "token", time.Time{}, nil
}

func TestARefusalThatOnlyATokenMendsIsNotAskedForAtFullSpeed(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		var on atomic.Bool
		var attaches atomic.Int32
		p.script = func(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) bool {
			if what != amqp10.DescAttach || !on.Load() || linkOf(channel, body).address != eventsOf1 {
				return false
			}
			if attaches.Add(1) > 1000 {
				on.Store(false) // or the test would not end
			}
			c.refuse(channel, body, fault(amqp.UnauthorizedAccess))
			return true
		}
		var source failing
		e, _ := p.device(p.conn(nil), "d1", func(cfg *entityConfig) { cfg.tokens = &source })
		opened(t, e)
		time.Sleep(2 * freshToken)
		on.Store(true)
		c := p.last()
		c.do(func() { c.detach(c.link(eventsOf1), "") })
		time.Sleep(time.Minute)
		if a, g := attaches.Load(), source.given.Load(); a < 2 || a > 30 || g > 30 {
			t.Errorf("%d attaches and %d tokens in a minute", a, g)
		}
	})
}
