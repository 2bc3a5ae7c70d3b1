package device

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/errtext"
	"github.com/hubwire/hubwire/internal/notls"
	"github.com/hubwire/hubwire/ws"
)

// addr is where a protocol that has a port of its own is dialled.
func (c *config) addr(port int) string {
	if c.Port != 0 {
		port = c.Port
	}
	return net.JoinHostPort(c.cred.host(), strconv.Itoa(port))
}

// tls returns the configuration of one connection, which may be changed.
func (c *config) tls() *tls.Config {
	t := c.TLSConfig.Clone()
	if t == nil {
		t = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if t.ServerName == "" {
		t.ServerName = c.cred.host()
	}
	if c.cred.GetClientCertificate != nil {
		t.GetClientCertificate = c.cred.GetClientCertificate
		t.ClientSessionCache = nil // a session that is resumed has the certificate of the first connection
	}
	c.conns.TLS(t)
	return t
}

// dialTLS opens a TLS connection to a protocol's port.
func (c *config) dialTLS(ctx context.Context, port int) (net.Conn, error) {
	return c.dialWith(ctx, port, c.tls())
}

// dialHTTPS is dialTLS for HTTP/1.1, whatever a program speaks elsewhere.
func (c *config) dialHTTPS(ctx context.Context) (net.Conn, error) {
	t := c.tls()
	t.NextProtos = nil
	return c.dialWith(ctx, httpsPort, t)
}

func (c *config) dialWith(ctx context.Context, port int, t *tls.Config) (net.Conn, error) {
	raw, err := c.Dial(ctx, "tcp", c.addr(port))
	if err == nil && raw == nil {
		err = errors.New("Options.Dial gave neither a connection nor an error")
	}
	if err != nil {
		return nil, err
	}
	if bare, ok := raw.(notls.Conn); ok {
		return bare.Conn, nil
	}
	secured := false // also when a function of the configuration panics
	defer func() {
		if !secured {
			raw.Close()
		}
	}()
	nc := tls.Client(raw, t)
	if err := nc.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS with %s: %w", c.cred.host(), errtext.Error(err))
	}
	secured = true
	return nc, nil
}

// firstDial wraps the dial function of a link so that what is wrong with the
// set-up, as far as badWay can tell, ends the first Dial at once. Once a
// connection has stood, the same is trouble that can pass: a network that
// intercepts, a proxy that restarts.
func firstDial(dial func(context.Context) (net.Conn, error), connected *atomic.Bool) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		nc, err := dial(ctx)
		if err != nil && !connected.Load() && badWay(err) {
			return nil, &hubwire.Error{Outcome: hubwire.NotSent, Err: err}
		}
		return nc, err
	}
}

// badWay reports whether err is a refusal that will be the same the next time: of the
// hub's certificate, of an upgrade, or by a proxy, which any transport may have in Options.Dial.
func badWay(err error) bool { return ws.IsRefusal(err) || badCertificate(err) }

// badCertificate reports whether err is that the server's certificate does not verify.
func badCertificate(err error) bool {
	_, bad := errors.AsType[*tls.CertificateVerificationError](err)
	return bad
}
