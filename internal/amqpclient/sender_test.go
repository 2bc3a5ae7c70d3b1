package amqpclient_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

// telling returns options of a sender whose callbacks write into j.
func (j *journal) sender() *amqpclient.SenderOptions {
	return &amqpclient.SenderOptions{
		OnSettled: func(first, last uint64, state amqp10.State) { j.add("settled %d-%d %v", first, last, state.Kind()) },
		OnReady:   func() { j.add("ready") },
		OnEnd:     j.end("sender"),
	}
}

// try sends text with TrySend.
func try(t testing.TB, l *amqpclient.Sender, token uint64, text string) bool {
	t.Helper()
	return must[bool](t)(l.TrySend([]byte(text), amqpclient.Outgoing{Token: token}))
}

func TestATransferHasAllThatTheStandardWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := sender(t, 10, &amqpclient.SenderOptions{})
		if err := l.Send(t.Context(), []byte("one"), amqpclient.Outgoing{}); err != nil {
			t.Error(err)
		}
		if err := l.Send(t.Context(), []byte("two"), amqpclient.Outgoing{Format: 0x80013700, Settled: true}); err != nil {
			t.Error(err)
		}
		p.want("transfer 0 id=0 tag=00000000 format=0 one", "transfer 0 id=1 tag=00000001 format=2147563264 settled two")
	})
}

func TestOutcomesOfNeighboursAreToldTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p, l := sender(t, 100, j.sender())
		for token := range uint64(10) {
			try(t, l, 50+token, "m")
		}
		try(t, l, 90, "m")
		p.send(settled(amqp10.RoleReceiver, 2, 4, amqp10.Accepted()))
		j.want(t, "settled 52-54 accepted")
		p.send(settled(amqp10.RoleReceiver, 3, 3, amqp10.Accepted()), settled(amqp10.RoleReceiver, 20, 30, amqp10.Accepted()))
		j.want(t)
		p.send(settled(amqp10.RoleReceiver, 0, 1<<31-1, amqp10.Rejected(nil)))
		j.want(t, "settled 50-51 rejected", "settled 55-59 rejected", "settled 90-90 rejected")
	})
}

func TestAStateThatIsNoOutcomeIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p, l := sender(t, 100, j.sender())
		try(t, l, 1, "m")
		p.frames()
		p.send(on{7, &amqp10.Disposition{Role: amqp10.RoleReceiver, State: amqp10.Received{SectionNumber: 1}.State()}})
		j.want(t)
		p.send(settled(amqp10.RoleReceiver, 0, 0, amqp10.State{}))
		j.want(t, "settled 1-1 descriptor")
		p.want()
	})
}

func TestAReceiverThatSettlesSecondIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p, l := sender(t, 100, j.sender())
		for token := range uint64(3) {
			try(t, l, token, "m")
		}
		p.frames()
		p.send(on{7, &amqp10.Disposition{Role: amqp10.RoleReceiver, Last: amqp10.Some[uint32](2), State: amqp10.Accepted()}})
		j.want(t, "settled 0-2 accepted")
		p.want("disposition sender 0-2 settled accepted")
	})
}

func TestTwoSendersOfASessionHearOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var one, two journal
		p, l := sender(t, 100, one.sender())
		o := two.sender()
		o.Name = "two"
		second := later(func() (*amqpclient.Sender, error) { return l.Session().Sender(t.Context(), o) })
		p.want("attach two 1 sender from 0")
		p.send(attach("two", 3, amqp10.RoleReceiver), linkFlow(3, 0, 10))
		m := second.must(t)
		for token := range uint64(4) {
			try(t, l, token, "m")
			try(t, m, 10+token, "m")
		}
		p.send(settled(amqp10.RoleReceiver, 1, 4, amqp10.Accepted()))
		one.want(t, "settled 1-1 accepted", "settled 2-2 accepted")
		two.want(t, "settled 10-10 accepted", "settled 11-11 accepted")
	})
}

