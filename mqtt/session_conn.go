package mqtt

import (
	"fmt"
	"net"
)

// kill gives a connection up: whoever reads or writes returns. The first reason
// stays. Closing, which may take a net.Conn its time, has a goroutine of its own, as
// whoever calls has a context or a limit to keep.
func (s *Session) kill(l *link, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.dead == nil {
		l.dead, l.up = why, false
		s.helpers++
		go s.abort(l.nc)
	}
	s.changed.Broadcast()
}

func (s *Session) abort(nc net.Conn) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.helpers--
		s.changed.Broadcast()
	}()
	defer s.contain()
	abort(nc)
}

// abort closes nc without a word to the peer, which may have stopped reading:
// the close_notify of TLS, or the closing handshake of a WebSocket, would wait for it.
func abort(nc net.Conn) {
	defer nc.Close() // also when the others panic
	switch c := nc.(type) {
	case interface{ CloseNow() error }:
		c.CloseNow()
	case interface{ NetConn() net.Conn }:
		c.NetConn().Close()
	}
}

// goodbye says, where the connection has a way to, that this was all: after
// close_notify, FIN or a close frame a server knows that nothing was cut off. It may
// wait for the server; abort ends that.
func (s *Session) goodbye(nc net.Conn) {
	defer s.contain()
	switch c := nc.(type) { // nothing depends on it
	case interface{ CloseWrite() error }:
		_ = c.CloseWrite()
	case interface{ CloseNow() error }:
		_ = nc.Close() // which is the polite way, then
	}
}

// contained is the net.Conn of a DialFunc: a panic in it costs the connection,
// and not the program.
type contained struct {
	net.Conn
	s *Session
}

func (c *contained) Read(b []byte) (n int, err error) {
	defer c.recovered(&n, &err)
	return c.Conn.Read(b)
}

func (c *contained) Write(b []byte) (n int, err error) {
	defer c.recovered(&n, &err)
	return c.Conn.Write(b)
}

// recovered is deferred by both.
func (c *contained) recovered(n *int, err *error) {
	if v := recover(); v != nil {
		c.s.reportPanic(v)
		*n, *err = 0, fmt.Errorf("mqtt: the net.Conn panicked: %v", v)
	}
}

// trace is the caller's, contained.
func (s *Session) trace() *Trace {
	if s.o.Trace == nil {
		return nil
	}
	contained := func(see func(Packet)) func(Packet) {
		if see == nil {
			return nil
		}
		return func(p Packet) {
			defer s.contain()
			see(p)
		}
	}
	return &Trace{Received: contained(s.o.Trace.Received), Sent: contained(s.o.Trace.Sent)}
}
