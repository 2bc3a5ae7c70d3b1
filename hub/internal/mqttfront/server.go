// Package mqttfront is the hub's MQTT door: MQTT 3.1.1 as IoT Hub speaks it
// (IoT Hub developer guide, "Communicate with your IoT hub using the MQTT
// protocol"), on a [core.Core].
//
// The hub answers little over MQTT: what it does not accept closes the
// connection. Left out: MQTT 5.
package mqttfront

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/conns"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/dps"
)

// Options are the options of [New].
type Options struct {
	ConnectTimeout    time.Duration // from accept to CONNECT; 0 means 60 s
	WriteTimeout      time.Duration // for a peer to take 16 KiB of what it is sent; 0 means 30 s
	RefuseFilters     bool          // SUBACK 0x80 for an unknown filter, instead of closing
	AllowNoAPIVersion bool          // in user names
	PurgeUnsubscribed bool          // drop the C2D messages of who is connected without a subscription to them
	GatewayProperties bool          // heed mqtt-qos, and mark with mqtt-dup

	// Published is called after each telemetry message that the hub has taken,
	// and must not keep m. May be nil.
	Published func(ctx context.Context, from hubwire.Identity, m *hubwire.Message)

	// Provisioning is who answers those whose user name has its id scope. May be
	// nil. Skew is how long after its token such a connection lasts.
	Provisioning *dps.Service
	Skew         time.Duration

	Log *slog.Logger // nil means none
}

// Server serves MQTT connections, one goroutine each.
type Server struct {
	core    *core.Core
	opt     Options
	buffers buffers
	conns   *conns.Set
	current conns.Current[*conn] // for Drop
	arrived atomic.Uint64        // CONNECTs
}

// New returns a Server without a listener.
func New(c *core.Core, o *Options) *Server {
	s := &Server{core: c, opt: *o}
	s.opt.ConnectTimeout = cmp.Or(s.opt.ConnectTimeout, 60*time.Second)
	s.opt.WriteTimeout = cmp.Or(s.opt.WriteTimeout, 30*time.Second)
	if s.opt.Log == nil {
		s.opt.Log = slog.New(slog.DiscardHandler)
	}
	s.conns = conns.New("mqtt", s.opt.ConnectTimeout, s.opt.Log)
	return s
}

// Accept serves the connections of a listener with TLS, until the listener is closed.
func (s *Server) Accept(l net.Listener, cfg *tls.Config) {
	s.conns.Accept(l, cfg, s.serve)
}

// Serve serves a connection that came through a tunnel, until it is over, and closes it.
func (s *Server) Serve(nc net.Conn, p conns.Peer) { s.conns.Serve(nc, p, s.serve) }

// Drop cuts the connection of an identity, and reports whether there was one.
func (s *Server) Drop(id hubwire.Identity) bool {
	c := s.current.Of(id)
	if c == nil {
		return false
	}
	c.cut()
	return true
}

// Close cuts all connections and returns when they are over.
func (s *Server) Close() { s.conns.Close() }
