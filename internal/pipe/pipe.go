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
	"syscall"
	"time"
)

// bufferSize is how much each direction holds before a Write waits.
const bufferSize = 64 << 10

// New returns the two ends of a connection. Each direction is buffered, so
// that both ends may write before they read, as over TCP. What was written
// before an end closed can still be read; then Read gives [io.EOF].
func New(client, server net.Addr) (c, s *Conn) {
	up, down := newStream(), newStream()
	return &Conn{in: down, out: up, local: client, remote: server}, &Conn{in: up, out: down, local: server, remote: client}
}

// Addr is an address in memory, such as "localhost:8883".
type Addr string

// Network returns "memory".
func (Addr) Network() string { return "memory" }

// String returns the address.
func (a Addr) String() string { return string(a) }

// Conn is one end of a connection: a [net.Conn]. Its errors have the form that those of sockets have.
type Conn struct {
	in, out       *stream
	local, remote net.Addr
}

// Read reads what the peer has written, and waits for some.
func (c *Conn) Read(b []byte) (int, error) { n, err := c.in.read(b); return n, c.wrap("read", err) }

// Write waits until there is room for all of b. When the peer has closed, the error is [io.ErrClosedPipe].
func (c *Conn) Write(b []byte) (int, error) { n, err := c.out.write(b); return n, c.wrap("write", err) }

// LocalAddr returns the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// wrap gives an error the form that those of sockets have.
func (c *Conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "memory", Source: c.local, Addr: c.remote, Err: err}
}

// Close ends both directions; what the peer has not read yet stays readable.
func (c *Conn) Close() error {
	c.in.closeReader(net.ErrClosed)
	c.out.closeWriter(net.ErrClosed)
	return nil
}

// CloseWrite ends this end's sending: the peer reads what is left, then [io.EOF].
func (c *Conn) CloseWrite() error {
	c.out.closeWriter(net.ErrClosed)
	return nil
}

// Abort ends both directions as a TCP RST does: what is under way is lost, and
// both of the peer's fail with [syscall.ECONNRESET].
func (c *Conn) Abort() {
	c.in.closeWriter(syscall.ECONNRESET)
	c.out.closeReader(syscall.ECONNRESET)
	c.Close()
}

// Keep has both directions keep their buffers when these are empty, for who counts what traffic allocates.
func (c *Conn) Keep() {
	c.in.setKeep()
	c.out.setKeep()
}

// SetWriteBuffer shows, as that of a socket, that there is a buffer. It changes nothing.
func (c *Conn) SetWriteBuffer(int) error { return nil }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets when Read gives up, with [os.ErrDeadlineExceeded].
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.wrap("set", c.in.setDeadline(&c.in.readBy, &c.in.readErr, t))
}

// SetWriteDeadline sets when Write gives up, with [os.ErrDeadlineExceeded].
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.wrap("set", c.out.setDeadline(&c.out.writeBy, &c.out.writeErr, t))
}

// stream is one direction. Its buffer is there only while it holds something, unless it is to be kept.
type stream struct {
	mu       sync.Mutex
	changed  *sync.Cond
	buf      []byte
	start    int // of what is not read yet
	keep     bool
	readErr  error // the reading end is closed
	writeErr error // the writing end is closed
	readBy   deadline
	writeBy  deadline
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
		case s.readErr != nil:
			return 0, s.readErr
		case s.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case len(s.buf) > s.start:
			n := copy(b, s.buf[s.start:])
			if s.start += n; s.start == len(s.buf) {
				s.empty()
			}
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

// empty gives up what has been read.
func (s *stream) empty() {
	s.start = 0
	if s.buf = s.buf[:0]; !s.keep {
		s.buf = nil
	}
}

func (s *stream) setKeep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep = true
}

func (s *stream) closeReader(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr == nil || err == net.ErrClosed { // what an end did itself goes before what its peer did
		s.readErr, s.buf, s.start = err, nil, 0
	}
	s.readBy.stop()
	s.changed.Broadcast()
}

func (s *stream) closeWriter(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr == nil || err == net.ErrClosed {
		s.writeErr = err
	}
	s.writeBy.stop()
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

// setDeadline sets a deadline of the end that is closed when *closed says so.
func (s *stream) setDeadline(d *deadline, closed *error, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *closed == net.ErrClosed {
		return net.ErrClosed
	}
	d.at = t
	// No timer for one in the past: the race detector does not survive it when two goroutines of a bubble set timers
	// at once that are due at once (golang/go#78156).
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
