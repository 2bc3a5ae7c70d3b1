// Package ws tunnels MQTT or AMQP through a WebSocket, as IoT Hub offers it on
// port 443, and presents the tunnel as a [net.Conn]: [Dial] is the client's end,
// [Accept] the server's, on IoT Hub's path ([AcceptAnyPath] on any). [ProxyDialer]
// reaches a hub through an HTTP proxy.
//
//	nc, err := ws.Dial(ctx, "myhub.azure-devices.net", &ws.DialOptions{Subprotocol: ws.MQTT, Query: ws.NoClientCert})
//
// Devices and services need not come here: package device has MQTTWebSocket and AMQPWebSocket, package
// service an option. This is for who has a protocol of their own to run, or a server.
//
// It follows RFC 6455, section 6 of MQTT 3.1.1 and the WebSocket tunnel of the
// IoT Hub developer guide ("Choose a device communication protocol"):
//
//	GET /$iothub/websocket HTTP/1.1
//	Upgrade: websocket
//	Sec-WebSocket-Protocol: mqtt      (or AMQPWSB10)
//
// Frames are binary and their borders mean nothing: a packet may span several,
// and one may hold several packets. Each Write is one message. There is no
// limit to the size of a message, since none is ever held whole: what limits
// the protocol inside are that protocol's own limits. Pings are answered, once a
// message that is being written is out, and never sent, and nothing is compressed.
//
// A connection behaves as one over TCP where that matters to what runs inside:
//
//   - A read deadline that passes ends the Read that waits, and nothing else.
//   - A write deadline that passes before a Write began leaves the connection
//     as it is; one that cuts a message short breaks the sending direction
//     for good, as over TLS.
//   - The peer's close frame with status 1000, 1001 or none reads as [io.EOF],
//     any other as a [*CloseError]. The end of the stream below reads as
//     [io.EOF], or [io.ErrUnexpectedEOF] within a message or frame. A text
//     frame is [ErrTextFrame], and what RFC 6455 forbids is [ErrProtocol].
//   - Close says goodbye with status 1000, waits for no answer, and returns
//     within a quarter of a second even when the peer is stalled. Beyond what a
//     net.Conn has there is a method CloseNow() error, which cuts at once, and as
//     over TLS a method NetConn() net.Conn, which gives what is below, to look at.
//
// Each connection owns one goroutine, which reads ahead by at most 4 KiB, and
// another for as long as it takes to answer a ping. They end with the
// connection, and Close waits for them.
package ws
