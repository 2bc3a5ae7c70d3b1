package amqpserver

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// shakeHands goes through the protocol headers, and the SASL layer if the peer wants one
// (part 2 section 2.2 and part 5 section 5.3). What the peer sends early, stays in the buffer.
func (c *Conn) shakeHands() error {
	c.mu.Lock()
	c.openBy = time.Now().Add(c.cfg.OpenTimeout)
	c.mu.Unlock()
	p, err := c.protocol()
	if err == nil && p == amqp10.ProtocolSASL && len(c.cfg.Mechanisms) > 0 {
		if err := c.authenticate(); err != nil {
			return err
		}
		p, err = c.protocol()
	}
	if err != nil {
		return err
	}
	c.say(amqp10.AppendProtocol(nil, amqp10.ProtocolAMQP))
	if p != amqp10.ProtocolAMQP {
		return c.hangUp(fmt.Errorf("amqpserver: protocol %d is not offered here", p))
	}
	return nil
}

// protocol reads a protocol header. A wrong beginning is known before it is whole, and answered with what
// would be right.
func (c *Conn) protocol() (amqp10.Protocol, error) {
	for {
		p, err := amqp10.ParseProtocol(c.in.Rest())
		switch {
		case err == nil:
			c.in.Discard(amqp10.ProtocolHead)
			return p, nil
		case !errors.Is(err, amqp10.ErrTruncated):
			c.say(amqp10.AppendProtocol(nil, amqp10.ProtocolAMQP))
			return 0, c.hangUp(err)
		}
		if err := c.wait(); err != nil {
			return 0, err
		}
	}
}

// authenticate goes through the SASL layer: mechanisms, init, outcome. None of the mechanisms that are
// offered has challenges.
func (c *Conn) authenticate() error {
	c.say(amqp10.AppendProtocol(nil, amqp10.ProtocolSASL))
	offer := amqp10.SASLMechanisms{Mechanisms: amqp10.ValueOf(amqp10.AppendSymbolArray(nil, c.cfg.Mechanisms...))}
	c.sasl(offer.AppendTo)

	f, err := c.next()
	if e := new(amqp10.Error); errors.As(err, &e) {
		return c.hangUp(fmt.Errorf("%w: %w", ErrSASL, err))
	}
	if err != nil {
		return err
	}
	var init amqp10.SASLInit
	switch {
	case f.Type() != amqp10.FrameSASL:
		return c.hangUp(fmt.Errorf("%w: a frame of AMQP within the SASL layer", ErrSASL))
	case init.Parse(f.Body()) != nil:
		c.sasl((&amqp10.SASLOutcome{Code: amqp10.SASLSysPerm}).AppendTo)
		return c.hangUp(fmt.Errorf("%w: no sasl-init", ErrSASL)) // what it is may hold a secret
	}
	code := amqp10.SASLAuth
	if slices.Contains(c.cfg.Mechanisms, string(init.Mechanism)) {
		code = amqp10.SASLOK
		if judge := c.handler.Authenticate; judge != nil {
			code = judge(c, string(init.Mechanism), init.InitialResponse, string(init.Hostname))
		}
	}
	c.sasl((&amqp10.SASLOutcome{Code: code}).AppendTo)
	if code != amqp10.SASLOK {
		return c.hangUp(fmt.Errorf("%w: outcome %d", ErrSASL, code))
	}
	return nil
}

// say adds to what waits to be written.
func (c *Conn) say(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = append(c.frames, b...)
}

func (c *Conn) sasl(body func(dst []byte) []byte) {
	c.say(amqp10.CloseFrame(body(amqp10.OpenFrame(nil, amqp10.FrameSASL, 0)), 0))
}

// hangUp gives up on a peer, which gets to read what was said last, and returns why.
func (c *Conn) hangUp(why error) error {
	c.mu.Lock()
	if c.err == nil {
		c.cause = why
		c.closing()
	}
	c.mu.Unlock()
	c.ignoreAll()
	return why
}
