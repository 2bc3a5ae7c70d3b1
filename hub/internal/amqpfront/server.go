// Package amqpfront is the hub's AMQP door: AMQP 1.0 as IoT Hub speaks it (IoT Hub
// developer guide, "Communicate with your IoT hub by using the AMQP protocol"; claims-based
// security version 1.0), on a [core.Core].
//
// server.go and conn.go are the way of a connection, attach.go is the table of what its links can
// lead to, device.go is an identity on a connection; a file for each kind of link follows.
//
// Left out: Entra ID, transactions, the resumption of links, and the pairing of links by
// com.microsoft:channel-correlation-id, which the Node SDK gets wrong: a device has one link of each
// kind that receives, of which the newest wins.
package amqpfront

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/conns"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// Options are the options of [New].
type Options struct {
	HostName       string        // the hub's own
	ConnectTimeout time.Duration // from accept to open, and again to the first credential; 0 means 60 s
	WriteTimeout   time.Duration // for a peer to take what it is sent; 0 means 30 s

	NoRedirect bool // messages/events is served in place

	// Published is called after each telemetry message that the hub has taken,
	// and must not keep m. May be nil.
	Published func(ctx context.Context, from hubwire.Identity, m *hubwire.Message)

	Log *slog.Logger // nil means none
}

// idleTimeout is what peers are told: who is silent for twice as long is gone. The .NET SDK takes
// nothing below 5 s.
const idleTimeout = 240 * time.Second

// goodbye is how long peers have to answer when the hub closes.
const goodbye = 250 * time.Millisecond

// Server serves AMQP connections.
type Server struct {
	core    *core.Core
	opt     Options
	engine  *amqpserver.Server
	conns   *conns.Set
	current conns.Current[*conn] // of those who have links, for Drop

	mu     sync.Mutex
	closed bool
	open   map[*conn]struct{}
}

// New returns a Server without a listener.
func New(c *core.Core, o *Options) *Server {
	s := &Server{core: c, opt: *o, open: map[*conn]struct{}{}}
	s.opt.ConnectTimeout = cmp.Or(s.opt.ConnectTimeout, 60*time.Second)
	s.opt.WriteTimeout = cmp.Or(s.opt.WriteTimeout, 30*time.Second)
	if s.opt.Log == nil {
		s.opt.Log = slog.New(slog.DiscardHandler)
	}
	s.conns = conns.New("amqp", s.opt.ConnectTimeout, s.opt.Log)
	s.conns.Intakes = true
	s.engine = amqpserver.NewServer(&amqpserver.Config{
		ContainerID:    "DeviceGateway_" + core.NewGUID(),
		MaxMessageSize: maxMessage,
		IdleTimeout:    idleTimeout,
		OpenTimeout:    s.opt.ConnectTimeout,
		WriteTimeout:   s.opt.WriteTimeout,
		Mechanisms:     mechanisms,
	})
	return s
}

// maxMessage is the largest message that is taken, with all of its sections and whatever the
// encoding adds to it, in bytes. The service's own limits are those of [hubwire.Message.CheckTelemetry] and its kin.
const maxMessage = 1 << 20

// Accept serves the connections of a listener with TLS, until the listener is closed.
func (s *Server) Accept(l net.Listener, cfg *tls.Config) { s.conns.Accept(l, cfg, s.serve) }

// Serve serves a connection that came through a tunnel, until it is over, and closes it.
func (s *Server) Serve(nc net.Conn, p conns.Peer) { s.conns.Serve(nc, p, s.serve) }

// Drop cuts the connection that an identity has links on, and reports whether there was one.
func (s *Server) Drop(id hubwire.Identity) bool {
	c := s.current.Of(id)
	if c == nil {
		return false
	}
	c.cut()
	return true
}

// Close says good-bye to all peers, gives them a moment to answer, cuts the connections and
// returns when they are over.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	open := make([]*conn, 0, len(s.open))
	for c := range s.open {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, c := range open {
		c.amqp.Close(shutdown)
	}
	late := time.AfterFunc(goodbye, func() {
		for _, c := range open {
			c.cut()
		}
	})
	for _, c := range open {
		<-c.ctx.Done()
	}
	late.Stop()
	s.conns.Close()
}

// shutdown is what connections are closed with when the hub is: clients connect again.
var shutdown = &amqp10.Error{Condition: amqp10.ConnectionForced, Description: "the hub is closing"}

// enter notes a connection, unless the server is closed.
func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.open[c] = struct{}{}
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}
