package mqtt

import (
	"errors"
	"fmt"
	"net"

	"github.com/hubwire/hubwire/internal/dialled"
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
	dialled.Abort(nc)
}

// goodbye says, where the connection has a way to, that this was all: after
// close_notify, FIN or a close frame a server knows that nothing was cut off. It may
// wait for the server; abort ends that.
func (s *Session) goodbye(nc net.Conn) {
	defer s.containBeside()
	switch c := nc.(type) { // nothing depends on it
	case interface{ CloseWrite() error }:
		_ = c.CloseWrite()
	case interface{ CloseNow() error }:
		_ = nc.Close() // which is the polite way, then
	}
}

// buffered reports whether what is written to nc goes, through TLS or not, to a buffer such as that of a socket.
func buffered(nc net.Conn) bool {
	for {
		switch c := nc.(type) {
		case interface{ SetWriteBuffer(bytes int) error }:
			return true
		case interface{ NetConn() net.Conn }:
			nc = c.NetConn()
		default:
			return false
		}
	}
}

// look calls the methods of err, which a net.Conn returned, where a panic of theirs is contained:
// a nil pointer that became an error has such.
func look(err error) error {
	if err != nil {
		_ = errors.Is(err, ErrProtocol)
	}
	return err
}

// connPanicked, deferred, makes a panic in a method of the DialFunc's net.Conn an
// error: it costs the connection, and not the program.
func (s *Session) connPanicked(err *error) {
	if v := recover(); v != nil {
		s.reportBeside(v)
		*err = fmt.Errorf("mqtt: the net.Conn panicked: %v", v)
	}
}
