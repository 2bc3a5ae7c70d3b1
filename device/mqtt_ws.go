package device

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"

	"github.com/hubwire/hubwire/ws"
)

// MQTTWebSocketOptions adjust MQTT over WebSockets. The zero value, and nil, mean the defaults.
type MQTTWebSocketOptions struct {
	MQTTOptions

	// Proxy is an HTTP proxy to go through, by CONNECT, with Basic
	// authentication when it names a user: "http://user:password@proxy:3128".
	// The connection to it is opened by [Options].Dial. nil means none.
	Proxy *url.URL
}

// MQTTWebSocket is [MQTT] inside a WebSocket (wss://{host}/$iothub/websocket),
// port 443, for networks that let nothing else out. o is copied; nil means the defaults.
//
// Credentials may be certificates here too, but Azure's own SDKs say of it that
// the service does not take those signed by a CA over WebSockets, only thumbprints.
func MQTTWebSocket(o *MQTTWebSocketOptions) Transport {
	opts := optionsOf(o)
	through := throughProxy(opts.Proxy)
	return Transport{name: "mqtt-ws", web: true, via: through, open: func(ctx context.Context, cfg *config) (link, error) {
		return openMQTT(ctx, cfg, opts.MQTTOptions, cfg.tunnel(through, ws.MQTT), badTunnel)
	}}
}

// tunnel returns what opens WebSockets to the hub, through a proxy unless through is nil.
func (c *config) tunnel(through func(dialer) dialer, protocol string) dialFunc {
	via := c.Dial
	if through != nil {
		via = through(via)
	}
	return func(ctx context.Context) (net.Conn, error) {
		return ws.Dial(ctx, c.addr(httpsPort), &ws.DialOptions{Dial: via, TLSConfig: c.tls(), Subprotocol: protocol})
	}
}

// throughProxy returns what makes a dialer go through an HTTP proxy, nil for none.
func throughProxy(proxy *url.URL) func(dialer) dialer {
	if proxy == nil {
		return nil
	}
	return func(dial dialer) dialer { return ws.ProxyDialer(proxy, dial) }
}

// badTunnel reports whether err is a refusal that will be the same the next
// time: of the hub's certificate, of the upgrade, or by a proxy of its user.
func badTunnel(err error) bool {
	status := 0
	if e, ok := errors.AsType[*ws.ProxyError](err); ok {
		status = e.Status
	} else if e, ok := errors.AsType[*ws.HandshakeError](err); ok {
		status = e.Status
	}
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return status/100 == 4 || badCertificate(err)
}
