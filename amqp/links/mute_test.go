package links

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// mute is a script that leaves what is about the first device without an answer, as long as it is on.
func mute(on *atomic.Bool, silent amqp10.Descriptor) func(*peerConn, uint16, amqp10.Descriptor, []byte) bool {
	mine := map[uint16]bool{}
	return func(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) bool {
		if what == amqp10.DescAttach && linkOf(channel, body).address == eventsOf1 {
			mine[channel] = true
		}
		if what == amqp10.DescEnd && silent == amqp10.DescBegin {
			return mine[channel] // it knows of no such session
		}
		if !on.Load() || what != silent {
			return false
		}
		switch what {
		case amqp10.DescTransfer:
			_, audience := putTokenOf(c, channel, what, body)
			return audience == "h/devices/d1"
		case amqp10.DescBegin:
			mine[channel] = true
		}
		return mine[channel]
	}
}

func TestWhatThePeerDoesNotAnswerCostsWhoAsked(t *testing.T) {
	for name, silent := range map[string]amqp10.Descriptor{
		"a put-token": amqp10.DescTransfer, "an attach": amqp10.DescAttach, "a begin": amqp10.DescBegin,
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, func(t *testing.T, p *peer) {
				var on atomic.Bool
				p.script = mute(&on, silent)
				var log states
				c := p.conn(nil)
				e2, s2 := p.device(c, "d2", func(cfg *entityConfig) { cfg.onState = log.on })
				opened(t, e2)
				on.Store(true)
				e1, s1 := p.device(c, "d1", nil)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
				defer cancel()
				err := e1.open(ctx)
				e, ok := errors.AsType[*hubwire.Error](err)
				if !ok || !errors.Is(err, context.DeadlineExceeded) || !e.Retryable || e.Outcome != hubwire.NotSent {
					t.Errorf("open: %v", err)
				}
				if _, _, err := s1.link(t.Context(), 0); err == nil {
					t.Error("the link of an entity that has ended is there")
				}
				sent(t, s2, "two")
				<-e1.done()
				on.Store(false)
				e1, s1 = p.device(c, "d1", nil)
				opened(t, e1)
				sent(t, s1, "one")
				if n := p.dialled(); n != 1 || len(log.seen()) != 1 {
					t.Errorf("%d connections, the other device was %v", n, log.seen())
				}
			})
		})
	}
}

func TestAGoodbyeThatThePeerDoesNotAnswer(t *testing.T) {
	for name, silent := range map[string]amqp10.Descriptor{"a detach": amqp10.DescDetach, "an end": amqp10.DescEnd} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, func(t *testing.T, p *peer) {
				var on atomic.Bool
				on.Store(true)
				p.script = mute(&on, silent)
				_, e1, _, s1, s2 := two(t, p, nil)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := s1.core.close(ctx); errors.Is(err, context.DeadlineExceeded) != (silent == amqp10.DescDetach) {
					t.Errorf("close of the link: %v", err)
				}
				if err := e1.close(t.Context()); err != nil {
					t.Errorf("close of the entity: %v", err)
				}
				sent(t, s2, "two")
				if p.dialled() != 1 {
					t.Errorf("%d connections", p.dialled())
				}
			})
		})
	}
}

