package amqpclient

import (
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// errClosed ends the goroutine that reads when both ends have said close.
var errClosed = errors.New("amqpclient: both ends have closed")

// serve reads until the connection is over, and is the last that runs of it.
func (c *Conn) serve() {
	c.finish(c.run())
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
		e, ok := err.(*amqp10.Error)
		if !ok { // the end, perhaps because of such an error
			return err
		}
		c.refuse(e)
		if e.Condition == amqp10.FramingError {
			return c.ignoreAll() // there is no telling where the next frame begins
		}
	}
}

// next returns the next frame. An [*amqp10.Error] is what the connection is to be closed with.
func (c *Conn) next() (amqp10.Frame, error) {
	for {
		f, err := c.in.Frame(c.o.MaxFrameSize)
		switch {
		case err != nil:
			return nil, &amqp10.Error{Condition: amqp10.FramingError, Description: err.Error()}
		case f != nil:
			c.show(f)
			return f, nil
		}
		if err := c.more(); err != nil {
			return nil, err
		}
	}
}

// more has what came so far answered, and waits for more. When the peer does not take the answers it is not read.
func (c *Conn) more() error {
	c.mu.Lock()
	for c.writing && c.waiting() > softLimit && c.err == nil {
		c.changed.Wait()
	}
	c.busy = false
	c.wakeWriter()
	err := c.err
	c.mu.Unlock()
	if err != nil {
		return err
	}
	err = c.in.Fill()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = true
	c.read()
	switch {
	case err == nil:
		return nil
	case c.err != nil:
		return c.err
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("amqpclient: the peer has hung up: %w", err)
	}
	return &Error{Level: LevelConn, Err: err}
}

// refuse closes the connection because of what the peer did.
func (c *Conn) refuse(e *amqp10.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close(&Error{Level: LevelConn, Err: protocolError(e)}, e)
	c.setCloseBy()
	c.tell()
}

// close ends the connection with a close, if it is open.
func (c *Conn) close(why *Error, e *amqp10.Error) {
	switch {
	case c.err != nil:
	case c.phase == phaseShaking:
		c.fail(why)
	case c.phase < phaseClosing:
		c.cause = why
		c.gather() // what was said before
		c.dropSessions(why)
		c.appendFrame(0, (&amqp10.Close{Error: e}).AppendTo)
		c.phase = phaseClosing
	}
}

// ignoreAll waits for the end of what the peer sends: closing at once could take our close from under way.
func (c *Conn) ignoreAll() error {
	for {
		c.in.Discard(len(c.in.Rest()))
		if err := c.more(); err != nil {
			return errClosed
		}
	}
}

// finish ends the connection, and returns when all have been told and nothing else runs any more.
func (c *Conn) finish(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		e := new(Error)
		if !errors.As(why, &e) {
			e = &Error{Level: LevelConn, Err: why}
		}
		c.cause = e
	}
	c.polite = why == errClosed
	c.fail(c.cause)
	c.phase = phaseOver
	c.timer.Stop()
	for c.writing || c.telling || c.hanging || len(c.untold) > 0 {
		if c.telling || len(c.untold) == 0 {
			c.changed.Wait()
		} else {
			c.tell()
		}
	}
	if !c.isOpened() {
		c.unopened()
	} else if f := c.o.OnEnd; f != nil {
		c.mu.Unlock()
		f(c.cause)
		c.mu.Lock()
	}
	close(c.done)
}

// unopened has Open return without a connection.
func (c *Conn) unopened() {
	select {
	case <-c.opened:
	default:
		close(c.opened)
	}
}

// fail ends all reading and writing, and with it all sessions.
func (c *Conn) fail(why *Error) {
	if c.err != nil {
		return
	}
	if c.cause == nil {
		c.cause = why
	}
	c.err = why
	c.dropSessions(c.cause)
	c.discard()
	c.changed.Broadcast()
	c.hanging = true
	go c.hangUp(c.polite)
	c.wakeTeller()
}

// hangUp closes what is below. After a good-bye it may say so in its own way, that of TLS or of a WebSocket; else it must
// not wait for a peer that may have stopped reading.
func (c *Conn) hangUp(polite bool) {
	if !polite {
		switch nc := c.nc.(type) {
		case interface{ CloseNow() error }:
			nc.CloseNow()
		case interface{ NetConn() net.Conn }:
			nc.NetConn().Close()
		}
	}
	c.nc.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hanging = false
	c.changed.Broadcast()
}
