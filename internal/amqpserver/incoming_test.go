package amqpserver_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/internal/testkit"
)

// more is a frame that continues a delivery.
func more(handle uint32, payload string) transfer {
	return transfer{amqp10.Transfer{Handle: handle, More: amqp10.Some(true)}, payload}
}

func last(handle uint32, payload string) transfer {
	return transfer{amqp10.Transfer{Handle: handle}, payload}
}

// begun is the first frame of a delivery of several.
func begun(handle, id uint32, payload string) transfer {
	m := message(handle, id, payload)
	m.More = amqp10.Some(true)
	return m
}

func with(t transfer, how func(t *amqp10.Transfer)) transfer {
	how(&t.Transfer)
	return t
}

func TestDeliveriesOfManyFrames(t *testing.T) {
	big := strings.Repeat("x", 60)
	for name, c := range map[string]struct {
		send []body
		want []string // frames of the server
		told []string
	}{
		"frames are put together":                        {say(begun(0, 0, "one "), more(0, "two "), last(0, "three")), []string{"disposition receiver 0 settled accepted"}, []string{"a: one two three"}},
		"frames may repeat the delivery-id":              {say(begun(0, 5, "one "), message(0, 5, "two")), []string{"disposition receiver 5 settled accepted"}, []string{"a: one two"}},
		"frames of two links may be interleaved":         {say(begun(0, 0, "a1 "), begun(1, 1, "b1 "), more(0, "a2 "), last(1, "b2"), last(0, "a3")), []string{"disposition receiver 0-1 settled accepted", "flow in=5+10 out=1"}, []string{"b: b1 b2", "a: a1 a2 a3"}},
		"frames of two deliveries of a link may not":     {say(begun(0, 0, "one"), message(0, 1, "two")), []string{"detach 0 closed invalid-field"}, []string{"a detached: amqp:invalid-field"}},
		"an aborted delivery is dropped, and counts":     {say(begun(0, 0, "one"), with(last(0, "two"), func(t *amqp10.Transfer) { t.Aborted = amqp10.Some(true) }), message(0, 1, "next"), message(0, 2, "and")), []string{"disposition receiver 1-2 settled accepted", "flow in=4+10 out=1 link 0 count=3 credit=4"}, []string{"a: next", "a: and"}},
		"a delivery may be aborted in its first frame":   {say(with(message(0, 0, "x"), func(t *amqp10.Transfer) { t.Aborted = amqp10.Some(true) }), message(0, 1, "next")), []string{"disposition receiver 1 settled accepted", "flow in=2+10 out=1 link 0 count=2 credit=4"}, []string{"a: next"}},
		"a flow within a delivery counts it once":        {say(message(0, 0, "first"), begun(0, 1, "one "), &amqp10.Flow{NextIncomingID: amqp10.Some[uint32](1), IncomingWindow: 10, Handle: amqp10.Some[uint32](0), DeliveryCount: amqp10.Some[uint32](2)}, last(0, "two")), []string{"disposition receiver 0-1 settled accepted", "flow in=3+10 out=1 link 0 count=2 credit=4"}, []string{"a: first", "a: one two"}},
		"settled in any of the frames is settled":        {say(begun(0, 0, "one "), with(last(0, "two"), func(t *amqp10.Transfer) { t.Settled = amqp10.Some(true) })), nil, []string{"a: one two settled"}},
		"frames that are too much together detach":       {say(begun(0, 0, big), more(0, big)), []string{"detach 0 closed link:message-size-exceeded"}, []string{"a detached: amqp:link:message-size-exceeded"}},
		"incomplete messages of all links have a limit":  {say(begun(0, 0, big), begun(1, 1, big), begun(2, 2, big)), []string{"detach 2 closed resource-limit-exceeded"}, []string{"c detached: amqp:resource-limit-exceeded"}},
		"a message that is done is not counted":          {say(begun(0, 0, big), last(0, ""), begun(1, 1, big), last(1, ""), begun(2, 2, big)), []string{"disposition receiver 0-1 settled accepted", "flow in=5+10 out=1"}, []string{"a: 60 bytes", "b: 60 bytes"}},
		"a message whose link is detached is not either": {say(begun(0, 0, big), &amqp10.Detach{}, begun(1, 1, big), begun(2, 2, big)), []string{"detach 0 closed"}, []string{"a detached: nil"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &space{sinks: map[string]*sink{"1": {settle: accept}, "2": {settle: accept}, "3": {settle: accept}}}
				p, _ := meet(t, config, s.handler())
				p.send(sender("a", "1", 0), sender("b", "2", 1), sender("c", "3", 2))
				p.frames()
				s.told()
				p.send(c.send...)
				p.want(c.want...)
				if diff := cmp.Diff(c.told, s.told()); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// holding is a peer with a link to a sink that keeps receipts: handle 0.
func holding(t *testing.T, cfg *amqpserver.Config, mode amqp10.Opt[uint8]) (*peer, *sink) {
	t.Helper()
	n := &sink{}
	s := &space{sinks: map[string]*sink{"sink": n}}
	p, _ := meet(t, cfg, s.handler())
	a := sender("a", "sink", 0)
	a.ReceiveMode = mode
	p.send(a)
	p.want(started("a")...)
	return p, n
}

func TestSettlingLater(t *testing.T) {
	rejected := amqp10.Rejected(&amqp10.Error{Condition: "x"})
	for name, c := range map[string]struct {
		settle func(r []amqpserver.Receipt)
		want   []string
	}{
		"in order is one disposition": {func(r []amqpserver.Receipt) { each(r, amqp10.Accepted(), 0, 1, 2) }, []string{"disposition receiver 0-2 settled accepted", "flow in=3+10 out=1 link 0 count=3 credit=4"}},
		"in reverse order too":        {func(r []amqpserver.Receipt) { each(r, amqp10.Accepted(), 2, 1, 0) }, []string{"disposition receiver 0-2 settled accepted", "flow in=3+10 out=1 link 0 count=3 credit=4"}},
		"null is accepted":            {func(r []amqpserver.Receipt) { each(r, amqp10.State{}, 1) }, []string{"disposition receiver 1 settled accepted"}},
		"twice is once":               {func(r []amqpserver.Receipt) { each(r, amqp10.Accepted(), 1, 1); each(r, amqp10.Released(), 1) }, []string{"disposition receiver 1 settled accepted"}},
		"with different outcomes is said one by one": {func(r []amqpserver.Receipt) { each(r, amqp10.Accepted(), 0); each(r, rejected, 1, 2) },
			[]string{"disposition receiver 0 settled accepted", "disposition receiver 1 settled rejected(x)", "disposition receiver 2 settled rejected(x)", "flow in=3+10 out=1 link 0 count=3 credit=4"}},
		"no receipt is none": {func([]amqpserver.Receipt) { amqpserver.Receipt{}.Settle(amqp10.Accepted()) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, n := holding(t, config, amqp10.Opt[uint8]{})
				n.whenThree(c.settle)
				p.send(message(0, 0, "x"), message(0, 1, "x"), message(0, 2, "x"))
				p.want(c.want...)
			})
		})
	}
}

// whenThree has receipts settled while the server acts on the third message: nothing is written meanwhile.
func (n *sink) whenThree(settle func(r []amqpserver.Receipt)) {
	n.settle = func(*amqpserver.Delivery) {
		if len(n.receipts) == 3 {
			settle(n.receipts)
		}
	}
}

func each(r []amqpserver.Receipt, state amqp10.State, which ...int) {
	for _, i := range which {
		r[i].Settle(state)
	}
}

func TestSettlingBehindTheEndDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, n := holding(t, config, amqp10.Opt[uint8]{})
		p.send(message(0, 0, "x"), &amqp10.Detach{})
		p.want("detach 0 closed")
		each(n.receipts, amqp10.Accepted(), 0)
		p.want()
	})
}

