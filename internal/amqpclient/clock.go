package amqpclient

import (
	"fmt"
	"math"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
)

const (
	// minIdle is the shortest idle time-out of a peer that is heeded: a shorter one would be nothing but heartbeats.
	minIdle = 100 * time.Millisecond
	// closeTime is how long a peer may take to answer a close that it has deserved.
	closeTime = 2 * time.Second
)

// clock is when things happened last, and the one timer of a connection, which looks at it. It is guarded by the
// lock of the connection.
type clock struct {
	timer     *time.Timer
	readAt    time.Time
	writtenAt time.Time // when the last write ended
	writeFrom time.Time // when the write under way began; zero: none
	closeBy   time.Time // when the peer must have answered a close; zero: never
}

// start has the timer look from now on.
func (c *Conn) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = true // until the first read
	c.readAt = time.Now()
	c.writtenAt = c.readAt
	c.timer = time.AfterFunc(c.o.WriteTimeout/2, c.look)
}

// read takes note that something was read.
func (c *Conn) read() { c.readAt = time.Now() }

// look does what is due: it gives a peer up that is silent or does not read, and shows it that we live.
func (c *Conn) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	now := time.Now()
	next := now.Add(c.o.WriteTimeout / 2)
	due := func(at time.Time) bool {
		if at.After(now) {
			if at.Before(next) {
				next = at
			}
			return false
		}
		return true
	}
	switch t := c.o.IdleTimeout; {
	case !c.closeBy.IsZero() && due(c.closeBy):
		c.fail(c.cause)
	case !c.writeFrom.IsZero() && due(c.writeFrom.Add(c.o.WriteTimeout)):
		c.fail(&Error{Level: LevelConn, Err: ErrStalled})
	case t > 0 && due(c.readAt.Add(t+t/2)):
		c.fail(&Error{Level: LevelConn, Err: ErrSilent})
	case c.phase == phaseOpen && c.beat() > 0 && due(c.lastWrite(now).Add(c.beat())):
		if !c.pending() {
			c.reserve()
			c.frames.b = amqp10.AppendEmptyFrame(c.frames.b)
			c.showSent(len(c.frames.b) - amqp10.FrameHead)
		}
		c.busy = false // a callback may take long
		c.wakeWriter()
		due(now.Add(c.beat()))
	}
	if c.err == nil {
		c.timer.Reset(max(next.Sub(now), time.Millisecond))
	}
}

// lastWrite is when something was written last, which is now while a write is under way.
func (c *Conn) lastWrite(now time.Time) time.Time {
	if c.writing {
		return now
	}
	return c.writtenAt
}

// beat is how long we are silent at most: half of what the peer asks for (part 2 section 2.4.5), or as long as the peer
// may be, for what is on the way and forgets connections. 0 is for ever.
func (c *Conn) beat() time.Duration {
	if c.peer.idle > 0 {
		return c.peer.idle / 2
	}
	return max(c.o.IdleTimeout, 0)
}

// setCloseBy gives the peer its time to answer a close.
func (c *Conn) setCloseBy() {
	c.closeBy = time.Now().Add(closeTime)
	c.timer.Reset(closeTime)
}

// open acts on the peer's open (part 2 section 2.4.1).
func (c *Conn) open(body []byte) error {
	if c.phase != phaseOpening {
		return &amqp10.Error{Condition: amqp10.IllegalState, Description: "a second open"}
	}
	var p amqp10.Open
	if err := p.Parse(body); err != nil {
		return decodeError(err)
	}
	idle := time.Duration(p.IdleTimeout.Or(0)) * time.Millisecond
	switch {
	case p.MaxFrameSize.Or(math.MaxUint32) < amqp10.MinMaxFrameSize:
		return &amqp10.Error{Condition: amqp10.InvalidField, Description: "max-frame-size is less than 512"}
	case idle > 0 && idle < minIdle:
		return &amqp10.Error{Condition: amqp10.NotAllowed, Description: fmt.Sprintf("idle-time-out is less than %v", minIdle)}
	}
	c.peer = peer{
		maxFrame:   min(p.MaxFrameSize.Or(math.MaxUint32), c.o.MaxFrameSize),
		channelMax: min(p.ChannelMax.Or(math.MaxUint16), c.o.ChannelMax),
		idle:       idle,
	}
	c.phase = phaseOpen
	if d := c.beat(); d > 0 {
		c.timer.Reset(min(d, c.o.WriteTimeout/2))
	}
	close(c.opened)
	return nil
}
