package testkit

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// proxyAddr is where a [Proxy] is.
const proxyAddr = "proxy.example:3128"

// Proxy is an HTTP proxy that lets one user through, and all of the network that
// there is. Each connection has two goroutines at most, for which End waits.
type Proxy struct {
	// Up dials for those that are let through.
	Up func(ctx context.Context, network, addr string) (net.Conn, error)

	mu       sync.Mutex
	behaves  func(net.Conn)
	asked    []string
	directly []string // dials to anything else
	open     sync.WaitGroup
}

// ProxyUser returns who is let through.
func ProxyUser() *url.Userinfo { return url.UserPassword("u", "p") }

// ProxyURL returns where the proxy is, for user, or for nobody when that is nil.
func ProxyURL(user *url.Userinfo) *url.URL {
	return &url.URL{Scheme: "http", Host: proxyAddr, User: user}
}

// Dial opens a connection to the proxy, and fails for all other addresses.
func (p *Proxy) Dial(ctx context.Context, _, addr string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if addr != proxyAddr {
		p.directly = append(p.directly, addr)
		return nil, errors.New("a direct dial to " + addr)
	}
	client, server := Pipe()
	p.open.Go(func() { p.serve(context.WithoutCancel(ctx), server) })
	return client, nil
}

func (p *Proxy) serve(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	req, err := http.ReadRequest(bufio.NewReader(nc))
	if err != nil {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, req.Method+" "+req.Host)
	behaves := p.behaves
	p.mu.Unlock()
	if behaves != nil {
		behaves(nc)
		return
	}
	req.Header.Set("Authorization", req.Header.Get("Proxy-Authorization"))
	if user, password, ok := req.BasicAuth(); !ok || url.UserPassword(user, password).String() != ProxyUser().String() {
		ProxySays("407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"")(nc)
		return
	}
	up, err := p.Up(ctx, "tcp", req.Host)
	if err != nil {
		return
	}
	defer up.Close()
	ProxySays("200 OK")(nc)
	p.open.Go(func() { io.Copy(up, nc); up.Close() })
	io.Copy(nc, up)
}

// Become changes what the proxy does with who comes, once it has read the request, and returns how
// many came until then. nil lets the user through.
func (p *Proxy) Become(behaves func(net.Conn)) (asked int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behaves = behaves
	return len(p.asked)
}

// Asked returns what the proxy was asked for: "CONNECT host:port".
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// End waits for the proxy's goroutines, of which none waits for a client that has gone, and
// fails the test when something was dialled past the proxy.
func (p *Proxy) End(t testing.TB) {
	t.Helper()
	p.open.Wait()
	if p.directly != nil {
		t.Errorf("there were dials past the proxy: %q", p.directly)
	}
}

// ProxySays is a proxy that gives the answer of this status line, and what stands below it.
func ProxySays(status string) func(net.Conn) {
	return func(nc net.Conn) { io.WriteString(nc, "HTTP/1.1 "+status+"\r\n\r\n") }
}

// ProxyStalls is a proxy that reads, and does not answer.
func ProxyStalls(nc net.Conn) { io.Copy(io.Discard, nc) }

// ProxyLeadsNowhere is a proxy that says yes, and reads.
func ProxyLeadsNowhere(nc net.Conn) {
	ProxySays("200 OK")(nc)
	ProxyStalls(nc)
}
