package service_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/service"
	"github.com/hubwire/hubwire/ws"
)

// peer is a server of AMQP that lets everybody in and does with their links as a test wants.
type peer struct {
	t *testing.T
	*testkit.Listener
	serving sync.WaitGroup

	// unreachable has the dial to an address fail.
	unreachable func(addr string) bool
	// refuse has an error for each attach to an address that is not let in.
	refuse func(address string) *amqp10.Error
	// messages are what a link from an address brings, which asks for them from a place on.
	messages func(address string, from amqp.Start) [][]byte
	// sent is called when a message is, with mu held, and may have ended what it came over.
	sent func(l *amqpserver.Link)
	// settle is what becomes of messages; accepted, if nil.
	settle func(*amqpserver.Delivery)
	// put is told of each token that is put, with mu held.
	put func(amqp.PutToken)
	// web has AMQP come through WebSockets.
	web bool
	// unsettled has messages that need a settlement, whatever the client wants.
	unsettled bool

	mu       sync.Mutex
	conns    []*amqpserver.Conn
	dials    []string
	attaches []string
	outcomes []amqp10.Descriptor // of the messages, but those of $cbs
}

// withPeer runs a test with a peer in a bubble, and a Client of it.
func withPeer(t *testing.T, p *peer, test func(t *testing.T, p *peer, c *service.Client)) {
	synctest.Test(t, func(t *testing.T) {
		testkit.LeakCheck(t)
		p.t, p.Listener = t, testkit.NewListener()
		p.serving.Go(p.accept)
		t.Cleanup(p.stop)
		c, err := service.New(connectionString, &service.Options{Dial: p.dial, TLSConfig: &tls.Config{RootCAs: authority}})
		if err != nil {
			t.Fatal(err)
		}
		closedInTheEnd(t, c)
		test(t, p, c)
	})
}

func (p *peer) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	p.mu.Lock()
	p.dials = append(p.dials, addr)
	p.mu.Unlock()
	if p.unreachable != nil && p.unreachable(addr) {
		return nil, errors.New("nobody is there")
	}
	return p.Dial(ctx)
}

func (p *peer) accept() {
	if p.web {
		p.acceptWeb()
		return
	}
	for {
		raw, err := p.Accept()
		if err != nil {
			return
		}
		p.serve(tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{certificate}}), raw)
	}
}

// acceptWeb is accept behind a server of HTTPS.
func (p *peer) acceptWeb() {
	server := http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if nc, _, err := ws.Accept(w, r, ws.AMQP); err != nil {
			p.t.Error(err)
		} else {
			p.serve(nc, nc)
		}
	})}
	if err := server.Serve(tls.NewListener(p, &tls.Config{Certificates: []tls.Certificate{certificate}})); !errors.Is(err, net.ErrClosed) {
		p.t.Errorf("the server of WebSockets: %v", err)
	}
}

// serve serves a connection that stands, and its raw one below.
func (p *peer) serve(nc, raw net.Conn) {
	server := amqpserver.NewServer(&amqpserver.Config{Mechanisms: []string{"ANONYMOUS"}})
	var cbs *answers
	c := server.NewConn(nc, raw, &amqpserver.Handler{
		Receiver: func(a *amqpserver.Attach) (amqpserver.Receiver, *amqp10.Error) {
			address := textOf(a.Peer.Target.Value.Address)
			return accepting{func(d *amqpserver.Delivery) {
				switch {
				case address == "$cbs":
					d.Settle(amqp10.Accepted())
					cbs.say(d.Message)
				case p.settle != nil:
					p.settle(d)
				default:
					d.Settle(amqp10.Accepted())
				}
			}}, p.attached(address)
		},
		Sender: func(a *amqpserver.Attach) (amqpserver.Sender, *amqp10.Error) {
			address := textOf(a.Peer.Source.Value.Address)
			n := &answers{p: p, link: a.Link, cbs: address == "$cbs"}
			if n.cbs {
				cbs = n
			} else if p.messages != nil {
				from, _, err := amqp.ParseFilter(a.Peer.Source.Value.Filter)
				if err != nil {
					p.t.Error(err)
				}
				n.queue = p.messages(address, from)
			}
			if p.unsettled && !n.cbs {
				a.Reply.SendMode = amqp10.Some(amqp10.SendUnsettled)
			}
			return n, p.attached(address)
		},
	})
	p.mu.Lock()
	p.conns = append(p.conns, c)
	p.mu.Unlock()
	p.serving.Go(func() { _ = c.Serve() })
}

func textOf(v amqp10.Value) string {
	s, _ := v.Text()
	return string(s)
}

func (p *peer) attached(address string) *amqp10.Error {
	if address == "$cbs" {
		return nil
	}
	p.mu.Lock()
	p.attaches = append(p.attaches, address)
	p.mu.Unlock()
	if p.refuse == nil {
		return nil
	}
	return p.refuse(address)
}

func (p *peer) stop() {
	p.Listener.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		c.Cut()
	}
	p.mu.Unlock()
	p.serving.Wait()
}

// accepting is a node that is sent to.
type accepting struct{ deliver func(*amqpserver.Delivery) }

func (accepting) Detached(error) {}

func (n accepting) Deliver(d *amqpserver.Delivery) { n.deliver(d) }

// answers sends what is in its queue.
type answers struct {
	p     *peer
	link  *amqpserver.Link
	cbs   bool
	mu    sync.Mutex
	queue [][]byte
}

// say answers a request with 200.
func (n *answers) say(request []byte) {
	m, err := amqp.ParseMessage(request)
	if err != nil {
		n.p.t.Error(err)
	}
	if n.p.put != nil {
		put, err := amqp.ParsePutToken(&m)
		if err != nil {
			n.p.t.Error(err)
		}
		n.p.mu.Lock()
		n.p.put(put)
		n.p.mu.Unlock()
	}
	ok := amqp.NewResponse(m.MessageID(), nil)
	n.mu.Lock()
	n.queue = append(n.queue, amqp.AppendResponse(nil, &ok))
	n.mu.Unlock()
	n.link.Wake()
}

func (n *answers) Detached(error) {}

func (n *answers) Next(dst []byte) ([]byte, amqpserver.Outgoing, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) == 0 {
		return dst, amqpserver.Outgoing{}, false
	}
	dst = append(dst, n.queue[0]...)
	n.queue = n.queue[1:]
	if n.p.sent != nil && !n.cbs {
		n.p.mu.Lock()
		defer n.p.mu.Unlock()
		n.p.sent(n.link)
	}
	return dst, amqpserver.Outgoing{}, true
}

func (n *answers) Settled(_ uint64, state amqp10.State, _ bool) amqp10.State {
	n.p.mu.Lock()
	defer n.p.mu.Unlock()
	if n.cbs {
		return amqp10.Accepted()
	}
	n.p.outcomes = append(n.p.outcomes, state.Kind())
	return amqp10.Accepted()
}
