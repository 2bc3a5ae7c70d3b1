package testkit

import (
	"net"

	"github.com/hubwire/hubwire/internal/pipe"
)

// Pipe returns the two ends of an in-memory connection. Unlike those of
// [net.Pipe], each direction is buffered (64 KiB), so that two ends may both
// write before they read, as over TCP. Read and write deadlines work, an end
// that is closed gives the other what was written and then [io.EOF], and a
// Write to a closed end fails. Each end has a CloseWrite method, and one that [Reset] uses.
// Traffic allocates nothing once the buffers have grown.
func Pipe() (client, server net.Conn) {
	c, s := pipe.New(pipe.Addr("client"), pipe.Addr("server"))
	c.Keep()
	return pipeEnd{c}, pipeEnd{s}
}

type pipeEnd struct{ *pipe.Conn }

// Reset is Abort, for [Reset], which closes the hub's own connections in memory, as any others.
func (p pipeEnd) Reset() { p.Abort() }