// TestADeviceIsClosedInTime has a message without an outcome take the one half of the time, and the end of the session
// what it can get of the other.
func TestADeviceIsClosedInTime(t *testing.T) {
	for name, closeTimeout := range map[string]time.Duration{"by default": 0, "sooner than its connection": 200 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, func(t *testing.T, p *peer) {
				p.script = func(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) bool {
					return what == amqp10.DescEnd || what == amqp10.DescTransfer && c.linkTo(channel, body).address == eventsOf1
				}
				c := p.conn(nil)
				d, err := c.Device(t.Context(), hubwire.Identity{DeviceID: "d1"}, &DeviceOptions{Tokens: fixed("t"), CloseTimeout: closeTimeout})
				if err != nil {
					t.Fatal(err)
				}
				outcome := make(chan error, 1)
				if err := d.SendAsync(t.Context(), &hubwire.Message{}, func(err error) { outcome <- err }); err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				if err := d.Close(); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took >= d.o.CloseTimeout {
					t.Errorf("Close took %v", took)
				}
				var e *hubwire.Error
				if err := <-outcome; !errors.As(err, &e) || e.Outcome != hubwire.Unknown {
					t.Errorf("the message: %v", err)
				}
				if _, err = c.Device(t.Context(), d.id, &DeviceOptions{Tokens: fixed("t")}); err != nil || p.dialled() != 1 {
					t.Errorf("back again: %v, %d connections", err, p.dialled())
				}
			})
		})
	}
}

func TestACloseThatThePeerDoesNotAnswer(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		p.script = func(_ *peerConn, _ uint16, what amqp10.Descriptor, _ []byte) bool { return what == amqp10.DescClose }
		c, _, _, _, _ := two(t, p, nil)
		begin := time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > c.o.CloseTimeout {
			t.Errorf("Close took %v", took)
		}
	})
}

func TestAPeerThatAnswersNothingAnyMoreIsLeft(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		var on atomic.Bool
		p.script = func(c *peerConn, _ uint16, _ amqp10.Descriptor, _ []byte) bool { return on.Load() && p.dialled() == 1 }
		c := p.conn(nil)
		expires := func() (string, time.Time, error) { return "token", time.Now().Add(time.Hour), nil }
		e, s := p.device(c, "d1", func(cfg *entityConfig) {
			cfg.tokens = sourceFunc(func(context.Context) (string, time.Time, error) { return expires() })
		})
		opened(t, e)
		on.Store(true)
		time.Sleep(time.Hour)
		sent(t, s, "one")
		if p.dialled() != 2 {
			t.Errorf("%d connections", p.dialled())
		}
	})
}

func TestAPeerThatDoesNotHearIsLeftThoughItKeepsTheConnectionAlive(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		var deaf atomic.Bool
		p.script = func(*peerConn, uint16, amqp10.Descriptor, []byte) bool { return deaf.Load() && p.dialled() == 1 }
		c := p.conn(func(o *Options) { o.KeepAlive = 2 * time.Second })
		e, s := p.device(c, "d1", nil)
		var alive sync.WaitGroup
		alive.Go(func() {
			for p.dialled() < 2 && c.Err() == nil {
				time.Sleep(time.Second)
				if p.dialled() == 1 {
					p.last().raw(amqp10.CloseFrame(amqp10.OpenFrame(nil, amqp10.FrameAMQP, 0), 0))
				}
			}
		})
		opened(t, e)
		synctest.Wait() // for the credit behind the attach
		deaf.Store(true)
		_, gen, err := s.link(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		s.stalled(gen, errAckTimeout)
		time.Sleep(answerTime + time.Second)
		sent(t, s, "one")
		if took := time.Since(start); took > 2*answerTime || p.dialled() != 2 {
			t.Errorf("after %v, %d connections", took, p.dialled())
		}
		alive.Wait()
	})
}

func TestStuckEntitiesDoNotStarveOthers(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		const stuck, well = 2 * atOnce, 20
		p.script = func(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) bool {
			return what == amqp10.DescAttach && strings.HasPrefix(linkOf(channel, body).address, "/devices/stuck")
		}
		c := p.conn(nil)
		for i := range stuck {
			e, _ := p.device(c, fmt.Sprintf("stuck-%02d", i), nil)
			go e.open(t.Context())
		}
		synctest.Wait()
		begin := time.Now()
		for i := range well {
			e, s := p.device(c, fmt.Sprint(i), nil)
			opened(t, e)
			sent(t, s, "well")
		}
		if took := time.Since(begin); took > 10*slotTime {
			t.Errorf("it took %v to open the others", took)
		}
		time.Sleep(20 * time.Minute)
		if p.dialled() != 1 {
			t.Errorf("%d connections", p.dialled())
		}
	})
}

