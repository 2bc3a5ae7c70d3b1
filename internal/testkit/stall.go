package testkit

import (
	"errors"
	"net"
	"sync"
	"time"
)

// Stall is a connection that can stop in the middle of anything, as it does
// when its peer hangs, or its network has gone without a word: nothing more
// comes in, and what is written fills the buffers (64 KiB) until a Write waits.
// Deadlines and Close work as ever.
type Stall struct {
	net.Conn
	full net.Conn // where writes end up: a pipe that nobody reads

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
	full, _ := Pipe()
	return &Stall{Conn: nc, full: full}
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

// pass takes as many of n bytes as may pass.
func (s *Stall) pass(p *passage, n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.stopping {
		return n
	}
	n = min(n, p.left)
	p.left -= n
	return n
}

// Read reads from the connection below. What may not pass is lost.
func (s *Stall) Read(b []byte) (int, error) {
	for {
		n, err := s.Conn.Read(b)
		if n = s.pass(&s.reads, n); n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
	}
}

// Write writes to the connection below what may pass, and the rest to where nobody reads.
func (s *Stall) Write(b []byte) (int, error) {
	k := s.pass(&s.writes, len(b))
	n := 0
	if k > 0 {
		var err error
		if n, err = s.Conn.Write(b[:k]); err != nil {
			return n, err
		}
	}
	if k == len(b) {
		return n, nil
	}
	m, err := s.full.Write(b[k:])
	return n + m, err
}

// Close closes the connection below, and ends a Write that waits.
func (s *Stall) Close() error { return errors.Join(s.full.Close(), s.Conn.Close()) }

// SetDeadline sets both deadlines.
func (s *Stall) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetWriteDeadline sets the deadline of Write.
func (s *Stall) SetWriteDeadline(t time.Time) error {
	return errors.Join(s.full.SetWriteDeadline(t), s.Conn.SetWriteDeadline(t))
}
