package device

import (
	"context"
	"net"
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
	d := door{httpsPort, tunnel(through, ws.MQTT), greetMQTT}
	return Transport{name: "mqtt-ws", web: true, via: through, door: d, open: func(ctx context.Context, cfg *config) (link, error) {
		return openMQTT(ctx, cfg, opts.MQTTOptions, cfg.through(d))
	}}
}

// tunnel returns what opens WebSockets to the hub, through a proxy unless through is nil.
func tunnel(through func(dialer) dialer, protocol string) func(context.Context, *config) (net.Conn, error) {
	return func(ctx context.Context, c *config) (net.Conn, error) {
		return ws.Dial(ctx, c.addr(httpsPort), &ws.DialOptions{Dial: c.via(through), TLSConfig: c.tls(), Subprotocol: protocol})
	}
}

// throughProxy returns what makes a dialer go through an HTTP proxy, nil for none.
func throughProxy(proxy *url.URL) func(dialer) dialer {
	if proxy == nil {
		return nil
	}
	return func(dial dialer) dialer { return ws.ProxyDialer(proxy, dial) }
}

// via returns the dialer that goes through a proxy, when there is one.
func (c *config) via(through func(dialer) dialer) dialer {
	if through == nil {
		return c.Dial
	}
	return through(c.Dial)
}
