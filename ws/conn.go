package ws

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

const (
	// readAhead is how much of a message the pump takes before a Read asks for it: a multiple of a mask's 4 bytes.
	readAhead = 4 << 10

	// closeGrace is how long a stalled peer can hold up the close frame and the
	// TLS goodbye before the connection below is cut.
	closeGrace = 250 * time.Millisecond
)

// conn is the tunnel as a net.Conn.
//
// The library below ends a connection whenever a call on it is cut short, also
// by a deadline. So a goroutine, pump, makes the calls that read, without any
// deadline, and Read waits for what it brings. pump is also the only one that
// closes the library's connection.
type conn struct {
	ws     *websocket.Conn
	raw    net.Conn // carries the frames: TCP, TLS or a pipe
	tap    *tap     // how the library reads raw
	pumped chan struct{}

	frames chan struct{}          // full while a message is written, or a pong
	owed   atomic.Pointer[[]byte] // the payload of a ping that is to be answered
	pongs  sync.WaitGroup         // who writes those; pump waits for them

	mu       sync.Mutex
	changed  *sync.Cond
	buf      []byte // what pump has read and Read has not; pump waits while there is some
	err      error  // why there will be no more
	closed   bool   // Close was called
	readAt   time.Time
	readWake *time.Timer
	writeAt  time.Time
	writers  int // calls of Write at work: raw has a write deadline only for them
}

// start makes c a tunnel over ws, which reads through t and tells c.pinged of pings.
func (c *conn) start(ws *websocket.Conn, t *tap) {
	ws.SetReadLimit(-1)
	c.ws, c.raw, c.tap = ws, t.Conn, t
	c.pumped, c.frames = make(chan struct{}), make(chan struct{}, 1)
	c.changed = sync.NewCond(&c.mu)
	t.ready = true
	go c.pump()
}

func (c *conn) LocalAddr() net.Addr  { return c.raw.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// NetConn returns what carries the frames, to look at.
func (c *conn) NetConn() net.Conn { return c.raw }

// Read gives bytes as they come, whatever messages they were in.
func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case passed(c.readAt):
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case len(c.buf) > 0:
			n := copy(p, c.buf)
			if c.buf = c.buf[n:]; len(c.buf) == 0 {
				c.changed.Broadcast()
			}
			return n, nil
		case c.err != nil:
			return 0, c.err
		}
		c.changed.Wait()
	}
}

// Write sends p as one binary message; an empty p sends nothing.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.startWrite(); err != nil {
		return 0, err
	}
	defer c.endWrite()
	if len(p) == 0 {
		return 0, nil
	}
	c.frames <- struct{}{}
	err := c.ws.Write(context.Background(), websocket.MessageBinary, p)
	<-c.frames
	c.pong()
	switch {
	case err == nil:
		return len(p), nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, os.ErrDeadlineExceeded
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return 0, cmp.Or(c.whyClosed(), err)
}

func (c *conn) startWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.whyClosed(); err != nil {
		return err
	}
	if passed(c.writeAt) {
		return os.ErrDeadlineExceeded
	}
	c.writers++
	if !c.writeAt.IsZero() {
		_ = c.raw.SetWriteDeadline(c.writeAt) // when it fails, so does the write
	}
	return nil
}

func (c *conn) endWrite() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writers--
	if c.writers == 0 && !c.writeAt.IsZero() {
		// Else the deadline of this Write would cut the answer to a later ping.
		_ = c.raw.SetWriteDeadline(time.Time{})
	}
}

// whyClosed is what a Write gives when no more can be written, and else nil. It
// is called with mu held.
func (c *conn) whyClosed() error {
	frame, ok := errors.AsType[*CloseError](c.err)
	switch {
	case ok && !c.closed:
		return frame
	case c.closed || c.err != nil:
		return net.ErrClosed
	}
	return nil
}

func (c *conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Close sends a close frame, closes what is below, and waits for pump. What the
// peer does not take within closeGrace is lost.
func (c *conn) Close() error {
	if c.startClose() {
		defer c.cutAfterGrace()()
		_ = c.raw.SetReadDeadline(time.Unix(1, 0)) // ends pump's call
	}
	<-c.pumped
	return nil
}

// CloseNow cuts the connection without a word to the peer, also one that a
// Close is about to take leave of, and waits for pump.
func (c *conn) CloseNow() error {
	c.startClose()
	bottom(c.raw).Close()
	<-c.pumped
	return nil
}

// startClose ends the calls of Read, and reports whether it is the first to do so.
func (c *conn) startClose() (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first = !c.closed
	c.closed = true
	if first && c.readWake != nil {
		c.readWake.Stop()
	}
	c.changed.Broadcast()
	return first
}

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline bounds Read, also one that waits already. Zero means no bound.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.readAt = t
	switch {
	case t.IsZero():
		if c.readWake != nil {
			c.readWake.Stop()
		}
	case c.readWake == nil:
		c.readWake = time.AfterFunc(time.Until(t), c.wake)
	default:
		c.readWake.Reset(time.Until(t))
	}
	if passed(t) {
		c.changed.Broadcast()
	}
	return nil
}

func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed.Broadcast()
}

// SetWriteDeadline bounds Write, also one that waits already. Zero means no bound.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.writeAt = t
	if c.writers > 0 {
		return c.raw.SetWriteDeadline(t)
	}
	return nil
}

func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// bottom returns the connection below any TLS, whose Close would wait for the peer.
func bottom(nc net.Conn) net.Conn {
	for {
		over, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nc
		}
		nc = over.NetConn()
	}
}

// cutAfterGrace closes the bottom after closeGrace: nothing that writes, or waits
// to, outlives that. The func it returns calls this off, or waits until it is done.
func (c *conn) cutAfterGrace() (stop func()) {
	bottom := bottom(c.raw)
	done := make(chan struct{})
	timer := time.AfterFunc(closeGrace, func() {
		bottom.Close()
		close(done)
	})
	return func() {
		if !timer.Stop() {
			<-done
		}
	}
}
