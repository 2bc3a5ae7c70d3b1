// Package httpfront is the hub's HTTPS door: the REST API of devices and services over core,
// a blob endpoint, and the WebSocket tunnels to MQTT and AMQP. routes.go is the table of what can be
// asked for; how requests and answers look is httpsx's business.
//
// It speaks HTTP/1.1 only, since some SDKs compare the case of header names.
// Source: IoT Hub REST API, api-version 2021-04-12, with what the official
// SDKs send and rely on. Left out: file notifications, which have no operation there, DPS, and
// Azure's management plane.
package httpfront

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/conns"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Options are the options of [New].
type Options struct {
	ConnectTimeout time.Duration // from accept to the first request's header; 0 means 60 s
	WriteTimeout   time.Duration // for a peer to take an answer; 0 means 30 s

	// Tunnels are what WebSockets lead to. Of several that a peer offers the first counts.
	Tunnels []Tunnel

	// Published is told of telemetry that is in the log. It must not keep the message.
	Published func(ctx context.Context, from hubwire.Identity, m *hubwire.Message)

	Storage Storage // nil means none

	Log *slog.Logger // nil means none
}

// Tunnel is what the WebSockets of a subprotocol lead to.
type Tunnel struct {
	Subprotocol string
	Protocol    string // as in [core.Op]

	// Serve serves a tunnel until it is over. It owns the connection below too.
	Serve func(tunnel net.Conn, p conns.Peer)
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
		ConnContext:       keepRaw,
		ConnState:         s.count,
	}
	return s
}

// Accept serves the connections of a listener, with TLS unless cfg is nil, until it is
// closed or Close is called. If a connection has a method Admit, that is called when a request
// was authorized.
func (s *Server) Accept(l net.Listener, cfg *tls.Config) {
	l = unhurried{l}
	if cfg != nil {
		l = tls.NewListener(l, cfg)
	}
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

type rawKey struct{}

// keepRaw puts the connection below TLS where handlers find it.
func keepRaw(ctx context.Context, nc net.Conn) context.Context {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	return context.WithValue(ctx, rawKey{}, nc)
}

func rawConn(r *http.Request) net.Conn { return r.Context().Value(rawKey{}).(net.Conn) }
