package amqpserver_test

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// fed is a peer with a link to a source of messages: handle 0, without credit.
func fed(t *testing.T, cfg *amqpserver.Config, how func(a *amqp10.Attach), messages ...string) (*peer, *source, *space) {
	t.Helper()
	n := &source{messages: messages}
	s := &space{sources: map[string]*source{"source": n}, sinks: map[string]*sink{"sink": {settle: accept}}}
	p, _ := meet(t, cfg, s.handler())
	a := receiver("a", "source", 0)
	if how != nil {
		how(a)
	}
	p.send(a)
	p.want("attach a 0 sender from 0")
	s.told()
	return p, n, s
}

func TestOutgoing(t *testing.T) {
	for name, c := range map[string]struct {
		messages []string
		steps    []step
	}{
		"nothing is sent without credit": {
			[]string{"x"},
			[]step{{say(&amqp10.Flow{IncomingWindow: 100, Echo: amqp10.Some(true)}), []string{"flow in=0+10 out=1"}}},
		},
		"as much is sent as there is credit": {
			[]string{"x", "y", "z"},
			[]step{
				{say(credit(0, 0, 2)), []string{"transfer 0 id=0 tag=00000001 format=0 x", "transfer 0 id=1 tag=00000002 format=0 y"}},
				{say(credit(0, 2, 2)), []string{"transfer 0 id=2 tag=00000003 format=0 z"}},
			},
		},
		"credit that was granted before the peer saw a message counts it": {
			[]string{"x", "y", "z"},
			[]step{
				{say(credit(0, 0, 1)), []string{"transfer 0 id=0 tag=00000001 format=0 x"}},
				{say(credit(0, 0, 2)), []string{"transfer 0 id=1 tag=00000002 format=0 y"}},
				{say(credit(0, 0, 2)), nil},
				{say(credit(0, 0, 0)), nil},
			},
		},
		"credit for a count that we have not come to is none": {
			[]string{"x"},
			[]step{{say(credit(0, 7, 3)), nil}},
		},
		"as much is sent as the window lets through": {
			[]string{"x", "y", "z"},
			[]step{
				{say(&amqp10.Flow{NextIncomingID: amqp10.Some[uint32](1), IncomingWindow: 2, Handle: amqp10.Some[uint32](0), DeliveryCount: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](9)}),
					[]string{"transfer 0 id=0 tag=00000001 format=0 x", "transfer 0 id=1 tag=00000002 format=0 y"}},
				{say(&amqp10.Flow{NextIncomingID: amqp10.Some[uint32](2), IncomingWindow: 1}), nil}, // one is on its way
				{say(&amqp10.Flow{NextIncomingID: amqp10.Some[uint32](3), IncomingWindow: 1}), []string{"transfer 0 id=2 tag=00000003 format=0 z"}},
			},
		},
		"a window without an id is one from the start": {
			[]string{"x", "y", "z"},
			[]step{
				{say(&amqp10.Flow{IncomingWindow: 2, Handle: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](9)}),
					[]string{"transfer 0 id=0 tag=00000001 format=0 x", "transfer 0 id=1 tag=00000002 format=0 y"}},
				{say(&amqp10.Flow{IncomingWindow: 2}), nil},
			},
		},
		"an unlimited window is one": {
			[]string{"x"},
			[]step{{say(&amqp10.Flow{NextIncomingID: amqp10.Some[uint32](1), IncomingWindow: math.MaxUint32, Handle: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](math.MaxUint32)}),
				[]string{"transfer 0 id=0 tag=00000001 format=0 x"}}},
		},
		"draining sends what there is and gives up the rest": {
			[]string{"x"},
			[]step{{say(&amqp10.Flow{IncomingWindow: 9, Handle: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](5), Drain: amqp10.Some(true)}),
				[]string{"transfer 0 id=0 tag=00000001 format=0 x", "flow in=0+10 out=2 link 0 count=5 credit=0 drain"}}},
		},
		"draining no credit is answered": {
			nil,
			[]step{{say(&amqp10.Flow{IncomingWindow: 9, Handle: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](0), Drain: amqp10.Some(true)}),
				[]string{"flow in=0+10 out=1 link 0 count=0 credit=0 drain"}}},
		},
		"draining with more messages than credit uses the credit": {
			[]string{"x", "y"},
			[]step{{say(&amqp10.Flow{IncomingWindow: 9, Handle: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](1), Drain: amqp10.Some(true)}),
				[]string{"transfer 0 id=0 tag=00000001 format=0 x", "flow in=0+10 out=2 link 0 count=1 credit=0 drain"}}},
		},
		"draining waits for the window": {
			[]string{"x"},
			[]step{
				{say(&amqp10.Flow{IncomingWindow: 0, Handle: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](2), Drain: amqp10.Some(true)}), nil},
				{say(&amqp10.Flow{IncomingWindow: 2}), []string{"transfer 0 id=0 tag=00000001 format=0 x", "flow in=0+10 out=2 link 0 count=2 credit=0 drain"}},
			},
		},
		"draining without a message does not": {
			nil,
			[]step{
				{say(credit(0, 0, 1)), nil}, // so the node has been asked
				{say(&amqp10.Flow{IncomingWindow: 0, Handle: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](2), Drain: amqp10.Some(true)}),
					[]string{"flow in=0+10 out=1 link 0 count=2 credit=0 drain"}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, _, _ := fed(t, config, nil, c.messages...)
				for _, step := range c.steps {
					p.send(step.send...)
					p.want(step.want...)
				}
			})
		})
	}
}

func TestWhatComesUpLaterIsSentWhenWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, n, _ := fed(t, config, nil)
		p.send(credit(0, 0, 2))
		p.want()
		n.add("x")
		p.want("transfer 0 id=0 tag=00000001 format=0 x")
		n.add("y", "z")
		p.want("transfer 0 id=1 tag=00000002 format=0 y")
	})
}

// One delivery takes many frames: the window may end in the middle of it, no other begins before it has
// ended, and another link's follows with the next id.
func TestAMessageOfManyFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &source{messages: []string{strings.Repeat("x", 1200), "y"}}
		s := &space{sources: map[string]*source{"source": n, "other": {messages: []string{"z"}}}}
		p, _ := connect(t, nil, s.handler())
		p.raw([]byte("AMQP\x00\x01\x00\x00"))
		p.send(&amqp10.Open{MaxFrameSize: amqp10.Some[uint32](512)}, &amqp10.Begin{}, receiver("a", "source", 0), receiver("b", "other", 1))
		p.want("AMQP 0", "open amqpserver", "begin 0 next=1", "attach a 0 sender from 0", "attach b 1 sender from 0")
		p.send(
			&amqp10.Flow{IncomingWindow: 1, Handle: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](9)},
			&amqp10.Flow{IncomingWindow: 1, Handle: amqp10.Some[uint32](1), LinkCredit: amqp10.Some[uint32](9)},
		)
		p.want("transfer 0 id=0 tag=00000001 format=0 more 487 bytes")
		p.send(&amqp10.Flow{NextIncomingID: amqp10.Some[uint32](2), IncomingWindow: 1})
		p.want("transfer 0 more 492 bytes")
		p.send(&amqp10.Flow{NextIncomingID: amqp10.Some[uint32](3), IncomingWindow: 3})
		p.want("transfer 0 221 bytes", "transfer 1 id=1 tag=00000001 format=0 z", "transfer 0 id=2 tag=00000002 format=0 y")
	})
}

