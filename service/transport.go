package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/hubwire/hubwire/internal/dialled"
)

// Bounds of the pool, and of what a server can make it hold.
const (
	idleTimeout = 90 * time.Second // less than servers and what lies between keep a silent connection
	maxHeader   = 64 << 10         // bytes
)

// newTransport makes the one pooled HTTP client: HTTP/1.1, no cookies, no redirects.
func (c *Client) newTransport() *http.Transport {
	tlsConfig := c.o.TLSConfig.Clone()
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c.conns.TLS(tlsConfig)
	t := &http.Transport{
		DialContext:            c.dial,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    c.o.RequestTimeout,
		OnProxyConnectResponse: askedProxy,
		MaxConnsPerHost:        c.o.MaxConns,
		MaxIdleConnsPerHost:    c.o.MaxConns,
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true, // what is read is bounded
		MaxResponseHeaderBytes: maxHeader,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	if c.o.Proxy != nil {
		t.Proxy = http.ProxyURL(c.o.Proxy)
	}
	return t
}

// dial opens a connection. net/http calls it on a goroutine of its own, which the end of
// a call does not end: so Close does, and waits for it.
func (c *Client) dial(ctx context.Context, network, addr string) (nc net.Conn, err error) {
	if !c.begin() {
		return nil, errClosed
	}
	defer c.done()
	ctx, cancel := c.until(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, c.o.RequestTimeout)
	defer cancel()
	defer contain("Options.Dial", &err)
	nc, err = c.o.Dial(ctx, network, addr)
	if err == nil && nc == nil {
		err = errors.New("Options.Dial gave neither a connection nor an error")
	}
	if err != nil {
		return nil, dialled.Sound(err)
	}
	return c.conns.Wrap(nc), nil
}

// contain makes the panic of a function an error. It is to be deferred.
func contain(name string, err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("%s panicked: %v", name, v)
	}
}

// proxyError is the refusal of a proxy.
type proxyError struct {
	proxy  string
	status int
}

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy %s answers CONNECT with %d %s", e.proxy, e.status, http.StatusText(e.status))
}

// askedProxy looks at the answer of a proxy. net/http takes nothing but 200 for a yes.
func askedProxy(_ context.Context, proxy *url.URL, _ *http.Request, res *http.Response) error {
	if res.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{proxy.Host, res.StatusCode}
}

// hopeless reports whether an error of a connection is one that waiting does not mend: a
// certificate that does not verify, a peer that speaks no TLS, a proxy that refuses.
func hopeless(err error) bool {
	if p, ok := errors.AsType[*proxyError](err); ok {
		return p.status < 500 && p.status != http.StatusTooManyRequests
	}
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	return certificate || noTLS
}
