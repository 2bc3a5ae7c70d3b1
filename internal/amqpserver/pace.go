package amqpserver

import "time"

const (
	// restAfter is how many batches of outcomes must fill in a row before reading rests, and restRarely what that grows
	// to when rests are not worth it.
	restAfter  = 8
	restRarely = 128
)

// pace is how reading rests. A peer that streams and writes each message by itself, as go-amqp does, wakes us for
// each, which costs several times what the message does. So it is read once in a holdTime, for as long as a
// rest brings a batch: a peer whose window is small would only be held up.
type pace struct {
	lulls, lull bool // lulls are told of; there is one

	filled  int  // batches in a row
	needed  int  // of them, for the next rest
	resting bool // the last lull that counts has had a rest
	soon    bool // the next one does not count
	brought int  // outcomes since the last rest
}

// waiting reports whether the peer may be waiting for us, as far as is known: there is nothing more of it.
func (c *Conn) waiting() bool { return c.lull || !c.lulls }

// Lull tells that all that has come is read, and that a read is about to wait for more. Who can tell calls it within
// the Read of the connection's [net.Conn], which itself cannot when it is one with TLS, and on the goroutine of
// Serve. It returns within a few milliseconds. Without it the peer is read as things come.
func (c *Conn) Lull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lulls, c.lull = true, true
	if c.said > 0 {
		c.flush()
	}
	if c.soon { // only what we have read lets TCP send on
		c.soon = false
		return
	}
	switch {
	case c.resting && c.brought+c.said < holdBatch:
		c.resting, c.filled = false, 0
		c.needed = min(2*c.needed, restRarely)
		return
	case c.resting:
		c.needed = restAfter
	case c.filled < c.needed:
		return
	}
	if c.said > 0 {
		c.urgent = true
		c.flush()
	}
	c.resting, c.soon, c.brought = true, true, 0
	c.mu.Unlock()
	time.Sleep(holdTime)
	c.mu.Lock()
}
