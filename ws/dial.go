package ws

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"

	"github.com/hubwire/hubwire/internal/dialled"
	"github.com/hubwire/hubwire/internal/errtext"
)

// maxHead is the longest head of an HTTP answer that is read, in bytes: of the
// hub's to the upgrade, and of a proxy's to CONNECT.
const maxHead = 32 << 10

// DialFunc opens a connection, as [net.Dialer.DialContext] does.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// DialOptions are what [Dial] may be told. The zero value and nil mean the defaults.
type DialOptions struct {
	// Dial opens the connection below TLS, and is all that touches the network:
	// a [ProxyDialer], or a hub in the same process. Nil means a [net.Dialer].
	Dial DialFunc

	// TLSConfig is cloned. The server name defaults to the host that is dialled,
	// and the application protocol offered is http/1.1 alone, as a tunnel
	// cannot run over HTTP/2. The service's renegotiation is let pass, once, unless
	// Renegotiation says how often; it cannot be turned off, so keying material cannot be exported. A
	// function in it that panics makes an error. Nil means the system's roots.
	TLSConfig *tls.Config

	// Path is where the tunnel is. Empty means the hub's, [Path].
	Path string

	// Query follows the path when it is not empty; see [NoClientCert].
	Query string

	// Subprotocol is the one to offer. Empty means [MQTT].
	Subprotocol string
}

// Dial opens a tunnel to addr, a host or host:port; the port defaults to 443.
//
// ctx bounds the dial alone: the connection lives on when it ends. What fails
// in the handshake is a [*HandshakeError], with the HTTP status when the server
// answered one; other errors are those of opts.Dial and of TLS. A server that
// picks no subprotocol, or another one, is refused, and redirects are not followed.
func Dial(ctx context.Context, addr string, opts *DialOptions) (net.Conn, error) {
	var o DialOptions
	if opts != nil {
		o = *opts
	}
	if ctx == nil {
		return nil, errNoContext
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		host, port = strings.Trim(addr, "[]"), "443"
	}
	raw, err := dialTLS(ctx, host, port, &o)
	if err != nil {
		return nil, err
	}
	stop := guard(ctx, raw)
	nc, err := upgrade(ctx, raw, tunnelURL(host, port, &o), cmp.Or(o.Subprotocol, MQTT))
	if ended := stop(); ended != nil {
		if nc != nil {
			nc.Close()
		}
		err = &HandshakeError{Host: host, Err: ended}
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return nc, nil
}

var errNoContext = errors.New("ws: the context is nil")

// tunnelURL leaves out the default port, so that the Host header is the host alone.
func tunnelURL(host, port string, o *DialOptions) *url.URL {
	u := &url.URL{Scheme: "wss", Host: net.JoinHostPort(host, port), Path: cmp.Or(o.Path, Path), RawQuery: o.Query}
	u.Host = strings.TrimSuffix(u.Host, ":443")
	return u
}

func dialTLS(ctx context.Context, host, port string, o *DialOptions) (net.Conn, error) {
	dial := o.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	cfg := o.TLSConfig.Clone()
	if cfg == nil {
		cfg = new(tls.Config)
	}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	cfg.NextProtos = []string{"http/1.1"}
	(*dialled.Conns)(nil).TLS(cfg) // some of it runs in the pump's reads
	raw, err := dial.call(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	secured := false // also when something in the configuration panics
	defer func() {
		if !secured {
			raw.Close()
		}
	}()
	nc := tls.Client(raw, cfg)
	if err := nc.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("ws: TLS with %s: %w", host, errtext.Error(err))
	}
	secured = true
	return nc, nil
}

// call calls d, and does not believe that it worked when there is no connection.
func (d DialFunc) call(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := d(ctx, network, addr)
	if err == nil && nc == nil {
		err = errNoConn
	}
	if err != nil {
		return nil, dialled.Sound(err)
	}
	return (*dialled.Conns)(nil).Wrap(nc), nil
}

var errNoConn = errors.New("ws: the DialFunc gave neither a connection nor an error")

// guard makes ctx interrupt whatever reads from or writes to nc, until stop is
// called. stop returns ctx's cause when that happened: nc is closed then, or about to
// be, since closing somebody's connection may take longer than ctx allows. Not every
// connection, such as one through another tunnel, has deadlines.
func guard(ctx context.Context, nc net.Conn) (stop func() error) {
	off := context.AfterFunc(ctx, func() { bottom(nc).Close() })
	return func() error {
		if !off() {
			return context.Cause(ctx)
		}
		return nil
	}
}

// upgrade turns raw into a tunnel. The request is the library's, but not its
// transport: that would keep goroutines, and read heads of any length.
func upgrade(ctx context.Context, raw net.Conn, u *url.URL, subprotocol string) (net.Conn, error) {
	via := &once{nc: raw, subprotocol: subprotocol}
	nc := new(conn)
	c, _, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport:     via,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Subprotocols:    []string{subprotocol},
		CompressionMode: websocket.CompressionDisabled,
		OnPingReceived:  nc.pinged,
	})
	if err != nil {
		return nil, &HandshakeError{Host: u.Host, Status: via.status, Err: err}
	}
	nc.start(c, via.tap)
	return nc, nil
}

// once is the transport for the one request that the connection nc will see.
type once struct {
	nc          net.Conn
	subprotocol string
	status      int  // of the answer
	tap         *tap // set when that was 101
}

// RoundTrip implements [http.RoundTripper]. Whoever called [upgrade] has ctx guarded.
func (o *once) RoundTrip(req *http.Request) (*http.Response, error) {
	w := bufio.NewWriter(o.nc)
	if err := req.Write(w); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	head := &io.LimitedReader{R: o.nc, N: maxHead}
	r := bufio.NewReader(head)
	resp, err := readResponse(r, req)
	if err != nil {
		if head.N == 0 {
			err = fmt.Errorf("%w: more than %d bytes", ErrTooLong, maxHead)
		}
		return nil, err
	}
	o.status = resp.StatusCode
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// The library lets none pass.
		if got := resp.Header.Get("Sec-WebSocket-Protocol"); !strings.EqualFold(got, o.subprotocol) {
			return nil, fmt.Errorf("%w: offered %q, answered %.40q", ErrSubprotocol, o.subprotocol, got)
		}
		o.tap = &tap{Conn: o.nc, first: unread(r), client: true}
		resp.Body = o.tap
	} else { // the library would wait for some of the body, and its Close for all
		resp.Body = http.NoBody
	}
	return resp, nil
}

// readResponse reads the head of the answer, and those on the way to it (1xx).
func readResponse(r *bufio.Reader, req *http.Request) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(r, req)
		if err != nil || resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
}

// unread returns what r has taken from its source and not given yet.
func unread(r *bufio.Reader) io.Reader {
	b, _ := r.Peek(r.Buffered())
	return bytes.NewReader(b)
}
