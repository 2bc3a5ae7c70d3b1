package amqpserver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// Conn is a connection with one peer. Its methods may be called from any goroutine.
type Conn struct {
	server  *Server
	cfg     *Config
	handler *Handler
	nc      net.Conn
	raw     net.Conn // below TLS and tunnel: its Close never blocks

	// Of the goroutine of Serve.
	in       amqp10.FrameReader
	delivery Delivery
	spare    *amqp10.Partial // of a message that came in part
	moved    amqp10.Transfer // the peer's, as it is read: what escapes is made once
	told     amqp10.Disposition
	flowed   amqp10.Flow

	mu       sync.Mutex // guards what follows, and all of sessions and links
	changed  *sync.Cond // something that somebody waits for: writing, telling, len(out)
	phase    phase
	cause    error     // why the connection is over, or going to be; nil for a good-bye
	openBy   time.Time // by when the peer must have sent its open, and its close
	closeBy  time.Time
	peer     peer
	sessions map[uint16]*Session // by channel, which is the same in both directions
	links    int                 // handles in use, of all sessions
	partial  int                 // bytes of incomplete messages
	out
	farewells
	beat *time.Timer

	// Of who writes.
	sent amqp10.Transfer
	head [128]byte
	tag  [4]byte
}

// phase is how far a connection has come.
type phase uint8

const (
	phaseOpening phase = iota // the peer's open has not come, nor has ours been sent
	phaseOpen
	phaseClosing // our close is sent, or waits to be; the peer's has not come
	phaseOver
)

// peer is what the peer's open says, as far as it counts here.
type peer struct {
	maxFrame uint32
	idle     time.Duration // 0 for none
}

// Why a connection is over, besides the [*amqp10.Error] of one of both sides.
var (
	ErrOpenTimeout = errors.New("amqpserver: no open in time")
	ErrNoClose     = errors.New("amqpserver: the connection ended without a close")
	ErrSASL        = errors.New("amqpserver: authentication failed")
	ErrCut         = errors.New("amqpserver: cut")
)

// errClosed ends the loop of Serve when both have said close.
var errClosed = errors.New("amqpserver: closed")

// NewConn returns a connection over nc with the nodes of h. raw is what is below TLS and tunnel, if nc has such,
// or nil: its Close must not block. Nothing happens until [Conn.Serve] is called.
func (s *Server) NewConn(nc, raw net.Conn, h *Handler) *Conn {
	if raw == nil {
		raw = nc
	}
	c := &Conn{server: s, cfg: &s.cfg, handler: h, nc: nc, raw: raw, sessions: map[uint16]*Session{}}
	c.in.Src = nc
	c.eager, c.rarer, c.needed = holdAgain, holdAgain, restAfter
	c.changed = sync.NewCond(&c.mu)
	return c
}

// Serve speaks with the peer until the connection is over, and closes it. Before it returns all nodes and sessions
// have been told, and nothing of the connection runs any more. It returns nil when one side said close without
// an error, the [*amqp10.Error] that one of them gave, or why else the connection ended.
func (c *Conn) Serve() error {
	return c.finish(c.run())
}

// Close ends the connection with a close that carries err, which may be nil, and does not wait. Nodes are told now, and the
// peer has [Config].CloseTimeout to answer. A connection that is not open yet is cut.
func (c *Conn) Close(err *amqp10.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close(err)
	c.wakeTeller()
	c.wakeWriter()
}

// Cut ends the connection at once, without a word. What has been read and not acted on has not come, also when
// nothing could be written any more before.
func (c *Conn) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(ErrCut)
	c.err = ErrCut
}

func (c *Conn) run() error {
	if err := c.shakeHands(); err != nil {
		return err
	}
	for {
		f, err := c.next()
		if err == nil {
			err = c.handle(f)
		}
		if err == nil {
			continue
		}
		var e *amqp10.Error
		if !errors.As(err, &e) {
			return err
		}
		c.refuse(e)
		if e.Condition == amqp10.FramingError {
			return c.ignoreAll() // there is no telling where the next frame begins
		}
	}
}

