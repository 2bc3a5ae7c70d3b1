package httpfront

import (
	"errors"
	"net/http"
	"strings"

	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/ws"
)

// The WebSocket tunnel: MQTT over "/$iothub/websocket", whatever the query.

func isTunnel(path []string) bool {
	return "/"+strings.Join(path, "/") == ws.Path
}

func (s *Server) tunnel(w http.ResponseWriter, r *http.Request) {
	raw := rawConn(r)
	certs := r.TLS.PeerCertificates
	v, err := s.core.Intercept(r.Context(), &core.Op{Kind: core.OpTunnel, Protocol: "mqtt-ws", Name: r.Header.Get("Sec-WebSocket-Protocol")})
	switch {
	case err != nil && isRefusal(err):
		s.write(w, fail(err))
		return
	case err != nil:
		drop(r)
	case v.SwallowAck:
		hold(r)
	}
	s.expectWrites(w) // of the handshake; the tunnel sets deadlines of its own
	nc, _, err := ws.Accept(w, r, ws.MQTT)
	if err != nil {
		// The error quotes headers of who has not logged in: it may hold a secret.
		refused := new(ws.HandshakeError)
		errors.As(err, &refused)
		s.opt.Log.Info("https: no tunnel", "peer", r.RemoteAddr, "status", refused.Status)
		return
	}
	if v.DropAfter {
		nc.Close()
		return
	}
	s.opt.MQTT(nc, raw, certs)
	nc.Close() // what is below it is closed: this waits for its goroutine
}
