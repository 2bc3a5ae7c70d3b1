package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"syscall"

	"github.com/hubwire/hubwire/internal/pipe"
)

// Doors imitate the service's ports, on loopback and in memory. Left out: TLS
// before 1.2, and the renegotiation that asks for a client's certificate on port
// 443 (it is asked for at once).

// The ports that IoT Hub's protocols have everywhere.
const (
	mqttPort  = 8883
	amqpPort  = 5671
	httpsPort = 443
)

// door is where one protocol comes in: always in memory, mostly on a socket too.
type door struct {
	port   int // the protocol's own
	memory *pipe.Listener
	socket net.Listener // nil without
	gates  []net.Listener
}

func (h *Hub) openDoors(ctx context.Context, base *tls.Config) error {
	web := base.Clone()
	web.NextProtos = []string{"http/1.1"} // never h2: some SDKs compare the case of header names
	mqtt, err := h.openDoor(ctx, mqttPort, h.cfg.MQTTAddr)
	if err != nil {
		return err
	}
	amqp, err := h.openDoor(ctx, amqpPort, h.cfg.AMQPAddr)
	if err != nil {
		return err
	}
	https, err := h.openDoor(ctx, httpsPort, h.cfg.HTTPSAddr)
	if err != nil {
		return err
	}
	for _, l := range mqtt.gates {
		h.serving.Go(func() { h.mqtt.Accept(l, base) })
	}
	for _, l := range amqp.gates {
		h.serving.Go(func() { h.amqp.Accept(l, base) })
	}
	for _, l := range https.gates {
		h.serving.Go(func() { h.https.Accept(l, web) })
	}
	return nil
}

func (h *Hub) openDoor(ctx context.Context, port int, addr string) (*door, error) {
	d := &door{port: port, memory: pipe.Listen(pipe.Addr(net.JoinHostPort(h.cfg.HostName, strconv.Itoa(port))))}
	if !h.cfg.InMemory {
		if addr == "" {
			addr = ":0"
		}
		host, p, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, &net.OpError{Op: "listen", Net: "tcp", Err: err}
		}
		if host == "" {
			host = "127.0.0.1"
		}
		var lc net.ListenConfig
		if d.socket, err = lc.Listen(ctx, "tcp", net.JoinHostPort(host, p)); err != nil {
			return nil, err
		}
	}
	strangers := make(chan struct{}, h.cfg.MaxStrangers)
	d.gates = append(d.gates, newGate(d.memory, strangers))
	if d.socket != nil {
		d.gates = append(d.gates, newGate(d.socket, strangers))
	}
	h.doors = append(h.doors, d)
	return d, nil
}

func (d *door) close() {
	for _, l := range d.gates {
		l.Close()
	}
}

// leadsTo reports whether a port means this door.
func (d *door) leadsTo(port string) bool {
	if port == strconv.Itoa(d.port) {
		return true
	}
	if d.socket == nil {
		return false
	}
	_, p, _ := net.SplitHostPort(d.socket.Addr().String())
	return p == port
}

// addr returns where clients of the door dial.
func (d *door) addr() string {
	if d.socket != nil {
		return d.socket.Addr().String()
	}
	return d.memory.Addr().String()
}

// Dial connects to the hub in memory. The port of addr says where to: 8883
// MQTT, 5671 AMQP, 443 HTTPS and WebSockets, or the port that the hub listens on for
// that; the host does not matter. TLS is spoken on the connection, as on a
// socket. It has the form of [net.Dialer.DialContext]; network is "tcp",
// "tcp4" or "tcp6". A port without a door, and a closed hub, refuse the connection ([syscall.ECONNREFUSED]).
func (h *Hub) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: pipe.Addr(addr), Err: err}
	}
	if _, err := h.ask(ctx, "dial"); err != nil {
		return fail(err)
	}
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return fail(net.UnknownNetworkError(network))
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fail(err)
	}
	for _, d := range h.doors {
		if !d.leadsTo(port) {
			continue
		}
		nc, err := d.memory.Dial(ctx, pipe.Addr("client"))
		switch {
		case errors.Is(err, net.ErrClosed):
			return fail(syscall.ECONNREFUSED)
		case err != nil:
			return fail(err)
		}
		return nc, nil
	}
	return fail(syscall.ECONNREFUSED)
}

// MQTTAddr returns "host:port" of the MQTT door; of a hub without sockets,
// what Dial takes.
func (h *Hub) MQTTAddr() string { return h.addr(0) }

// AMQPAddr returns "host:port" of the AMQP door, as [Hub.MQTTAddr].
func (h *Hub) AMQPAddr() string { return h.addr(1) }

// HTTPSAddr returns "host:port" of the door for HTTPS and WebSockets, as [Hub.MQTTAddr].
func (h *Hub) HTTPSAddr() string { return h.addr(2) }

func (h *Hub) addr(door int) string {
	if _, err := h.started("address"); err != nil {
		return ""
	}
	return h.doors[door].addr()
}