// next returns the next frame. Before it waits for one, what came so far is answered.
func (c *Conn) next() (amqp10.Frame, error) {
	for {
		f, err := c.in.Frame(c.cfg.MaxFrameSize)
		switch {
		case err != nil:
			return nil, &amqp10.Error{Condition: amqp10.FramingError, Description: err.Error()}
		case f != nil:
			return f, nil
		}
		if err := c.wait(); err != nil {
			return nil, err
		}
	}
}

// wait answers what came so far, and waits for more.
func (c *Conn) wait() error {
	if err := c.idle(); err != nil {
		return err
	}
	err := c.in.Fill()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.lull = true, false
	switch {
	case err == nil:
		return nil
	case c.err != nil:
		return c.err
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrNoClose, err)
	case c.phase == phaseOpening:
		return ErrOpenTimeout
	case c.phase == phaseOpen:
		return &amqp10.Error{Condition: amqp10.ConnectionForced, Description: "the peer was silent for longer than the idle time-out"}
	}
	return errClosed // it has had its time to answer
}

// idle writes what waits, and sets how long the peer may be silent.
func (c *Conn) idle() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
	if c.err != nil {
		return c.err
	}
	if err := c.nc.SetReadDeadline(c.deadline()); err != nil {
		return fmt.Errorf("%w: %w", ErrNoClose, err)
	}
	return nil
}

// deadline is until when the peer must have sent something.
func (c *Conn) deadline() time.Time {
	switch {
	case c.phase == phaseOpening:
		return c.openBy
	case c.phase == phaseClosing:
		return c.closeBy
	case c.cfg.IdleTimeout < 0:
		return time.Time{}
	}
	// Who announces a time-out announces half of it (part 2 section 2.4.5).
	return time.Now().Add(2 * c.cfg.IdleTimeout)
}

// refuse closes the connection because of what the peer did.
func (c *Conn) refuse(e *amqp10.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == phaseOpening {
		c.sendOpen() // a close must not be the first frame
	}
	c.close(e)
	c.tell()
}

// close is Close for who holds the lock.
func (c *Conn) close(e *amqp10.Error) {
	switch c.phase {
	case phaseOpening:
		c.cause = asError(e)
		c.fail(ErrCut)
	case phaseOpen:
		c.cause = asError(e)
		c.gather() // what was said before
		c.dropSessions(c.cause)
		c.appendFrame(0, (&amqp10.Close{Error: e}).AppendTo)
		c.closing()
	}
}

// closing gives the peer its time to take our close and send its own. It holds for reads and writes that wait already, too.
func (c *Conn) closing() {
	c.phase, c.closeBy = phaseClosing, time.Now().Add(c.cfg.CloseTimeout)
	c.nc.SetDeadline(c.closeBy)
}

// ignoreAll waits for the end of what the peer sends: closing at once could take our close from under way.
func (c *Conn) ignoreAll() error {
	for {
		c.in.Discard(len(c.in.Rest()))
		if err := c.wait(); err != nil {
			return errClosed
		}
	}
}

// finish ends the connection, and returns when all have been told and nothing runs any more.
func (c *Conn) finish(why error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != phaseClosing && why != errClosed && c.cause == nil {
		c.cause = why
	}
	c.dropSessions(c.cause)
	c.phase = phaseOver
	for _, t := range []*time.Timer{c.beat, c.timer} {
		if t != nil {
			t.Stop()
		}
	}
	c.mu.Unlock()
	if why == errClosed {
		c.nc.Close() // TLS says good-bye
	}
	c.raw.Close()
	c.mu.Lock()
	c.fail(net.ErrClosed)
	c.tell()
	for c.writing || c.telling {
		c.changed.Wait()
	}
	return c.cause
}
