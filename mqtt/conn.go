package mqtt

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// The read buffer grows with what comes. An idle connection waits with the
// smallest one, a part of the Conn. A busy one, which is one that had more at a time, waits
// with the middle one, until a ping shows that it has gone quiet. When a read fills
// that too, more is under way, and goes to a burst buffer, which all connections share and
// which is given up when all in it has been read. Only a packet larger than that gets its own.
const (
	// Odd halves: acknowledgements have four bytes, so a burst of them cannot
	// fill the buffer and end there, and be taken for the whole of it.
	idleBuffer  = 1<<6 - 2
	busyBuffer  = 1<<10 - 2
	burstBuffer = 16 << 10
)

// ConnOptions are the options of [NewConn]. Nil means the defaults.
type ConnOptions struct {
	// MaxPacket is the largest inbound packet in bytes, fixed header included.
	// 0 means [DefaultMaxPacket].
	MaxPacket int

	// Trace sees packets come and go; nil for none.
	Trace *Trace
}

// Conn gives and takes whole packets over a [net.Conn]. It knows framing and
// nothing of sessions: both ends use it.
//
// ReadPacket and Buffered are for one goroutine at a time; Write, Close and the
// deadlines may be used at the same time as they, and each other, if the
// net.Conn allows that. Conn starts no goroutine.
type Conn struct {
	nc    net.Conn
	max   int
	trace *Trace

	buf  []byte // buf[r:w] is read and not yet given out
	r, w int
	wait []byte // the buffer to wait with: idle, or one of busyBuffer bytes
	idle [idleBuffer]byte
	err  error // a fault in the framing: nothing after it can be read
}

// bursts are the burst buffers that no connection uses.
var bursts = sync.Pool{New: func() any { return new([burstBuffer]byte) }}

// errNoConn is for a Conn without a net.Conn.
var errNoConn = fmt.Errorf("mqtt: a Conn comes from NewConn, with a net.Conn: %w", net.ErrClosed)

// NewConn returns a Conn that reads and writes nc, and owns it from now on. Of a nil nc
// everything fails with an error that is [net.ErrClosed], as of a nil Conn.
func NewConn(nc net.Conn, opts *ConnOptions) *Conn {
	c := new(Conn)
	c.init(nc, opts)
	return c
}

// init makes c, where it stands, what NewConn returns.
func (c *Conn) init(nc net.Conn, opts *ConnOptions) {
	c.nc, c.max = nc, DefaultMaxPacket
	if opts != nil {
		c.trace = opts.Trace
		if opts.MaxPacket > 0 {
			c.max = opts.MaxPacket
		}
	}
	c.wait = c.idle[:]
	c.buf = c.wait
}

// ReadPacket returns the next packet, waiting for it if it must. The packet is
// a view of the read buffer: it holds until the next call of ReadPacket. Only
// its framing has been checked; see [Packet].
//
// The error is [io.EOF] when the peer closed between packets and
// [io.ErrUnexpectedEOF] when it did so inside one, a [*PacketError] when what
// comes cannot be a packet or is larger than allowed (every later call returns
// the same), or that of the net.Conn. After a deadline has passed, reading may
// go on: no byte is lost.
//
// The buffer takes 16 KiB, or twice what has arrived already, whatever length
// a packet announces, and shrinks again once a large packet is dealt with.
func (c *Conn) ReadPacket() (Packet, error) { return c.readPacket(nil) }

// readPacket is ReadPacket, and calls more, if there is one, whenever another part has come of a packet
// that had come in part.
func (c *Conn) readPacket(more func()) (Packet, error) {
	if c == nil {
		return nil, errNoConn
	}
	if c.err != nil {
		return nil, c.err
	}
	if c.r == c.w {
		c.release()
		if err := c.fill(0); err != nil {
			return nil, err
		}
	}
	for {
		n, err := packetLength(c.buf[c.r:c.w], c.max)
		if err != nil {
			c.err = err
			return nil, err
		}
		if n != 0 && n <= c.w-c.r {
			p := Packet(c.buf[c.r : c.r+n : c.r+n])
			c.r += n
			if n == pingSize {
				c.wait = c.idle[:]
			}
			if c.trace != nil {
				c.trace.received(p)
			}
			return p, nil
		}
		if err := c.fill(n); err != nil {
			return nil, err
		}
		if more != nil {
			more()
		}
	}
}

// pingSize is that of PINGREQ and PINGRESP, which are for quiet times; the only other packet
// so small is DISCONNECT.
const pingSize = 2

