package amqpclient

import (
	"fmt"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// handle acts on a frame. An [*amqp10.Error] is what the connection is to be closed with, errClosed says
// that it is over.
func (c *Conn) handle(f amqp10.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	body := f.Body()
	switch {
	case c.err != nil:
		return c.err
	case f.Type() != amqp10.FrameAMQP:
		return &amqp10.Error{Condition: amqp10.FramingError, Description: "a frame of SASL behind the SASL layer"}
	case len(body) == 0:
		c.quiet()
		return nil
	}
	c.heard.Add(1)
	what := amqp10.PeekDescriptor(body)
	if c.phase == phaseClosing && what != amqp10.DescClose {
		return nil // it was sent before the peer knew
	}
	err := c.act(what, f.Channel(), body)
	c.tell()
	return err
}

// act acts on a performative, with the lock held.
func (c *Conn) act(what amqp10.Descriptor, channel uint16, body []byte) error {
	switch {
	case what == amqp10.DescOpen:
		return c.open(body)
	case what == amqp10.DescClose:
		return c.closed(body)
	case c.phase == phaseOpening:
		return &amqp10.Error{Condition: amqp10.IllegalState, Description: "the first frame is not an open"}
	case what == amqp10.DescBegin:
		return c.begun(channel, body)
	case what < amqp10.DescBegin || what > amqp10.DescClose:
		return &amqp10.Error{Condition: amqp10.DecodeError, Description: "the frame is no performative"}
	}
	s := c.remotes[channel]
	switch {
	case s == nil:
		return &amqp10.Error{Condition: amqp10.NotAllowed, Description: fmt.Sprintf("%v on channel %d, which has no session", what, channel)}
	case what == amqp10.DescEnd:
		return s.ended(channel, body)
	case s.state != sessionOpen:
		return nil // it was sent before the peer knew
	}
	switch what {
	case amqp10.DescTransfer:
		return s.transfer(body)
	case amqp10.DescDisposition:
		return s.disposition(body)
	case amqp10.DescFlow:
		return s.flow(body)
	case amqp10.DescAttach:
		return s.attached(body)
	default:
		return s.detached(body)
	}
}

// closed acts on the peer's close. One instead of an open is how a peer says why there is none.
func (c *Conn) closed(body []byte) error {
	var p amqp10.Close
	if err := p.Parse(body); err != nil && c.phase == phaseOpen {
		return decodeError(err)
	}
	c.close(remoteError(LevelConn, p.Error), nil)
	c.busy = false
	c.wakeWriter()
	for c.writing && c.err == nil {
		c.changed.Wait()
	}
	return errClosed
}

// quiet gives back the memory that only a busy connection needs. The peer has just said that it has nothing to say.
func (c *Conn) quiet() {
	c.in.Quiet()
	c.spare = nil
	heard := c.heard.Load()
	if heard == c.quieted {
		return // it has said nothing since it said so last
	}
	c.quieted = heard
	for _, s := range c.channels {
		if s != nil {
			s.in.Quiet()
			s.out.Quiet()
		}
	}
}
