package mqttfront

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/conns"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/mqtt"
)

// A connection imitates the service in that errors have no answer: what MQTT 3.1.1
// or the hub does not allow ends it, and so does silence for 1.5 times the
// keep-alive, which a large packet that keeps coming is not, as with Mosquitto.
// Packets behind CONNECT need not wait for CONNACK.

// conn is one MQTT connection. Its reader is the goroutine that serves it: it
// reads a packet, acts, and adds the answer to out, which it writes when it
// would have to wait for the next packet. A burst is answered at once, unless there is
// an intercept function.
type conn struct {
	server *Server
	peer   conns.Peer
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	line   line
	mqtt   *mqtt.Conn
	out    *out
	pushes pushes

	pumpWaits atomic.Bool // one of pushes is to pump

	// Set by the reader: id is a claim until there is a session.
	id      hubwire.Identity
	silence time.Duration // without a packet, after which the connection is over
	will    *hubwire.Message
	dps     *provisioning // of a connection that registers
	acked   []string      // lock tokens that PUBACKs came for, until complete

	mu      sync.Mutex // guards what follows
	session *core.Session
	closed  *hubwire.Error // why the hub ended the session
	deliveries
}

// Why a connection is over, besides the errors of others.
var (
	errGoodBye   = errors.New("mqtt: DISCONNECT")
	errKeepAlive = errors.New("mqtt: no packet within 1.5 times the keep-alive")
	errNoConnect = errors.New("mqtt: no CONNECT in time")
)

// violation is what a peer does that IoT Hub answers by closing the connection.
func violation(format string, args ...any) error {
	return fmt.Errorf("mqtt: "+format, args...)
}

// serve serves a connection until it is over.
func (s *Server) serve(nc net.Conn, p conns.Peer) {
	c := &conn{server: s, peer: p}
	c.ctx, c.cancel = context.WithCancel(s.conns.Context())
	c.line.Conn = nc
	c.mqtt = mqtt.NewConn(&c.line, nil)
	c.out = newOut(c.mqtt, &s.buffers, s.opt.WriteTimeout, c.cut, c.C2DReady)
	err := c.run()
	c.end(err)
}

// cut ends the connection at once, from any goroutine. The reader cleans up.
func (c *conn) cut() {
	c.cancel()
	c.peer.Raw.Close()
}

func (c *conn) run() error {
	if err := c.mqtt.SetReadDeadline(time.Now().Add(c.server.opt.ConnectTimeout)); err != nil {
		return err
	}
	p, err := c.mqtt.ReadPacket()
	if err != nil {
		return because(err, errNoConnect)
	}
	if err := c.connect(p); err != nil {
		return err
	}
	for {
		// An intercept function may take its time with the next packet: not on the account of this one.
		if c.mqtt.Buffered() == 0 || c.server.core.Intercepts() {
			c.proceed()
			c.out.flush()
			c.line.await()
			if err := c.out.await(c.silence); err != nil {
				return err
			}
		}
		p, err := c.next()
		if err != nil {
			return because(err, errKeepAlive)
		}
		if err := c.handle(p); err != nil {
			return err
		}
	}
}

// next reads the next packet. A large one that keeps coming is no silence, or a device whose way is
// slow could never send it: it cannot ping meanwhile.
func (c *conn) next() (mqtt.Packet, error) {
	for {
		p, err := c.mqtt.ReadPacket()
		if !errors.Is(err, os.ErrDeadlineExceeded) || c.out.cause() != nil {
			return p, err
		}
		wait := time.Until(c.line.heard.Add(c.silence))
		if wait <= 0 {
			return nil, err
		}
		if err := c.out.await(wait); err != nil {
			return nil, err
		}
	}
}

// line is what a conn reads from. It knows whether a large packet keeps coming.
type line struct {
	net.Conn
	waits bool      // nothing has come since await
	came  int       // bytes since heard
	heard time.Time // when another piece of the packet had come; zero when there was none
}

// pieceHeard is how many bytes count as a sign of life: not those that a peer dribbles.
const pieceHeard = 1 << 10

// await says that the next packet is waited for.
func (l *line) await() { l.waits, l.came, l.heard = true, 0, time.Time{} }

