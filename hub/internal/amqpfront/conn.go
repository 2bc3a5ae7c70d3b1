package amqpfront

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/conns"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/sas"
)

// A connection imitates the service in that it belongs to nobody: whose links it has is a
// matter of the credentials that were shown on it, so a gateway has many devices on one. It
// ends when nobody is left on it that the hub would still let in.

// conn is one AMQP connection.
type conn struct {
	server *Server
	peer   conns.Peer
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	amqp   *amqpserver.Conn
	judges sync.WaitGroup // goroutines that wait for the intercept function
	line   *line          // nil without an intercept function

	waiting atomic.Int64 // bytes in all outboxes

	mu       sync.Mutex // guards what follows, and what a device says so of
	over     bool
	creds    credentials
	devices  map[hubwire.Identity]*device
	services map[*amqpserver.Link]need
	parting  *time.Timer // nobody is left, and the peer has until then to end the connection; or nil
	alarm    *time.Timer // for the next credential that expires, or the first that is late
	cbs      []*outbox   // links that the answers of $cbs go to
	managers []*manager  // links that the answers of $management go to
}

// need is what a link of a service must be allowed.
type need struct {
	path  string
	right core.Right
}

// serve serves a connection until it is over.
func (s *Server) serve(nc net.Conn, p conns.Peer) {
	c := &conn{server: s, peer: p, devices: map[hubwire.Identity]*device{}, services: map[*amqpserver.Link]need{}}
	c.ctx, c.cancel = context.WithCancel(s.conns.Context())
	defer c.cancel()
	if s.core.Intercepts() {
		c.line = &line{Conn: nc, cut: c.cut}
		nc = c.line
	}
	c.amqp = s.engine.NewConn(nc, p.Raw, &amqpserver.Handler{
		Authenticate: c.authenticate,
		Receiver:     c.receiver,
		Sender:       c.sender,
	})
	if p.Intake != nil {
		p.Intake.OnLull(c.amqp.Lull)
	}
	if !s.enter(c) {
		return
	}
	defer s.leave(c)
	c.alarm = time.AfterFunc(s.opt.ConnectTimeout, c.ring)
	c.end(c.amqp.Serve())
}

// cut ends the connection at once, from any goroutine.
func (c *conn) cut() {
	c.cancel()
	c.amqp.Cut()
}

// end cleans up when the engine is done with the connection: all nodes have been told.
func (c *conn) end(reason error) {
	c.cancel()
	c.mu.Lock()
	c.over = true
	c.alarm.Stop()
	if c.parting != nil {
		c.parting.Stop()
	}
	c.mu.Unlock()
	c.judges.Wait()
	c.logEnd(reason)
}

// logEnd tells why a connection is over.
func (c *conn) logEnd(reason error) {
	level := slog.LevelInfo
	if reason == nil || errors.Is(reason, io.EOF) {
		level = slog.LevelDebug
	}
	var e *amqp10.Error
	if errors.As(reason, &e) {
		reason = errors.New(quote(string(e.Condition)))
	}
	c.server.opt.Log.Log(context.Background(), level, "amqp: connection closed", "protocol", c.peer.Protocol, "peer", c.peer.Raw.RemoteAddr(), "reason", reason)
}

// quote returns what the log may say of a condition, which may be the peer's own text: people
// paste keys anywhere.
func quote(condition string) string {
	for _, family := range []string{"amqp:", "com.microsoft:"} {
		if strings.HasPrefix(condition, family) && len(condition) < 100 {
			return condition
		}
	}
	return fmt.Sprintf("a condition of %d bytes", len(condition))
}

// authenticate answers the first frame of the SASL layer.
func (c *conn) authenticate(_ *amqpserver.Conn, mechanism string, initial []byte, _ string) amqp10.SASLCode {
	if mechanism != "PLAIN" {
		return amqp10.SASLOK // who it is will be said later
	}
	p, err := parsePlain(initial, c.server.opt.HostName)
	if err != nil {
		c.server.opt.Log.Warn("login refused", "protocol", c.peer.Protocol, "peer", c.peer.Raw.RemoteAddr(), "reason", err)
		return amqp10.SASLAuth
	}
	cred, err := c.checkPlain(&p)
	if err == nil {
		err = c.admit(cred)
	}
	if err != nil {
		return amqp10.SASLAuth
	}
	return amqp10.SASLOK
}

