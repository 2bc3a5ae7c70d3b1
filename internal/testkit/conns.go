package testkit

import (
	"net"
	"sync"
	"sync/atomic"
)

// Rechunk returns nc with its bytes cut anew: no Read gives more than the next
// sizes() bytes, and each Write becomes several of at most sizes() bytes, as a
// network may do with any stream. A size below 1 counts as 1. sizes is never
// called twice at once.
func Rechunk(nc net.Conn, sizes func() int) net.Conn {
	return &rechunked{Conn: nc, sizes: sizes}
}

type rechunked struct {
	net.Conn
	mu    sync.Mutex // guards sizes: a connection is read and written at once
	sizes func() int
}

func (c *rechunked) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(1, c.sizes())
}

func (c *rechunked) Read(b []byte) (int, error) {
	return c.Conn.Read(b[:min(len(b), c.next())])
}

func (c *rechunked) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		k, err := c.Conn.Write(b[:min(len(b), c.next())])
		n += k
		if err != nil {
			return n, err
		}
		b = b[k:]
	}
	return n, nil
}

// Hole is a connection that can lose what passes through it: a cut cable, a
// dropped NAT entry, a server that accepts and never answers. Deadlines and
// Close work as those of the connection below.
type Hole struct {
	net.Conn
	reads, writes atomic.Bool
}

// BlackHole returns nc as a [Hole] that still lets everything through.
func BlackHole(nc net.Conn) *Hole { return &Hole{Conn: nc} }

// SwallowReads switches whether what the peer sends is lost: a Read then waits
// on until its deadline, Close, or the end of the connection below. What no
// Read takes while it is on is not lost, and comes when it is off again.
func (h *Hole) SwallowReads(on bool) { h.reads.Store(on) }

// SwallowWrites switches whether what is written is lost: a Write then says
// that all is well, and nothing leaves.
func (h *Hole) SwallowWrites(on bool) { h.writes.Store(on) }

// Swallow switches both directions.
func (h *Hole) Swallow(on bool) {
	h.SwallowReads(on)
	h.SwallowWrites(on)
}

// Read reads from the connection below, unless reads are swallowed.
func (h *Hole) Read(b []byte) (int, error) {
	for {
		n, err := h.Conn.Read(b)
		if err != nil || !h.reads.Load() || len(b) == 0 {
			return n, err
		}
	}
}

// Write writes to the connection below, unless writes are swallowed.
func (h *Hole) Write(b []byte) (int, error) {
	if h.writes.Load() {
		return len(b), nil
	}
	return h.Conn.Write(b)
}
