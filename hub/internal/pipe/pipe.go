// Package pipe is a network of one process: buffered connections with
// deadlines, and a listener to accept them. It starts no goroutine, so it works
// inside testing/synctest bubbles.
package pipe

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// bufferSize is how much each direction holds before a Write waits.
const bufferSize = 64 << 10

// New returns the two ends of a connection. Each direction is buffered, so
// that both ends may write before they read, as over TCP. What was written
// before an end closed can still be read; then Read gives [io.EOF].
func New(client, server net.Addr) (c, s net.Conn) {
	up, down := newStream(), newStream()
	return &end{in: down, out: up, local: client, remote: server}, &end{in: up, out: down, local: server, remote: client}
}

// Addr is an address in memory, such as "localhost:8883".
type Addr string

// Network returns "memory".
func (Addr) Network() string { return "memory" }

// String returns the address.
func (a Addr) String() string { return string(a) }

type end struct {
	in, out       *stream
	local, remote net.Addr
}

func (e *end) Read(b []byte) (int, error)  { n, err := e.in.read(b); return n, e.wrap("read", err) }
func (e *end) Write(b []byte) (int, error) { n, err := e.out.write(b); return n, e.wrap("write", err) }
func (e *end) LocalAddr() net.Addr         { return e.local }
func (e *end) RemoteAddr() net.Addr        { return e.remote }

// wrap gives an error the form that those of sockets have.
func (e *end) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "memory", Source: e.local, Addr: e.remote, Err: err}
}

// Close ends both directions.
func (e *end) Close() error {
	e.in.close(func(s *stream) { s.readerGone, s.buf = true, nil; s.readBy.stop() })
	e.out.close(func(s *stream) { s.writerGone = true; s.writeBy.stop() })
	return nil
}

// CloseWrite ends this end's sending: the peer reads what is left, then [io.EOF].
func (e *end) CloseWrite() error {
	e.out.close(func(s *stream) { s.writerGone = true; s.writeBy.stop() })
	return nil
}

func (e *end) SetDeadline(t time.Time) error {
	return errors.Join(e.SetReadDeadline(t), e.SetWriteDeadline(t))
}
func (e *end) SetReadDeadline(t time.Time) error {
	return e.wrap("set", e.in.setDeadline(&e.in.readBy, &e.in.readerGone, t))
}
func (e *end) SetWriteDeadline(t time.Time) error {
	return e.wrap("set", e.out.setDeadline(&e.out.writeBy, &e.out.writerGone, t))
}

// stream is one direction. Its buffer is there only while it holds something.
type stream struct {
	mu         sync.Mutex
	changed    *sync.Cond
	buf        []byte
	start      int // of what is not read yet
	readerGone bool
	writerGone bool
	readBy     deadline
	writeBy    deadline
}

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
		case s.readerGone:
			return 0, net.ErrClosed
		case s.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case len(s.buf) > s.start:
			n := copy(b, s.buf[s.start:])
			if s.start += n; s.start == len(s.buf) {
				s.buf, s.start = nil, 0
			}
			s.changed.Broadcast()
			return n, nil
		case s.writerGone:
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
		case s.writerGone:
			return n, net.ErrClosed
		case s.readerGone:
			return n, io.ErrClosedPipe
		case s.writeBy.passed():
			return n, os.ErrDeadlineExceeded
		case len(b) == 0:
			return n, nil
		}
		if room := bufferSize - (len(s.buf) - s.start); room > 0 {
			if s.start > 0 && len(s.buf)+min(room, len(b)) > bufferSize {
				s.buf = append(s.buf[:0], s.buf[s.start:]...)
				s.start = 0
			}
			k := min(room, len(b))
			s.buf = append(s.buf, b[:k]...)
			b, n = b[k:], n+k
			s.changed.Broadcast()
			continue
		}
		s.changed.Wait()
	}
}

func (s *stream) close(f func(*stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
	s.changed.Broadcast()
}

// deadline is a point in time and the timer that wakes who waits for it.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

func (s *stream) setDeadline(d *deadline, gone *bool, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *gone {
		return net.ErrClosed
	}
	d.at = t
	switch left := time.Until(t); {
	case t.IsZero() || left <= 0:
		d.stop()
	case d.timer == nil:
		d.timer = time.AfterFunc(left, s.wake)
	default:
		d.timer.Reset(left)
	}
	s.changed.Broadcast() // a deadline in the past ends calls that wait already
	return nil
}

func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}
