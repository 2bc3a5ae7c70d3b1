package hub

import (
	"net"
	"sync"
)

// gate is a listener that lets in so many strangers at a time: connections
// whose peers have not proven who they are. The next one waits, and those behind
// it are not accepted, so peers that are slow on purpose cost no more than that,
// and each is dropped in its time. The service has such bounds and does not
// document them; here nobody is refused.
type gate struct {
	net.Listener
	strangers chan struct{} // holds one for each; shared by the listeners of a door
	closed    chan struct{}
	once      sync.Once
}

func newGate(l net.Listener, strangers chan struct{}) *gate {
	return &gate{Listener: l, strangers: strangers, closed: make(chan struct{})}
}

// Accept returns the next connection when there is room for one more stranger.
func (g *gate) Accept() (net.Conn, error) {
	nc, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	select {
	case g.strangers <- struct{}{}:
		return &guest{nc, sync.OnceFunc(func() { <-g.strangers })}, nil
	case <-g.closed:
		nc.Close()
		return nil, net.ErrClosed
	}
}

func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Listener.Close()
}

// guest is a connection that came through a gate: a stranger until the front
// that serves it calls Admit.
type guest struct {
	net.Conn
	leave func()
}

// Admit says that the peer is no stranger any more.
func (g *guest) Admit() { g.leave() }

func (g *guest) Close() error {
	g.leave()
	return g.Conn.Close()
}
