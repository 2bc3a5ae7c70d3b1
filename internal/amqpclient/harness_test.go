package amqpclient_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqp10/frametext"
	"github.com/hubwire/hubwire/internal/amqpclient"
	"github.com/hubwire/hubwire/internal/testkit"
)

// peer is a scripted server, in a bubble: it says what the test says.
type peer struct {
	t  testing.TB
	nc net.Conn

	mu     sync.Mutex
	got    []byte
	closed bool // the client has hung up

	stopped *sync.Cond
	stalls  bool // it does not read
}

// newPeer returns a peer, and what the client is to speak on.
func newPeer(t testing.TB) (*peer, net.Conn) {
	near, far := testkit.Pipe()
	p := &peer{t: t, nc: far}
	p.stopped = sync.NewCond(&p.mu)
	go p.read()
	t.Cleanup(func() {
		far.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stalls = false
		p.stopped.Broadcast()
	})
	return p, near
}

// open is a connection with a peer, behind the opens. It is aborted with the test.
func open(t testing.TB, o *amqpclient.Options, answer *amqp10.Open) (*peer, *amqpclient.Conn) {
	t.Helper()
	p, nc := newPeer(t)
	p.raw(headAMQP)
	p.send(answer)
	c := must[*amqpclient.Conn](t)(amqpclient.Open(t.Context(), nc, o))
	t.Cleanup(func() {
		c.Abort()
		<-c.Done()
	})
	p.want("AMQP 0", "open hubwire")
	return p, c
}

// session is open, with a session on channel 0 of the client and 7 of the peer.
func session(t testing.TB, o *amqpclient.Options, so *amqpclient.SessionOptions) (*peer, *amqpclient.Session) {
	t.Helper()
	p, c := open(t, o, &amqp10.Open{})
	s := later(func() (*amqpclient.Session, error) { return c.Begin(t.Context(), so) })
	p.want("begin 0 next=1")
	p.send(begin(0))
	return p, s.must(t)
}

func begin(remote uint16) on {
	return on{7, &amqp10.Begin{RemoteChannel: amqp10.Some(remote), NextOutgoingID: 100, IncomingWindow: 100, OutgoingWindow: 100}}
}

// sender is session, with a sender of handle 0 here and 9 there, which has credit.
func sender(t testing.TB, credit uint32, o *amqpclient.SenderOptions) (*peer, *amqpclient.Sender) {
	t.Helper()
	p, s := session(t, nil, nil)
	o.Name = "out"
	l := later(func() (*amqpclient.Sender, error) { return s.Sender(t.Context(), o) })
	p.want("attach out 0 sender from 0")
	p.send(attach("out", 9, amqp10.RoleReceiver), linkFlow(9, 0, credit))
	return p, l.must(t)
}

// receiver is session, with a receiver of handle 0 here and 9 there.
func receiver(t testing.TB, o *amqpclient.ReceiverOptions) (*peer, *amqpclient.Receiver) {
	t.Helper()
	p, s := session(t, nil, nil)
	o.Name = "in"
	l := later(func() (*amqpclient.Receiver, error) { return s.Receiver(t.Context(), o) })
	p.want("attach in 0 receiver")
	a := attach("in", 9, amqp10.RoleSender)
	if o.Second {
		a.body.(*amqp10.Attach).ReceiveMode = amqp10.Some(amqp10.ReceiveSecond)
	}
	p.send(a)
	return p, l.must(t)
}

func attach(name string, handle uint32, role amqp10.Role) on {
	return on{7, &amqp10.Attach{
		Name: []byte(name), Handle: handle, Role: role, Source: amqp10.Some(amqp10.Source{}), Target: amqp10.Some(amqp10.Target{}),
		InitialDeliveryCount: amqp10.Some[uint32](0),
	}}
}

func linkFlow(handle, count, credit uint32) on {
	return on{7, &amqp10.Flow{
		NextIncomingID: amqp10.Some[uint32](1), IncomingWindow: 100, NextOutgoingID: 100, OutgoingWindow: 100,
		Handle: amqp10.Some(handle), DeliveryCount: amqp10.Some(count), LinkCredit: amqp10.Some(credit),
	}}
}

func detach(handle uint32, e *amqp10.Error) on {
	return on{7, &amqp10.Detach{Handle: handle, Closed: amqp10.Some(true), Error: e}}
}

