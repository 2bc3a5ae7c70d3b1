package amqpserver_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// FuzzPeer plays a peer whose script is made of bytes, against the whole engine: sessions, links, messages and
// settlements in any order, right and wrong, and what nodes do meanwhile. Whatever it does, the engine writes
// frames that keep the rules (see referee), ends when the peer has left, and tells each node and session of its end once.
func FuzzPeer(f *testing.F) {
	for _, script := range []string{
		"\x00\x00\x01\x00\x03\x00\x02\x03\x00\x02",                         // a session, a link, two messages
		"\x00\x00\x02\x00\x05\x00\x08\x06\x00\x07\x0c\x00\x05\x00\x18",     // a receiver, credit, settlement, a drain
		"\x00\x00\x02\x10\x05\x00\x03\x04\x05\x05\x00\xff\x06\x00\x00",     // a message of many frames, a small window
		"\x00\x00\x01\x00\x01\x04\x03\x00\x01\x03\x01\x00\x07\x00\x07\x01", // two links, messages in part, detaches
		"\x00\x00\x01\x00\x03\x00\x02\x08\x00\x00\x00\x01\x00\x09\x00",     // an end, a new session, a close
		"\x00\x00\x00\x01\x01\x00\x01\x01\x0c\x01\x0c\x02\x0c\x03\x0a\x05", // what nodes do, and rubbish
	} {
		f.Add([]byte(script))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 1000 {
			return
		}
		synctest.Test(t, func(t *testing.T) { play(t, script) })
	})
}

func play(t *testing.T, script []byte) {
	w := &wild{script: script, ended: map[*amqpserver.Session]int{}}
	p, c := connect(t, &amqpserver.Config{Window: 20, Credit: 5, MaxLinks: 9, ChannelMax: 3, HandleMax: 7, MaxMessageSize: 400, MaxPartial: 700, MaxUnsettled: 12, MaxFrameSize: 512}, w.handler())
	w.conn = c
	r := newReferee(t)
	p.raw([]byte(headAMQP))
	p.send(&amqp10.Open{MaxFrameSize: amqp10.Some[uint32](512)})
	for w.more() {
		w.step(p, r)
		if w.byte()&3 == 0 { // else what comes next is sent without a look at the answer
			r.judge(p)
		}
	}
	synctest.Wait()
	p.nc.(interface{ CloseWrite() error }).CloseWrite()
	time.Sleep(time.Minute)
	r.judge(p)
	select {
	case <-p.done:
	default:
		t.Fatal("Serve goes on without a peer")
	}
	w.check(t)
}

// wild is the source of what happens: the script, read byte by byte, and all nodes.
type wild struct {
	script   []byte
	conn     *amqpserver.Conn
	nodes    []*wildNode
	sessions []*amqpserver.Session
	ended    map[*amqpserver.Session]int
}

func (w *wild) more() bool { return len(w.script) > 0 }

func (w *wild) byte() (b byte) {
	if w.more() {
		b, w.script = w.script[0], w.script[1:]
	}
	return b
}

// step does one thing, which the next byte chooses and those behind it shape.
func (w *wild) step(p *peer, r *referee) {
	op, b := w.byte()%14, w.byte()
	channel := uint16(b >> 6 & 1)
	switch op {
	case 0:
		b := &amqp10.Begin{IncomingWindow: uint32(b >> 2 & 7), OutgoingWindow: 9, NextOutgoingID: ^uint32(0) - 3}
		r.begun(channel, b)
		p.send(on{channel, b})
	case 1, 2:
		a := sender(string('a'+rune(b&3)), "x", uint32(b>>2&7))
		if op == 2 {
			a = receiver(string('a'+rune(b&3)), "x", uint32(b>>2&7))
		}
		a.SendMode, a.ReceiveMode = amqp10.Some(b>>4%3), amqp10.Some(b>>5&1)
		r.attached(channel, a)
		p.send(on{channel, a})
	case 3, 4:
		c := w.byte()
		m := message(uint32(b&7), r.nextID(channel, c), string(make([]byte, int(c)*2)))
		m.Settled, m.More, m.Aborted = amqp10.Some(b&8 != 0), amqp10.Some(b&16 != 0), amqp10.Some(b&0x30 == 0x30)
		p.send(on{channel, m})
	case 5:
		c := w.byte()
		f := credit(uint32(b&7), 0, uint32(c&7))
		f.IncomingWindow = uint32(c >> 3 & 7)
		f.Drain, f.Echo = amqp10.Some(b&8 != 0), amqp10.Some(b&16 != 0)
		r.granted(channel, f)
		p.send(on{channel, f})
	case 6:
		c := w.byte()
		d := &amqp10.Disposition{Role: amqp10.Role(b&1 == 0), First: uint32(c & 15), Last: amqp10.Some(uint32(c&15 + c>>4&3)), Settled: amqp10.Some(b&2 != 0)}
		d.State = []amqp10.State{amqp10.Accepted(), amqp10.Released(), {}, amqp10.Received{}.State()}[b>>2&3]
		p.send(on{channel, d})
	case 7:
		p.send(on{channel, &amqp10.Detach{Handle: uint32(b & 7), Closed: amqp10.Some(b&8 != 0)}})
	case 8:
		p.send(on{channel, &amqp10.End{}})
	case 9:
		if b == 0 {
			p.send(&amqp10.Close{})
		}
	case 10:
		p.raw(w.script[:min(int(b), len(w.script))])
	case 11:
		p.raw(amqp10.AppendEmptyFrame(nil))
		time.Sleep(time.Duration(b) * time.Second)
	default:
		synctest.Wait()
		w.act(b)
	}
}

// act has a node, a session or the connection do something, from the side.
func (w *wild) act(b byte) {
	if len(w.nodes) == 0 {
		return
	}
	n := w.nodes[int(b>>3)%len(w.nodes)]
	switch b & 7 {
	case 0:
		n.link.Wake()
	case 1, 2, 3:
		for _, r := range n.receipts {
			r.Settle([]amqp10.State{amqp10.Accepted(), amqp10.Released(), amqp10.Rejected(nil)}[b&7-1])
		}
	case 4:
		n.link.Pause()
	case 5:
		n.link.Resume()
	case 6:
		n.link.Detach(&amqp10.Error{Condition: "wild"})
	default:
		if b>>6 == 0 {
			n.link.Session().End(nil)
		} else if b == 0xff {
			w.conn.Close(nil)
		}
	}
}

func (w *wild) handler() *amqpserver.Handler {
	node := func(a *amqpserver.Attach) *wildNode {
		n := &wildNode{wild: w, link: a.Link}
		w.nodes = append(w.nodes, n)
		return n
	}
	return &amqpserver.Handler{
		Begun:    func(s *amqpserver.Session) { w.sessions = append(w.sessions, s) },
		Ended:    func(s *amqpserver.Session, _ error) { w.ended[s]++ },
		Receiver: func(a *amqpserver.Attach) (amqpserver.Receiver, *amqp10.Error) { return node(a), nil },
		Sender:   func(a *amqpserver.Attach) (amqpserver.Sender, *amqp10.Error) { return node(a), nil },
	}
}

// check looks whether everybody was told.
func (w *wild) check(t *testing.T) {
	for _, n := range w.nodes {
		if n.detached != 1 {
			t.Errorf("node of %s was told of its end %d times", n.link.Name(), n.detached)
		}
	}
	for _, s := range w.sessions {
		if w.ended[s] != 1 {
			t.Errorf("the end of session %d was told %d times", s.Channel(), w.ended[s])
		}
	}
}

// wildNode is a node that settles some of what it gets, and has messages of many sizes, some of the time.
type wildNode struct {
	wild     *wild
	link     *amqpserver.Link
	receipts []amqpserver.Receipt
	asked    int
	open     []uint64 // tokens
	detached int
	mu       sync.Mutex // of open and detached: who reads and who writes may both be here
}

func (n *wildNode) Deliver(d *amqpserver.Delivery) {
	if len(d.Message)%3 == 0 {
		d.Settle(amqp10.Accepted())
	} else {
		n.receipts = append(n.receipts, d.Receipt())
	}
}

func (n *wildNode) Next(dst []byte) ([]byte, amqpserver.Outgoing, bool) {
	if n.asked++; n.asked%7 == 0 {
		return dst, amqpserver.Outgoing{}, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	o := amqpserver.Outgoing{Token: uint64(n.asked), Settled: n.asked%5 == 0}
	n.open = append(n.open, o.Token)
	return append(dst, make([]byte, n.asked*n.asked*37%1500)...), o, true
}

func (n *wildNode) Settled(token uint64, _ amqp10.State, _ bool) amqp10.State {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.Index(n.open, token)
	if i < 0 || n.detached > 0 {
		panic(errors.New("settled what is not open"))
	}
	n.open = slices.Delete(n.open, i, i+1)
	return amqp10.State{}
}

func (n *wildNode) Detached(error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.detached++
}
