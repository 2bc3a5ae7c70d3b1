package amqpclient

import (
	"io"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
)

const (
	// roomLimit is how much may wait to be written, in bytes, before no message is sent any more.
	roomLimit = 128 << 10
	// softLimit is how much may wait before the peer is not read from any more: what it sends makes us answer.
	softLimit = 2 * roomLimit
)

// out is the way to the peer. Frames wait until the goroutine that writes takes them all. Dispositions and flows are not
// made until then, so that neighbours are joined and they say what is then true.
type out struct {
	frames    *buffer    // whole frames that wait; nil: none
	due       []*Session // that have dispositions, flows or the rest of a message to be made
	crowded   []*Sender  // that want to be told when there is room
	unsettled int        // deliveries without an outcome, of all sessions
	alone     int        // messages in a row, up to lonely, that were sent when there was no such delivery
	busy      bool       // the goroutine that reads is acting, and will have all written when it has
	writing   bool       // there is a goroutine that writes
	writer    func()     // write, which would have to be made anew for each goroutine
	polite    bool       // both ends have closed
	hanging   bool       // the connection is being closed below
	err       error      // why nothing can be written or read any more
}

// waiting is how many bytes wait to be written.
func (c *Conn) waiting() int {
	if c.frames == nil {
		return 0
	}
	return len(c.frames.b)
}

// pending reports whether there is something to write.
func (c *Conn) pending() bool { return c.waiting() > 0 || len(c.due) > 0 }

// reserve makes ready for frames to be appended. The caller holds the lock, here and below.
func (c *Conn) reserve() {
	if c.frames == nil {
		c.frames = buffers.Get().(*buffer)
	}
}

// openFrame begins a frame, whose body is to be appended to c.frames.b.
func (c *Conn) openFrame(t amqp10.FrameType, channel uint16) (at int) {
	c.reserve()
	at = len(c.frames.b)
	c.frames.b = amqp10.OpenFrame(c.frames.b, t, channel)
	return at
}

// closeFrame ends the frame that was begun at at.
func (c *Conn) closeFrame(at int) {
	c.frames.b = amqp10.CloseFrame(c.frames.b, at)
	c.showSent(at)
}

// appendFrame adds a frame to those that wait.
func (c *Conn) appendFrame(channel uint16, body func(dst []byte) []byte) {
	at := c.openFrame(amqp10.FrameAMQP, channel)
	c.frames.b = body(c.frames.b)
	c.closeFrame(at)
}

// closeMasked is closeFrame for a frame of which Trace sees another body.
func (c *Conn) closeMasked(at int, shown func(dst []byte) []byte) {
	c.frames.b = amqp10.CloseFrame(c.frames.b, at)
	if c.o.Trace != nil {
		head := c.frames.b[at : at+amqp10.FrameHead : at+amqp10.FrameHead]
		c.o.Trace(true, amqp10.CloseFrame(shown(append([]byte(nil), head...)), 0))
	}
}

func (c *Conn) sayProtocol(p amqp10.Protocol) {
	c.reserve()
	at := len(c.frames.b)
	c.frames.b = amqp10.AppendProtocol(c.frames.b, p)
	c.showSent(at)
}

// showSent shows Trace what was appended last, from at on.
func (c *Conn) showSent(at int) {
	if c.o.Trace != nil {
		c.o.Trace(true, c.frames.b[at:len(c.frames.b):len(c.frames.b)])
	}
}

// show shows Trace what has come.
func (c *Conn) show(b []byte) {
	if c.o.Trace != nil {
		c.o.Trace(false, b)
	}
}

// gather makes the frames that are due.
func (c *Conn) gather() {
	due := c.due
	c.due = nil
	for _, s := range due {
		s.due = false
		s.appendDue()
	}
	if clear(due); c.due == nil { // a session that has ended is not held on to
		c.due = due[:0]
	}
}

// wakeWriter sees to it that what waits is written.
func (c *Conn) wakeWriter() {
	if c.busy || c.writing || c.err != nil || !c.pending() {
		return
	}
	c.writing = true
	go c.writer()
}

// write writes all that waits, for as long as there is anything.
func (c *Conn) write() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && c.pending() {
		c.writeOnce()
	}
	c.writing = false
	c.changed.Broadcast()
}

// lonely is how many messages in a row must be alone for the next one to be taken for alone, too.
const lonely = 2

// flush sees to it that what waits is written: by the caller, when it sends one message after the outcome of the other. The
// peer has then read all that was sent before, so the write does not wait for it; and nobody has to be woken. The
// first message of many is better written with those that follow.
func (c *Conn) flush() {
	if c.alone >= lonely && c.unsettled == 1 && !c.busy && !c.writing && c.err == nil && c.pending() {
		c.writing = true
		c.writeOnce()
		c.writing = false
		c.changed.Broadcast()
	}
	c.wakeWriter()
	c.wakeTeller()
}

// writeOnce writes what waits now. The caller has set writing, and the lock is let go while the peer takes it.
func (c *Conn) writeOnce() {
	c.gather()
	w := c.frames
	if w == nil {
		return
	}
	c.frames = nil
	c.writeFrom = time.Now()
	c.uncrowd()
	c.wakeTeller()
	c.mu.Unlock()
	n, err := c.nc.Write(w.b)
	if err == nil && n < len(w.b) {
		err = io.ErrShortWrite
	}
	w.put()
	c.mu.Lock()
	c.writeFrom, c.writtenAt = time.Time{}, time.Now()
	c.changed.Broadcast()
	if err != nil {
		c.fail(&Error{Level: LevelConn, Err: err})
	}
}

// uncrowd tells all who wait for room that there is some.
func (c *Conn) uncrowd() {
	all := c.crowded
	c.crowded = nil
	for _, l := range all {
		l.crowded = false
		l.wake()
	}
}

// discard forgets what waits.
func (c *Conn) discard() {
	if c.frames != nil {
		c.frames.put()
	}
	c.frames, c.due, c.crowded = nil, nil, nil
}
