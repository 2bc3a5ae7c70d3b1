package service

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strconv"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/errtext"
	"github.com/hubwire/hubwire/ws"
)

// Where AMQP is. Source: spec/amqp.md 1.1.
const (
	amqpPort   = 5671
	hubPath    = "/$iothub/websocket"
	eventsPath = "/$servicebus/websocket"
)

// place is where a connection goes to, and the name of the endpoint there.
type place struct {
	host string // for TLS, and the open
	dial string // the host to dial; empty: host
	port int
	path string // of the WebSocket
	name string
}

// dialAMQP opens a connection on which AMQP can be spoken.
func (c *Client) dialAMQP(ctx context.Context, to place) (net.Conn, error) {
	nc, err := c.dialPlace(ctx, to)
	if err != nil && hopelessDial(err) {
		err = &hubwire.Error{Outcome: hubwire.NotSent, Err: err} // not Retryable, which ends the connection for good
	}
	return nc, err
}

func (c *Client) dialPlace(ctx context.Context, to place) (net.Conn, error) {
	via, err := c.throughProxy()
	if err != nil {
		return nil, err
	}
	host := to.dial
	if host == "" {
		host = to.host
	}
	config := c.transport.TLSClientConfig.Clone()
	if config.ServerName == "" {
		config.ServerName = to.host
	}
	if c.o.AMQPWebSocket {
		addr := net.JoinHostPort(host, strconv.Itoa(c.o.Port))
		return ws.Dial(ctx, addr, &ws.DialOptions{Dial: via, TLSConfig: config, Path: to.path, Subprotocol: ws.AMQP})
	}
	raw, err := via(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(to.port)))
	if err != nil {
		return nil, err
	}
	return secure(ctx, raw, config)
}

// secure puts TLS on a connection, which is closed when that fails.
func secure(ctx context.Context, raw net.Conn, config *tls.Config) (net.Conn, error) {
	nc := tls.Client(raw, config)
	if err := nc.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, errtext.Error(err)
	}
	return nc, nil
}

// throughProxy returns what opens connections, through the proxy if there is one.
func (c *Client) throughProxy() (ws.DialFunc, error) {
	proxy := c.o.Proxy
	switch {
	case proxy == nil:
		return c.dial, nil
	case proxy.Scheme == "http":
		return ws.ProxyDialer(proxy, c.dial), nil
	case proxy.Scheme == "https":
		plain := *proxy
		plain.Scheme = "http"
		if proxy.Port() == "" {
			plain.Host = net.JoinHostPort(proxy.Hostname(), "443")
		}
		return ws.ProxyDialer(&plain, c.dialSecurely(proxy)), nil
	}
	return nil, invalid("connect", "AMQP does not go through a %s proxy, only http and https", proxy.Scheme)
}

// dialSecurely returns what opens connections to a proxy that wants TLS itself.
func (c *Client) dialSecurely(proxy *url.URL) ws.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		raw, err := c.dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		config := c.transport.TLSClientConfig.Clone()
		config.ServerName = proxy.Hostname()
		return secure(ctx, raw, config)
	}
}

// hopelessDial reports whether an error of a dial is one that waiting does not mend: [hopeless], a refusal by
// a proxy, or of the WebSocket.
func hopelessDial(err error) bool {
	e, refused := errors.AsType[*hubwire.Error](err)
	return ws.IsRefusal(err) || hopeless(err) || refused && !e.Retryable
}
