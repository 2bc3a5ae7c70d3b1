package links

import (
	"fmt"
	"net"
	"sync/atomic"

	"github.com/hubwire/hubwire/internal/dialled"
)

// guarded is the net.Conn that Dial gave. A panic in one of its methods, or in those of its errors, costs the
// connection, and nothing else; and how long it takes to close holds up nobody but [Conn.Close].
type guarded struct {
	net.Conn
	c      *Conn
	closed atomic.Bool
}

func (g *guarded) Read(b []byte) (n int, err error) {
	defer g.contain(&err)
	if n, err = g.Conn.Read(b); n < 0 || n > len(b) {
		return 0, fmt.Errorf("links: the net.Conn read %d bytes into %d", n, len(b))
	}
	return n, dialled.Sound(err)
}

func (g *guarded) Write(b []byte) (n int, err error) {
	defer g.contain(&err)
	n, err = g.Conn.Write(b)
	return n, dialled.Sound(err)
}

// Close closes the connection on a goroutine of the Conn's.
func (g *guarded) Close() error {
	g.close(func() { g.Conn.Close() })
	return nil
}

// CloseNow is Close for a peer that may not be waited for. See [amqpclient.Open].
func (g *guarded) CloseNow() error {
	g.close(func() { dialled.Abort(g.Conn) })
	return nil
}

func (g *guarded) close(f func()) {
	if g.closed.Swap(true) {
		return
	}
	g.c.mu.Lock()
	defer g.c.mu.Unlock()
	g.c.startLocked(func() {
		defer g.contain(new(error))
		f()
	})
}

func (g *guarded) contain(err *error) {
	if v := recover(); v != nil {
		g.c.panickedBeside(v)
		*err = fmt.Errorf("links: the net.Conn panicked: %v", v)
	}
}