func TestASilentOrStalledPeerIsLeft(t *testing.T) {
	t.Run("that says nothing", func(t *testing.T) {
		withPeer(t, func(t *testing.T, p *peer) { // which sends no empty frames
			var log states
			c := p.conn(func(o *Options) { o.KeepAlive = time.Minute; o.OnState = log.on })
			e, s := p.device(c, "d1", nil)
			opened(t, e)
			time.Sleep(91 * time.Second)
			if err := log.reason(1); !errors.Is(err, ErrSilent) || !errors.Is(err, net.ErrClosed) {
				t.Errorf("the reason is %v", err)
			}
			sent(t, s, "one")
		})
	})
	t.Run("that does not read", func(t *testing.T) {
		withPeer(t, func(t *testing.T, p *peer) {
			var log states
			var on atomic.Bool
			gate := make(chan struct{})
			p.script = func(c *peerConn, _ uint16, _ amqp10.Descriptor, _ []byte) bool {
				if on.Load() && p.dialled() == 1 {
					<-gate // and reads no more meanwhile
				}
				return false
			}
			c := p.conn(func(o *Options) { o.OnState = log.on })
			e, s := p.device(c, "d1", nil)
			opened(t, e)
			on.Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second) // of somebody who is not so patient
			defer cancel()
			go send(ctx, s, strings.Repeat("x", 1<<20))
			time.Sleep(5 * time.Second)
			if len(log.seen()) != 1 {
				t.Errorf("after a second somebody's deadline has ended the connection: %v", log.last())
			}
			time.Sleep(time.Minute)
			close(gate)
			if !errors.Is(log.reason(1), ErrStalled) {
				t.Errorf("%v: %v", log.seen(), log.reason(1))
			}
			sent(t, s, "one")
		})
	})
}

func TestALinkThatIsNotEagerIsRefusedAlone(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		const address = "/devices/d1/twin"
		var condition atomic.Value
		condition.Store(amqp.NotAllowed)
		p.script = func(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) bool {
			refuse := condition.Load()
			if what != amqp10.DescAttach || linkOf(channel, body).address != address || refuse == amqp.Condition("") {
				return false
			}
			e := fault(refuse.(amqp.Condition))
			if refuse == amqp.LinkRedirect {
				e = amqp.NewRedirect(amqp.Address{Node: amqp.Events}, "elsewhere", 5671, "hub").Wire()
			}
			c.refuse(channel, body, e)
			return true
		}
		var log states
		c := p.conn(nil)
		e, s := p.device(c, "d1", func(cfg *entityConfig) { cfg.onState = log.on })
		twin := newPost(e, linkConfig{node: amqp.TwinRequests, address: address})
		opened(t, e)
		if p.asked("attach "+address) != 0 {
			t.Error("the link was attached before its first use")
		}
		if _, _, err := twin.link(t.Context(), 0); !errors.Is(err, amqp.NotAllowed) || !errors.Is(err, hubwire.InvalidOperation) {
			t.Errorf("link: %v", err)
		}
		condition.Store(amqp.LinkRedirect)
		_, _, err := twin.link(t.Context(), 0)
		if to, ok := redirectOf(err); !ok || to.Hostname != "elsewhere" || to.Port != 5671 || !errors.Is(err, amqp.LinkRedirect) {
			t.Errorf("link: %v, which leads to %v", err, to)
		}
		condition.Store(amqp.Condition(""))
		if _, gen, err := twin.link(t.Context(), 0); err != nil || gen != 3 {
			t.Errorf("generation %d, %v", gen, err)
		}
		sent(t, s, "one")
		synctest.Wait() // states are told beside all else
		if len(log.seen()) != 1 || p.asked("begin") != 2 || p.asked("put-token") != 0 {
			t.Errorf("states %v, %d sessions", log.seen(), p.asked("begin"))
		}
	})
}