func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	switch {
	case n <= 0:
	case l.waits: // mostly a read brings whole packets, and the clock is not needed
		l.waits = false
	default:
		if l.came += n; l.came >= pieceHeard {
			l.came, l.heard = 0, time.Now()
		}
	}
	return n, err
}

// because puts why in the place of a deadline that has passed.
func because(err, why error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return why
	}
	return err
}

// handle acts on a packet after CONNECT. An error ends the connection.
func (c *conn) handle(p mqtt.Packet) error {
	if c.dps != nil {
		return c.handleDPS(p)
	}
	if p.Type() != mqtt.TypePuback {
		c.proceed() // before what came behind the PUBACKs
	}
	switch p.Type() {
	case mqtt.TypePublish:
		return c.publish(p)
	case mqtt.TypePuback:
		return c.puback(p)
	case mqtt.TypeSubscribe:
		return c.subscribe(p)
	case mqtt.TypeUnsubscribe:
		return c.unsubscribe(p)
	case mqtt.TypePingreq:
		return c.ping(p)
	case mqtt.TypeDisconnect:
		return c.disconnect(p)
	}
	// A second CONNECT, the packets of QoS 2, and those that only servers send.
	return violation("%v is not for a connected client to send", p.Type())
}

func (c *conn) ping(p mqtt.Packet) error {
	if _, err := mqtt.ParsePingreq(p); err != nil {
		return err
	}
	v, err := c.intercept(core.OpPing, "", nil, nil)
	if err != nil {
		return err
	}
	return c.respond(v, func() error { return nil }, (&mqtt.Pingresp{}).AppendTo)
}

func (c *conn) disconnect(p mqtt.Packet) error {
	if _, err := mqtt.ParseDisconnect(p); err != nil {
		return err
	}
	if _, err := c.intercept(core.OpDisconnect, "", nil, nil); err != nil && refusal(err) == nil {
		return err // as if the good-bye had been lost
	}
	return errGoodBye // it needs no answer, and takes no refusal
}

// respond acts on a packet and adds the answer, which goes before anything that
// the hub sends because of it, unless the verdict says otherwise.
func (c *conn) respond(v core.Verdict, act func() error, answer func([]byte) []byte) error {
	c.out.hold()
	if err := act(); err != nil {
		return err
	}
	switch {
	case v.DropAfter:
		return core.ErrDrop
	case v.SwallowAck:
		c.out.open(nil)
	default:
		c.out.open(answer)
	}
	return nil
}

// intercept shows an operation of the peer to the hub's intercept function.
// The error of a refusal is a [*hubwire.Error].
func (c *conn) intercept(kind core.OpKind, name string, m *hubwire.Message, body []byte) (core.Verdict, error) {
	if !c.server.core.Intercepts() {
		return core.Verdict{}, nil
	}
	return c.server.core.Intercept(c.ctx, &core.Op{
		Kind: kind, Identity: c.id, Protocol: c.peer.Protocol, Name: name, Message: m, Body: body,
	})
}

// refusal returns err as a refusal, or nil when it is something else.
func refusal(err error) *hubwire.Error {
	var e *hubwire.Error
	if errors.As(err, &e) && e.Outcome == hubwire.Refused {
		return e
	}
	return nil
}

// end cleans up after the reader: the session ends, and with it the will, which is published
// unless the peer said good-bye; and everybody who worked for the connection is gone.
func (c *conn) end(reason error) {
	c.mu.Lock()
	session, closed := c.session, c.closed
	c.mu.Unlock()
	if session != nil {
		if reason == errGoodBye {
			session.DiscardWill() // first of all: a connection that takes over may be on its way
		}
		c.complete()
		session.Disconnect()
		c.server.current.Forget(c.id, c)
	}
	if c.dps != nil && c.dps.expiry != nil {
		c.dps.expiry.Stop()
	}
	if closed == nil && reason != core.ErrDrop {
		// What was done is acknowledged, and TLS hears of the end. Both have a time limit.
		c.out.drain()
		c.mqtt.Close()
	}
	c.cut()
	c.out.close()
	c.pushes.close()
	if closed != nil {
		reason = closed
	} else if err := c.out.cause(); err != nil && !errors.Is(err, net.ErrClosed) && reason != errGoodBye {
		reason = err
	}
	var who hubwire.Identity
	if session != nil {
		who = c.id
	}
	c.logEnd(who, reason)
}