// checkPlain checks what SASL PLAIN says.
func (c *conn) checkPlain(p *plain) (cred *credential, err error) {
	secret := sas.NewSecret(string(p.password))
	cred = &credential{token: secret}
	switch {
	case p.key:
		cred.pass, err = c.server.core.KeyPass(p.policy, secret)
	case p.policy != "":
		cred.pass, err = c.server.core.PolicyPass(secret)
	default:
		cred.grant, err = c.server.core.Authenticate(c.ctx, &core.Login{Identity: p.identity, Protocol: c.peer.Protocol, Token: secret})
	}
	return cred, err
}

// admit takes a credential, lets the devices last as long as it does that it speaks for, and the
// connection be no stranger's any more.
func (c *conn) admit(cred *credential) error {
	c.mu.Lock()
	ok := c.creds.add(cred)
	if ok {
		c.arm()
	}
	c.mu.Unlock()
	if !ok {
		return &hubwire.Error{Op: "put token", Code: hubwire.MaxCBSTokenExceeded, Outcome: hubwire.Refused, Message: "too many tokens on one connection"}
	}
	c.peer.Admit()
	c.renew(cred)
	return nil
}

// arm drops what has expired, and sets the alarm for the credential that expires next. The caller holds the lock.
func (c *conn) arm() {
	next := c.creds.expire(time.Now(), c.server.core.Skew())
	if next.IsZero() {
		c.alarm.Stop()
		return
	}
	c.alarm.Reset(time.Until(next))
}

// ring drops the credentials that have expired, and the links of services that they were for.
// Those of devices go with the sessions, which expire by themselves.
func (c *conn) ring() {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	c.arm()
	var gone []*amqpserver.Link
	for l, n := range c.services {
		if !c.creds.allows(n.path, n.right) {
			gone = append(gone, l)
			delete(c.services, l)
		}
	}
	deserted := c.deserted(hubwire.Identity{}) && c.parting == nil
	if deserted && len(gone) > 0 {
		c.part(hubwire.Identity{}, unauthorized)
	}
	c.mu.Unlock()
	for _, l := range gone {
		l.Detach(unauthorized)
	}
	if deserted && len(gone) == 0 {
		c.amqp.Close(unauthorized)
	}
}

// partingTime is how long a peer has to end a connection on which nobody is left.
const partingTime = 2 * time.Second

// part ends a connection whose last links are being detached, those of an identity or of a service. The
// peer may do so first: the Node SDK answers the end of a link by detaching its others and ending its
// session, and when the connection is closed before it is through with that, it waits for 45
// seconds (observed). The caller holds the lock.
func (c *conn) part(than hubwire.Identity, why *amqp10.Error) {
	if c.over || c.parting != nil {
		return
	}
	c.parting = time.AfterFunc(partingTime, func() {
		c.mu.Lock()
		c.parting = nil
		deserted := c.deserted(than)
		c.mu.Unlock()
		if deserted {
			c.amqp.Close(why)
		}
	})
}

// unauthorized is what ends who has shown no credential, or none that still holds.
var unauthorized = &amqp10.Error{Condition: amqp10.UnauthorizedAccess, Description: "there is no valid token or certificate"}

// deserted reports whether nobody is left on the connection whom the hub would let in, besides an
// identity that has just been sent away. The caller holds the lock.
func (c *conn) deserted(than hubwire.Identity) bool {
	return len(c.devices)+len(c.services) == 0 && !c.creds.others(than)
}

// allow notes a link of a service, which needs a right to a path of the hub as long as it lasts.
// The error is that of a link that is not allowed. Call leaveService when it is gone.
func (c *conn) allow(l *amqpserver.Link, path string, right core.Right) *amqp10.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.creds.allows(path, right) {
		return unauthorized
	}
	c.services[l] = need{path, right}
	return nil
}

// leaveService forgets a link of a service.
func (c *conn) leaveService(l *amqpserver.Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.services, l)
}
