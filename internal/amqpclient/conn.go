package amqpclient

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// Conn is a connection. Its methods may be called from any goroutine.
type Conn struct {
	o      Options
	nc     net.Conn
	opened chan struct{} // closed when Open may return
	done   chan struct{}
	heard  atomic.Uint64

	// Of the goroutine that reads.
	in       amqp10.FrameReader
	delivery Delivery
	quieted  uint64          // heard, when the peer was last quiet
	spare    *amqp10.Partial // of a message that came in part
	moved    amqp10.Transfer // the peer's, as it is read: what escapes is made once
	told     amqp10.Disposition
	flowed   amqp10.Flow

	mu       sync.Mutex // guards what follows, and all of sessions and links
	changed  *sync.Cond // something that a goroutine of the connection waits for: writing, telling, closing, how much is to be written
	phase    phase
	cause    *Error // why the connection is over, or going to be
	peer     peer
	channels []*Session          // by our channel; nil is free
	free     []uint16            // of our channels
	remotes  map[uint16]*Session // by the peer's
	names    uint64              // that were made for links
	partial  int                 // bytes of incomplete messages
	out
	tales
	clock

	// Of who appends to what is to be written.
	sent amqp10.Transfer
	tag  [4]byte
}

// phase is how far a connection has come.
type phase uint8

const (
	phaseShaking phase = iota // our open is not said
	phaseOpening              // the peer's has not come
	phaseOpen
	phaseClosing // our close is sent, or waits to be; the peer's has not come
	phaseOver
)

// peer is what the peer's open says, as far as it counts here.
type peer struct {
	maxFrame   uint32
	channelMax uint16
	idle       time.Duration // 0 for none
}

// Open opens AMQP on nc, which is the Conn's from here on, and is closed also when there is an error: protocol
// headers, SASL, open. The Conn keeps a copy of o, which may be nil.
//
// nc is not given deadlines. One that is not waited for is closed by its method CloseNow, if it has one, or by closing what its
// method NetConn returns, as that of a [crypto/tls.Conn] does; and then by Close, on a goroutine.
//
// The error is that of ctx, or an [*Error] of [LevelConn].
func Open(ctx context.Context, nc net.Conn, o *Options) (*Conn, error) {
	c := &Conn{
		o: o.resolved(), nc: nc, opened: make(chan struct{}), done: make(chan struct{}),
		remotes: make(map[uint16]*Session),
	}
	c.in.Src = nc
	c.writer = c.write
	c.changed = sync.NewCond(&c.mu)
	c.start()
	go c.serve()
	select {
	case <-c.opened:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.isOpened():
		return c, nil
	case c.cause != nil:
		return nil, c.cause
	}
	c.fail(&Error{Level: LevelConn, Err: ErrAborted})
	return nil, ctx.Err()
}

// isOpened reports whether Open succeeds, or has.
func (c *Conn) isOpened() bool { return c.peer.maxFrame > 0 }

// Close ends the connection with a close, behind all that was sent before, and waits for that of the peer until ctx ends.
// Sessions and links are over from the first moment on. It returns nil when the connection is over, whether the peer has
// answered or is gone, or, when ctx has ended, its error: the connection is then aborted.
func (c *Conn) Close(ctx context.Context) error {
	c.mu.Lock()
	c.close(&Error{Level: LevelConn, Err: ErrClosed}, nil)
	c.wakeTeller()
	c.wakeWriter()
	c.mu.Unlock()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		c.Abort()
		return ctx.Err()
	}
}

// Abort ends the connection at once, without a word to the peer, and does not wait.
func (c *Conn) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(&Error{Level: LevelConn, Err: ErrAborted})
}

// Done is closed when the connection is over and nothing of it runs any more: all have been told.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns nil while the connection lives, then why it ended: an [*Error] of [LevelConn].
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		return nil
	}
	return c.cause
}

// Heard returns how many frames have come from the peer, but for those that only show that it lives.
func (c *Conn) Heard() uint64 { return c.heard.Load() }
