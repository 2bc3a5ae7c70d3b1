package httpfront

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/conns"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/ws"
)

// The WebSocket tunnels: MQTT and AMQP over "/$iothub/websocket", whatever the query, and
// over the path that Event Hubs have for AMQP, which readers of events ask for, and all that
// stands on uAMQP. On a host of DPS it is at any path: the .NET SDK asks for "/", and the Java SDK's
// MQTT library for a path of its own.

// eventHubsPath is the path of the tunnel of Event Hubs.
const eventHubsPath = "/$servicebus/websocket"

func isTunnel(r *http.Request) bool {
	path := strings.TrimSuffix(r.URL.Path, "/")
	return path == ws.Path || path == eventHubsPath || strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && isDPS(r)
}

// isDPS reports whether a request is for the Device Provisioning Service.
func isDPS(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.HasSuffix(strings.ToLower(host), ".azure-devices-provisioning.net")
}

func (s *Server) tunnel(w http.ResponseWriter, r *http.Request) {
	r.URL.Path = ws.Path
	t := s.offered(r)
	p := conns.Peer{Protocol: t.Protocol, Certificates: r.TLS.PeerCertificates, Raw: rawConn(r)}
	v, err := s.core.Intercept(r.Context(), &core.Op{Kind: core.OpTunnel, Protocol: t.Protocol, Name: r.Header.Get("Sec-WebSocket-Protocol")})
	switch {
	case err != nil && isRefusal(err):
		s.write(w, httpsx.NewErrorAnswer(0, err, time.Now()))
		return
	case err != nil:
		drop(r)
	case v.SwallowAck:
		hold(r)
	}
	s.expectWrites(w) // of the handshake; the tunnel sets deadlines of its own
	nc, _, err := ws.Accept(w, r, t.Subprotocol)
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
	t.Serve(nc, p)
	nc.Close() // what is below it is closed: this waits for its goroutine
}

// offered returns the tunnel that a request asks for: the first if it asks for none that there is,
// which is refused then.
func (s *Server) offered(r *http.Request) *Tunnel {
	all := strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ",")
	for i := range s.opt.Tunnels {
		for name := range strings.SplitSeq(all, ",") {
			if t := &s.opt.Tunnels[i]; strings.EqualFold(strings.TrimSpace(name), t.Subprotocol) {
				return t
			}
		}
	}
	return &s.opt.Tunnels[0]
}