// In receiver-settle-mode second we say the outcome, and the sender settles.
func TestReceivingInModeSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, n := holding(t, config, amqp10.Some(amqp10.ReceiveSecond))
		first := with(message(0, 2, "x"), func(t *amqp10.Transfer) { t.ReceiveMode = amqp10.Some(amqp10.ReceiveFirst) })
		n.whenThree(func(r []amqpserver.Receipt) { each(r, amqp10.Accepted(), 0, 1, 1, 2) })
		p.send(message(0, 0, "x"), message(0, 1, "x"), first)
		p.want("disposition receiver 0-1 accepted", "disposition receiver 2 settled accepted")
		p.send(&amqp10.Disposition{Role: amqp10.RoleSender, First: 0, Last: amqp10.Some[uint32](1), Settled: amqp10.Some(true), State: amqp10.Accepted()})
		p.want("flow in=3+10 out=1 link 0 count=3 credit=4")
	})
}

// A peer that receives may settle, or say an outcome and wait for our word; of a range it means what there is.
func TestOutcomesOfThePeer(t *testing.T) {
	dispose := func(first, last uint32, settled bool, state amqp10.State) *amqp10.Disposition {
		return &amqp10.Disposition{Role: amqp10.RoleReceiver, First: first, Last: amqp10.Some(last), Settled: amqp10.Some(settled), State: state}
	}
	late := amqp10.Rejected(&amqp10.Error{Condition: "late"})
	for name, c := range map[string]struct {
		send   []body
		answer amqp10.State
		want   []string
		told   []string
	}{
		"a range is settled":                        {say(dispose(0, 2, true, amqp10.Accepted())), amqp10.State{}, nil, []string{"a: token 1 accepted settled", "a: token 2 accepted settled", "a: token 3 accepted settled"}},
		"a range may name what there is not":        {say(dispose(2, 1<<30, true, amqp10.Released())), amqp10.State{}, nil, []string{"a: token 3 released settled"}},
		"settling again is ignored":                 {say(dispose(1, 1, true, amqp10.Accepted()), dispose(0, 1, true, amqp10.Released())), amqp10.State{}, nil, []string{"a: token 2 accepted settled", "a: token 1 released settled"}},
		"settled without a state is told so":        {say(dispose(0, 0, true, amqp10.State{})), amqp10.State{}, nil, []string{"a: token 1 descriptor settled"}},
		"an outcome that is not settled has a word": {say(dispose(0, 1, false, amqp10.Accepted())), amqp10.State{}, []string{"disposition sender 0-1 settled accepted"}, []string{"a: token 1 accepted", "a: token 2 accepted"}},
		"the word is the node's":                    {say(dispose(0, 0, false, amqp10.Accepted())), late, []string{"disposition sender 0 settled rejected(late)"}, []string{"a: token 1 accepted"}},
		"what is no outcome has none":               {say(dispose(0, 1, false, amqp10.Received{}.State()), dispose(0, 1, false, amqp10.State{})), amqp10.State{}, nil, nil},
		"behind a detach nothing is told":           {say(&amqp10.Detach{}, dispose(0, 2, true, amqp10.Accepted())), amqp10.State{}, []string{"detach 0 closed"}, []string{"a detached: nil"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, n, s := fed(t, config, nil, "x", "y", "z")
				n.answer = c.answer
				p.send(credit(0, 0, 3))
				p.frames()
				p.send(c.send...)
				p.want(c.want...)
				if diff := cmp.Diff(c.told, s.told()); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestPauseHoldsCreditBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &sink{settle: accept}
		s := &space{sinks: map[string]*sink{"sink": n}}
		p, _ := meet(t, config, s.handler())
		p.send(sender("a", "sink", 0))
		p.want(started("a")...)
		n.link.Pause()
		p.send(message(0, 0, "x"), message(0, 1, "x"), message(0, 2, "x"), message(0, 3, "x"))
		p.want("disposition receiver 0-3 settled accepted")
		n.link.Resume()
		p.want("flow in=4+10 out=1 link 0 count=4 credit=4")
	})
}

// The window of a session is not opened again when too much is unsettled, and who sends on ends the session.
func TestTheWindowHoldsBackWhatIsUnsettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, n := func() (*peer, *sink) {
			n := &sink{}
			s := &space{sinks: map[string]*sink{"sink": n}}
			p, _ := meet(t, &amqpserver.Config{Window: 10, Credit: 100, MaxUnsettled: 4}, s.handler())
			p.send(sender("a", "sink", 0))
			p.want("attach a 0 receiver", "flow in=0+4 out=1 link 0 count=0 credit=100")
			return p, n
		}()
		p.send(message(0, 0, "x"), message(0, 1, "x"), message(0, 2, "x"), message(0, 3, "x"))
		p.want()
		each(n.receipts, amqp10.Accepted(), 0, 1)
		if got := p.frames(); len(got) == 0 || got[len(got)-1] != "flow in=4+2 out=1" {
			t.Errorf("frames from the server: %q", got)
		}
		p.send(message(0, 4, "x"), message(0, 5, "x"), message(0, 6, "x"))
		p.want("end session:window-violation")
	})
}

