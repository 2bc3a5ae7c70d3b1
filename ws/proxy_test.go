package ws

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/internal/testkit"
)

// proxy is an HTTP proxy on in-memory connections that answers with answer, and
// then, when through is set, joins its client with what through dials.
type proxy struct {
	answer  string
	through DialFunc

	mu    sync.Mutex
	asked string   // the request, up to the empty line
	dials []string // what was dialled by who has the proxy for its network
	wg    sync.WaitGroup
}

func (p *proxy) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	p.mu.Lock()
	p.dials = append(p.dials, network+" "+addr)
	p.mu.Unlock()
	client, srv := testkit.Pipe()
	p.wg.Go(func() { p.serve(srv) })
	return client, nil
}

func (p *proxy) serve(nc net.Conn) {
	defer nc.Close()
	r := bufio.NewReader(nc)
	var asked strings.Builder
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			return
		}
		asked.WriteString(line)
	}
	p.mu.Lock()
	p.asked = asked.String()
	p.mu.Unlock()
	if _, err := io.WriteString(nc, p.answer); err != nil || p.through == nil {
		return
	}
	up, err := p.through(context.Background(), "tcp", strings.Fields(asked.String())[1])
	if err != nil {
		return
	}
	defer up.Close()
	var both sync.WaitGroup
	both.Go(func() { io.Copy(up, r); up.Close() })
	both.Go(func() { io.Copy(nc, up); nc.Close() })
	both.Wait()
}

const yes = "HTTP/1.1 200 Connection established\r\n\r\n"

func proxyURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestATunnelThroughAProxyDialsNothingElse(t *testing.T) {
	for _, c := range []struct{ name, url, dialled, asked string }{
		{"without authentication", "http://proxy.example:3128", "tcp proxy.example:3128", ""},
		{"with Basic authentication", "http://user:pass%3Aword%25@proxy.example", "tcp proxy.example:80", "Proxy-Authorization: Basic dXNlcjpwYXNzOndvcmQl\r\n"},
		{"with a user and no password", "http://user@[::1]:8080", "tcp [::1]:8080", "Proxy-Authorization: Basic dXNlcjo=\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAccepting(MQTT)
				s := serve(t, a)
				p := &proxy{answer: yes, through: s.dial}
				defer p.wg.Wait()
				o := s.options()
				o.Dial = ProxyDialer(proxyURL(t, c.url), p.dial)
				nc, err := Dial(t.Context(), hubName, o)
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				srv := <-a.got
				defer srv.Close()
				exchange(t, nc, srv)
				exchange(t, srv, nc)
				if want := []string{c.dialled}; !slices.Equal(p.dials, want) {
					t.Errorf("dialled %q, want %q", p.dials, want)
				}
				want := "CONNECT " + hubName + ":443 HTTP/1.1\r\nHost: " + hubName + ":443\r\n" + c.asked + "\r\n"
				if p.asked != want {
					t.Errorf("asked %q, want %q", p.asked, want)
				}
			})
		})
	}
}

func TestTheProxysRefusalIsTyped(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		status       int
		cause        error
	}{
		{"authentication required", "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n", 407, nil},
		{"forbidden", "HTTP/1.0 403 Forbidden\r\nContent-Length: 1000000\r\n\r\n<html>", 403, nil},
		{"bad gateway", "HTTP/1.1 502\r\n\r\n", 502, nil},
		{"a redirect", "HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\n\r\n", 302, nil},
		{"interim answers, then a refusal", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 503 x\r\n\r\n", 503, nil},
		{"a status that nobody knows", "HTTP/1.1 599 x\r\n\r\n", 599, nil},
		{"nothing", "", 0, io.ErrUnexpectedEOF},
		{"not HTTP", "SSH-2.0-OpenSSH_9.6\r\n", 0, ErrMalformed},
		{"an echo", "Basic c29tZW9uZTpzZWNyZXQ=\r\n", 0, ErrMalformed},
		{"another version", "HTTP/2.0 200 OK\r\n\r\n", 0, ErrMalformed},
		{"a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", 0, ErrMalformed},
		{"a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", 0, ErrMalformed},
		{"a negative status", "HTTP/1.1 -20 OK\r\n\r\n", 0, ErrMalformed},
		{"a status below 100", "HTTP/1.1 099 OK\r\n\r\n", 0, ErrMalformed},
		{"a status line without end", strings.Repeat("x", 1<<20), 0, ErrTooLong},
		{"a field without end", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 1<<20), 200, ErrTooLong},
		{"fields without end", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 1<<18), 200, ErrTooLong},
		{"interim answers without end", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1<<16), 0, ErrTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := refused(t, c.answer)
				if err.Status != c.status || c.cause != nil && !errors.Is(err, c.cause) {
					t.Errorf("got %v, want status %d and cause %v", err, c.status, c.cause)
				}
			})
		})
	}
}

