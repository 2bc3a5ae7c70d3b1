package amqpserver

import (
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// softLimit is how much may wait to be written, in bytes, before the peer is not read from any more: its own
// requests make it answer.
const softLimit = 256 << 10

// out is the way to the peer. Answers wait in frames; dispositions and flows are not made until they are written, so
// that neighbours are joined and they say what is then true; and messages are asked for when there is room. There is one
// writer at a time: the goroutine of Serve, when it has acted on all that came, or one that lives while there is
// something to write.
type out struct {
	frames  []byte     // whole frames that wait
	due     []*Session // that have dispositions or flows to be made
	ready   queue      // links that may have a message
	busy    bool       // the goroutine of Serve is acting, and will write when it has
	writing bool       // somebody is writing, or about to
	wrote   bool       // something, since the last beat
	err     error      // why nothing can be written or read any more
	hold
}

// appendFrame adds a frame to those that wait. The caller holds the lock, here and below.
func (c *Conn) appendFrame(channel uint16, body func(dst []byte) []byte) {
	at := len(c.frames)
	c.frames = body(amqp10.OpenFrame(c.frames, amqp10.FrameAMQP, channel))
	c.frames = amqp10.CloseFrame(c.frames, at)
}

// gather makes the frames that are due.
func (c *Conn) gather() {
	for _, s := range c.due {
		s.due = false
		s.appendDue()
	}
	c.due = c.due[:0]
	c.released()
}

// pending reports whether there is something to write.
func (c *Conn) pending() bool {
	return len(c.frames) > 0 || len(c.due) > 0 || c.ready.first != nil
}

// wakeWriter sees to it that what waits is written, by somebody else.
func (c *Conn) wakeWriter() {
	if c.busy || c.writing || c.err != nil || !c.pending() {
		return
	}
	c.writing = true
	go func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for c.err == nil && c.pending() {
			c.write()
		}
		c.writing = false
		c.changed.Broadcast()
	}()
}

// flush is for the goroutine of Serve before it waits: it writes, unless somebody is at it, and leaves to somebody else
// what is more than one write. When too much waits it waits for the peer.
func (c *Conn) flush() {
	for c.writing && len(c.frames) > softLimit && c.err == nil {
		c.changed.Wait()
	}
	if !c.writing && c.holdBack() {
		c.busy = false
		return
	}
	if !c.writing && c.err == nil && c.pending() {
		c.writing = true
		c.write()
		c.writing = false
		c.changed.Broadcast()
	}
	c.busy = false
	c.wakeWriter()
}

// Flush writes what waits, and leaves to others what comes up until the next read. A node or handler
// calls it before it waits for something else.
func (c *Conn) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != phaseOver {
		c.flush()
	}
}

// write writes once: what waits, and messages until it is a burst. The caller has set writing, and the lock
// is let go while nodes are asked and the peer takes it.
func (c *Conn) write() {
	w := c.server.buffers.get()
	b := w.b
	for len(b) < burst {
		c.gather()
		b, c.frames = append(b, c.frames...), c.frames[:0]
		l := c.ready.pop()
		if l == nil {
			break
		}
		b = c.pull(l, b)
	}
	if len(b) > 0 && c.err == nil {
		err := c.nc.SetWriteDeadline(c.writeBy())
		c.mu.Unlock()
		if err == nil {
			_, err = c.nc.Write(b)
		}
		c.mu.Lock()
		c.wrote = true
		c.changed.Broadcast()
		if err != nil {
			c.fail(err)
		}
	}
	w.b = b
	c.server.buffers.put(w)
}

// writeBy is until when the peer must have taken what is written next.
func (c *Conn) writeBy() time.Time {
	if c.phase == phaseClosing {
		return c.closeBy
	}
	return time.Now().Add(c.cfg.WriteTimeout)
}

// fail ends all reading and writing.
func (c *Conn) fail(err error) {
	if c.err == nil {
		c.err = err
		c.raw.Close()
		c.frames, c.due, c.ready = nil, nil, queue{}
		c.changed.Broadcast()
	}
}

// queue is a queue of links. A link is in one at most.
type queue struct{ first, last *Link }

func (q *queue) push(l *Link) {
	l.next = nil
	if q.first == nil {
		q.first = l
	} else {
		q.last.next = l
	}
	q.last = l
}

func (q *queue) pop() *Link {
	l := q.first
	if l != nil {
		q.first, l.next = l.next, nil
	}
	return l
}

// drain writes all that waits, with the peer having its time for each write.
func (c *Conn) drain() {
	for c.err == nil && (c.writing || c.pending()) {
		if c.writing {
			c.changed.Wait()
			continue
		}
		c.writing = true
		c.write()
		c.writing = false
		c.changed.Broadcast()
	}
}
