package device

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp/links"
)

// AMQPConnection is one connection for the Clients of any number of devices and modules of a hub, as gateways
// need it. It connects when its first Client does, and again when it is lost, for as long as there are Clients. Its
// methods may be called from any goroutine.
//
//	conn, err := device.NewAMQPConnection("myhub.azure-devices.net", device.AMQP(nil), nil)
//	...
//	c, err := device.Dial(ctx, connectionString, conn.Transport(), nil) // for each device
//
// Clients come and go while it is open, and what happens to one, such as a key that is wrong, a token that expires, a
// device that is deleted, or whose place another takes, leaves the others untouched. [Client.Close] takes its device off.
// A device that is on the connection already is refused with an error that is
// [links.ErrAlreadyOpen], and so are, with [hubwire.ArgumentInvalid], certificates, which speak for a
// connection, and credentials for another host.
//
// It has a handful of goroutines, and none for a Client that is idle.
type AMQPConnection struct {
	cfg       *config
	transport Transport
	conn      *links.Conn
	connected atomic.Bool

	mu      sync.Mutex
	clients map[*amqpLink]struct{}
}

// NewAMQPConnection makes a connection to a hub, or to a gateway, by t, which is [AMQP] or
// [AMQPWebSocket]. It does not connect yet.
//
// Of the options those count here that are about a connection: Dial, TLSConfig, Port, KeepAlive, ConnectTimeout,
// MinBackoff, MaxBackoff, CloseTimeout, and the hooks State, Packet and HandlerPanic, the state being that of
// the connection. In the options of its Clients these are passed over but for CloseTimeout, State and HandlerPanic, and
// count for file uploads.
func NewAMQPConnection(hostName string, t Transport, o *Options) (*AMQPConnection, error) {
	opts, err := o.resolve()
	switch {
	case err != nil:
		return nil, err
	case t.amqp == nil && strings.HasPrefix(t.name, "amqp"):
		return nil, invalid("dial", "the transport of an AMQPConnection is not that of another one")
	case t.amqp == nil:
		return nil, invalid("dial", "the transport of an AMQPConnection is AMQP or AMQPWebSocket, not %q", t.name)
	case hostName == "" || hasPort(hostName):
		return nil, invalid("dial", "the host name is empty or has a port; that goes into Options.Port")
	}
	a := &AMQPConnection{
		cfg:     &config{Options: opts, cred: Credentials{HostName: hostName}, panicked: opts.Hooks.panicked},
		clients: make(map[*amqpLink]struct{}),
	}
	a.cfg.guardDial()
	if a.conn, err = newAMQPConn(a.cfg, t.amqp, &a.connected, a.onState); err != nil {
		return nil, err
	}
	a.transport = Transport{name: t.name, web: t.web, via: t.via, open: a.open}
	return a, nil
}

func (a *AMQPConnection) begun() bool { return a != nil && a.conn != nil }

// Transport returns a transport for any number of Clients, each of which shares the connection. That of an
// AMQPConnection that is not from [NewAMQPConnection] is not valid.
func (a *AMQPConnection) Transport() Transport {
	if !a.begun() {
		return Transport{}
	}
	return a.transport
}

// State returns the state of the connection.
func (a *AMQPConnection) State() State {
	if !a.begun() {
		return Closed
	}
	return amqpState(a.conn.State())
}

// Done is closed when the connection has ended, and all its Clients; Err then says why. It is nil for an AMQPConnection that is not from
// [NewAMQPConnection].
func (a *AMQPConnection) Done() <-chan struct{} {
	if !a.begun() {
		return nil
	}
	return a.conn.Done()
}

// Err returns nil while the connection lives, and then why it ended: an error that matches [net.ErrClosed] after
// Close, else a [*hubwire.Error].
func (a *AMQPConnection) Err() error {
	if !a.begun() {
		return nil
	}
	return a.conn.Err()
}

// Close ends the connection and all its Clients, which it gives a moment for pending sends, and returns when all
// goroutines are gone, within CloseTimeout. It may be called more than once, at any time, and from inside of a
// handler, a done function or a hook, whose own goroutine it does not wait for.
//
// The error is nil or, when a function of the program has not returned in time, one that matches
// [context.DeadlineExceeded]; the connection has ended all the same.
func (a *AMQPConnection) Close() error {
	if !a.begun() {
		return nil
	}
	limit, stop := within(a.cfg.CloseTimeout)
	defer stop()
	moment, stop := context.WithTimeout(context.Background(), a.cfg.CloseTimeout/2)
	defer stop()
	a.mu.Lock()
	clients := slices.Collect(maps.Keys(a.clients))
	a.mu.Unlock()
	for _, l := range clients {
		l.device.Drain(moment)
	}
	if err := a.conn.Close(); err != nil {
		return withOp("close", err)
	}
	if !a.cfg.conns.Wait(limit) {
		return &hubwire.Error{Op: "close", Outcome: hubwire.Unknown, Err: context.DeadlineExceeded, Message: lateConn}
	}
	return nil
}

func (a *AMQPConnection) onState(s links.State, reason error) {
	if s == links.Connected {
		a.connected.Store(true)
	}
	if f := a.cfg.Hooks.State; f != nil {
		f(amqpState(s), reason)
	}
}

// open puts one more device on the connection.
func (a *AMQPConnection) open(ctx context.Context, cfg *config) (link, error) {
	switch {
	case cfg.cred.Tokens == nil:
		return nil, invalid("dial", "a certificate speaks for a whole connection; AMQPConnection takes tokens")
	case cfg.cred.host() != a.cfg.cred.HostName:
		return nil, invalid("dial", "the connection is one to %s, and the credentials are for %s", a.cfg.cred.HostName, cfg.cred.host())
	}
	l := &amqpLink{cfg: cfg, conn: a.conn, shared: a}
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.state() != Closed { // else leave was before us
		a.clients[l] = struct{}{}
	}
	return l, nil
}

// leave takes note that a Client is not on the connection any more.
func (a *AMQPConnection) leave(l *amqpLink) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.clients, l)
}
