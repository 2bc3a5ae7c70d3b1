package ws

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
)

// server is an HTTPS server on in-memory connections, for use in a bubble too.
type server struct {
	cfg   *tls.Config // the server's
	roots *x509.CertPool
	l     *testkit.Listener

	mu    sync.Mutex
	dials []string                // what was dialled
	wrap  func(net.Conn) net.Conn // around the client's end, if not nil
}

const hubName = "test-hub.azure-devices.net"

// serve starts a server for the rest of t's life.
func serve(t testing.TB, h http.Handler) *server {
	t.Helper()
	s := &server{l: testkit.NewListener(), roots: x509.NewCertPool()}
	cert := testkit.Certificate(hubName)
	s.roots.AddCert(cert.Leaf)
	s.cfg = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}
	srv := &http.Server{Handler: h, TLSConfig: s.cfg, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.ServeTLS(s.l, "", "")
	}()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return s
}

func (s *server) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	s.mu.Lock()
	s.dials = append(s.dials, network+" "+addr)
	wrap := s.wrap
	s.mu.Unlock()
	client, err := s.l.Dial(ctx)
	if err == nil && wrap != nil {
		client = wrap(client)
	}
	return client, err
}

func (s *server) options() *DialOptions {
	return &DialOptions{Dial: s.dial, TLSConfig: &tls.Config{RootCAs: s.roots}}
}

// accepting is a handler that hands the tunnels it accepts to the test.
type accepting struct {
	got  chan accepted
	with []string
}

type accepted struct {
	net.Conn
	subprotocol string
	err         error
	url         string
	answered    string // the subprotocol, in the answer
}

func newAccepting(subprotocols ...string) *accepting {
	return &accepting{got: make(chan accepted, 1), with: subprotocols}
}

func (a *accepting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	nc, sub, err := Accept(w, r, a.with...)
	a.got <- accepted{nc, sub, err, r.URL.String(), w.Header().Get("Sec-WebSocket-Protocol")}
}

// pair returns the two ends of a tunnel, closed when t ends. wrap, if not nil,
// goes around the client's end of the connection below TLS.
func pair(t testing.TB, wrap func(net.Conn) net.Conn) (client, srv net.Conn) {
	t.Helper()
	a := newAccepting(MQTT)
	s := serve(t, a)
	s.wrap = wrap
	client, err := Dial(t.Context(), hubName, s.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	got := <-a.got
	if got.err != nil {
		t.Fatal(got.err)
	}
	t.Cleanup(func() { got.Close() })
	return client, got.Conn
}

// rawTunnel returns a tunnel accepted by the server, and the client's end of it
// as bare bytes after the handshake, for frames of the test's own making.
func rawTunnel(t testing.TB) (client net.Conn, srv net.Conn) {
	t.Helper()
	a := newAccepting(MQTT)
	s := serve(t, a)
	nc, err := s.dial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	client = tls.Client(nc, &tls.Config{RootCAs: s.roots, ServerName: hubName})
	t.Cleanup(func() { nc.Close() })
	io.WriteString(client, "GET /$iothub/websocket HTTP/1.1\r\nHost: "+hubName+"\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n")
	r := bufio.NewReaderSize(client, 16) // no frame comes before one is sent
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(line) == "" {
			break
		}
	}
	got := <-a.got
	if got.err != nil {
		t.Fatal(got.err)
	}
	t.Cleanup(func() { got.Close() })
	return client, got.Conn
}

// rawServer returns a tunnel that was dialled, and the server's end of it as
// bare bytes after the handshake.
func rawServer(t testing.TB) (client net.Conn, srv net.Conn) {
	t.Helper()
	got := make(chan net.Conn, 1)
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(nc, switchingHead(r, ""))
		got <- nc
	}))
	client, err := Dial(t.Context(), hubName, s.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	srv = <-got
	t.Cleanup(func() { srv.Close() })
	return client, srv
}

// switchingHead answers 101 to r as it should be answered, but for the field, a line.
func switchingHead(r *http.Request, field string) string {
	head := "HTTP/1.1 101 Switching Protocols\r\n"
	for _, line := range []string{
		"Connection: Upgrade\r\n", "Upgrade: websocket\r\n", "Sec-WebSocket-Protocol: mqtt\r\n",
		"Sec-WebSocket-Accept: " + acceptKey(r.Header.Get("Sec-WebSocket-Key")) + "\r\n",
	} {
		if name, _, _ := strings.Cut(line, ":"); !strings.HasPrefix(field, name+":") {
			head += line
		}
	}
	return head + field + "\r\n"
}

// frame is a masked frame of RFC 6455. first is FIN and opcode.
func frame(first byte, payload string) string {
	const key = "\x8f\x01\xfe\x70"
	n := len(payload)
	head := []byte{first, 0x80 | byte(n)}
	switch {
	case n > 65535:
		head = []byte{first, 0x80 | 127, 0, 0, 0, 0, 0, byte(n >> 16), byte(n >> 8), byte(n)}
	case n > 125:
		head = []byte{first, 0x80 | 126, byte(n >> 8), byte(n)}
	}
	masked := []byte(payload)
	for i := range masked {
		masked[i] ^= key[i%4]
	}
	return string(head) + key + string(masked)
}

const (
	fin    = 0x80
	cont   = 0x0
	text   = 0x1
	binary = 0x2
	closed = 0x8
	ping   = 0x9
	pong   = 0xA
)

func chunks(n int) func(net.Conn) net.Conn {
	return func(nc net.Conn) net.Conn { return testkit.Rechunk(nc, func() int { return n }) }
}
