package links

import (
	"fmt"
	"net"
)

// guarded is the net.Conn that Dial gave. A panic in one of its methods costs the connection, and nothing else.
type guarded struct {
	net.Conn
	c *Conn
}

func (g *guarded) Read(b []byte) (n int, err error) {
	defer g.contain(&err)
	if n, err = g.Conn.Read(b); n < 0 || n > len(b) {
		return 0, fmt.Errorf("links: the net.Conn read %d bytes into %d", n, len(b))
	}
	return n, err
}

func (g *guarded) Write(b []byte) (n int, err error) {
	defer g.contain(&err)
	return g.Conn.Write(b)
}

func (g *guarded) Close() (err error) {
	defer g.contain(&err)
	return g.Conn.Close()
}

// CloseNow is Close for a peer that may not be waited for. See [amqpclient.Open].
func (g *guarded) CloseNow() (err error) {
	defer g.contain(&err)
	switch nc := g.Conn.(type) {
	case interface{ CloseNow() error }:
		return nc.CloseNow()
	case interface{ NetConn() net.Conn }:
		return nc.NetConn().Close()
	}
	return nil
}

func (g *guarded) contain(err *error) {
	if v := recover(); v != nil {
		g.c.panicked(v)
		*err = fmt.Errorf("links: the net.Conn panicked: %v", v)
	}
}
