package device

import (
	"net/url"

	"github.com/hubwire/hubwire/ws"
)

// AMQPWebSocketOptions adjust AMQP over WebSockets. The zero value, and nil, mean the defaults.
type AMQPWebSocketOptions struct {
	AMQPOptions

	// Proxy is an HTTP proxy to go through, as in [MQTTWebSocketOptions]. nil means none.
	Proxy *url.URL
}

// AMQPWebSocket is [AMQP] inside a WebSocket (wss://{host}/$iothub/websocket), port 443,
// for networks that let nothing else out. o is copied; nil means the defaults.
func AMQPWebSocket(o *AMQPWebSocketOptions) Transport {
	opts := optionsOf(o)
	through := throughProxy(opts.Proxy)
	t := Transport{name: "amqp-ws", web: true, via: through, door: door{httpsPort, tunnel(through, ws.AMQP), greetAMQP}}
	return amqpTransport(t, opts.AMQPOptions)
}
