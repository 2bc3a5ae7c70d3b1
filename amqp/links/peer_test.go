package links

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

// peer is a server of AMQP that does as it is told. Without a script it does everything well:
// it takes each token and each link, gives credit, and accepts what it is sent.
type peer struct {
	t *testing.T

	// script, if set, is asked about each performative that comes in, with the connection's lock
	// held, and returns whether it has dealt with it; else the peer does what is due.
	script func(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) bool

	// greet, if set, is asked first of all on a connection, and returns whether that was all.
	greet func(c *peerConn) bool

	mu    sync.Mutex
	conns []*peerConn
	count map[string]int // how often what was asked for: "put-token", "attach /devices/d/messages/events"
	serve sync.WaitGroup
}

// peerConn is one connection of it.
type peerConn struct {
	p  *peer
	nc net.Conn

	mu    sync.Mutex
	links []*peerLink
	id    uint32 // of the last delivery

	attached map[uint64]bool // by channel and handle of the client
	ended    map[uint64]bool // what the peer detached or ended itself, so that the answers need none
}

// peerLink is a link as the client attached it.
type peerLink struct {
	name, address string
	channel       uint16 // of both ends
	handle        uint32 // of the client; the peer's is one more
	receives      bool   // the client does
}

// withPeer runs a test with a peer in a bubble of its own.
func withPeer(t *testing.T, test func(t *testing.T, p *peer)) {
	synctest.Test(t, func(t *testing.T) {
		testkit.LeakCheck(t)
		p := &peer{t: t, count: make(map[string]int)}
		t.Cleanup(p.stop)
		test(t, p)
	})
}

// dial has the form of Options.Dial.
func (p *peer) dial(context.Context) (net.Conn, error) {
	client, server := testkit.Pipe()
	c := &peerConn{p: p, nc: server, attached: make(map[uint64]bool), ended: make(map[uint64]bool)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
	p.serve.Go(c.serve)
	return client, nil
}

func (p *peer) stop() {
	p.mu.Lock()
	for _, c := range p.conns {
		c.nc.Close()
	}
	p.mu.Unlock()
	p.serve.Wait()
}

// dialled is how many connections there were.
func (p *peer) dialled() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// asked is how often something was asked for.
func (p *peer) asked(what string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count[what]
}

// last is the last connection.
func (p *peer) last() *peerConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns[len(p.conns)-1]
}

// conn makes a Conn to the peer, and closes it with the test.
func (p *peer) conn(change func(*Options)) *Conn {
	p.t.Helper()
	o := &Options{Dial: p.dial, HostName: "h", KeepAlive: -1, OnPanic: func(v any, stack []byte) { p.t.Errorf("panic: %v\n%s", v, stack) }}
	if change != nil {
		change(o)
	}
	return newConn(p.t, o)
}

