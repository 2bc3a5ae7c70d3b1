package amqpclient_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

// receiver returns options of a receiver whose callbacks write into j.
func (j *journal) receiver(credit uint32) *amqpclient.ReceiverOptions {
	return &amqpclient.ReceiverOptions{
		Credit: credit,
		OnDelivery: func(d *amqpclient.Delivery) {
			if len(d.Message) > 100 {
				j.add("delivery %d of %d bytes", d.ID, len(d.Message))
				return
			}
			j.add("delivery %d tag %x settled %v: %s", d.ID, d.Tag, d.Settled, d.Message)
		},
		OnEnd: j.end("receiver"),
	}
}

// more is a transfer of the peer's that is not the last of its message; the first of one has an id.
func more(id int, payload string) on {
	m := transfer{amqp10.Transfer{Handle: 9, More: amqp10.Some(true)}, payload}
	if id >= 0 {
		m.DeliveryID, m.DeliveryTag = amqp10.Some(uint32(id)), []byte{byte(id)}
	}
	return on{7, m}
}

// last is a transfer that ends a message.
func last(payload string) on { return on{7, transfer{amqp10.Transfer{Handle: 9}, payload}} }

func TestMessagesComeWholeWithTheirTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p, _ := receiver(t, j.receiver(10))
		p.want("flow in=100+5000 out=1 link 0 count=0 credit=10")
		aborted := last("")
		a := aborted.body.(transfer)
		a.Aborted = amqp10.Some(true)
		aborted.body = a
		settled := message(3, "settled")
		m := settled.body.(transfer)
		m.Settled = amqp10.Some(true)
		settled.body = m
		p.send(message(0, "one"), more(1, "in "), more(-1, "three "), last("parts"), more(2, "is not"), aborted, settled)
		j.want(t, "delivery 0 tag 00 settled false: one", "delivery 1 tag 01 settled false: in three parts", "delivery 3 tag 03 settled true: settled")
	})
}

func TestCreditIsToldWhenHalfIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, r := receiver(t, &amqpclient.ReceiverOptions{Credit: 4})
		p.want("flow in=100+5000 out=1 link 0 count=0 credit=4")
		r.AddCredit(1)
		p.want()
		p.send(message(0, "m"), message(1, "m"))
		r.AddCredit(1)
		p.want("flow in=102+5000 out=1 link 0 count=2 credit=4")
		p.send(message(2, "m"), message(3, "m"), message(4, "m"), message(5, "m"))
		r.AddCredit(1)
		p.want("flow in=106+5000 out=1 link 0 count=6 credit=1")
		r.AddCredit(1 << 31)
		p.want("flow in=106+5000 out=1 link 0 count=6 credit=2147483647")
	})
}

func TestTheWindowIsOpenedAgainWhenHalfIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := session(t, nil, &amqpclient.SessionOptions{Window: 4})
		r := later(func() (*amqpclient.Receiver, error) {
			return s.Receiver(t.Context(), &amqpclient.ReceiverOptions{Name: "in", Credit: 100})
		})
		synctest.Wait()
		p.send(attach("in", 9, amqp10.RoleSender))
		r.must(t)
		p.frames()
		p.send(message(0, "m"))
		p.want()
		p.send(message(1, "m"))
		p.want("flow in=102+4 out=1")
	})
}

func TestOutcomesThatFollowEachOtherGoOutTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &amqpclient.ReceiverOptions{Credit: 100}
		o.OnDelivery = func(d *amqpclient.Delivery) {
			if d.ID != 3 {
				d.Link.Dispose(d.ID, d.ID, amqp10.State{})
			}
		}
		p, r := receiver(t, o)
		p.frames()
		var all []body
		for id := range uint32(6) {
			all = append(all, message(id, "m"))
		}
		p.send(all...)
		p.want("disposition receiver 0-2 settled accepted", "disposition receiver 4-5 settled accepted")
		for range 2 {
			if err := r.Dispose(0, 1<<31-1, amqp10.Rejected(&amqp10.Error{Condition: "x"})); err != nil {
				t.Error(err)
			}
		}
		p.want("disposition receiver 3 settled rejected(x)")
		if _, err := r.Settle(t.Context(), 3, amqp10.State{}); !errors.Is(err, amqpclient.ErrNotUnsettled) {
			t.Errorf("Settle of what is settled returned %v", err)
		}
	})
}

func TestSettleWaitsForThePeerInModeSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		o := j.receiver(100)
		o.Second = true
		p, r := receiver(t, o)
		p.send(message(0, "m"), message(1, "m"))
		p.frames()
		one := later(func() (amqp10.State, error) { return r.Settle(t.Context(), 0, amqp10.Accepted()) })
		p.want("disposition receiver 0 accepted")
		ctx, cancel := context.WithCancel(t.Context())
		two := later(func() (amqp10.State, error) { return r.Settle(ctx, 1, amqp10.Released()) })
		p.want("disposition receiver 1 released")
		cancel()
		if _, err := two.result(t); !errors.Is(err, context.Canceled) {
			t.Errorf("Settle returned %v", err)
		}
		two = later(func() (amqp10.State, error) { return r.Settle(t.Context(), 1, amqp10.Released()) })
		if !one.waits() || !two.waits() {
			t.Error("Settle does not wait for the peer")
		}
		p.want()
		p.send(settled(amqp10.RoleSender, 0, 1, amqp10.Rejected(&amqp10.Error{Condition: "lock-lost"})))
		for _, c := range []*call[amqp10.State]{one, two} {
			if e, err := c.must(t).Error(); err != nil || e == nil || e.Condition != "lock-lost" {
				t.Errorf("the peer's state is %v, %v", e, err)
			}
		}
	})
}