func TestWhatWasReadWithWhatCutTheConnectionIsNotActedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *amqpserver.Conn
		s := &space{sinks: map[string]*sink{"sink": {settle: func(*amqpserver.Delivery) { c.Cut() }}}}
		var p *peer
		p, c = meet(t, nil, s.handler())
		p.send(sender("a", "sink", 0))
		p.frames()
		s.told()
		p.send(message(0, 0, "one"), message(0, 1, "two"))
		<-p.done
		want := []string{"a: one", "a detached: amqpserver: cut", "ended 0: amqpserver: cut"}
		if diff := cmp.Diff(want, s.told()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Nor is it when nothing could be written any more by then, so that the connection had failed before.
func TestWhatWasReadWithACutIsNotActedOnWhenAWriteHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *peer
		var c *amqpserver.Conn
		n := &sink{}
		n.settle = func(d *amqpserver.Delivery) {
			switch string(d.Message) {
			case "one":
				accept(d)
				testkit.Reset(p.nc)
				c.Flush()
				time.Sleep(time.Second) // until that has been tried
			case "three":
				c.Cut()
			}
		}
		s := &space{sinks: map[string]*sink{"sink": n}}
		p, c = meet(t, nil, s.handler())
		p.send(sender("a", "sink", 0))
		p.frames()
		s.told()
		p.send(message(0, 0, "one"), message(0, 1, "two"), message(0, 2, "three"), message(0, 3, "four"))
		<-p.done
		// What was read before counts.
		want := []string{"a: one", "a: two", "a: three", "a detached: amqpserver: cut", "ended 0: amqpserver: cut"}
		if diff := cmp.Diff(want, s.told()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
