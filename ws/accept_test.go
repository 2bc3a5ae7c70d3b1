package ws

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
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