// release goes back to waiting, when everything read is dealt with.
func (c *Conn) release() {
	if len(c.buf) == burstBuffer {
		bursts.Put((*[burstBuffer]byte)(c.buf))
	}
	c.buf, c.r, c.w = c.wait, 0, 0
}

// fill reads more behind buf[:w], after making room. n is the length of the
// packet under way, or 0 while its first bytes do not say.
func (c *Conn) fill(n int) error {
	if c.nc == nil {
		return errNoConn
	}
	if c.w == len(c.buf) || c.r+n > len(c.buf) {
		c.makeRoom(n)
	}
	for range maxEmptyReads {
		got, err := c.nc.Read(c.buf[c.w:])
		c.w += got
		switch {
		case got > 0:
			return nil // an error, if any, comes again
		case err == io.EOF && c.w > c.r:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// maxEmptyReads is how often a net.Conn may return neither bytes nor an error.
const maxEmptyReads = 100

// makeRoom moves what is unread to the front, of the next larger buffer if it was
// not in the burst buffer. If that is full of one packet of n bytes with more to come, it goes to
// a buffer of its own, of at most twice what has arrived.
func (c *Conn) makeRoom(n int) {
	b, unread := c.buf, c.buf[c.r:c.w]
	switch {
	case len(b) < busyBuffer && n <= busyBuffer:
		b = make([]byte, busyBuffer)
		c.wait = b
	case len(b) < burstBuffer:
		b = bursts.Get().(*[burstBuffer]byte)[:]
	case len(unread) == len(b):
		b = make([]byte, min(2*len(b), n))
	}
	c.buf, c.r, c.w = b, 0, copy(b, unread)
}

// Buffered returns the length of the packet that ReadPacket would return
// without reading from the net.Conn, or 0 when it would read. A server that
// writes its answers when Buffered is 0 answers a burst at once.
func (c *Conn) Buffered() int {
	if c == nil || c.r == c.w || c.err != nil {
		return 0
	}
	n, err := packetLength(c.buf[c.r:c.w], c.max)
	if err != nil || n > c.w-c.r {
		return 0
	}
	return n
}

// takePubacks takes the sound PUBACKs that come next in the read buffer, whole, and appends their packet
// identifiers to ids, up to limit of them: a burst of the smallest packets, without what ReadPacket does for each.
func (c *Conn) takePubacks(ids []uint16, limit int) []uint16 {
	if c.trace != nil {
		return ids // it sees each packet
	}
	for len(ids) < limit && c.w-c.r >= ackSize {
		id, ok := ackID(c.buf[c.r:c.r+ackSize], byte(TypePuback)<<4)
		if !ok {
			break
		}
		ids = append(ids, id)
		c.r += ackSize
	}
	return ids
}

// Write writes b, which is one or more whole packets, in one call of the
// net.Conn, so that they share a TLS record or WebSocket message.
func (c *Conn) Write(b []byte) error {
	if c.NetConn() == nil {
		return errNoConn
	}
	if c.trace != nil {
		c.trace.sent(b)
	}
	n, err := c.nc.Write(b)
	if n < len(b) && err == nil {
		err = io.ErrShortWrite // or the next packet would be taken for the rest of this one
	}
	return err
}

// Close closes the net.Conn: calls that wait return.
func (c *Conn) Close() error { return c.orClosed().Close() }

// SetDeadline sets both deadlines of the net.Conn, whose error it returns; the zero time is none. So do
// the other two.
func (c *Conn) SetDeadline(t time.Time) error { return c.orClosed().SetDeadline(t) }

// SetReadDeadline sets the deadline of ReadPacket.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.orClosed().SetReadDeadline(t) }

// SetWriteDeadline sets the deadline of Write.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.orClosed().SetWriteDeadline(t) }

// NetConn returns the net.Conn, to look at: its addresses, its TLS state. Who
// reads from it or writes to it breaks the framing.
func (c *Conn) NetConn() net.Conn {
	if c == nil {
		return nil
	}
	return c.nc
}

// orClosed is the net.Conn, or where there is none, one that is closed.
func (c *Conn) orClosed() net.Conn {
	if nc := c.NetConn(); nc != nil {
		return nc
	}
	return noConn{}
}

// noConn is as much of a closed net.Conn as a Conn needs.
type noConn struct{ net.Conn }

func (noConn) Close() error                     { return errNoConn }
func (noConn) SetDeadline(time.Time) error      { return errNoConn }
func (noConn) SetReadDeadline(time.Time) error  { return errNoConn }
func (noConn) SetWriteDeadline(time.Time) error { return errNoConn }
