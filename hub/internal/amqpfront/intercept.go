package amqpfront

import (
	"errors"
	"net"
	"sync/atomic"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// What the intercept function sees of AMQP. A put-token is OpToken. OpConnect is the first link of
// an identity on a connection, OpDisconnect the end of the last one that the peer wants; OpSubscribe
// and OpUnsubscribe are its links that receive, by address, and PUT and DELETE of the
// desired properties. All else is what its name says: each message of a batch an OpPublish, each disposition
// of a message to a device an OpAck.

// intercept shows an operation of the peer to the hub's intercept function. It is for the
// goroutine that reads. The error of a refusal is a [*hubwire.Error].
func (c *conn) intercept(op *core.Op) (core.Verdict, error) {
	if !c.server.core.Intercepts() {
		return core.Verdict{}, nil
	}
	c.amqp.Flush() // what was done before need not wait for this
	op.Protocol = c.peer.Protocol
	v, err := c.server.core.Intercept(c.ctx, op)
	if err != nil && refusal(err) == nil {
		c.cut()
	}
	return v, err
}

// settle accepts a delivery that was acted on, unless the verdict says otherwise.
func (c *conn) settle(r amqpserver.Receipt, v core.Verdict) {
	switch {
	case v.DropAfter:
		c.cut()
	case !v.SwallowAck:
		r.Settle(amqp10.Accepted())
	}
}

// refusal returns err as a refusal, or nil when it is something else.
func refusal(err error) *hubwire.Error {
	if err == nil {
		return nil // without the allocation of what follows
	}
	var e *hubwire.Error
	if errors.As(err, &e) && e.Outcome == hubwire.Refused && !errors.Is(err, net.ErrClosed) {
		return e
	}
	return nil
}

// judge runs f, which shows to the intercept function what the hub would send by itself, on a
// goroutine of its own, since who asks for messages must not wait.
func (c *conn) judge(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.judges.Go(f)
	}
}

// present is intercept for judge: it reports whether to send, and whether to cut behind that.
func (c *conn) present(op *core.Op) (send, cutBehind bool) {
	op.Protocol = c.peer.Protocol
	v, err := c.server.core.Intercept(c.ctx, op)
	if err != nil && refusal(err) == nil {
		c.cut()
	}
	return err == nil, v.DropAfter
}

// line is the connection below the engine of a hub with an intercept function, whose verdicts it carries out.
type line struct {
	net.Conn
	cut func()

	last atomic.Bool // it is to be cut behind the next write
	mute atomic.Bool // what is written gets lost
}

// Read hears nothing of what the peer says while the connection is about to be cut: an answer to what the
// hub sent last would undo the cut.
func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	for err == nil && l.last.Load() {
		n, err = l.Conn.Read(b)
	}
	return n, err
}

func (l *line) Write(b []byte) (int, error) {
	if l.mute.Load() {
		return len(b), nil
	}
	last := l.last.Load()
	n, err := l.Conn.Write(b)
	if last {
		l.cut()
	}
	return n, err
}
