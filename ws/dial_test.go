package ws

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/internal/testkit"
)

func TestDialAsksForTheTunnelAsTheHubWantsIt(t *testing.T) {
	for _, c := range []struct {
		name, addr   string
		change       func(*DialOptions)
		offer, chose string
		dialled, url string
		host         string
	}{
		{"by default", hubName, func(*DialOptions) {}, "mqtt", "mqtt", hubName + ":443", "/$iothub/websocket", hubName},
		{"with the default port", hubName + ":443", func(*DialOptions) {}, "mqtt", "mqtt", hubName + ":443", "/$iothub/websocket", hubName},
		{"on another port", hubName + ":8443", func(*DialOptions) {}, "mqtt", "mqtt", hubName + ":8443", "/$iothub/websocket", hubName + ":8443"},
		{"at an IPv6 address", "::1", func(*DialOptions) {}, "mqtt", "mqtt", "[::1]:443", "/$iothub/websocket", "[::1]"},
		{"at an IPv6 address in brackets", "[::1]", func(*DialOptions) {}, "mqtt", "mqtt", "[::1]:443", "/$iothub/websocket", "[::1]"},
		{"at an IPv6 address with a port", "[::1]:8443", func(*DialOptions) {}, "mqtt", "mqtt", "[::1]:8443", "/$iothub/websocket", "[::1]:8443"},
		{"with a query", hubName, func(o *DialOptions) { o.Query = NoClientCert }, "mqtt", "mqtt", hubName + ":443", "/$iothub/websocket?iothub-no-client-cert=true", hubName},
		{"with MQTT in capitals, as the C SDK has it", hubName, func(o *DialOptions) { o.Subprotocol = "MQTT" }, "MQTT", "MQTT", hubName + ":443", "/$iothub/websocket", hubName},
		{"for AMQP", hubName, func(o *DialOptions) { o.Subprotocol = AMQP }, "AMQPWSB10", "AMQPWSB10", hubName + ":443", "/$iothub/websocket", hubName},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAccepting(MQTT, AMQP)
				var offered, host, alpn string
				s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					offered, host, alpn = r.Header.Get("Sec-WebSocket-Protocol"), r.Host, r.TLS.NegotiatedProtocol
					a.ServeHTTP(w, r)
				}))
				o := s.options()
				c.change(o)
				o.TLSConfig.ServerName = hubName
				nc, err := Dial(t.Context(), c.addr, o)
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				got := <-a.got
				defer got.Close()
				if got.subprotocol != c.chose || offered != c.offer || got.url != c.url || host != c.host {
					t.Errorf("got %q of %q for %q on %q", got.subprotocol, offered, got.url, host)
				}
				if alpn != "http/1.1" {
					t.Errorf("the server, which knows HTTP/2, negotiated %q", alpn)
				}
				if want := []string{"tcp " + c.dialled}; !slices.Equal(s.dials, want) {
					t.Errorf("dialled %q, want %q", s.dials, want)
				}
			})
		})
	}
}

func TestDialTellsTheStatusOfARefusal(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		status  int
		cause   error
	}{
		{"not found", http.NotFound, 404, nil},
		{"a redirect is not followed", http.RedirectHandler("/elsewhere", http.StatusFound).ServeHTTP, 302, nil},
		{"a plain answer", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }, 200, nil},
		{"no subprotocol", switching("Sec-WebSocket-Protocol:\r\n"), 101, ErrSubprotocol},
		{"another subprotocol", switching("Sec-WebSocket-Protocol: AMQPWSB10\r\n"), 101, ErrSubprotocol},
		{"several subprotocols", switching("Sec-WebSocket-Protocol: mqtt, AMQPWSB10\r\n"), 101, ErrSubprotocol},
		{"no accept key", switching("Sec-WebSocket-Accept:\r\n"), 101, nil},
		{"the accept key of another", switching("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), 101, nil},
		{"an upgrade to something else", switching("Upgrade: h2c\r\n"), 101, nil},
		{"no upgrade of the connection", switching("Connection: close\r\n"), 101, nil},
		{"an extension that was not offered", switching("Sec-WebSocket-Extensions: permessage-deflate\r\n"), 101, nil},
		{"an unwilling proxy in between", switching("Sec-WebSocket-Protocol: mqtt\r\nConnection: close\r\nUpgrade:\r\n"), 101, nil},
		{"an answer that is not HTTP", hijacking("SSH-2.0-OpenSSH_9.6\r\n"), 0, nil},
		{"no answer", hijacking(""), 0, nil},
		{"a head without end", hijacking("HTTP/1.1 101 x\r\nX: " + strings.Repeat("x", 1<<20)), 0, ErrTooLong},
		{"a status line without end", hijacking(strings.Repeat("x", 1<<20)), 0, ErrTooLong},
		{"fields without end", hijacking("HTTP/1.1 101 x\r\n" + strings.Repeat("X: y\r\n", 1<<18)), 0, ErrTooLong},
		{"a body without end", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(503)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 10000)); err != nil {
					return
				}
			}
		}, 503, nil},
		{"a body that never comes", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(503)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, 503, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				nc, err := Dial(t.Context(), hubName, serve(t, c.handler).options())
				if took := time.Since(start); took != 0 {
					t.Errorf("took %v", took)
				}
				var he *HandshakeError
				if nc != nil || !errors.As(err, &he) || he.Status != c.status || he.Host != hubName || c.cause != nil && !errors.Is(err, c.cause) {
					t.Errorf("got %v, want status %d and cause %v", err, c.status, c.cause)
				}
				if !strings.Contains(err.Error(), hubName) {
					t.Errorf("%q does not name %s", err, hubName)
				}
			})
		})
	}
}