// refused asks a proxy that gives this answer, and returns the error, which
// must not show the password.
func refused(t *testing.T, answer string) *ProxyError {
	t.Helper()
	p := &proxy{answer: answer}
	defer p.wg.Wait()
	nc, err := ProxyDialer(proxyURL(t, "http://someone:secret@proxy.example:3128"), p.dial)(t.Context(), "tcp", "hub.example:443")
	var pe *ProxyError
	if nc != nil || !errors.As(err, &pe) {
		t.Fatalf("answer %.60q: got %v", answer, err)
	}
	if strings.HasSuffix(err.Error(), ": ") {
		t.Errorf("%q says no cause", err)
	}
	for _, shown := range []string{err.Error(), fmt.Sprintf("%+v %#v %q", err, *pe, err)} {
		if slices.ContainsFunc([]string{"someone:secret", "c29tZW9uZ"}, func(s string) bool { return strings.Contains(shown, s) }) {
			t.Errorf("the error shows the user: %s", shown)
		}
	}
	if !strings.Contains(err.Error(), "proxy.example:3128") || !strings.Contains(err.Error(), "hub.example:443") {
		t.Errorf("%q does not say who and what", err)
	}
	return pe
}

func TestEveryPrefixOfAnAnswerFails(t *testing.T) {
	const whole = "HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nVia: proxy\r\n\r\n"
	synctest.Test(t, func(t *testing.T) {
		for n := range len(whole) {
			if err := refused(t, whole[:n]); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%q: %v", whole[:n], err)
			}
		}
	})
}

func TestWhatFollowsTheAnswerBelongsToTheTunnel(t *testing.T) {
	for size := range 70 {
		synctest.Test(t, func(t *testing.T) {
			p := &proxy{answer: yes + "the server speaks first"}
			defer p.wg.Wait()
			next := func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := p.dial(ctx, network, addr)
				return testkit.Rechunk(nc, func() int { return size }), err
			}
			nc, err := ProxyDialer(proxyURL(t, "http://proxy.example"), next)(t.Context(), "tcp", "hub.example:443")
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if got, err := io.ReadAll(nc); string(got) != "the server speaks first" || err != nil {
				t.Errorf("chunks of %d: %q, %v", size, got, err)
			}
		})
	}
}

func TestTheContextEndsTheExchangeWithTheProxy(t *testing.T) {
	for name, answer := range map[string]string{"no answer": "", "half an answer": "HTTP/1.1 200 OK\r\nVia"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, srv := testkit.Pipe()
				defer srv.Close()
				io.WriteString(srv, answer)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				next := func(context.Context, string, string) (net.Conn, error) { return client, nil }
				start := time.Now()
				_, err := ProxyDialer(proxyURL(t, "http://proxy.example"), next)(ctx, "tcp", "hub.example:443")
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
					t.Errorf("got %v after %v", err, time.Since(start))
				}
				synctest.Wait() // who reads is let go before the connection is closed
				if _, err := client.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
					t.Errorf("the connection was left open: %v", err)
				}
			})
		})
	}
}

func TestTheProxysContextEndsWithTheDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &proxy{answer: yes + "x"}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		nc, err := ProxyDialer(proxyURL(t, "http://proxy.example"), p.dial)(ctx, "tcp", "hub.example:443")
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		time.Sleep(time.Hour)
		if _, err := nc.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
	})
}

func TestAProxyOrAnAddressThatCannotBeUsedIsRefusedBeforeTheDial(t *testing.T) {
	for _, c := range []struct{ name, url, addr string }{
		{"SOCKS", "socks5://someone:secret@proxy.example", "hub.example:443"},
		{"a proxy behind TLS", "https://someone:secret@proxy.example", "hub.example:443"},
		{"no host", "http:///", "hub.example:443"},
		{"a user name that Basic authentication cannot carry", "http://some%3Aone:secret@proxy.example", "hub.example:443"},
		{"a user where the host is", "http://proxy.example", "hub.example:443"},
		{"a line break in the address", "http://proxy.example", "hub.example:443\r\nX: y"},
		{"a space in the address", "http://proxy.example", "hub.example:443 HTTP/1.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, u := new(proxy), proxyURL(t, c.url)
			if c.name == "a user where the host is" {
				u.Host = "someone:secret@proxy.example:3128"
			}
			_, err := ProxyDialer(u, p.dial)(t.Context(), "tcp", c.addr)
			var pe *ProxyError
			if !errors.As(err, &pe) || pe.Status != 0 || len(p.dials) != 0 || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, and dials %q", err, p.dials)
			}
		})
	}
}

func TestTheErrorOfTheDialToTheProxyComesThrough(t *testing.T) {
	want := errors.New("no route")
	next := func(context.Context, string, string) (net.Conn, error) { return nil, want }
	if _, err := ProxyDialer(proxyURL(t, "http://proxy.example"), next)(t.Context(), "tcp", "hub.example:443"); err != want {
		t.Errorf("got %v, want %v", err, want)
	}
}

// FuzzReadAnswer compares with net/http, which takes more than readAnswer does:
// what readAnswer takes, it takes as the same status and leaves the same rest.
func FuzzReadAnswer(f *testing.F) {
	for _, s := range []string{
		yes, "HTTP/1.1 407 x\r\nA: b\r\n\r\nrest", "HTTP/1.0 200\n\nrest", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 100), "HTTP/1.1 20", "\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		// The chunks of the stream do not matter.
		whole := bufio.NewReader(bytes.NewReader(in))
		status, err := readAnswer(whole)
		byteWise := bufio.NewReaderSize(oneByOne{bytes.NewReader(in)}, 16)
		again, errAgain := readAnswer(byteWise)
		if status != again || (err == nil) != (errAgain == nil) {
			t.Fatalf("%q: %d, %v at once, and %d, %v byte by byte", in, status, err, again, errAgain)
		}
		if err != nil {
			return
		}
		rest, _ := io.ReadAll(whole)
		if restAgain, _ := io.ReadAll(byteWise); !bytes.Equal(rest, restAgain) || !bytes.HasSuffix(in, rest) {
			t.Fatalf("%q: left %q at once, and %q byte by byte", in, rest, restAgain)
		}
		if status < 200 || status > 999 {
			t.Fatalf("%q: status %d", in, status)
		}
		head := in[:len(in)-len(rest)]
		if len(head) > maxHead {
			t.Fatalf("took a head of %d bytes", len(head))
		}
		r := bufio.NewReader(bytes.NewReader(head))
		for {
			resp, err := http.ReadResponse(r, &http.Request{Method: "CONNECT"})
			if err != nil {
				return // it looks at the fields
			}
			if resp.StatusCode >= 200 {
				if resp.StatusCode != status {
					t.Fatalf("%q: status %d, and net/http says %d", in, status, resp.StatusCode)
				}
				return
			}
		}
	})
}

type oneByOne struct{ r io.Reader }

func (o oneByOne) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }
