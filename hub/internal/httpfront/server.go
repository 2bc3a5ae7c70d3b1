// Package httpfront is the hub's HTTPS door: the REST API as far as it is there
// (identities, twins, direct methods, cloud-to-device messages), and the WebSocket
// tunnel to MQTT.
//
// It speaks HTTP/1.1 only, since some SDKs compare the case of header names.
// Source: IoT Hub REST API, api-version 2021-04-12, with what the official
// SDKs send and rely on. What of it is left out is listed in routes.go.
package httpfront

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Options are the options of [New].
type Options struct {
	ConnectTimeout time.Duration // from accept to the first request's header; 0 means 60 s
	WriteTimeout   time.Duration // for a peer to take an answer; 0 means 30 s

	// MQTT serves a tunnel of subprotocol mqtt until it is over. raw is the
	// connection below, which it owns too; certs are those that TLS showed.
	MQTT func(tunnel, raw net.Conn, certs []*x509.Certificate)

	// Published is told of telemetry that is in the log. It must not keep the message.
	Published func(ctx context.Context, from hubwire.Identity, m *hubwire.Message)

	Storage Storage // nil means none

	Log *slog.Logger // nil means none
}

// Bounds of a connection.
const (
	handshakeTimeout = 30 * time.Second
	bodyTimeout      = 60 * time.Second // from a request's first byte to its last
	idleTimeout      = 2 * time.Minute  // between requests
	maxHeader        = 64 << 10         // bytes
)

// Server serves HTTPS connections, one goroutine each.
type Server struct {
	core   *core.Core
	opt    Options
	http   *http.Server
	bodies sync.Pool // of *[]byte, where telemetry is read

	ctx    context.Context // that of all requests; ends with Close
	cancel context.CancelFunc

	// Connections that net/http has. It does not wait for its own.
	conns sync.WaitGroup
}

// New returns a Server without a listener.
func New(c *core.Core, o *Options) *Server {
	s := &Server{core: c, opt: *o}
	s.opt.ConnectTimeout = cmp.Or(s.opt.ConnectTimeout, 60*time.Second)
	s.opt.WriteTimeout = cmp.Or(s.opt.WriteTimeout, 30*time.Second)
	if s.opt.Log == nil {
		s.opt.Log = slog.New(slog.DiscardHandler)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	var http1 http.Protocols
	http1.SetHTTP1(true)
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		Protocols:         &http1,
		ReadHeaderTimeout: min(s.opt.ConnectTimeout, handshakeTimeout),
		ReadTimeout:       bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.opt.Log.Handler(), slog.LevelInfo),
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnContext:       keepPeer,
		ConnState:         s.count,
	}
	return s
}

// Accept serves the connections of a listener of TLS connections, until it is
// closed or Close is called. If what is below TLS has a method Admit, that is
// called when a request was authorized.
func (s *Server) Accept(l net.Listener) {
	if err := s.http.Serve(l); err != http.ErrServerClosed {
		s.opt.Log.Info("https: listener closed", "error", err)
	}
}

// Close cuts all connections, but for tunnels, which have left.
func (s *Server) Close() {
	s.cancel()
	s.http.Close()
}

// Wait returns when all connections are over. Call it after Close, when no
// Accept runs any more.
func (s *Server) Wait() {
	s.http.Close() // one that was accepted while Close ran
	s.conns.Wait()
}

func (s *Server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.conns.Done()
	}
}

// peer is the other end of a connection. It has one request at a time.
type peer struct {
	raw     net.Conn  // below TLS
	writeBy time.Time // the deadline of writes; zero for one that is not known
}

type peerKey struct{}

// keepPeer puts the connection below TLS where handlers find it.
func keepPeer(ctx context.Context, nc net.Conn) context.Context {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	return context.WithValue(ctx, peerKey{}, &peer{raw: nc})
}

func peerOf(r *http.Request) *peer { return r.Context().Value(peerKey{}).(*peer) }

// admit tells the connection that a request was authorized.
func (p *peer) admit() {
	if raw, ok := p.raw.(interface{ Admit() }); ok {
		raw.Admit()
	}
}
