package hub_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/hubwire/hubwire/hub"
)

// wsShape is how an SDK opens a WebSocket: the lines of its request, and the sub-protocol that must come back.
type wsShape struct {
	name, request string
	protocol      string
}

// The key is that of RFC 6455, section 1.3, and so is the answer to it.
const (
	wsKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	wsAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

var wsShapes = []wsShape{
	{"Python, by paho", `GET /$iothub/websocket HTTP/1.1
Host: localhost:443
Upgrade: websocket
Connection: Upgrade
Origin: https://localhost:443
Sec-WebSocket-Key: KEY
Sec-Websocket-Version: 13
Sec-Websocket-Protocol: mqtt`, "mqtt"},
	{"C", `GET /$iothub/websocket HTTP/1.1
Host: localhost:443
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Key: KEY
Sec-WebSocket-Protocol: MQTT
Sec-WebSocket-Version: 13`, "MQTT"},
	{".NET", `GET /$iothub/websocket HTTP/1.1
Host: localhost
Connection: Upgrade
Upgrade: websocket
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: KEY
Sec-WebSocket-Protocol: mqtt`, "mqtt"},
	{"Java, by paho, with a query", `GET /$iothub/websocket?iothub-no-client-cert=true HTTP/1.1
Host: localhost:443
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Key: KEY
Sec-WebSocket-Protocol: mqtt
Sec-WebSocket-Version: 13`, "mqtt"},
	{"a client that would compress, keeps alive and writes in small letters", `GET /$iothub/websocket HTTP/1.1
host: localhost
connection: keep-alive, Upgrade
upgrade: WebSocket
sec-websocket-key: KEY
sec-websocket-version: 13
sec-websocket-protocol: mqttv3.1, mqtt
sec-websocket-extensions: permessage-deflate; client_max_window_bits`, "mqtt"},
	{"C, for AMQP", `GET /$iothub/websocket HTTP/1.1
Host: localhost:443
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Key: KEY
Sec-WebSocket-Protocol: AMQPWSB10
Sec-WebSocket-Version: 13`, "AMQPWSB10"},
	{"Java, for AMQP, by proton's own layer", `GET /$iothub/websocket?iothub-no-client-cert=true HTTP/1.1
Connection: Upgrade,Keep-Alive
Upgrade: websocket
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: KEY
Sec-WebSocket-Protocol: AMQPWSB10
Host: localhost`, "AMQPWSB10"},
}

// wsConn is a WebSocket of which each write becomes a message, in frames of at most most bytes.
type wsConn struct {
	net.Conn
	most int
	in   []byte // what is left of the last frame
}

// dialWebSocket opens a WebSocket as shape says.
func dialWebSocket(t testing.TB, h *hub.Hub, shape *wsShape, most int) *wsConn {
	t.Helper()
	w := newWeb(t, h)
	w.write(strings.NewReplacer("\n", "\r\n", "KEY", wsKey).Replace(shape.request) + "\r\n\r\n")
	a := w.answer("GET")
	if a.StatusCode != 101 || a.Header.Get("Sec-WebSocket-Accept") != wsAccept || !strings.EqualFold(a.Header.Get("Upgrade"), "websocket") ||
		!strings.EqualFold(a.Header.Get("Connection"), "Upgrade") || a.Header.Get("Sec-WebSocket-Protocol") != shape.protocol || a.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Fatalf("%s%s", a.head, a.body)
	}
	if w.r.Buffered() > 0 {
		t.Fatal("the hub speaks first")
	}
	return &wsConn{Conn: w.nc, most: most}
}

// wsFrame is a frame of a client: masked, and its length in the shortest form.
func wsFrame(final bool, opcode byte, payload []byte) []byte {
	b := []byte{opcode}
	if final {
		b[0] |= 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

func (c *wsConn) Write(b []byte) (int, error) {
	n := len(b)
	for first := true; first || len(b) > 0; first = false {
		part := b[:min(len(b), c.most)]
		opcode := byte(0)
		if b = b[len(part):]; first {
			opcode = 2
		}
		if _, err := c.Conn.Write(wsFrame(len(b) == 0, opcode, part)); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// frame reads a frame of the hub.
func (c *wsConn) frame() (opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1]) // with the mask's bit it would be too many
	if size >= 126 {
		more := make([]byte, map[uint64]int{126: 2, 127: 8}[size])
		if _, err := io.ReadFull(c.Conn, more); err != nil {
			return 0, nil, err
		}
		size = 0
		for _, b := range more {
			size = size<<8 | uint64(b)
		}
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(c.Conn, payload)
	return head[0] & 0x0f, payload, err
}

func (c *wsConn) Read(b []byte) (int, error) {
	for len(c.in) == 0 {
		opcode, payload, err := c.frame()
		if err != nil || opcode == 8 {
			return 0, io.EOF
		}
		if opcode <= 2 {
			c.in = payload
		}
	}
	n := copy(b, c.in)
	c.in = c.in[n:]
	return n, nil
}

// TestShapeWebSocket has the requests that SDKs open WebSockets with, and what goes over them besides messages.
func TestShapeWebSocket(t *testing.T) {
	for i := range wsShapes {
		shape := &wsShapes[i]
		t.Run(shape.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				if shape.protocol == "AMQPWSB10" {
					for _, sdk := range amqpSDKs {
						s := newScript(t, sdk, dialWebSocket(t, h, shape, 7))
						s.login(nil)
						s.put(h, dev, sdk.putName)
					}
					return
				}
				nc := dialWebSocket(t, h, shape, 1<<20)
				w := mqttSDKs[0].connect(t, h, nc, 0)
				// A ping between the frames of a message, which is answered with the same.
				packet := mqttPacket(0xc0)
				b := wsFrame(false, 2, packet[:1])
				b = append(b, wsFrame(true, 9, []byte("are you there"))...)
				b = append(b, wsFrame(true, 0, packet[1:])...)
				if _, err := nc.Conn.Write(b); err != nil {
					t.Fatal(err)
				}
				var pong, answer bool
				for !pong || !answer {
					opcode, payload, err := nc.frame()
					if err != nil {
						t.Fatal(err)
					}
					pong = pong || opcode == 10 && string(payload) == "are you there"
					answer = answer || opcode == 2 && bytes.Equal(payload, mqttPacket(0xd0))
				}
				// Two packets in a message, an empty message, and one of more than 64 KiB.
				w.send(0xc0)
				if _, err := nc.Write(append(mqttPacket(0xc0), mqttPacket(0xc0)...)); err != nil {
					t.Fatal(err)
				}
				if _, err := nc.Write(nil); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					w.want(0xd0)
				}
				w.publish(1, "devices/dev-1/messages/events/", strings.Repeat("x", 100_000))
				// A pong that nobody asked for, and a good-bye.
				if _, err := nc.Conn.Write(append(wsFrame(true, 10, nil), wsFrame(true, 8, []byte{0x03, 0xe8})...)); err != nil {
					t.Fatal(err)
				}
				opcode, payload, err := nc.frame()
				if err != nil || opcode != 8 || !bytes.Equal(payload, []byte{0x03, 0xe8}) {
					t.Errorf("opcode %d, %x, %v", opcode, payload, err)
				}
				if _, _, err := nc.frame(); err == nil {
					t.Error("a frame behind the good-bye")
				}
			})
		})
	}
}
