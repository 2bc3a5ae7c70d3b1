package device

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

type dialFunc = func(context.Context) (net.Conn, error)

// connections are those of an [http.Transport], and the dials under way: they end with it, whatever
// net/http is at.
type connections struct {
	over context.Context
	cfg  *config
	open dialer

	renewAt atomic.Int64 // when the certificate wants new connections, in ns since 1970; 0 for never
	stale   func()       // closes the connections that no request uses

	old atomic.Int32 // connections from before that time

	mu       sync.Mutex
	all      map[*pooledConn]bool
	retired  int // how often all that there were
	dialling int
	changed  chan struct{} // closed when a dial has returned; nil while nobody waits for it
}

func (c *connections) init(over context.Context, cfg *config, open dialer, stale func()) {
	c.over, c.cfg, c.open, c.stale = over, cfg, open, stale
	c.all = make(map[*pooledConn]bool)
}

// dial opens a connection for net/http, which calls it on a goroutine of its own and with a
// context that outlasts the request's.
func (c *connections) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	if c.over.Err() != nil {
		c.mu.Unlock()
		return nil, &dialError{context.Cause(c.over)}
	}
	c.dialling++
	retired := c.retired
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ConnectTimeout)
	defer cancel()
	defer context.AfterFunc(c.over, cancel)()
	nc, err := c.callOpen(ctx, network, addr)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialling--
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
	if err == nil && c.over.Err() != nil {
		abort(nc)
		err = context.Cause(c.over)
	}
	if err != nil {
		return nil, &dialError{err}
	}
	pc := &pooledConn{Conn: nc, owner: c}
	c.all[pc] = true
	if c.retired != retired {
		c.leave(pc) // it may have shown the certificate of before
	}
	c.noteCertificate()
	return pc, nil
}

// callOpen dials. The functions of the program that are in it may panic.
func (c *connections) callOpen(ctx context.Context, network, addr string) (nc net.Conn, err error) {
	defer func() {
		if nc == nil && err == nil {
			err = errNoDial
		}
	}()
	defer contain(c.cfg.panicked)
	return c.open(ctx, network, addr)
}

var errNoDial = errors.New("device: the dial function gave neither a connection nor an error, or panicked")

// noteCertificate sets when the certificate that was just shown wants another connection.
func (c *connections) noteCertificate() {
	if end := c.cfg.certificateEnds(); !end.IsZero() {
		now := time.Now()
		if left := end.Sub(now); left > 0 {
			c.renewAt.Store(now.Add(left / 10 * 8).UnixNano())
		}
	}
}

// renew leaves the connections that were made with a certificate that is due, once no request uses them.
func (c *connections) renew() {
	at := c.renewAt.Load()
	if at != 0 && time.Now().UnixNano() >= at && c.renewAt.CompareAndSwap(at, 0) {
		c.retire()
	}
	if c.old.Load() > 0 {
		c.stale()
	}
}

// retire has renew leave the connections that there are.
func (c *connections) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired++
	for pc := range c.all {
		c.leave(pc)
	}
}

// leave marks a connection. Callers hold mu.
func (c *connections) leave(pc *pooledConn) {
	if !pc.old {
		pc.old = true
		c.old.Add(1)
	}
}

// left reports whether pc, which may be nil, is one that renew leaves.
func (c *connections) left(pc *pooledConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return pc != nil && pc.old
}

// abort closes all connections without a good-bye, which a stalled peer would hold up.
func (c *connections) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for pc := range c.all {
		abort(pc.Conn)
	}
	clear(c.all)
}

// wait reports whether all dials have returned before limit.
func (c *connections) wait(limit <-chan struct{}) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.dialling > 0 {
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
			c.mu.Lock()
		case <-limit:
			c.mu.Lock()
			return c.dialling == 0
		}
	}
	return true
}

// pooledConn is a connection of net/http's pool.
type pooledConn struct {
	net.Conn
	owner *connections
	old   bool         // it has to be left, and another made
	sent  atomic.Int64 // bytes
}

// Write gives the peer as long to read as it has to answer.
func (c *pooledConn) Write(b []byte) (int, error) {
	if d := c.owner.cfg.AckTimeout; d > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(d)); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

// Close ends the connection without a good-bye: HTTP needs none between two requests, and
// TLS would wait for a peer that does not read.
func (c *pooledConn) Close() error {
	c.owner.mu.Lock()
	if c.old && c.owner.all[c] {
		c.owner.old.Add(-1)
	}
	delete(c.owner.all, c)
	c.owner.mu.Unlock()
	return abort(c.Conn)
}

func abort(nc net.Conn) error {
	switch c := nc.(type) {
	case *tls.Conn:
		nc = c.NetConn()
	case interface{ CloseNow() error }: // a tunnel
		return c.CloseNow()
	}
	return nc.Close()
}
