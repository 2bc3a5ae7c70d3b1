package service_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/service"
)

const proxyAddr = "proxy.example:3128"

// proxy is an HTTP proxy that lets one user through to the fake hub, and all of the network that
// there is.
type proxy struct {
	up      dialFunc       // to the hub
	behaves func(net.Conn) // in the place of an answer; nil lets through

	mu       sync.Mutex
	asked    []string
	directly []string // dials to anything else
	open     sync.WaitGroup
}

func (p *proxy) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if addr != proxyAddr {
		p.directly = append(p.directly, addr)
		return nil, errors.New("a direct dial to " + addr)
	}
	client, server := testkit.Pipe()
	p.open.Go(func() { p.serve(context.WithoutCancel(ctx), server) })
	return client, nil
}

func (p *proxy) serve(ctx context.Context, nc net.Conn) {
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
	if user, password, ok := req.BasicAuth(); !ok || user != "u" || password != "p" {
		tells("407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"")(nc)
		return
	}
	up, err := p.up(ctx, "tcp", req.Host)
	if err != nil {
		return
	}
	defer up.Close()
	tells("200 OK")(nc)
	p.open.Go(func() { io.Copy(up, nc); up.Close() })
	io.Copy(nc, up)
}

// tells is a proxy that gives this answer.
func tells(status string) func(net.Conn) {
	return func(nc net.Conn) { io.WriteString(nc, "HTTP/1.1 "+status+"\r\n\r\n") }
}

// meddling is a proxy that answers in the hub's place.
func meddling(nc net.Conn) {
	tells("200 OK")(nc)
	nc.Read(make([]byte, 1))
	io.WriteString(nc, "<html>log in first</html>")
	io.Copy(io.Discard, nc)
}

// withProxy runs a test with a fake hub behind a proxy.
func withProxy(t *testing.T, user *url.Userinfo, behaves func(net.Conn), test func(t *testing.T, f *fake, p *proxy, c *service.Client)) {
	t.Helper()
	withFake(t, []http.HandlerFunc{says(200, aTwin)}, func(t *testing.T, f *fake) {
		p := &proxy{up: f.dial, behaves: behaves}
		c := f.client(func(o *service.Options) {
			o.Dial, o.Proxy, o.MaxAttempts = p.dial, &url.URL{Scheme: "http", Host: proxyAddr, User: user}, 3
		})
		test(t, f, p, c)
		c.Close()
		p.open.Wait()
		if p.directly != nil {
			t.Errorf("there were dials past the proxy: %q", p.directly)
		}
	})
}

var proxyUser = url.UserPassword("u", "p")

func TestEverythingGoesThroughTheProxy(t *testing.T) {
	withProxy(t, proxyUser, nil, func(t *testing.T, f *fake, p *proxy, c *service.Client) {
		for range 3 {
			if _, err := c.Twin(t.Context(), dev); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{"CONNECT hub.example:443"}, p.asked); diff != "" {
			t.Errorf("asked for (-want +got):\n%s", diff)
		}
		for _, r := range f.came() {
			if r.Header.Get("Proxy-Authorization") != "" {
				t.Error("the hub got the proxy's password")
			}
		}
	})
}

func TestAProxyThatDoesNotLetThrough(t *testing.T) {
	for name, tt := range map[string]struct {
		user     *url.Userinfo
		behaves  func(net.Conn)
		attempts int
		says     string
	}{
		"a wrong password":   {url.UserPassword("u", "secret"), nil, 1, "407 Proxy Authentication Required"},
		"no user":            {nil, nil, 1, "407 Proxy Authentication Required"},
		"407 first":          {proxyUser, tells("407 Proxy Authentication Required"), 1, "407 Proxy Authentication Required"},
		"forbidden":          {proxyUser, tells("403 Forbidden"), 1, "403 Forbidden"},
		"a redirect":         {proxyUser, tells("302 Found\r\nLocation: http://elsewhere.example/secret"), 1, "302 Found"},
		"busy":               {proxyUser, tells("503 Service Unavailable"), 3, "503 Service Unavailable"},
		"it hangs up":        {proxyUser, func(net.Conn) {}, 3, "EOF"},
		"it is no proxy":     {proxyUser, func(nc net.Conn) { io.WriteString(nc, "220 ready\r\n") }, 3, "malformed"},
		"it meddles":         {proxyUser, meddling, 1, "TLS"},
		"it talks on and on": {proxyUser, func(nc net.Conn) { io.WriteString(nc, "HTTP/1.1 200 OK\r\nA: "+strings.Repeat("x", 1<<20)) }, 3, ""},
		"it leads nowhere":   {proxyUser, func(nc net.Conn) { tells("200 OK")(nc); io.Copy(io.Discard, nc) }, 3, ""},
		"it says nothing":    {proxyUser, func(nc net.Conn) { io.Copy(io.Discard, nc) }, 3, ""},
	} {
		t.Run(name, func(t *testing.T) {
			withProxy(t, tt.user, tt.behaves, func(t *testing.T, _ *fake, p *proxy, c *service.Client) {
				start := time.Now()
				_, err := c.Twin(t.Context(), dev)
				e := errorOf(t, err)
				if e.Outcome != hubwire.NotSent || e.Retryable != (tt.attempts > 1) || !strings.Contains(e.Error(), tt.says) || strings.Contains(e.Error(), "secret") {
					t.Errorf("%v", err)
				}
				p.mu.Lock()
				asked := slices.Clone(p.asked)
				p.mu.Unlock()
				if len(asked) != tt.attempts || time.Since(start) > 4*time.Minute {
					t.Errorf("asked %q in %v", asked, time.Since(start))
				}
				p.mu.Lock()
				p.behaves = nil
				p.mu.Unlock()
				if _, err := c.Twin(t.Context(), dev); (err == nil) != (tt.user == proxyUser) {
					t.Errorf("when it lets through who may: %v", err)
				}
			})
		})
	}
}

// TestATrustThatIsMissing has a certificate of an authority that nobody knows.
func TestATrustThatIsMissing(t *testing.T) {
	withFake(t, []http.HandlerFunc{says(200, aTwin)}, func(t *testing.T, f *fake) {
		_, err := f.client(func(o *service.Options) { o.TLSConfig = nil }).Twin(t.Context(), dev)
		if e := errorOf(t, err); e.Outcome != hubwire.NotSent || e.Retryable || f.dialled() != 1 || len(f.came()) != 0 {
			t.Errorf("%v after %d dials", err, f.dialled())
		}
	})
}

// TestTheHubsAuthorityCanChange is theme 18: a client that trusts both has no outage.
func TestTheHubsAuthorityCanChange(t *testing.T) {
	withFake(t, []http.HandlerFunc{says(200, aTwin, "Connection", "close")}, func(t *testing.T, f *fake) {
		next, _ := newCertificate()
		both := authority.Clone()
		both.AddCert(next.Leaf)
		old, ready := f.client(nil), f.client(func(o *service.Options) { o.TLSConfig = &tls.Config{RootCAs: both} })
		for _, c := range []*service.Client{old, ready} {
			if _, err := c.Twin(t.Context(), dev); err != nil {
				t.Fatal(err)
			}
		}
		f.mu.Lock()
		f.shows = &next
		f.mu.Unlock()
		if _, err := ready.Twin(t.Context(), dev); err != nil {
			t.Errorf("with both authorities: %v", err)
		}
		_, err := old.Twin(t.Context(), dev)
		if e := errorOf(t, err); e.Outcome != hubwire.NotSent || e.Retryable {
			t.Errorf("with the old one: %v", err)
		}
	})
}
