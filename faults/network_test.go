package faults_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
)

// network is what every connection of a venue's clients passes through.
type network struct {
	reach func(ctx context.Context, network, addr string) (net.Conn, error) // leads to the hub
	pair  func() (client, here net.Conn, err error)

	// inspects, when not nil, makes a network that looks into TLS, like some
	// firewalls: it holds the hub's authority, for clients who trust the network's own.
	inspects *x509.CertPool
	knows    protocol // which it also knows something of

	mu      sync.Mutex
	refuse  func(context.Context) error // of each dial; nil lets it through
	prepare func(*testkit.Relay)        // each new line; nil does nothing
	tamper  func([]byte)                // with what the hub sends, where the network inspects
	lines   []*testkit.Relay
	hubs    []*speaker // of the lines on which it knows AMQP
}

// dial has the form of device.Options.Dial.
func (n *network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	refuse := n.refuse
	n.mu.Unlock()
	if refuse != nil {
		if err := refuse(ctx); err != nil {
			return nil, err
		}
	}
	there, err := n.reach(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	client, here, err := n.pair()
	if err != nil {
		there.Close()
		return nil, err
	}
	if n.inspects != nil {
		if here, there, err = n.inspect(ctx, here, there); err != nil {
			client.Close()
			return nil, err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	line := testkit.NewRelay(here, there)
	if n.prepare != nil {
		n.prepare(line)
	}
	n.lines = append(n.lines, line)
	return client, nil
}

// inspect puts TLS on both sides of a line.
func (n *network) inspect(ctx context.Context, here, there net.Conn) (net.Conn, net.Conn, error) {
	toHub := tls.Client(there, &tls.Config{RootCAs: n.inspects, ServerName: "localhost", CurvePreferences: []tls.CurveID{tls.CurveP256}})
	if err := toHub.HandshakeContext(ctx); err != nil {
		here.Close()
		there.Close()
		return nil, nil, err
	}
	toClient := tls.Server(here, &tls.Config{Certificates: []tls.Certificate{inspector()}, NextProtos: []string{"http/1.1"}})
	if n.knows.amqp {
		hub := newSpeaker(toHub, n.knows.webSocket)
		n.mu.Lock()
		defer n.mu.Unlock()
		n.hubs = append(n.hubs, hub)
		return toClient, hub, nil
	}
	return toClient, &tampered{toHub, n}, nil
}

// speak has the hub of every line there has been say something in AMQP.
func (n *network) speak(say func(*speaker)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, hub := range n.hubs {
		say(hub)
	}
}

// tampered is the hub's end of a line whose network changes what comes from there.
type tampered struct {
	*tls.Conn
	network *network
}

func (c *tampered) Read(b []byte) (int, error) {
	k, err := c.Conn.Read(b)
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.network.tamper != nil {
		c.network.tamper(b[:k])
	}
	return k, err
}

// each does something to every line there has been.
func (n *network) each(f func(*testkit.Relay)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, line := range n.lines {
		f(line)
	}
}

// dials returns how many connections there have been.
func (n *network) dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.lines)
}

// set changes how the network treats dials and lines to come.
func (n *network) set(change func(*network)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

// close ends every line, and waits for that.
func (n *network) close() {
	n.mu.Lock()
	lines := n.lines
	n.mu.Unlock()
	for _, line := range lines {
		line.Close()
	}
}

// pipePair makes connections in memory.
func pipePair() (client, here net.Conn, err error) {
	client, here = testkit.Pipe()
	return client, here, nil
}

// socketPairs makes connections over loopback sockets.
func socketPairs(t *testing.T) func() (client, here net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var one sync.Mutex
	return func() (client, here net.Conn, err error) {
		one.Lock()
		defer one.Unlock()
		if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
			return nil, nil, err
		}
		if here, err = l.Accept(); err != nil {
			client.Close()
		}
		return client, here, err
	}
}

// inspector is the certificate of networks that look into TLS, and its own authority.
var inspector = sync.OnceValue(func() tls.Certificate { return testkit.Certificate("localhost") })
