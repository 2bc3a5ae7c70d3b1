package amqpserver

import (
	"math"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
)

const (
	// minIdle is the shortest idle time-out of a peer that is heeded: a shorter one would be nothing but heartbeats.
	minIdle = 100 * time.Millisecond
	// defaultBeat is how long we are silent at most to a peer without an idle time-out, for what is on the way
	// and forgets connections.
	defaultBeat = 120 * time.Second
)

// open acts on the peer's open (part 2 section 2.4.1).
func (c *Conn) open(body []byte) error {
	if c.phase != phaseOpening {
		return &amqp10.Error{Condition: amqp10.IllegalState, Description: "a second open"}
	}
	var p amqp10.Open
	if err := p.Parse(body); err != nil {
		return decodeError(err)
	}
	c.peer = peer{
		maxFrame: min(p.MaxFrameSize.Or(math.MaxUint32), c.cfg.MaxFrameSize),
		idle:     time.Duration(p.IdleTimeout.Or(0)) * time.Millisecond,
	}
	c.sendOpen()
	c.startBeat()
	switch {
	case c.peer.maxFrame < amqp10.MinMaxFrameSize:
		return &amqp10.Error{Condition: amqp10.InvalidField, Description: "max-frame-size is less than 512"}
	case c.peer.idle > 0 && c.peer.idle < minIdle:
		return &amqp10.Error{Condition: amqp10.NotAllowed, Description: "idle-time-out is less than " + minIdle.String()}
	}
	if opened := c.handler.Opened; opened != nil {
		c.mu.Unlock()
		e := opened(c, &p)
		c.mu.Lock()
		if e != nil {
			return e
		}
	}
	return nil
}

// sendOpen answers the peer's open, or goes before a close.
func (c *Conn) sendOpen() {
	o := amqp10.Open{
		ContainerID:  []byte(c.cfg.ContainerID),
		MaxFrameSize: amqp10.Some(c.cfg.MaxFrameSize),
		ChannelMax:   amqp10.Some(c.cfg.ChannelMax),
	}
	if t := c.cfg.IdleTimeout; t > 0 {
		o.IdleTimeout = amqp10.Some(uint32(min(t.Milliseconds(), math.MaxUint32)))
	}
	c.appendFrame(0, o.AppendTo)
	c.phase = phaseOpen
}

// startBeat sees to it that the peer hears something at least twice in its idle time-out
// (part 2 section 2.4.5): a beat in which nothing is written and one more are half of it.
func (c *Conn) startBeat() {
	every := defaultBeat / 2
	if c.peer.idle > 0 {
		every = max(c.peer.idle, minIdle) / 4
	}
	c.beat = time.AfterFunc(every, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.phase != phaseOpen || c.err != nil {
			return
		}
		if !c.wrote && !c.writing && !c.pending() {
			c.frames = amqp10.AppendEmptyFrame(c.frames)
		}
		c.busy = false // the goroutine of Serve may be at something that takes long
		c.wakeWriter()
		c.wrote = false
		c.beat.Reset(every)
	})
}

// quiet gives back the memory that only a busy connection needs. The peer has just said that it has nothing to say.
func (c *Conn) quiet() {
	c.in.Quiet()
	c.spare = nil
	if len(c.frames) == 0 {
		c.frames = nil
	}
	for _, s := range c.sessions {
		s.in.Quiet()
		s.out.Quiet()
		if s.rest.link == nil {
			s.rest.buf = nil
		}
	}
}