func TestADetachInTheMiddleOfAMessageLetsOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &source{messages: []string{strings.Repeat("x", 1200)}}
		s := &space{sources: map[string]*source{"source": n, "other": {messages: []string{"z"}}}}
		p, _ := connect(t, nil, s.handler())
		p.raw([]byte("AMQP\x00\x01\x00\x00"))
		p.send(&amqp10.Open{MaxFrameSize: amqp10.Some[uint32](512)}, &amqp10.Begin{}, receiver("a", "source", 0), receiver("b", "other", 1))
		p.frames()
		p.send(&amqp10.Flow{IncomingWindow: 1, Handle: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](9)})
		p.want("transfer 0 id=0 tag=00000001 format=0 more 487 bytes")
		p.send(&amqp10.Flow{NextIncomingID: amqp10.Some[uint32](2), Handle: amqp10.Some[uint32](1), LinkCredit: amqp10.Some[uint32](9)}, &amqp10.Detach{})
		p.want("detach 0 closed")
		p.send(&amqp10.Flow{NextIncomingID: amqp10.Some[uint32](2), IncomingWindow: 9})
		p.want("transfer 1 id=1 tag=00000001 format=0 z")
	})
}

func TestAMessageLargerThanThePeerTakesDetaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, s := fed(t, config, func(a *amqp10.Attach) { a.MaxMessageSize = amqp10.Some[uint64](2) }, "xy", "xyz")
		p.send(credit(0, 0, 2))
		p.want("transfer 0 id=0 tag=00000001 format=0 xy", "detach 0 closed link:message-size-exceeded")
		if diff := cmp.Diff([]string{"a detached: amqp:link:message-size-exceeded"}, s.told()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAMessageOfAnySizeIsSentWhereTheHandlerSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &space{sources: map[string]*source{"source": {messages: []string{"xyz"}}}, attach: func(a *amqpserver.Attach) { a.AnySize = true }}
		p, _ := meet(t, config, s.handler())
		a := receiver("a", "source", 0)
		a.MaxMessageSize = amqp10.Some[uint64](2)
		p.send(a)
		p.want("attach a 0 sender from 0")
		p.send(credit(0, 0, 1))
		p.want("transfer 0 id=0 tag=00000001 format=0 xyz")
	})
}

func TestSendModes(t *testing.T) {
	for name, c := range map[string]struct {
		mode    amqp10.Opt[uint8]
		settled bool // what the node wants
		want    string
	}{
		"mixed leaves it to the node":         {amqp10.Opt[uint8]{}, true, "transfer 0 id=0 tag=ab format=7 settled x"},
		"mixed may be unsettled":              {amqp10.Some(amqp10.SendMixed), false, "transfer 0 id=0 tag=ab format=7 x"},
		"settled settles all":                 {amqp10.Some(amqp10.SendSettled), false, "transfer 0 id=0 tag=ab format=7 settled x"},
		"unsettled settles none, as was said": {amqp10.Some(amqp10.SendUnsettled), true, "transfer 0 id=0 tag=ab format=7 x"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, n, _ := fed(t, config, func(a *amqp10.Attach) { a.SendMode = c.mode }, "x")
				n.out = amqpserver.Outgoing{Tag: []byte{0xab}, Format: 7, Settled: c.settled}
				p.send(credit(0, 0, 1))
				p.want(c.want)
			})
		})
	}
}

// Whatever comes up while a node is asked, goes before its message if it says what was then true.
func TestWhatComesUpWhileANodeIsAskedGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := &sink{}
		n := &source{messages: []string{"answer"}}
		s := &space{sources: map[string]*source{"source": n}, sinks: map[string]*sink{"hold": hold}}
		p, _ := meet(t, config, s.handler())
		p.send(receiver("a", "source", 0), sender("b", "hold", 1), message(1, 0, "request"))
		p.want("attach a 0 sender from 0", "attach b 1 receiver", "flow in=1+10 out=1 link 1 count=1 credit=3")
		n.asked = func() { hold.receipts[0].Settle(amqp10.Accepted()) }
		p.send(credit(0, 0, 1))
		p.want("disposition receiver 0 settled accepted", "transfer 0 id=0 tag=00000001 format=0 answer")
	})
}