// A call that has given up may ask again for what came meanwhile; answers that nobody asks for do not pile up.
func TestAnAnswerThatComesLateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 200
		p, r := receiver(t, &amqpclient.ReceiverOptions{Second: true, Credit: many})
		for id := range uint32(many) {
			p.send(message(id, "m"))
			if _, err := r.Settle(gone(), id, amqp10.Accepted()); !errors.Is(err, context.Canceled) {
				t.Fatalf("Settle returned %v", err)
			}
			p.send(settled(amqp10.RoleSender, id, id, amqp10.Rejected(&amqp10.Error{Condition: "lock-lost"})))
		}
		state, err := r.Settle(gone(), 0, amqp10.Accepted())
		if e, _ := state.Error(); err != nil || e == nil || e.Condition != "lock-lost" {
			t.Errorf("the answer that came late is %v, %v", e, err)
		}
		for _, id := range []uint32{0, many - 1} {
			if _, err := r.Settle(gone(), id, amqp10.Accepted()); !errors.Is(err, amqpclient.ErrNotUnsettled) {
				t.Errorf("Settle of what is settled returned %v", err)
			}
		}
	})
}

func TestSettleEndsWithItsLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, r := receiver(t, &amqpclient.ReceiverOptions{Second: true, Credit: 5})
		p.send(message(0, "m"))
		c := later(func() (amqp10.State, error) { return r.Settle(t.Context(), 0, amqp10.Accepted()) })
		synctest.Wait()
		p.send(detach(9, &amqp10.Error{Condition: "x"}))
		_, err := c.result(t)
		if e := new(amqpclient.Error); !errors.As(err, &e) || e.Level != amqpclient.LevelLink || e.Remote.Condition != "x" {
			t.Errorf("Settle returned %v", err)
		}
	})
}

func TestDrainWaitsUntilThereIsNoCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, r := receiver(t, &amqpclient.ReceiverOptions{Credit: 3})
		p.frames()
		c := laterErr(func() error { return r.Drain(t.Context()) })
		p.want("flow in=100+5000 out=1 link 0 count=0 credit=3 drain")
		p.send(message(0, "m"))
		if !c.waits() {
			t.Error("Drain does not wait")
		}
		p.send(linkFlow(9, 3, 0))
		c.must(t)
		if err := r.Drain(gone()); err != nil {
			t.Errorf("a Drain without credit returned %v", err)
		}
	})
}

func TestAFilterIsSaidAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const filter = "apache.org:selector-filter:string"
		b := amqp10.AppendSymbol(amqp10.OpenCompound(nil), filter)
		b = amqp10.AppendString(amqp10.AppendWideDescriptor(b, 0x468c00000004), "amqp.annotation.x-opt-offset > '5'")
		var said []byte
		p, s := session(t, &amqpclient.Options{Trace: func(sent bool, frame []byte) {
			if sent && len(frame) > 100 {
				said = append([]byte(nil), amqp10.Frame(frame).Body()...)
			}
		}}, nil)
		r := later(func() (*amqpclient.Receiver, error) {
			return s.Receiver(t.Context(), &amqpclient.ReceiverOptions{Name: "in", Source: "p", Filter: amqp10.ValueOf(amqp10.CloseMap(b, 0, 2))})
		})
		synctest.Wait()
		p.send(attach("in", 9, amqp10.RoleSender))
		r.must(t)
		var a amqp10.Attach
		if err := a.Parse(said); err != nil {
			t.Fatal(err)
		}
		v, _ := a.Source.Value.Filter.Lookup(filter)
		code, text, ok := v.Described()
		n, _ := code.Uint()
		s2, _ := text.Text()
		if got := fmt.Sprintf("%v %x %s", ok, n, s2); got != "true 468c00000004 amqp.annotation.x-opt-offset > '5'" {
			t.Errorf("the filter is %s", got)
		}
	})
}

func TestAPartialMessageIsBounded(t *testing.T) {
	big := strings.Repeat("x", 3000)
	for _, c := range []struct {
		name       string
		maxMessage uint64
		maxPartial int
		want       string
	}{
		{"by the link's max-message-size", 5000, 0, "detach 0 closed link:message-size-exceeded"},
		{"by what all messages may have", 0, 5000, "detach 0 closed resource-limit-exceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				p, s := session(t, &amqpclient.Options{MaxPartial: c.maxPartial}, nil)
				o := j.receiver(10)
				o.Name, o.MaxMessageSize = "in", c.maxMessage
				r := later(func() (*amqpclient.Receiver, error) { return s.Receiver(t.Context(), o) })
				synctest.Wait()
				p.send(attach("in", 9, amqp10.RoleSender))
				r.must(t)
				p.frames()
				p.send(more(0, big), last("x"), more(1, big), more(-1, big))
				p.want(c.want)
				if len(j.lines) != 2 {
					t.Errorf("told: %q", j.lines)
				}
				if !errors.Is(r.v.Err(), amqpclient.ErrProtocol) {
					t.Errorf("the link ended with %v", r.v.Err())
				}
			})
		})
	}
}

// A peer may count a delivery when it begins, and say so before it is whole.
func TestAFlowWithinAMessageCountsItOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p, r := receiver(t, j.receiver(1))
		p.want("flow in=100+5000 out=1 link 0 count=0 credit=1")
		p.send(more(0, "in "), linkFlow(9, 1, 0))
		drains := laterErr(func() error { return r.Drain(t.Context()) })
		if !drains.waits() {
			t.Error("Drain has returned within a message")
		}
		p.send(last("parts"))
		j.want(t, "delivery 0 tag 00 settled false: in parts")
		drains.must(t)
		r.AddCredit(2)
		p.want("flow in=102+5000 out=1 link 0 count=1 credit=2")
	})
}
