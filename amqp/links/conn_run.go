package links

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqpclient"
	"github.com/hubwire/hubwire/internal/dialled"
	"github.com/hubwire/hubwire/internal/loss"
)

// superviseLocked sees to it that there is, or will be, a connection.
func (c *Conn) superviseLocked() {
	if c.cause != nil {
		return
	}
	if !c.started {
		c.started = true
		c.startLocked(c.run)
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run makes one connection after the other, while somebody wants them.
func (c *Conn) run() {
	defer c.end(ErrClosed) // there is a cause already, unless Dial has ended the goroutine
	var patience retry
	for c.pause(&patience) {
		n, err := c.connect()
		if err != nil {
			patience.failed(&c.o)
			c.attemptFailed(err)
			continue
		}
		patience.mended()
		planned := n.serve()
		if planned {
			patience = retry{}
		} else {
			patience.lost(&c.o)
		}
		c.disconnected(n, planned)
	}
}

// pause waits until a connection is wanted and may be tried for, or returns false at the end.
func (c *Conn) pause(r *retry) bool {
	for {
		c.mu.Lock()
		wanted := false
		for _, e := range c.entities {
			wanted = wanted || e.opened && e.life.Err() == nil
		}
		c.mu.Unlock()
		switch d := r.wait(); {
		case c.life.Err() != nil:
			return false
		case !wanted:
			select {
			case <-c.wake:
			case <-c.life.Done():
			}
		case d == 0:
			return true
		default:
			sleep(c.life, d, nil)
		}
	}
}

// sleep waits for d, or until ctx ends or something comes by wake.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// attemptFailed tells of an attempt to connect, and ends c if waiting cannot mend it.
func (c *Conn) attemptFailed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.cause != nil:
	case hopeless(err):
		c.endLocked(err)
	default:
		c.failure = err
		c.stateLocked(Connecting, err)
		for _, e := range c.entities {
			e.tellConnectingLocked(Connecting, err)
		}
	}
}

// connect makes one attempt.
func (c *Conn) connect() (*network, error) {
	ctx, cancel := context.WithTimeout(c.life, c.o.ConnectTimeout)
	defer cancel()
	nc, err := c.dial(ctx)
	if err != nil {
		return nil, connectError(err)
	}
	n := &network{c: c}
	if err := n.open(ctx, nc); err != nil {
		return nil, connectError(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.net, c.failure = n, nil
	if c.cause == nil {
		c.stateLocked(Connected, nil)
	}
	for _, e := range c.entities {
		e.patience = retry{} // of what was lost with the connection it has waited for that
		for _, l := range e.links {
			l.patience.at = time.Time{}
		}
		e.wakeLocked()
	}
	return n, nil
}

// dial calls Dial.
func (c *Conn) dial(ctx context.Context) (nc net.Conn, err error) {
	panicked := true
	c.call(func() {
		nc, err = c.o.Dial(ctx)
		panicked = false
	})
	switch {
	case panicked:
		return nil, errors.New("links: Dial panicked")
	case err == nil && nc == nil:
		return nil, errors.New("links: Dial returned neither a connection nor an error")
	}
	return nc, dialled.Sound(err)
}

// connectError is why an attempt to connect failed. Whether another can succeed is for err
// to say, if it does.
func connectError(err error) error {
	e := &hubwire.Error{Op: "connect", Outcome: hubwire.NotSent, Retryable: true, Err: inOurWords(err)}
	if inner, ok := errors.AsType[*hubwire.Error](err); ok {
		e.Code, e.Outcome, e.Retryable, e.TrackingID = inner.Code, inner.Outcome, inner.Retryable, inner.TrackingID
		return e
	}
	if _, remote := ending(err); remote != nil {
		e = remote.Hubwire("connect", 0)
		e.Retryable = true // whatever it says, it says it of the connection, and before anybody said who they are
	}
	return e
}

// disconnected takes n from c, and from all that was on it.
func (c *Conn) disconnected(n *network, planned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.net = nil
	state, reason := Connecting, n.dead
	if planned {
		state, reason = Renewing, ErrRenewal
	}
	c.failure = reason
	if c.cause == nil {
		c.stateLocked(state, reason)
	}
	for _, e := range c.entities {
		e.disconnectedLocked(state, reason)
	}
}

// lost says why a connection ended, as OnState has it.
func lost(err error) error {
	own := *asError("connection", 0, err)
	e := &own
	e.Outcome, e.Retryable = hubwire.Unknown, true
	if !errors.Is(err, net.ErrClosed) && !errors.Is(e, net.ErrClosed) {
		e.Err = &loss.Error{Text: lostText(amqpclient.LevelConn), Err: e.Err}
	}
	if e.Code == 0 && !errors.Is(e, ErrProtocol) {
		e.Code = hubwire.ConnectionClosedRemotely
	}
	return e
}