// settled is a disposition of the peer.
func settled(role amqp10.Role, first, last uint32, state amqp10.State) on {
	return on{7, &amqp10.Disposition{Role: role, First: first, Last: amqp10.Some(last), Settled: amqp10.Some(true), State: state}}
}

// message is a transfer of the peer's by the link of handle 9.
func message(id uint32, payload string) on {
	return on{7, transfer{amqp10.Transfer{Handle: 9, DeliveryID: amqp10.Some(id), DeliveryTag: []byte{byte(id)}}, payload}}
}

var headAMQP = []byte("AMQP\x00\x01\x00\x00")

func (p *peer) read() {
	buf := make([]byte, 4<<10)
	for {
		n, err := p.nc.Read(buf)
		p.mu.Lock()
		p.got = append(p.got, buf[:n]...)
		p.closed = err != nil
		for p.stalls && err == nil {
			p.stopped.Wait()
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *peer) raw(b []byte) { p.nc.Write(b) }

// body is a performative.
type body interface{ AppendTo(dst []byte) []byte }

// transfer is a transfer with what it carries.
type transfer struct {
	amqp10.Transfer
	payload string
}

func (t transfer) AppendTo(dst []byte) []byte { return append(t.Transfer.AppendTo(dst), t.payload...) }

// on is a performative for another channel than 0.
type on struct {
	channel uint16
	body
}

// sasl is a frame of SASL.
type sasl struct{ body }

// encode returns frames as they go over the wire.
func encode(bodies ...body) (b []byte) {
	for _, body := range bodies {
		at, channel, kind := len(b), uint16(0), amqp10.FrameAMQP
		switch o := body.(type) {
		case on:
			channel = o.channel
		case sasl:
			kind = amqp10.FrameSASL
		}
		b = amqp10.CloseFrame(body.AppendTo(amqp10.OpenFrame(b, kind, channel)), at)
	}
	return b
}

// send sends frames in one write, and waits until they have had their effect.
func (p *peer) send(bodies ...body) {
	p.raw(encode(bodies...))
	synctest.Wait()
}

// want compares all that has come since the last look.
func (p *peer) want(frames ...string) {
	p.t.Helper()
	if diff := cmp.Diff(frames, p.frames()); diff != "" {
		p.t.Errorf("frames from the client (-want +got):\n%s", diff)
	}
}

// frames waits until nothing happens any more, and returns what has come since the last look.
func (p *peer) frames() (all []string) {
	p.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.got) > 0 {
		if p.got[0] == 'A' {
			all = append(all, fmt.Sprintf("AMQP %d", p.got[4]))
			p.got = p.got[8:]
			continue
		}
		f, rest, err := amqp10.SplitFrame(p.got, 1<<20)
		if err != nil {
			p.t.Fatalf("from the client: %v", err)
		}
		if f == nil {
			break
		}
		text, err := frametext.Of(f)
		if err != nil {
			p.t.Fatalf("from the client: %v\n% x", err, []byte(f))
		}
		all = append(all, text)
		p.got = rest
	}
	if p.closed {
		all = append(all, "EOF")
	}
	return all
}

// call is a call that waits.
type call[T any] struct {
	done chan struct{}
	v    T
	err  error
}

func later[T any](f func() (T, error)) *call[T] {
	c := &call[T]{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.v, c.err = f()
	}()
	return c
}

// err is later for a call that returns no more than an error.
func laterErr(f func() error) *call[struct{}] {
	return later(func() (struct{}, error) { return struct{}{}, f() })
}

// waits reports whether the call has not returned.
func (c *call[T]) waits() bool {
	synctest.Wait()
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// result waits for a minute.
func (c *call[T]) result(t testing.TB) (T, error) {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(time.Minute):
		t.Fatal("the call has not returned after a minute")
	}
	return c.v, c.err
}

func (c *call[T]) must(t testing.TB) T {
	t.Helper()
	return must[T](t)(c.result(t))
}

// gone is a context that has ended.
func gone() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// stop has the peer read no more, until the function that it returns is called.
func (p *peer) stop() (again func()) {
	p.frames()
	p.stopped.L.Lock()
	defer p.stopped.L.Unlock()
	p.stalls = true
	return func() {
		p.stopped.L.Lock()
		defer p.stopped.L.Unlock()
		p.stalls = false
		p.stopped.Broadcast()
	}
}
