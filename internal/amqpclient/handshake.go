package amqpclient

import (
	"errors"
	"fmt"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// shakeHands goes through the SASL layer if there is one, and the protocol header (part 2 section 2.2 and part 5 section
// 5.3). Our open follows our header at once.
func (c *Conn) shakeHands() error {
	if sasl := c.o.SASL; sasl != nil {
		if err := c.authenticate(sasl); err != nil {
			return err
		}
		c.mu.Lock()
		c.o.SASL = nil // it is a secret
		c.mu.Unlock()
	}
	c.mu.Lock()
	c.sayProtocol(amqp10.ProtocolAMQP)
	c.sayOpen()
	c.mu.Unlock()
	return c.protocol(amqp10.ProtocolAMQP)
}

// protocol reads the protocol header of the peer, which must be that of p.
func (c *Conn) protocol(p amqp10.Protocol) error {
	for {
		b := c.in.Rest()
		got, err := amqp10.ParseProtocol(b)
		switch {
		case err == nil:
			c.show(b[:amqp10.ProtocolHead])
			c.in.Discard(amqp10.ProtocolHead)
			if got == p {
				return nil
			}
			return broken(fmt.Errorf("the peer wants protocol %d, not %d", got, p))
		case !errors.Is(err, amqp10.ErrTruncated):
			return broken(err)
		}
		if err := c.more(); err != nil {
			return err
		}
	}
}

// broken is the end of a connection whose peer cannot even be told why.
func broken(err error) *Error {
	return &Error{Level: LevelConn, Err: fmt.Errorf("%w: %w", ErrProtocol, err)}
}

// authenticate goes through the SASL layer: mechanisms, init, outcome.
func (c *Conn) authenticate(sasl *SASL) error {
	c.mu.Lock()
	c.sayProtocol(amqp10.ProtocolSASL)
	c.mu.Unlock()
	if err := c.protocol(amqp10.ProtocolSASL); err != nil {
		return err
	}
	var offer amqp10.SASLMechanisms
	if err := c.sasl(&offer); err != nil {
		return err
	}
	if !offers(&offer, sasl.Mechanism) {
		return &Error{Level: LevelConn, Err: fmt.Errorf("%w: the peer does not offer %s", ErrSASL, sasl.Mechanism)}
	}
	c.mu.Lock()
	init := amqp10.SASLInit{Mechanism: []byte(sasl.Mechanism), InitialResponse: sasl.Response, Hostname: optional(c.o.HostName)}
	at := c.openFrame(amqp10.FrameSASL, 0)
	c.frames.b = init.AppendTo(c.frames.b)
	c.closeMasked(at, func(dst []byte) []byte {
		init.InitialResponse = nil
		return init.AppendTo(dst)
	})
	c.mu.Unlock()
	var outcome amqp10.SASLOutcome
	if err := c.sasl(&outcome); err != nil {
		return err
	}
	if outcome.Code != amqp10.SASLOK {
		return &Error{Level: LevelConn, Err: fmt.Errorf("%w: outcome %d", ErrSASL, outcome.Code)}
	}
	return nil
}

// sasl reads a frame of SASL. A challenge is none that is due: no mechanism here has any.
func (c *Conn) sasl(into interface{ Parse(b []byte) error }) error {
	f, err := c.next()
	if e, ok := err.(*amqp10.Error); ok {
		return broken(e)
	}
	if err != nil {
		return err
	}
	if f.Type() != amqp10.FrameSASL {
		return broken(errors.New("a frame of AMQP within the SASL layer"))
	}
	if err := into.Parse(f.Body()); err != nil {
		return broken(err)
	}
	return nil
}

func offers(m *amqp10.SASLMechanisms, name string) bool {
	for r := m.Mechanisms.Items(); r.More(); {
		if text, _ := r.Value().Text(); string(text) == name {
			return true
		}
	}
	return false
}

// optional returns s for a field that is null when s is empty.
func optional(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// sayOpen says our open.
func (c *Conn) sayOpen() {
	o := amqp10.Open{
		ContainerID:  []byte(c.o.ContainerID),
		Hostname:     optional(c.o.HostName),
		MaxFrameSize: amqp10.Some(c.o.MaxFrameSize),
		ChannelMax:   amqp10.Some(c.o.ChannelMax),
	}
	if t := c.o.IdleTimeout; t > 0 {
		o.IdleTimeout = amqp10.Some(uint32(max(t.Milliseconds(), 1)))
	}
	c.appendFrame(0, o.AppendTo)
	c.phase = phaseOpening
}
