package device

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
)

// beside has the ways of a Client that go over HTTPS beside its protocol: of uploads, and of a module's
// calls. They are made when they are first needed, and end with it.
type beside struct {
	cfg *config // with the port of HTTPS, and the dialer that goes through the protocol's proxy

	mu   sync.Mutex
	made *besideWays
	over error // why there are no more
}

// besideWays lead to the hub and to the storage account.
type besideWays struct {
	hub     rest
	account http.Transport
	conns   connections // to the account
}

// storageConns bounds the connections to the account that wait for the next request.
const storageConns = 32

// init notes what a Client of a transport dials with: in the end of that one which is chosen.
func (b *beside) init(cfg *config, t *Transport, chosen func() Choice) {
	own := *cfg
	switch {
	case cfg.HTTPSPort != 0:
		own.Port = cfg.HTTPSPort
	case !t.web:
		own.Port = httpsPort
	}
	own.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return cfg.via(chosen().Transport.via)(ctx, network, addr)
	}
	b.cfg = &own
}

// ways returns the ways, or why there are none any more.
func (b *beside) ways() (*besideWays, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over != nil {
		return nil, &hubwire.Error{Outcome: hubwire.NotSent, Err: b.over}
	}
	if b.made == nil {
		b.made = newBesideWays(b.cfg)
	}
	return b.made, nil
}

func newBesideWays(cfg *config) *besideWays {
	w := new(besideWays)
	hub, requests := cfg, 2 // about uploads, which are short
	if cfg.id.IsModule() {  // calls, each of which waits for somebody
		own := *cfg
		own.AckTimeout = 0
		hub, requests = &own, maxInvocations
	}
	w.hub.init(hub, requests, cfg.dialHTTPS, func(*hubwire.Error) {})
	roots := cfg.TLSConfig.Clone()
	if roots == nil {
		roots = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	// The name is the account's, and the certificate the hub's business.
	roots.ServerName, roots.Certificates, roots.GetClientCertificate, roots.NextProtos = "", nil, nil, nil
	cfg.conns.TLS(roots)
	w.account = http.Transport{
		DialContext:           w.conns.dial,
		TLSClientConfig:       roots,
		TLSHandshakeTimeout:   cfg.ConnectTimeout,
		MaxIdleConnsPerHost:   storageConns,
		IdleConnTimeout:       idleTimeout,
		ResponseHeaderTimeout: max(0, cfg.AckTimeout),
		WriteBufferSize:       64 << 10,
		DisableCompression:    true,
		Protocols:             new(http.Protocols),
	}
	w.account.Protocols.SetHTTP1(true)
	w.conns.init(w.hub.over, cfg, cfg.Dial, w.account.CloseIdleConnections)
	return w
}

// steadyBody is the body of an answer that is lost when it does not get on.
type steadyBody struct {
	io.ReadCloser
	limit time.Duration
	late  *time.Timer // closes it
}

// steady returns body with a limit to the time that a read may wait; 0 and less mean none.
func steady(body io.ReadCloser, limit time.Duration) io.ReadCloser {
	if limit <= 0 {
		return body
	}
	late := time.AfterFunc(limit, func() { body.Close() })
	late.Stop()
	return &steadyBody{body, limit, late}
}

func (b *steadyBody) Read(p []byte) (int, error) {
	b.late.Reset(b.limit)
	n, err := b.ReadCloser.Read(p)
	if !b.late.Stop() && err != nil {
		err = unanswered(errStalled)
	}
	return n, err
}

var errStalled = errors.New("device: it does not go on")

// end ends all that is under way, because of cause, the first time.
func (b *beside) end(cause error) {
	if !errors.Is(cause, net.ErrClosed) {
		cause = endedBy(cause)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over != nil {
		return
	}
	b.over = cause
	if w := b.made; w != nil {
		w.hub.abort(cause)
		w.hub.conns.abort()
		w.hub.transport.CloseIdleConnections()
		w.conns.abort()
		w.account.CloseIdleConnections()
	}
}

// wait reports whether all dials have returned before limit.
func (b *beside) wait(limit <-chan struct{}) bool {
	b.mu.Lock()
	w := b.made
	b.mu.Unlock()
	return w == nil || w.hub.conns.wait(limit) && w.conns.wait(limit)
}
