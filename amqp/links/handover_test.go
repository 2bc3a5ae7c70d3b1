package links

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

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
		var out outgoing
		out.init(s1, amqp.Telemetry, 0)
		for _, want := range []hubwire.Outcome{hubwire.Unknown, hubwire.NotSent} { // the second waits for the first
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			begin := time.Now()
			_, err := out.deliver(ctx, "send", goamqp.NewMessage([]byte("late")))
			cancel()
			e, ok := errors.AsType[*hubwire.Error](err)
			if !ok || e.Outcome != want || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want outcome %v", err, want)
			}
			if took := time.Since(begin); took > time.Second+beginTime {
				t.Errorf("it took %v", took)
			}
		}
		sent(t, s2, "another's")
		c := p.last()
		lose := func() { c.do(func() { c.detach(c.link(eventsOf1), "") }); time.Sleep(2 * time.Second) }
		lose()
		if n := len(out.desk.turn); n != 0 {
			t.Error("go-amqp has not let go of a message whose link is lost")
		}
		on.Store(false)
		lose()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := out.deliver(ctx, "send", goamqp.NewMessage([]byte("in time"))); err != nil {
			t.Error(err)
		}
		if p.dialled() != 1 || p.asked("begin") != 3 {
			t.Errorf("%d connections, %d sessions", p.dialled(), p.asked("begin"))
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
