package testkit

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipeBuffer is how much each direction of a [Pipe] holds before a Write waits.
const pipeBuffer = 64 << 10

// Pipe returns the two ends of an in-memory connection. Unlike those of
// [net.Pipe], each direction is buffered (64 KiB), so that two ends may both
// write before they read, as over TCP. Read and write deadlines work, an end
// that is closed gives the other what was written and then [io.EOF], and a
// Write to a closed end fails. Each end has a CloseWrite method, and one that [Reset] uses.
func Pipe() (client, server net.Conn) {
	up, down := newStream(), newStream()
	return &pipeEnd{in: down, out: up, name: "client"}, &pipeEnd{in: up, out: down, name: "server"}
}

type pipeEnd struct {
	in, out *stream
	name    string
}

func (p *pipeEnd) Read(b []byte) (int, error)  { return p.in.read(b) }
func (p *pipeEnd) Write(b []byte) (int, error) { return p.out.write(b) }

// Close ends both directions; what the peer has not read yet stays readable.
func (p *pipeEnd) Close() error {
	p.in.closeReader(net.ErrClosed)
	p.out.closeWriter(net.ErrClosed)
	return nil
}

// Reset ends both directions as a TCP RST does: what is under way is lost, and
// both of the peer's fail with [syscall.ECONNRESET].
func (p *pipeEnd) Reset() {
	p.in.closeWriter(syscall.ECONNRESET)
	p.out.closeReader(syscall.ECONNRESET)
	p.Close()
}

// CloseWrite ends this end's sending: the peer reads what is left, then io.EOF.
func (p *pipeEnd) CloseWrite() error {
	p.out.closeWriter(net.ErrClosed)
	return nil
}

func (p *pipeEnd) LocalAddr() net.Addr  { return pipeAddr(p.name) }
func (p *pipeEnd) RemoteAddr() net.Addr { return pipeAddr("peer of " + p.name) }

func (p *pipeEnd) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}
func (p *pipeEnd) SetReadDeadline(t time.Time) error  { return p.in.setDeadline(&p.in.readLimit, t) }
func (p *pipeEnd) SetWriteDeadline(t time.Time) error { return p.out.setDeadline(&p.out.writeLimit, t) }

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

// stream is one direction of a pipe.
type stream struct {
	mu         sync.Mutex
	changed    *sync.Cond
	buf        []byte
	readErr    error // the reading end is closed
	writeErr   error // the writing end is closed
	readLimit  deadline
	writeLimit deadline
}

// deadline is a point in time and the timer that wakes who waits for it.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newStream() *stream {
	s := new(stream)
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readErr != nil:
			return 0, s.readErr
		case s.readLimit.passed():
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case len(s.buf) > 0:
			n := copy(b, s.buf)
			s.buf = append(s.buf[:0], s.buf[n:]...)
			s.changed.Broadcast()
			return n, nil
		case s.writeErr != nil:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (s *stream) write(b []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.writeErr != nil:
			return n, s.writeErr
		case s.readErr == net.ErrClosed:
			return n, io.ErrClosedPipe
		case s.readErr != nil:
			return n, s.readErr
		case s.writeLimit.passed():
			return n, os.ErrDeadlineExceeded
		case len(b) == 0:
			return n, nil
		}
		if room := pipeBuffer - len(s.buf); room > 0 {
			k := min(room, len(b))
			s.buf = append(s.buf, b[:k]...)
			b, n = b[k:], n+k
			s.changed.Broadcast()
			continue
		}
		s.changed.Wait()
	}
}

func (s *stream) closeReader(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr == nil || err == net.ErrClosed { // what an end did itself goes before what its peer did
		s.readErr, s.buf = err, nil
	}
	s.stopTimer(&s.readLimit)
	s.changed.Broadcast()
}

func (s *stream) closeWriter(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr == nil || err == net.ErrClosed {
		s.writeErr = err
	}
	s.stopTimer(&s.writeLimit)
	s.changed.Broadcast()
}

func (s *stream) stopTimer(d *deadline) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func (s *stream) setDeadline(d *deadline, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if closed := s.closedFor(d); errors.Is(closed, net.ErrClosed) {
		return closed
	}
	s.stopTimer(d)
	d.at = t
	// None for one in the past: the race detector does not survive it when two goroutines of a bubble set timers at
	// once that are due at once (golang/go#78156).
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.changed.Broadcast()
		})
	}
	s.changed.Broadcast() // a deadline in the past ends calls that wait already
	return nil
}

// closedFor returns why the end of the stream that d belongs to is closed, or nil.
func (s *stream) closedFor(d *deadline) error {
	if d == &s.readLimit {
		return s.readErr
	}
	return s.writeErr
}