func TestNoMoreIsSentThanMayBeUnsettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := fed(t, &amqpserver.Config{MaxUnsettled: 2}, nil, "x", "y", "z", "w")
		p.send(credit(0, 0, 9))
		p.want("transfer 0 id=0 tag=00000001 format=0 x", "transfer 0 id=1 tag=00000002 format=0 y")
		p.send(&amqp10.Disposition{Role: amqp10.RoleReceiver, First: 1, Settled: amqp10.Some(true), State: amqp10.Accepted()})
		p.want("transfer 0 id=2 tag=00000003 format=0 z")
	})
}

// A peer may settle only when it has drained.
func TestDrainingAtTheLimitOfUnsettledGivesUpCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := fed(t, &amqpserver.Config{MaxUnsettled: 1}, nil, "x", "y")
		f := credit(0, 0, 9)
		f.Drain = amqp10.Some(true)
		p.send(f)
		p.want("transfer 0 id=0 tag=00000001 format=0 x", "flow in=0+1 out=2 link 0 count=9 credit=0 drain")
		p.send(&amqp10.Disposition{Role: amqp10.RoleReceiver, Settled: amqp10.Some(true)}, credit(0, 9, 1))
		p.want("transfer 0 id=1 tag=00000002 format=0 y")
	})
}

// Links that come and go while the window is shut leave nothing behind.
func TestLinksThatWaitForTheWindowAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &space{sources: map[string]*source{"source": {messages: []string{"x"}}}}
		p, c := meet(t, config, s.handler())
		p.send(&amqp10.Flow{})
		wants := credit(0, 0, 1)
		wants.IncomingWindow = 0
		for range 10 {
			p.send(receiver("a", "source", 0), wants)
			p.want("attach a 0 sender from 0")
			p.send(&amqp10.Detach{})
			p.want("detach 0 closed")
		}
		if n := c.Stalled(); n > 0 {
			t.Errorf("%d links wait for the window, want none: they have ended", n)
		}
	})
}

// Those that the server gives out wrap too.
func TestSerialNumbersOfTheServerWrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const last = math.MaxUint32
		p, n, s := fed(t, config, nil, "x", "y", "z")
		n.link.Session().SetSerials(last, last-1)
		p.send(&amqp10.Flow{NextIncomingID: amqp10.Some[uint32](last), IncomingWindow: 2, Handle: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](9)})
		p.want("transfer 0 id=4294967294 tag=00000001 format=0 x", "transfer 0 id=4294967295 tag=00000002 format=0 y")
		p.send(&amqp10.Flow{NextIncomingID: amqp10.Some[uint32](0), IncomingWindow: 2})
		p.want("transfer 0 id=0 tag=00000003 format=0 z")
		p.send(&amqp10.Disposition{Role: amqp10.RoleReceiver, First: last - 1, Last: amqp10.Some[uint32](5), Settled: amqp10.Some(true), State: amqp10.Accepted()})
		p.want()
		if diff := cmp.Diff([]string{"a: token 1 accepted settled", "a: token 2 accepted settled", "a: token 3 accepted settled"}, s.told()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

// Ids of deliveries and transfers, and delivery-counts, are serial numbers: nothing happens when they wrap.
func TestSerialNumbersWrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const last = math.MaxUint32
		s := &space{sinks: map[string]*sink{"sink": {settle: accept}}}
		p, _ := connect(t, config, s.handler())
		p.raw([]byte("AMQP\x00\x01\x00\x00"))
		a := sender("a", "sink", 0)
		a.InitialDeliveryCount = amqp10.Some[uint32](last)
		p.send(&amqp10.Open{}, &amqp10.Begin{NextOutgoingID: last - 1}, a)
		p.want("AMQP 0", "open amqpserver", "begin 0 next=1", "attach a 0 receiver", "flow in=4294967294+10 out=1 link 0 count=4294967295 credit=4")
		p.send(message(0, last-1, "x"), message(0, last, "x"), message(0, 0, "x"), message(0, 1, "x"))
		p.want("disposition receiver 4294967294-1 settled accepted", "flow in=2+10 out=1 link 0 count=3 credit=4")
	})
}
