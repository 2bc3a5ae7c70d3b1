package httpfront

import (
	"net/http"
	"strings"
	"time"

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
	}
	// The handshake is one write. The tunnel sets deadlines of its own.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.opt.WriteTimeout))
	nc, _, err := ws.Accept(w, r, ws.MQTT)
	if err != nil {
		s.opt.Log.Info("https: tunnel", "peer", r.RemoteAddr, "error", err)
		return
	}
	if v.DropAfter {
		nc.Close()
		return
	}
	s.opt.MQTT(nc, raw, certs)
	nc.Close() // what is below it is closed: this waits for its goroutine
}
