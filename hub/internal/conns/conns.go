// Package conns is what the doors of TLS protocols have in common: it accepts connections, shakes
// hands, and knows those that are open, so that Close can cut them all and wait for their end.
package conns

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// handshakeTimeout bounds the TLS handshake.
const handshakeTimeout = 30 * time.Second

// Peer is what is known of a connection before it says anything.
type Peer struct {
	Protocol     string              // "mqtt", "mqtt-ws", "amqp" or "amqp-ws"
	Certificates []*x509.Certificate // that TLS showed, leaf first

	// Raw is the connection below TLS and tunnel. Closing it never blocks. If it
	// has a method Admit, that is called by Peer.Admit.
	Raw net.Conn

	// Intake is what TLS reads from, if [Set].Intakes says so and there is no tunnel; or nil.
	Intake *Intake
}

// Admit tells the door that the peer is no stranger any more: its login has succeeded.
func (p *Peer) Admit() {
	if raw, ok := p.Raw.(interface{ Admit() }); ok {
		raw.Admit()
	}
}

// Set is the connections of a front, one goroutine each. Make one with [New].
type Set struct {
	// Intakes has each connection with TLS have an [Intake]. Set it before Accept.
	Intakes bool

	name     string
	patience time.Duration
	log      *slog.Logger

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // connections

	mu     sync.Mutex
	closed bool
	raw    map[net.Conn]struct{} // all of them, from accept on
}

// New returns an empty Set. Its name, the protocol's, begins what it logs. The handshake of a connection may
// take patience, and 30 s at most.
func New(name string, patience time.Duration, log *slog.Logger) *Set {
	s := &Set{name: name, patience: min(patience, handshakeTimeout), log: log, raw: map[net.Conn]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Context ends with Close.
func (s *Set) Context() context.Context { return s.ctx }

// Accept serves the connections of a listener with TLS, until the listener is closed. A connection
// is closed when serve has returned.
func (s *Set) Accept(l net.Listener, cfg *tls.Config, serve func(net.Conn, Peer)) {
	const longest = time.Second
	pause := time.Millisecond
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = time.Millisecond
			s.start(nc, func() { s.handshake(nc, cfg, serve) })
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		// Out of file descriptors, most likely: waiting helps.
		s.log.Error(s.name+": accept", "error", err)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-s.ctx.Done():
			t.Stop()
			return
		}
		pause = min(2*pause, longest)
	}
}

// start runs serve for a connection on a goroutine of its own.
func (s *Set) start(raw net.Conn, serve func()) {
	if !s.enter(raw) {
		raw.Close()
		return
	}
	go func() {
		defer s.leave(raw)
		serve()
	}()
}

// Serve serves a connection that came through a tunnel, until serve has returned, and closes it.
func (s *Set) Serve(nc net.Conn, p Peer, serve func(net.Conn, Peer)) {
	if !s.enter(p.Raw) {
		p.Raw.Close()
		return
	}
	defer s.leave(p.Raw)
	serve(nc, p)
}

func (s *Set) enter(raw net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.raw[raw] = struct{}{}
	s.wg.Add(1)
	return true
}

func (s *Set) leave(raw net.Conn) {
	raw.Close()
	s.mu.Lock()
	delete(s.raw, raw)
	s.mu.Unlock()
	s.wg.Done()
}

func (s *Set) handshake(raw net.Conn, cfg *tls.Config, serve func(net.Conn, Peer)) {
	p := Peer{Protocol: s.name, Raw: raw}
	below := raw
	if s.Intakes {
		p.Intake = &Intake{Conn: raw}
		below = p.Intake
	}
	nc := tls.Server(below, cfg)
	ctx, cancel := context.WithTimeout(s.ctx, s.patience)
	err := nc.HandshakeContext(ctx)
	cancel()
	if err != nil {
		s.log.Info(s.name+": TLS handshake", "peer", raw.RemoteAddr(), "error", err)
		return
	}
	p.Certificates = nc.ConnectionState().PeerCertificates
	serve(nc, p)
}

// Close cuts all connections and returns when they are over.
func (s *Set) Close() {
	s.cancel()
	s.mu.Lock()
	s.closed = true
	for raw := range s.raw {
		raw.Close()
	}
	s.mu.Unlock()
	s.Wait()
}

// Wait returns when all connections are over that there were when it was called.
func (s *Set) Wait() { s.wg.Wait() }

// Len returns how many connections there are.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.raw)
}
