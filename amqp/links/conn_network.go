package links

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// network is one network connection of a Conn.
type network struct {
	c    *Conn
	tap  *tap
	conn *goamqp.Conn
	cbs  cbs

	// Guarded by Conn.mu.
	dead   error       // why it was given up; the first reason stays
	timer  *time.Timer // of look
	silent int         // sessions that the peer has not answered about; go-amqp keeps them as long as the connection
}

// maxSilent is how many sessions that the peer does not answer a connection may have.
const maxSilent = 16

// attachment is a link of go-amqp, from before its attach to its end.
type attachment struct {
	l       *link // nil for one to $cbs
	net     *network
	session *goamqp.Session
	name    string
	handle  handle
	gen     generation
	wire    wire
	arrived atomic.Uint64 // messages that came by it
	taken   uint64        // of those, by its pump
	over    bool          // it has ended, perhaps while it was being attached; guarded by Conn.mu
	reason  error
}

// arrive notes that a message is there, or will be in a moment, for who receives.
func (at *attachment) arrive() {
	at.arrived.Add(1)
	if at.l != nil && at.l.cfg.arriving != nil {
		at.l.cfg.arriving()
	}
}

// why is err, which go-amqp gave for at, or what is known better: who has it let go of a link that the
// peer ended may be ahead of the peer's reason.
func (at *attachment) why(err error) error {
	if e, ok := errors.AsType[*goamqp.LinkError](err); !ok || e.RemoteErr != nil {
		return err
	}
	at.net.c.mu.Lock()
	defer at.net.c.mu.Unlock()
	if at.reason != nil {
		return at.reason
	}
	return err
}

// open opens AMQP on nc, which is n's from here on.
func (n *network) open(ctx context.Context, nc net.Conn) (err error) {
	o := &n.c.o
	n.tap = newTap(nc, n, o.Trace)
	n.cbs.init(n)
	idle := 2 * o.KeepAlive // go-amqp asks for a frame within half of it
	if idle == 0 {
		idle = -1
	}
	opts := &goamqp.ConnOptions{HostName: o.HostName, IdleTimeout: idle, MaxFrameSize: maxFrame}
	if !o.Certificate {
		opts.SASLType = goamqp.SASLTypeAnonymous()
	}
	n.conn, err = goamqp.NewConn(ctx, n.tap, opts)
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	switch {
	case err == nil:
		n.timer = time.AfterFunc(n.pace(), n.look)
	case ctx.Err() != nil:
		err = ctx.Err()
	case n.dead != nil:
		err = n.dead // go-amqp has less to say
	}
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
	n.fail(cmp.Or(n.conn.Err(), ErrPeerEnded)) // if nobody knows better
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.timer.Stop()
	n.dead = lost(n.dead)
	return planned
}

// leave says good-bye, for no longer than half of CloseTimeout.
func (n *network) leave(reason error) {
	n.connEnded(reason)
	ctx, cancel := context.WithTimeout(context.Background(), n.c.o.CloseTimeout/2)
	defer cancel()
	n.tap.goodbye(ctx.Done())
	n.tap.abort()
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
	n.c.startLocked(n.tap.abort)
}

// look gives the connection up when the peer has been silent, or has not read, for too long.
func (n *network) look() {
	o := &n.c.o
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	switch {
	case n.dead != nil:
		return
	case o.KeepAlive > 0 && n.tap.silent() >= o.KeepAlive+o.KeepAlive/2:
		n.failLocked(ErrSilent)
	case n.tap.stalled() >= o.OperationTimeout:
		n.failLocked(ErrStalled)
	default:
		n.timer.Reset(n.pace())
	}
}

// pace is how long look may look away.
func (n *network) pace() time.Duration {
	o := &n.c.o
	d := o.OperationTimeout / 2
	if o.KeepAlive > 0 {
		d = min(d, max(o.KeepAlive+o.KeepAlive/2-n.tap.silent(), 0))
	}
	return max(d, time.Millisecond)
}

// unansweredLocked notes that the peer left a session without an answer, which go-amqp cannot
// let go. Some of them cost the connection, and few where it is of use to nobody.
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

// attachment returns one that is about to be attached, and that the tap knows.
func (n *network) attachment(l *link, session *goamqp.Session) *attachment {
	n.c.mu.Lock()
	n.c.names++
	name := "hubwire-" + strconv.FormatUint(n.c.names, 10)
	n.c.mu.Unlock()
	at := &attachment{l: l, net: n, session: session, name: name, wire: wire{secret: l == nil}}
	n.tap.expect(at)
	return at
}

// What follows is called by the tap, on go-amqp's goroutines.

func (n *network) linkEnded(at *attachment, lv level, remote *amqp10.Error) {
	var node amqp.Node = amqp.CBS
	if at.l != nil {
		node = at.l.cfg.node
	}
	reason := endError("connection", node, lv, amqp.FromWire(remote), ErrPeerEnded)
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.c.endedLocked(at, lv, reason)
}

func (n *network) connEnded(err error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.deadLocked(err)
}

// deadLocked notes that n is over. Who asks for a link from then on waits for the next connection: what it
// would give to go-amqp now could not be told from what was lost.
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

func (n *network) run(f func()) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.c.startLocked(f)
}

// badNetConn makes a panic in a method of the net.Conn that Dial gave an error. It is to be deferred.
func (n *network) badNetConn(err *error) {
	if v := recover(); v != nil {
		n.c.panicked(v)
		*err = fmt.Errorf("links: the net.Conn panicked: %v", v)
	}
}

// badTrace contains a panic of Trace. It is to be deferred.
func (n *network) badTrace() {
	if v := recover(); v != nil {
		n.c.panicked(v)
	}
}
