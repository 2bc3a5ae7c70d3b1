package links

import (
	"cmp"
	"context"
	"net"
	"time"

	"github.com/hubwire/hubwire/internal/amqpclient"
)

// network is one network connection of a Conn.
type network struct {
	c    *Conn
	conn *amqpclient.Conn
	cbs  cbs

	// Guarded by Conn.mu.
	dead   error // why it was given up; the first reason stays
	silent int   // sessions that the peer has not answered about, whose channels are taken for good
}

// maxSilent is how many sessions that the peer does not answer a connection may have.
const maxSilent = 16

// maxFrame is the max-frame-size of our open, in bytes.
const maxFrame = 65536

// open opens AMQP on nc, which is n's from here on.
func (n *network) open(ctx context.Context, nc net.Conn) (err error) {
	o := &n.c.o
	n.cbs.init(n)
	opts := amqpclient.Options{
		ContainerID: newUUID().String(), HostName: o.HostName, MaxFrameSize: maxFrame,
		IdleTimeout: cmp.Or(o.KeepAlive, -1), WriteTimeout: o.OperationTimeout, OnEnd: n.ended,
	}
	if !o.Certificate {
		opts.SASL = amqpclient.Anonymous()
	}
	if o.Trace != nil {
		opts.Trace = func(sent bool, frame []byte) {
			defer func() {
				if v := recover(); v != nil {
					n.c.panickedBeside(v)
				}
			}()
			o.Trace(sent, frame)
		}
	}
	n.conn, err = amqpclient.Open(ctx, &guarded{Conn: nc, c: n.c}, &opts)
	return err
}

// serve returns when the connection has ended, and says whether that was planned.
func (n *network) serve() (planned bool) {
	var renew <-chan time.Time
	if d := n.c.untilRenewal(); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		renew = timer.C
	}
	select {
	case <-n.conn.Done():
	case <-n.c.life.Done():
		n.leave(ErrClosed)
	case <-renew:
		planned = true
		defer n.c.settle()()
		n.leave(ErrRenewal)
	}
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.dead = lost(n.dead)
	return planned
}

// leave says good-bye, for no longer than half of CloseTimeout.
func (n *network) leave(reason error) {
	n.ended(reason)
	ctx, cancel := context.WithTimeout(context.Background(), n.c.o.CloseTimeout/2)
	defer cancel()
	_ = n.conn.Close(ctx)
	<-n.conn.Done()
}

// renewDrain is how long a connection that is left for a fresh one waits for outcomes.
const renewDrain = time.Second

// settle lets entities finish what is under way, before a planned end of the connection.
func (c *Conn) settle() (resume func()) {
	ctx, cancel := context.WithTimeout(c.life, renewDrain)
	defer cancel()
	var settles, resumes []func()
	c.mu.Lock()
	for _, e := range c.entities {
		if f := e.cfg.settle; f != nil {
			settles = append(settles, func() { resumes = append(resumes, f(ctx)) })
		}
	}
	c.mu.Unlock()
	for _, f := range settles {
		f()
	}
	return func() {
		for _, f := range resumes {
			f()
		}
	}
}

// untilRenewal is when to connect again for a fresh certificate; 0 is never.
func (c *Conn) untilRenewal() time.Duration {
	if c.o.Expires == nil {
		return 0
	}
	var at time.Time
	c.call(func() { at = c.o.Expires() })
	return renewal(at)
}

// renewal is after what time to renew what expires at a time: when 80 % of its life are over.
// What will have expired by then is the peer's to refuse. 0 is never.
func renewal(expires time.Time) time.Duration {
	life := time.Until(expires)
	if expires.IsZero() || life <= minRenewal {
		return 0
	}
	return max(life/5*4, minRenewal)
}

// minRenewal keeps renewals from being made at full speed, whatever a source says.
const minRenewal = 100 * time.Millisecond

// fail gives the connection up.
func (n *network) fail(reason error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.failLocked(reason)
}

// failLocked gives n up.
func (n *network) failLocked(reason error) {
	n.deadLocked(reason)
	n.conn.Abort()
}

// unansweredLocked notes that the peer left a session without an answer. Some of them cost the connection, and few
// where it is of use to nobody.
func (n *network) unansweredLocked() {
	if n.silent++; n.silent >= maxSilent || n.silent >= maxMute && !n.usefulLocked() {
		n.failLocked(ErrStalled)
	}
}

// usefulLocked reports whether the connection has brought somebody up.
func (n *network) usefulLocked() bool {
	for _, e := range n.c.entities {
		if e.state == Connected {
			return true
		}
	}
	return false
}

// ended is told that the connection is over, or that it is about to be left.
func (n *network) ended(reason error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.deadLocked(reason)
}

// deadLocked notes that n is over. Who asks for a link from then on waits for the next connection.
func (n *network) deadLocked(reason error) {
	if n.dead != nil {
		return
	}
	n.dead = reason
	told := lost(reason)
	for _, e := range n.c.entities {
		for _, l := range e.links {
			if at := l.live.Load(); at != nil && at.net == n {
				l.loseLocked(at, told)
			}
		}
	}
}
