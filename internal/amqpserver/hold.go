package amqpserver

import "time"

const (
	// holdBatch is how many outcomes are worth a write of their own.
	holdBatch = 32
	// holdTime is how long an outcome may be held, less than any network takes.
	holdTime = time.Millisecond
	// holdAgain is how many outcomes are told at once before holding is tried, and holdRarely what that
	// grows to with a peer that waits for them.
	holdAgain  = 128
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
	expired int // how many were held the last time that no batch filled
	timer   *time.Timer
	pace
}

// holdBack reports whether what waits is only outcomes, to be held for more of them.
func (c *Conn) holdBack() bool {
	if c.urgent || c.said == 0 || c.said >= holdBatch || len(c.frames) > 0 || c.ready.first != nil {
		return false
	}
	if c.eager > 0 && c.waiting() {
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
	if c.waiting() && !c.resting { // or else it was us who had no batch in time
		c.backOff()
	}
	c.urgent = true
	c.wakeWriter()
}

// backOff has outcomes told at once for a while.
func (c *Conn) backOff() {
	// A peer that waits does so each time behind as many; one whose process had to wait for a processor does not.
	if waits := c.said == 1 || c.said == c.expired; !waits {
		c.rarer = holdAgain
	}
	c.expired = c.said
	c.eager, c.filled = c.said+c.rarer, 0
	c.rarer = min(2*c.rarer, holdRarely)
}

// released takes note that what waited is being written.
func (c *Conn) released() {
	switch {
	case c.eager > 0:
		c.eager = max(c.eager-c.said, 0)
	case c.said >= holdBatch:
		c.rarer = holdAgain
		c.filled++
	}
	c.brought += c.said
	if c.holding {
		c.holding = false
		c.timer.Stop()
	}
	c.said, c.urgent = 0, false
}
