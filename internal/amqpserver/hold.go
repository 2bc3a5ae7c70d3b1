package amqpserver

import "time"

const (
	// holdBatch is how many outcomes are worth a write of their own.
	holdBatch = 32
	// holdTime is how long an outcome may be held, less than any network takes.
	holdTime = time.Millisecond
	// holdAgain is how many outcomes are told at once before holding is tried, and holdRarely what that
	// grows to with a peer that waits for them.
	holdAgain  = 256
	holdRarely = 4096
)

// hold is how outcomes wait for each other. A peer that streams sends on without waiting for them, and a write for
// each message would cost it and us more than the message does. One that waits for them must not wait: so
// they are told at once, but that now and then a few are held, which goes on for as long as a batch fills in time.
type hold struct {
	said    int  // outcomes since the last write
	urgent  bool // there is something that is not held
	holding bool
	eager   int // outcomes that are told at once before holding is tried again
	rarer   int // what eager will be
	timer   *time.Timer
}

// holdBack reports whether what waits is only outcomes, to be held for more of them.
func (c *Conn) holdBack() bool {
	if c.urgent || c.said == 0 || c.said >= holdBatch || c.eager > 0 || len(c.frames) > 0 || c.ready.first != nil {
		return false
	}
	if c.holding {
		return true
	}
	c.holding = true
	if c.timer == nil {
		c.timer = time.AfterFunc(holdTime, c.holdOver)
	} else {
		c.timer.Reset(holdTime)
	}
	return true
}

// holdOver is called when no batch has filled in time.
func (c *Conn) holdOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.holding {
		return
	}
	c.eager = c.rarer
	c.rarer = min(2*c.rarer, holdRarely)
	c.urgent = true
	c.wakeWriter()
}

// released takes note that what waited is being written.
func (c *Conn) released() {
	switch {
	case !c.holding:
		c.eager = max(c.eager-c.said, 0)
	case c.said >= holdBatch:
		c.rarer = holdAgain
	}
	if c.holding {
		c.holding = false
		c.timer.Stop()
	}
	c.said, c.urgent = 0, false
}