func TestSendWaits(t *testing.T) {
	for _, c := range []struct {
		name string
		stop func(p *peer) // before
		free func(p *peer)
	}{
		{"for credit",
			func(p *peer) { p.send(linkFlow(9, 0, 0)) },
			func(p *peer) { p.send(linkFlow(9, 0, 1)) }},
		{"for the session's window",
			func(p *peer) { p.send(sessionFlow(1, 0)) },
			func(p *peer) { p.send(sessionFlow(1, 1)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				p, l := sender(t, 10, j.sender())
				c.stop(p)
				if try(t, l, 0, "tried") {
					t.Error("TrySend has sent")
				}
				ctx, cancel := context.WithCancel(t.Context())
				cut := laterErr(func() error { return l.Send(ctx, []byte("cut short"), amqpclient.Outgoing{}) })
				stays := laterErr(func() error { return l.Send(t.Context(), []byte("sent"), amqpclient.Outgoing{}) })
				if !cut.waits() || !stays.waits() {
					t.Error("Send does not wait")
				}
				cancel()
				if _, err := cut.result(t); !errors.Is(err, context.Canceled) {
					t.Errorf("Send returned %v", err)
				}
				c.free(p)
				stays.must(t)
				p.want("transfer 0 id=0 tag=00000000 format=0 sent")
				j.want(t, "ready")
			})
		})
	}
}

func sessionFlow(next, window uint32) on {
	return on{7, &amqp10.Flow{NextIncomingID: amqp10.Some(next), IncomingWindow: window, NextOutgoingID: 100, OutgoingWindow: 100}}
}

func TestAMessageLargerThanAFrameGoesOutAsTheWindowAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p, c := open(t, nil, &amqp10.Open{MaxFrameSize: amqp10.Some[uint32](512)})
		s := later(func() (*amqpclient.Session, error) { return c.Begin(t.Context(), nil) })
		synctest.Wait()
		p.send(begin(0))
		o := j.sender()
		o.Name = "out"
		l := later(func() (*amqpclient.Sender, error) { return s.must(t).Sender(t.Context(), o) })
		synctest.Wait()
		p.send(attach("out", 9, amqp10.RoleReceiver), linkFlow(9, 0, 10), sessionFlow(1, 2))
		p.frames()
		try(t, l.must(t), 0, strings.Repeat("x", 1500))
		if try(t, l.v, 1, "behind it") {
			t.Error("a second message was sent within the first")
		}
		p.want("transfer 0 id=0 tag=00000000 format=0 more 487 bytes", "transfer 0 more 492 bytes")
		p.send(sessionFlow(3, 10))
		p.want("transfer 0 more 492 bytes", "transfer 0 "+"29 bytes")
		j.want(t, "ready")
	})
}

func TestAMessageLargerThanThePeerTakesIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := session(t, nil, nil)
		l := later(func() (*amqpclient.Sender, error) {
			return s.Sender(t.Context(), &amqpclient.SenderOptions{Name: "out"})
		})
		synctest.Wait()
		a := attach("out", 9, amqp10.RoleReceiver)
		a.body.(*amqp10.Attach).MaxMessageSize = amqp10.Some[uint64](5)
		p.send(a, linkFlow(9, 0, 10))
		p.frames()
		if _, err := l.must(t).TrySend([]byte("123456"), amqpclient.Outgoing{}); !errors.Is(err, amqpclient.ErrMessageSize) {
			t.Errorf("TrySend returned %v", err)
		}
		if got := l.v.MaxMessageSize(); got != 5 {
			t.Errorf("MaxMessageSize is %d", got)
		}
		try(t, l.v, 0, "12345")
		p.want("transfer 0 id=0 tag=00000000 format=0 12345")
	})
}

func TestThePeersSettleModeGoesBeforeTheCallers(t *testing.T) {
	for mode, want := range map[uint8]string{
		amqp10.SendSettled:   "transfer 0 id=0 tag=00000000 format=0 settled m",
		amqp10.SendUnsettled: "transfer 0 id=0 tag=00000000 format=0 m",
	} {
		synctest.Test(t, func(t *testing.T) {
			p, s := session(t, nil, nil)
			l := later(func() (*amqpclient.Sender, error) {
				return s.Sender(t.Context(), &amqpclient.SenderOptions{Name: "out"})
			})
			synctest.Wait()
			a := attach("out", 9, amqp10.RoleReceiver)
			a.body.(*amqp10.Attach).SendMode = amqp10.Some(mode)
			p.send(a, linkFlow(9, 0, 10))
			p.frames()
			if got := l.must(t).SendMode(); got != mode {
				t.Errorf("SendMode is %d, want %d", got, mode)
			}
			must[bool](t)(l.v.TrySend([]byte("m"), amqpclient.Outgoing{Settled: mode == amqp10.SendUnsettled}))
			p.want(want)
		})
	}
}

func TestADrainGivesTheCreditUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := sender(t, 10, &amqpclient.SenderOptions{})
		f := linkFlow(9, 0, 10)
		f.body.(*amqp10.Flow).Drain = amqp10.Some(true)
		p.send(f)
		p.want("flow in=100+5000 out=1 link 0 count=10 credit=0")
		if try(t, l, 0, "m") {
			t.Error("it sends without credit")
		}
	})
}

// A peer that has counted more deliveries than were sent grants what it says all the same.
func TestAPeerThatCountsOtherwiseGrantsCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := sender(t, 0, &amqpclient.SenderOptions{})
		p.send(linkFlow(9, 5, 1))
		if !try(t, l, 0, "m") || try(t, l, 1, "m") {
			t.Error("it does not send one message")
		}
	})
}

func TestAnEchoIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := sender(t, 10, &amqpclient.SenderOptions{})
		f, g := linkFlow(9, 0, 3), sessionFlow(1, 100)
		f.body.(*amqp10.Flow).Echo, g.body.(*amqp10.Flow).Echo = amqp10.Some(true), amqp10.Some(true)
		p.send(f, g)
		p.want("flow in=100+5000 out=1 link 0 count=0 credit=3", "flow in=100+5000 out=1")
	})
}

func TestWhoSendsMoreThanIsReadWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p, l := sender(t, 1<<20, j.sender())
		p.send(sessionFlow(1, 1<<20))
		again := p.stop()
		sent, big := 0, strings.Repeat("x", 10_000)
		for ; try(t, l, uint64(sent), big); sent++ {
			synctest.Wait()
		}
		if sent > 100 {
			t.Errorf("%d messages of 10 kB were taken for a peer that does not read", sent)
		}
		waits := laterErr(func() error { return l.Send(t.Context(), []byte("last"), amqpclient.Outgoing{}) })
		if !waits.waits() {
			t.Error("Send does not wait for room")
		}
		again()
		waits.must(t)
		if n := len(p.frames()); n != sent+1 {
			t.Errorf("%d transfers of %d came", n, sent+1)
		}
		j.want(t, "ready")
	})
}

func TestWhatIsOnHoldIsWrittenWithTheFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := sender(t, 10, &amqpclient.SenderOptions{})
		for range 2 {
			must[bool](t)(l.TrySend([]byte("m"), amqpclient.Outgoing{Hold: true}))
		}
		p.want()
		l.Flush()
		p.want("transfer 0 id=0 tag=00000000 format=0 m", "transfer 0 id=1 tag=00000001 format=0 m")
	})
}

// Who sends one message after the outcome of the other writes it itself, and nobody is woken for it.
func TestALoneMessageIsWrittenByWhoSendsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		l := linked(t, c, &amqpclient.SenderOptions{}, &amqpclient.ReceiverOptions{})
		for id := range uint32(4) {
			synctest.Wait()
			before := s.frames.Load()
			if err := l.Send(t.Context(), nil, amqpclient.Outgoing{}); err != nil {
				t.Fatal(err)
			}
			if id >= 2 && s.frames.Load() != before+1 {
				t.Errorf("message %d was not written when Send had returned", id)
			}
			s.in <- encode(on{0, settled(amqp10.RoleReceiver, 0, id+1, amqp10.Accepted()).body})
		}
		synctest.Wait()
		before := s.frames.Load()
		for range 3 {
			if err := l.Send(t.Context(), nil, amqpclient.Outgoing{}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := s.frames.Load() - before; n != 3 {
			t.Errorf("%d of 3 messages were written", n)
		}
	})
}