// TestAnErrorKeepsLittleOfWhatTheServerSays: not all that answers is a hub.
func TestAnErrorKeepsLittleOfWhatTheServerSays(t *testing.T) {
	long := strings.Repeat("x", 30000)
	for name, handler := range map[string]http.HandlerFunc{
		"no HTTP":                          hijacking(long + "\r\n\r\n"),
		"a field without a colon":          hijacking("HTTP/1.1 200 OK\r\n" + long + "\r\n\r\n"),
		"a length that is no number":       hijacking("HTTP/1.1 200 OK\r\nContent-Length: " + long + "\r\n\r\n"),
		"another upgrade":                  switching("Upgrade: " + long + "\r\n"),
		"another key":                      switching("Sec-WebSocket-Accept: " + long + "\r\n"),
		"a redirect to what is no address": hijacking("HTTP/1.1 302 Found\r\nLocation: ://?sr=h&sig=abc%3D&se=1\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := Dial(t.Context(), hubName, serve(t, handler).options())
				if err == nil || len(err.Error()) > 1200 || strings.Contains(err.Error(), "abc") || !strings.Contains(err.Error(), hubName) {
					t.Errorf("%.2000v", err)
				}
			})
		})
	}
}

// hijacking answers with text and hangs up.
func hijacking(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(nc, text)
	}
}

// switching answers 101, with field instead of what should be there, and stays
// on the line.
func switching(field string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer nc.Close()
		io.WriteString(nc, switchingHead(r, field))
		io.Copy(io.Discard, nc)
	}
}

func TestAnswersThatAreOnTheWayToOneAreReadOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hijacking("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"+switchingHead(r, "")+"\x82\x05early")(w, r)
		}))
		nc, err := Dial(t.Context(), hubName, s.options())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if got, err := io.ReadAll(nc); string(got) != "early" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestBytesThatCameWithTheAnswerAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hijacking(switchingHead(r, "")+"\x82\x05early\x88\x02\x03\xe8")(w, r)
		}))
		nc, err := Dial(t.Context(), hubName, s.options())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if got, err := io.ReadAll(nc); string(got) != "early" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestTheContextEndsADialAtEachStep(t *testing.T) {
	stuck := func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // to return would be to answer 200
	}
	for _, c := range []struct {
		name string
		dial func(s *server) DialFunc
	}{
		{"while it dials", func(*server) DialFunc {
			return func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		}},
		{"in the TLS handshake", func(s *server) DialFunc {
			return func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := s.dial(ctx, network, addr)
				hole := testkit.BlackHole(nc)
				hole.Swallow(true)
				return hole, err
			}
		}},
		{"waiting for the answer", func(s *server) DialFunc { return s.dial }},
		{"waiting for it by a connection without deadlines", func(s *server) DialFunc {
			return func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := s.dial(ctx, network, addr)
				return &plainConn{Conn: nc}, err
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, http.HandlerFunc(stuck))
				o := s.options()
				o.Dial = c.dial(s)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				nc, err := Dial(ctx, hubName, o)
				if nc != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
					t.Errorf("got %v after %v", err, time.Since(start))
				}
			})
		})
	}
}

func TestDialChecksTheServersName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newAccepting(MQTT))
		_, err := Dial(t.Context(), "other.azure-devices.net", s.options())
		var ce *tls.CertificateVerificationError
		if !errors.As(err, &ce) || !strings.Contains(err.Error(), "other.azure-devices.net") {
			t.Errorf("got %v", err)
		}
	})
}

func TestDialLeavesTheCallersConfigAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccepting(MQTT)
		s := serve(t, a)
		o := s.options()
		nc, err := Dial(t.Context(), hubName, o)
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
		(<-a.got).Close()
		if o.TLSConfig.ServerName != "" || o.TLSConfig.NextProtos != nil || o.Path != "" || o.Subprotocol != "" {
			t.Errorf("changed: %+v", o)
		}
	})
}

func TestADialThatFailsBelowGivesThatError(t *testing.T) {
	want := errors.New("no route")
	_, err := Dial(t.Context(), hubName, &DialOptions{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, want }})
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// plainConn has no deadlines, like an SSH tunnel, and knows whether it was closed.
type plainConn struct {
	net.Conn
	closed atomic.Bool
}

func (c *plainConn) Close() error                     { c.closed.Store(true); return c.Conn.Close() }
func (c *plainConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *plainConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *plainConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

func TestAPanicInAFunctionOfTheTLSConfigLeavesNoConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newAccepting(MQTT))
		o := s.options()
		var below *plainConn
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := s.dial(ctx, network, addr)
			below = &plainConn{Conn: nc}
			return below, err
		}
		o.TLSConfig.VerifyConnection = func(tls.ConnectionState) error { panic("verify") }
		if nc, err := Dial(t.Context(), hubName, o); nc != nil || err == nil || !strings.Contains(err.Error(), "VerifyConnection") {
			t.Errorf("got %v, %v", nc, err)
		}
		if !below.closed.Load() {
			t.Error("the connection is still open")
		}
	})
}

func TestADialFuncThatGivesNothing(t *testing.T) {
	none := func(context.Context, string, string) (net.Conn, error) { return nil, nil }
	proxy := &url.URL{Scheme: "http", Host: "proxy"}
	for _, dial := range []DialFunc{none, ProxyDialer(proxy, none)} {
		if nc, err := Dial(t.Context(), hubName, &DialOptions{Dial: dial}); nc != nil || !errors.Is(err, errNoConn) {
			t.Errorf("got %v, %v", nc, err)
		}
	}
}
