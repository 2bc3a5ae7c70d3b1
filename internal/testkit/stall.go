package testkit

import (
	"errors"
	"net"
	"sync"
	"time"
)

// Stall is a connection that can stop in the middle of anything, as it does
// when its peer hangs, or its network has gone without a word: nothing more
// comes in, not even the end, and what is written fills the buffers (64 KiB)
// until a Write waits. Deadlines and Close work as ever.
type Stall struct {
	net.Conn
	dead net.Conn // where reads and writes end up: a pipe that nobody serves

	mu            sync.Mutex
	reads, writes passage
}

// passage is how many bytes may still pass in one direction.
type passage struct {
	stopping bool
	left     int
}

// Stallable returns nc as a [Stall] that still lets everything through.
func Stallable(nc net.Conn) *Stall {
	dead, _ := Pipe()
	return &Stall{Conn: nc, dead: dead}
}

// StopReads lets that many bytes more come in.
func (s *Stall) StopReads(after int) { s.stop(&s.reads, after) }

// StopWrites lets that many bytes more go out.
func (s *Stall) StopWrites(after int) { s.stop(&s.writes, after) }

func (s *Stall) stop(p *passage, after int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*p = passage{true, after}
}

// pass takes as many of n bytes as may pass, and reports whether none may any more.
func (s *Stall) pass(p *passage, n int) (k int, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.stopping {
		return n, false
	}
	k = min(n, p.left)
	p.left -= k
	return k, p.left == 0
}

// Read reads from the connection below. What may not pass is lost.
func (s *Stall) Read(b []byte) (int, error) {
	for {
		if _, over := s.pass(&s.reads, 0); over {
			return s.dead.Read(b)
		}
		n, err := s.Conn.Read(b)
		if k, over := s.pass(&s.reads, n); k > 0 || !over {
			return k, err
		}
	}
}

// Write writes to the connection below what may pass, and the rest to where nobody reads.
func (s *Stall) Write(b []byte) (n int, err error) {
	k, _ := s.pass(&s.writes, len(b))
	if k > 0 {
		n, err = s.Conn.Write(b[:k])
	}
	if k == len(b) || err != nil {
		return n, err
	}
	m, err := s.dead.Write(b[k:])
	return n + m, err
}

// Close closes the connection below, and ends calls that wait.
func (s *Stall) Close() error { return errors.Join(s.dead.Close(), s.Conn.Close()) }

// SetDeadline sets both deadlines.
func (s *Stall) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline sets the deadline of Read.
func (s *Stall) SetReadDeadline(t time.Time) error {
	return errors.Join(s.dead.SetReadDeadline(t), s.Conn.SetReadDeadline(t))
}

// SetWriteDeadline sets the deadline of Write.
func (s *Stall) SetWriteDeadline(t time.Time) error {
	return errors.Join(s.dead.SetWriteDeadline(t), s.Conn.SetWriteDeadline(t))
}
