// Package dialled keeps what a program's dial function returns to what a net.Conn promises, and its TLS configuration
// from panics, for who builds on it: crypto/tls, net/http and the WebSocket library run on goroutines of their own, where a
// panic ends the program, and wait for a Close, whatever time it takes.
package dialled

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire/internal/goroutine"
)

// Conns are the connections of one client. The zero value is ready for use, and a nil one is that of nobody.
type Conns struct {
	// Panicked is told of panics that were contained; nil for nobody. It runs on a goroutine of its own, as it may
	// close the client, which waits for who reads or writes.
	Panicked func(value any, stack []byte)

	mu      sync.Mutex
	pending int             // calls of Close, of Panicked, and of what [conn.apart] has made, that Wait waits for
	telling map[uint64]bool // the goroutines of Panicked among them
	changed chan struct{}   // closed when there are none any more; nil while nobody waits for it
}

const (
	// maxEmptyReads is how often in a row a connection may return neither bytes nor an error: crypto/tls asks for ever.
	maxEmptyReads = 100

	// closeGrace is how long a connection over another may take to close, before the one below is closed:
	// TLS to a proxy waits for seconds for a peer that does not read.
	closeGrace = 250 * time.Millisecond
)

// Wrap returns nc with methods that do not panic, return errors that do not either, and tell of bytes as [io.Reader] and
// [io.Writer] have it. Close lets go who reads or writes, and returns at once: nc is closed on a goroutine
// of its own, for which [Conns.Wait] waits. Of a nil Conns, Close closes nc itself. What somebody's Conns have wrapped, and nil, stay
// as they are; what a nil one has becomes c's.
//
// There is no NetConn, as nobody is to get by; SetWriteBuffer, which does nothing, shows that nc has a buffer, or what it runs over.
func (c *Conns) Wrap(nc net.Conn) net.Conn {
	had, ok := nc.(*conn)
	if b, is := nc.(buffered); is {
		had, ok = b.conn, true
	}
	switch {
	case nc == nil, ok && (had.of != nil || c == nil):
		return nc
	case ok: // as of a ws.ProxyDialer that is a program's dial function
		nc = had.Conn
	}
	made := &conn{Conn: nc, of: c}
	if made.noDeadlines() {
		made.gone = make(chan struct{})
	}
	if made.hasBuffer() {
		return buffered{made}
	}
	return made
}

// Wait reports whether all connections that were closed are so before limit, and all calls of Panicked have returned,
// but for those that are in Wait themselves.
func (c *Conns) Wait(limit <-chan struct{}) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.telling) > 0 {
		c.toldLocked(goroutine.ID())
	}
	for c.pending > 0 {
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
			c.mu.Lock()
		case <-limit:
			c.mu.Lock()
			return c.pending == 0
		}
	}
	return true
}

func (c *Conns) start(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending++
	go func() {
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.endedLocked()
		}()
		f()
	}()
}

func (c *Conns) endedLocked() {
	if c.pending--; c.pending == 0 && c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// tell has Panicked called.
func (c *Conns) tell(value any, stack []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending++
	go func() {
		id := goroutine.ID()
		c.mu.Lock()
		if c.telling == nil {
			c.telling = map[uint64]bool{}
		}
		c.telling[id] = true
		c.mu.Unlock()
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.toldLocked(id)
		}()
		c.Panicked(value, stack)
	}()
}

// contained makes err, which may be nil, that of a panic of what, and tells of it.
func (c *Conns) contained(value any, what string, err *error) {
	if err != nil {
		*err = fmt.Errorf("%s panicked: %v", what, value)
	}
	if c != nil && c.Panicked != nil {
		c.tell(value, debug.Stack())
	}
}

// toldLocked has Wait not wait any more for a goroutine, if that is one that calls Panicked.
func (c *Conns) toldLocked(id uint64) {
	if c.telling[id] {
		delete(c.telling, id)
		c.endedLocked()
	}
}

// conn is a connection that is wrapped.
type conn struct {
	net.Conn
	of     *Conns
	empty  int // reads in a row
	closed atomic.Bool
	gone   chan struct{} // closed by Close; nil where deadlines let go who waits
}

// buffered is one whose writes go to a buffer.
type buffered struct{ *conn }

func (buffered) SetWriteBuffer(int) error { return nil }

func (c *conn) Read(b []byte) (n int, err error) {
	defer c.contain(&err)
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err = c.read(b)
	switch {
	case n < 0 || n > len(b):
		return 0, fmt.Errorf("the net.Conn read %d bytes into %d", n, len(b))
	case n > 0 || err != nil || len(b) == 0:
		c.empty = 0
	default:
		if c.empty++; c.empty >= maxEmptyReads {
			return 0, io.ErrNoProgress
		}
	}
	return n, c.ended(err)
}

func (c *conn) Write(b []byte) (n int, err error) {
	defer c.contain(&err)
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err = c.write(b)
	switch {
	case n < 0 || n > len(b):
		return 0, fmt.Errorf("the net.Conn wrote %d bytes of %d", n, len(b))
	case n < len(b) && err == nil:
		err = io.ErrShortWrite // or what comes next would be taken for the rest
	}
	return n, c.ended(err)
}

// ended is err of a read or a write. The deadline by which Close lets those go is no time-out.
func (c *conn) ended(err error) error {
	err = Sound(err)
	if c.closed.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		return net.ErrClosed
	}
	return err
}

