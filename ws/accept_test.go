package ws

import (
	"bufio"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
)

// acceptKey is RFC 6455 section 4.2.2.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestAcceptRefuses(t *testing.T) {
	for _, c := range []struct {
		name, method, url, field, value string
		status                          int
		cause                           error
	}{
		{"another path", "GET", "/", "", "", 404, ErrPath},
		{"a path that goes on", "GET", Path + "/", "", "", 404, ErrPath},
		{"the path in capitals", "GET", "/$IOTHUB/WEBSOCKET", "", "", 404, ErrPath},
		{"no subprotocol", "GET", Path, "Sec-WebSocket-Protocol", "", 400, ErrSubprotocol},
		{"an unknown subprotocol", "GET", Path, "Sec-WebSocket-Protocol", "mqtt5, chat", 400, ErrSubprotocol},
		{"no upgrade", "GET", Path, "Upgrade", "", 426, nil},
		{"an upgrade to something else", "GET", Path, "Upgrade", "h2c", 426, nil},
		{"no connection field", "GET", Path, "Connection", "close", 426, nil},
		{"an old version", "GET", Path, "Sec-WebSocket-Version", "8", 400, nil},
		{"a short key", "GET", Path, "Sec-WebSocket-Key", "AAAA", 400, nil},
		{"a method other than GET", "POST", Path, "", "", 405, nil},
		{"a server that cannot hand connections over", "GET", Path, "", "", 501, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.url, nil)
			for name, value := range map[string]string{
				"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
				"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": "mqtt",
			} {
				r.Header.Set(name, value)
			}
			if c.field != "" {
				r.Header.Set(c.field, c.value)
			}
			w := httptest.NewRecorder()
			nc, sub, err := Accept(w, r, MQTT, AMQP)
			var he *HandshakeError
			if nc != nil || sub != "" || !errors.As(err, &he) || he.Status != c.status || w.Code != c.status {
				t.Errorf("got %v, and the client got %d, want %d", err, w.Code, c.status)
			}
			if c.cause != nil && !errors.Is(err, c.cause) {
				t.Errorf("got %v, want %v", err, c.cause)
			}
		})
	}
}

func TestAcceptTakesTheFirstItKnowsInTheClientsSpelling(t *testing.T) {
	for offered, want := range map[string]string{
		"mqtt": "mqtt", "MQTT": "MQTT", "Mqtt , chat": "Mqtt", "chat,amqpwsb10": "amqpwsb10", "AMQPWSB10, mqtt": "mqtt",
	} {
		t.Run(offered, func(t *testing.T) {
			a := newAccepting(MQTT, AMQP)
			s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Set("Sec-WebSocket-Protocol", offered)
				r.Header.Set("Origin", "https://elsewhere.example")
				a.ServeHTTP(w, r)
			}))
			nc, err := Dial(t.Context(), hubName, s.options())
			if err == nil {
				nc.Close()
			}
			got := <-a.got
			if got.err != nil {
				t.Fatal(got.err)
			}
			got.Close()
			if got.subprotocol != want || got.answered != want {
				t.Errorf("chose %q and answered %q, want %q", got.subprotocol, got.answered, want)
			}
		})
	}
}

func TestAcceptAnyPathTakesThePathsOfTheProvisioningService(t *testing.T) {
	for _, path := range []string{"/", Path, "/mqtt", "/$iothub/websocket/", "/deep/down"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := make(chan net.Conn, 1)
				s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					nc, _, err := AcceptAnyPath(w, r, MQTT)
					if err != nil || r.URL.Path != path {
						t.Errorf("path %q: %v", r.URL.Path, err)
					}
					got <- nc
				}))
				o := s.options()
				o.Path = path
				nc, err := Dial(t.Context(), hubName, o)
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				srv := <-got
				defer srv.Close()
				exchange(t, nc, srv)
			})
		})
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Protocol", "chat")
	w := httptest.NewRecorder()
	if _, _, err := AcceptAnyPath(w, r, MQTT); !errors.Is(err, ErrSubprotocol) || w.Code != 400 {
		t.Errorf("another subprotocol: %v, and the client got %d", err, w.Code)
	}
}

// Requests as they stand on the wire, which no client of Go's would send.
func TestAcceptTakesWhatOthersSend(t *testing.T) {
	const upgrade = "Host: x\r\nConnection: keep-alive, UPGRADE\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	for _, c := range []struct{ name, request, chose, read string }{
		{"the dollar escaped, and a query that is none", "GET /%24iothub/websocket?%zz&;=# HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Protocol: mqtt\r\n\r\n", "mqtt", ""},
		{"a URL with scheme and host", "GET https://x/$iothub/websocket HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Protocol: mqtt\r\n\r\n", "mqtt", ""},
		{"an offer in several lines", "GET /$iothub/websocket HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: x, AmqpWSB10\r\n\r\n", "AmqpWSB10", ""},
		{"an offer of compression", "GET /$iothub/websocket HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n", "mqtt", ""},
		{"credentials and an origin", "GET /$iothub/websocket HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Protocol: mqtt\r\nAuthorization: x\r\nOrigin: null\r\n\r\n", "mqtt", ""},
		{"frames that do not wait for the answer", "GET /$iothub/websocket HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Protocol: mqtt\r\n\r\n" + frame(fin|binary, "early"), "mqtt", "early"},
		{"half a frame that does not wait", "GET /$iothub/websocket HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Protocol: mqtt\r\n\r\n" + frame(fin|binary, "early")[:8], "mqtt", "ea"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAccepting(MQTT, AMQP)
				s := serve(t, a)
				nc, err := s.dial(t.Context(), "tcp", "")
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				client := tls.Client(nc, &tls.Config{RootCAs: s.roots, ServerName: hubName})
				io.WriteString(client, c.request)
				client.CloseWrite()
				got := <-a.got
				if got.err != nil {
					t.Fatal(got.err)
				}
				defer got.Close()
				answer, err := http.ReadResponse(bufio.NewReader(client), nil)
				if err != nil || answer.StatusCode != 101 || answer.Header.Get("Sec-WebSocket-Protocol") != c.chose ||
					answer.Header.Get("Sec-WebSocket-Accept") != acceptKey("AAAAAAAAAAAAAAAAAAAAAA==") || answer.Header["Sec-Websocket-Extensions"] != nil {
					t.Errorf("answered %+v, %v", answer, err)
				}
				want := io.EOF
				if len(c.read) == 2 {
					want = io.ErrUnexpectedEOF
				}
				read, err := io.ReadAll(got)
				if err == nil {
					err = io.EOF
				}
				if got.subprotocol != c.chose || string(read) != c.read || err != want {
					t.Errorf("chose %q and read %q, %v; want %q and %q, %v", got.subprotocol, read, err, c.chose, c.read, want)
				}
			})
		})
	}
}