// device is an entity, with its telemetry link.
func (p *peer) device(c *Conn, id string, change func(*entityConfig)) (*entity, *post) {
	p.t.Helper()
	who := dev
	who.DeviceID = id
	cfg := entityConfig{name: id, audience: sas.Audience("h", who), tokens: fixed("token")}
	if change != nil {
		change(&cfg)
	}
	e, err := c.add(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	return e, newPost(e, telemetry(who))
}

// fixed is a token that never expires.
type fixed string

func (f fixed) Token(context.Context, string) (string, time.Time, error) {
	return string(f), time.Time{}, nil
}

// serve answers until the connection ends.
func (c *peerConn) serve() {
	defer c.nc.Close()
	if c.p.greet != nil && c.p.greet(c) {
		_, _ = io.Copy(io.Discard, c.nc)
		return
	}
	var in []byte
	buf := make([]byte, 4096)
	for {
		n, err := c.nc.Read(buf)
		in = append(in, buf[:n]...)
		if err != nil {
			return
		}
		for len(in) >= amqp10.FrameHead {
			if in[0] == 'A' {
				c.header(amqp10.Protocol(in[4]))
				in = in[amqp10.ProtocolHead:]
				continue
			}
			f, rest, err := amqp10.SplitFrame(in, maxFrame)
			if err != nil {
				c.p.t.Errorf("the client sent %v", err)
				return
			}
			if f == nil {
				break
			}
			if body := f.Body(); len(body) > 0 && !c.meet(f.Channel(), body) {
				return
			}
			in = rest
		}
	}
}

func (c *peerConn) header(p amqp10.Protocol) {
	c.raw(amqp10.AppendProtocol(nil, p))
	if p == amqp10.ProtocolSASL {
		m := amqp10.SASLMechanisms{Mechanisms: amqp10.ValueOf(amqp10.AppendSymbolArray(nil, "ANONYMOUS"))}
		c.sasl(m.AppendTo(nil))
	}
}

// meet deals with one performative, and reports whether there may be more.
func (c *peerConn) meet(channel uint16, body []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	what := amqp10.PeekDescriptor(body)
	c.note(channel, what, body)
	if c.p.script == nil || !c.p.script(c, channel, what, body) {
		c.well(channel, what, body)
	}
	return what != amqp10.DescClose
}

// note keeps the books: of links, and of what was asked for.
func (c *peerConn) note(channel uint16, what amqp10.Descriptor, body []byte) {
	name := what.String()
	switch what {
	case amqp10.DescAttach:
		l := linkOf(channel, body)
		c.links = append(c.links, l)
		name += " " + l.address
	case amqp10.DescTransfer:
		if l := c.linkTo(channel, body); l != nil {
			name += " " + l.address
		}
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.count[name]++
}

func linkOf(channel uint16, body []byte) *peerLink {
	var a amqp10.Attach
	if err := a.Parse(body); err != nil {
		panic(err)
	}
	l := &peerLink{name: string(a.Name), channel: channel, handle: a.Handle, receives: a.Role == amqp10.RoleReceiver}
	address := a.Target.Value.Address
	if l.receives {
		address = a.Source.Value.Address
	}
	text, _ := address.Text()
	l.address = string(text)
	return l
}

// linkTo is the link that a transfer came on.
func (c *peerConn) linkTo(channel uint16, body []byte) *peerLink {
	var t amqp10.Transfer
	if _, err := t.Parse(body); err != nil {
		return nil
	}
	for i := len(c.links) - 1; i >= 0; i-- { // handles are used again
		if l := c.links[i]; l.channel == channel && l.handle == t.Handle && !l.receives {
			return l
		}
	}
	return nil
}

// link is the last link to or from an address. The lock is held.
func (c *peerConn) link(address string) *peerLink {
	for i := len(c.links) - 1; i >= 0; i-- {
		if c.links[i].address == address {
			return c.links[i]
		}
	}
	c.p.t.Fatalf("there is no link to %s", address)
	return nil
}

// do calls f with the lock held.
func (c *peerConn) do(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// well does what is due.
func (c *peerConn) well(channel uint16, what amqp10.Descriptor, body []byte) {
	switch what {
	case amqp10.DescSASLInit:
		c.sasl((&amqp10.SASLOutcome{}).AppendTo(nil))
	case amqp10.DescOpen:
		c.send(0, &amqp10.Open{ContainerID: []byte("peer"), MaxFrameSize: amqp10.Some[uint32](maxFrame)})
	case amqp10.DescBegin:
		c.send(channel, &amqp10.Begin{RemoteChannel: amqp10.Some(channel), IncomingWindow: 5000, OutgoingWindow: 5000})
	case amqp10.DescAttach:
		c.attach(channel, body)
	case amqp10.DescTransfer:
		c.transfer(channel, body)
	case amqp10.DescDetach:
		var d amqp10.Detach
		_ = d.Parse(body)
		if !c.answered(channel, d.Handle) && c.attached[linkKey(channel, d.Handle)] {
			delete(c.attached, linkKey(channel, d.Handle))
			c.send(channel, &amqp10.Detach{Handle: d.Handle + 1, Closed: amqp10.Some(true)})
		}
	case amqp10.DescEnd:
		if !c.answered(channel, wholeSession) {
			c.send(channel, &amqp10.End{})
		}
	case amqp10.DescClose:
		c.send(0, &amqp10.Close{})
	}
}

const wholeSession = 1<<32 - 1

// answered reports whether the client has answered what the peer has ended.
func (c *peerConn) answered(channel uint16, handle uint32) bool {
	key := linkKey(channel, handle)
	defer delete(c.ended, key)
	return c.ended[key]
}

func (c *peerConn) endedItself(channel uint16, handle uint32) {
	c.ended[linkKey(channel, handle)] = true
}

func linkKey(channel uint16, handle uint32) uint64 { return uint64(channel)<<32 | uint64(handle) }

func (c *peerConn) attach(channel uint16, body []byte) {
	var a amqp10.Attach
	_ = a.Parse(body)
	c.attached[linkKey(channel, a.Handle)] = true
	a.Handle++
	a.Role = !a.Role
	if a.Role == amqp10.RoleSender {
		a.InitialDeliveryCount = amqp10.Some[uint32](0)
	}
	c.send(channel, &a)
	if a.Role == amqp10.RoleReceiver {
		c.send(channel, &amqp10.Flow{
			NextIncomingID: amqp10.Some[uint32](0), IncomingWindow: 5000, OutgoingWindow: 5000,
			Handle: amqp10.Some(a.Handle), DeliveryCount: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](1000),
		})
	}
}

func (c *peerConn) transfer(channel uint16, body []byte) {
	payload := c.accept(channel, body)
	if l := c.linkTo(channel, body); l != nil && l.address == cbsAddress {
		c.answer(channel, payload, 200, "OK")
	}
}

// accept settles what came in, and returns the message.
func (c *peerConn) accept(channel uint16, body []byte) (payload []byte) {
	var t amqp10.Transfer
	payload, _ = t.Parse(body)
	c.send(channel, &amqp10.Disposition{
		Role: amqp10.RoleReceiver, First: t.DeliveryID.Value, Settled: amqp10.Some(true), State: amqp10.Accepted(),
	})
	return payload
}

// answer answers a put-token.
func (c *peerConn) answer(channel uint16, request []byte, status int, description string) {
	m, err := amqp.ParseMessage(request)
	if err != nil {
		c.p.t.Errorf("put-token: %v", err)
		return
	}
	for i := len(c.links) - 1; i >= 0; i-- {
		if l := c.links[i]; l.receives && l.address == cbsAddress && l.channel == channel {
			c.deliver(l, amqp.AppendResponse(nil, &amqp.Response{ID: m.MessageID(), Status: status, Description: description}))
			return
		}
	}
}

// deliver sends a message to a link that the client receives on.
func (c *peerConn) deliver(l *peerLink, message []byte) {
	c.id++
	b := amqp10.OpenFrame(nil, amqp10.FrameAMQP, l.channel)
	b = (&amqp10.Transfer{
		Handle: l.handle + 1, DeliveryID: amqp10.Some(c.id - 1), DeliveryTag: []byte{byte(c.id)},
		MessageFormat: amqp10.Some[uint32](0), Settled: amqp10.Some(true),
	}).AppendTo(b)
	c.raw(amqp10.CloseFrame(append(b, message...), 0))
}

// detach, end and close end a link, its session, or the connection, with a condition or, if
// that is empty, without a word.
func (c *peerConn) detach(l *peerLink, condition amqp.Condition) {
	c.endedItself(l.channel, l.handle)
	c.send(l.channel, &amqp10.Detach{Handle: l.handle + 1, Closed: amqp10.Some(true), Error: fault(condition)})
}

func (c *peerConn) end(l *peerLink, condition amqp.Condition) {
	c.endedItself(l.channel, wholeSession)
	c.send(l.channel, &amqp10.End{Error: fault(condition)})
}

func (c *peerConn) close(condition amqp.Condition) {
	c.send(0, &amqp10.Close{Error: fault(condition)})
}

// refuse answers an attach as one that is refused: without a terminus, and then detached.
func (c *peerConn) refuse(channel uint16, body []byte, e *amqp10.Error) {
	var a amqp10.Attach
	_ = a.Parse(body)
	a.Handle++
	a.Role = !a.Role
	if a.Role == amqp10.RoleSender {
		a.InitialDeliveryCount = amqp10.Some[uint32](0)
	}
	a.Source, a.Target = amqp10.Opt[amqp10.Source]{}, amqp10.Opt[amqp10.Target]{}
	c.send(channel, &a)
	c.endedItself(channel, a.Handle-1)
	c.send(channel, &amqp10.Detach{Handle: a.Handle, Closed: amqp10.Some(true), Error: e})
}

func fault(condition amqp.Condition) *amqp10.Error {
	if condition == "" {
		return nil
	}
	return &amqp10.Error{Condition: amqp10.Condition(condition), Description: "as the script says"}
}

func (c *peerConn) send(channel uint16, p interface{ AppendTo([]byte) []byte }) {
	c.raw(amqp10.CloseFrame(p.AppendTo(amqp10.OpenFrame(nil, amqp10.FrameAMQP, channel)), 0))
}

func (c *peerConn) sasl(body []byte) {
	c.raw(amqp10.CloseFrame(append(amqp10.OpenFrame(nil, amqp10.FrameSASL, 0), body...), 0))
}

func (c *peerConn) raw(b []byte) {
	if _, err := c.nc.Write(b); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
		c.p.t.Errorf("the peer writes: %v", err)
	}
}