func (c *conn) read(b []byte) (int, error) {
	if c.gone == nil {
		return c.Conn.Read(b)
	}
	own := make([]byte, len(b))
	n, err := c.apart(c.Conn.Read, own)
	copy(b, own[:max(0, min(n, len(own)))])
	return n, err
}

func (c *conn) write(b []byte) (int, error) {
	if c.gone == nil {
		return c.Conn.Write(b)
	}
	return c.apart(c.Conn.Write, bytes.Clone(b))
}

// apart calls f on a goroutine, which is left to itself when c is closed: a tunnel through SSH has no deadlines, and its
// Close waits for the same peer as a Write.
func (c *conn) apart(f func([]byte) (int, error), b []byte) (int, error) {
	var n int
	var err error
	done := make(chan struct{})
	call := func() {
		defer close(done)
		defer c.contain(&err)
		n, err = f(b)
	}
	if c.of != nil {
		c.of.start(call)
	} else {
		go call()
	}
	select {
	case <-done:
		return n, err
	case <-c.gone:
		return 0, net.ErrClosed
	}
}

// Close closes the connection once.
func (c *conn) Close() error {
	switch {
	case c.closed.Swap(true):
		return net.ErrClosed
	case c.gone != nil:
		close(c.gone)
	}
	if c.of == nil {
		return c.shut()
	}
	c.of.start(func() { _ = c.shut() })
	return nil
}

func (c *conn) shut() (err error) {
	defer c.contain(&err)
	c.letGo()
	if below := c.bottom(); below != nil {
		defer time.AfterFunc(closeGrace, func() {
			defer c.contain(nil)
			below.Close()
		}).Stop()
	}
	return Sound(c.Conn.Close())
}

// letGo has who reads or writes return, should closing take its time.
func (c *conn) letGo() {
	defer c.contain(nil)
	_ = c.Conn.SetDeadline(past)
}

func (c *conn) SetDeadline(t time.Time) error      { return c.set(c.Conn.SetDeadline, t) }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.set(c.Conn.SetReadDeadline, t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.set(c.Conn.SetWriteDeadline, t) }

func (c *conn) set(deadline func(time.Time) error, t time.Time) (err error) {
	defer c.contain(&err)
	if c.closed.Load() {
		return net.ErrClosed
	}
	err = deadline(t)
	c.stayClosed()
	return Sound(err)
}

// stayClosed undoes a deadline that was set in the moment of Close.
func (c *conn) stayClosed() {
	if c.closed.Load() {
		c.letGo()
	}
}

func (c *conn) LocalAddr() (a net.Addr) {
	defer c.contain(nil)
	return c.Conn.LocalAddr()
}

func (c *conn) RemoteAddr() (a net.Addr) {
	defer c.contain(nil)
	return c.Conn.RemoteAddr()
}

// bottom returns what the connection runs over in the end, or nil.
func (c *conn) bottom() (below net.Conn) {
	for nc := c.Conn; ; nc = below {
		over, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return below
		}
		below = over.NetConn()
	}
}

// noDeadlines reports whether the connection cannot have any.
func (c *conn) noDeadlines() (none bool) {
	none = true
	defer func() { _ = recover() }()
	return c.Conn.SetDeadline(time.Time{}) != nil
}

// hasBuffer reports whether what is written goes to a buffer, such as that of a socket.
func (c *conn) hasBuffer() (yes bool) {
	defer c.contain(nil)
	if _, yes = c.Conn.(interface{ SetWriteBuffer(int) error }); !yes {
		_, yes = c.bottom().(interface{ SetWriteBuffer(int) error })
	}
	return yes
}

// contain makes a panic of the connection an error, where there is one to be returned. It is to be deferred.
func (c *conn) contain(err *error) {
	if v := recover(); v != nil {
		c.of.contained(v, "the net.Conn", err)
	}
}

// Abort closes nc without a word to the peer, which may have stopped reading: the close_notify of TLS, or the closing
// handshake of a WebSocket, would wait for it. Where a method panics, nc is closed all the same.
func Abort(nc net.Conn) {
	defer nc.Close()
	switch c := nc.(type) {
	case interface{ CloseNow() error }:
		c.CloseNow()
		return
	case interface{ NetConn() net.Conn }:
		defer c.NetConn().Close()
	}
	_ = nc.SetDeadline(past) // lets go who reads or writes, should Close take its time
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// Sound returns err, of a function of the program, unless its methods panic, or it is, or wraps, a nil pointer that became an error, into
// which nobody can look: then it returns another one.
func Sound(err error) (s error) {
	if err == nil || err == io.EOF {
		return err
	}
	defer func() {
		if recover() != nil {
			s = fmt.Errorf("an error that panics, a %T", err)
		}
	}()
	for e := err; e != nil; e = errors.Unwrap(e) {
		if v := reflect.ValueOf(e); v.Kind() == reflect.Pointer && v.IsNil() {
			return fmt.Errorf("an error that is a nil pointer, a %T", err)
		}
	}
	_ = err.Error()
	_ = errors.Is(err, net.ErrClosed)
	if e, ok := errors.AsType[net.Error](err); ok {
		_, _ = e.Timeout(), e.Temporary() //lint:ignore SA1019 crypto/tls calls it
	}
	return err
}
