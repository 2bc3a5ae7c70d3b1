package service_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/service"
)

// meddling is a proxy that answers in the hub's place.
func meddling(nc net.Conn) {
	testkit.ProxySays("200 OK")(nc)
	nc.Read(make([]byte, 1))
	io.WriteString(nc, "<html>log in first</html>")
	io.Copy(io.Discard, nc)
}

// withProxy runs a test with a fake hub behind a proxy.
func withProxy(t *testing.T, user *url.Userinfo, behaves func(net.Conn), test func(t *testing.T, f *fake, p *testkit.Proxy, c *service.Client)) {
	t.Helper()
	withFake(t, []http.HandlerFunc{says(200, aTwin)}, func(t *testing.T, f *fake) {
		p := &testkit.Proxy{Up: f.dial}
		p.Become(behaves)
		c := f.client(func(o *service.Options) {
			o.Dial, o.Proxy, o.MaxAttempts = p.Dial, testkit.ProxyURL(user), 3
		})
		test(t, f, p, c)
		c.Close()
		p.End(t)
	})
}

func TestEverythingGoesThroughTheProxy(t *testing.T) {
	withProxy(t, testkit.ProxyUser(), nil, func(t *testing.T, f *fake, p *testkit.Proxy, c *service.Client) {
		for range 3 {
			if _, err := c.Twin(t.Context(), dev); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{"CONNECT hub.example:443"}, p.Asked()); diff != "" {
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
	allowed := testkit.ProxyUser()
	for name, tt := range map[string]struct {
		user     *url.Userinfo
		behaves  func(net.Conn)
		attempts int
		says     string
	}{
		"a wrong password":   {url.UserPassword("u", "secret"), nil, 1, "407 Proxy Authentication Required"},
		"no user":            {nil, nil, 1, "407 Proxy Authentication Required"},
		"407 first":          {allowed, testkit.ProxySays("407 Proxy Authentication Required"), 1, "407 Proxy Authentication Required"},
		"forbidden":          {allowed, testkit.ProxySays("403 Forbidden"), 1, "403 Forbidden"},
		"a redirect":         {allowed, testkit.ProxySays("302 Found\r\nLocation: http://elsewhere.example/secret"), 1, "302 Found"},
		"busy":               {allowed, testkit.ProxySays("503 Service Unavailable"), 3, "503 Service Unavailable"},
		"it hangs up":        {allowed, func(net.Conn) {}, 3, "EOF"},
		"it is no proxy":     {allowed, func(nc net.Conn) { io.WriteString(nc, "220 ready\r\n") }, 3, "malformed"},
		"it meddles":         {allowed, meddling, 1, "TLS"},
		"it talks on and on": {allowed, func(nc net.Conn) { io.WriteString(nc, "HTTP/1.1 200 OK\r\nA: "+strings.Repeat("x", 1<<20)) }, 3, ""},
		"it leads nowhere":   {allowed, testkit.ProxyLeadsNowhere, 3, ""},
		"it says nothing":    {allowed, testkit.ProxyStalls, 3, ""},
	} {
		t.Run(name, func(t *testing.T) {
			withProxy(t, tt.user, tt.behaves, func(t *testing.T, _ *fake, p *testkit.Proxy, c *service.Client) {
				start := time.Now()
				_, err := c.Twin(t.Context(), dev)
				e := errorOf(t, err)
				if e.Outcome != hubwire.NotSent || e.Retryable != (tt.attempts > 1) || !strings.Contains(e.Error(), tt.says) || strings.Contains(e.Error(), "secret") {
					t.Errorf("%v", err)
				}
				asked := p.Asked()
				if len(asked) != tt.attempts || time.Since(start) > 4*time.Minute {
					t.Errorf("asked %q in %v", asked, time.Since(start))
				}
				p.Become(nil)
				if _, err := c.Twin(t.Context(), dev); (err == nil) != (tt.user == allowed) {
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
