package device

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire/amqp/links"
)

// AMQPOptions adjust AMQP. The zero value, and nil, mean the defaults.
type AMQPOptions struct{}

// AMQP is the AMQP 1.0 protocol on TLS, port 5671. o is copied; nil means the defaults.
//
// A Client has a connection of its own, or shares one: see [AMQPConnection]. Its token is put
// on it, and renewed, by claims-based security, which touches nothing else; a certificate is
// renewed by a new connection. The link of telemetry is attached by Dial, all others when they are
// first needed.
//
// Telemetry is acknowledged by its outcome. What the hub rejects fails with the hub's code, and what it gives
// back (released, or modified) is sent again after a while, as is what a lost link cuts off.
// [Client.SendAll] sends batches: as many messages in a transfer as 256 KiB have room for.
// [Options].AckTimeout costs no more than the session of the one Client.
//
// A message for the device is sent when a Receive waits for it, not ahead, as its lock on the hub is a minute long. All
// three settlements of [hubwire.Received] return what the hub says to them: [hubwire.MessageLockLost] when the minute is over,
// or when the link was lost that the message came by, which also matches [net.ErrClosed]; the message comes again then.
//
// A proxy, if need be, goes into [Options].Dial (see package ws).
//
// Source: IoT Hub developer guide, "Communicate with your IoT hub by using the AMQP Protocol".
func AMQP(o *AMQPOptions) Transport {
	const port = 5671
	d := door{port, func(ctx context.Context, cfg *config) (net.Conn, error) { return cfg.dialTLS(ctx, port) }, greetAMQP}
	return amqpTransport(Transport{name: "amqp", door: d}, optionsOf(o))
}

// amqpDial makes what opens the connections of a Client over AMQP.
type amqpDial func(cfg *config) dialFunc

func amqpTransport(t Transport, o AMQPOptions) Transport {
	d := t.door
	dial := func(cfg *config) dialFunc { return cfg.through(d) }
	t.amqp = dial
	t.open = func(ctx context.Context, cfg *config) (link, error) {
		l := &amqpLink{cfg: cfg, o: o}
		var err error
		if l.conn, err = newAMQPConn(cfg, dial, &l.connected, nil); err != nil {
			return nil, err
		}
		if err := l.open(ctx); err != nil {
			l.conn.Close()
			return nil, err
		}
		return l, nil
	}
	return t
}

// newAMQPConn makes a connection, which does not connect yet.
func newAMQPConn(cfg *config, dial amqpDial, connected *atomic.Bool, onState func(links.State, error)) (*links.Conn, error) {
	return links.New(&links.Options{
		Dial: firstDial(dial(cfg), connected), HostName: cfg.cred.host(),
		Certificate: cfg.cred.GetClientCertificate != nil, Expires: cfg.certificateEnds,
		KeepAlive: cfg.KeepAlive, ConnectTimeout: cfg.ConnectTimeout, OperationTimeout: cfg.ConnectTimeout,
		MinBackoff: cfg.MinBackoff, MaxBackoff: cfg.MaxBackoff,
		CloseTimeout: cfg.linkCloseTimeout() / 2,
		OnState:      onState, OnPanic: cfg.panicked, Trace: cfg.Hooks.Packet,
	})
}

// linkCloseTimeout is what a link may take of CloseTimeout.
func (c *config) linkCloseTimeout() time.Duration {
	return c.CloseTimeout - c.CloseTimeout/handlerShare
}

// amqpLink is the [link] over a device of package links.
type amqpLink struct {
	cfg       *config
	o         AMQPOptions
	conn      *links.Conn
	shared    *AMQPConnection // nil: conn is no other's
	connected atomic.Bool     // the hub has accepted the device once
	device    *links.Device

	told struct { // that the device is connected, or has ended
		once sync.Once
		yes  chan struct{}
	}
}

// open puts the device on the connection, and returns when the hub has accepted it, and the program has been told.
func (l *amqpLink) open(ctx context.Context) (err error) {
	cfg := l.cfg
	l.told.yes = make(chan struct{})
	l.device, err = l.conn.Device(ctx, cfg.id, &links.DeviceOptions{
		Tokens: cfg.cred.Tokens, HostName: cfg.cred.HostName,
		ClientVersion: cfg.clientType(), ModelID: cfg.ModelID,
		Window: cfg.Window, WindowBytes: cfg.WindowBytes, AckTimeout: cfg.AckTimeout,
		CloseTimeout: cfg.linkCloseTimeout(),
		OnState:      l.onState, OnPanic: cfg.panicked, OnUnexpected: cfg.unexpected,
	})
	if err == nil {
		select {
		case <-l.told.yes:
		case <-ctx.Done(): // a hook does not return
		}
	}
	return err
}

// onState is told of each change of the device's state.
func (l *amqpLink) onState(s links.State, reason error) {
	if s == links.Connected {
		l.connected.Store(true)
	}
	if s == links.Closed && l.shared != nil {
		l.shared.leave(l)
	}
	if s == links.Connected || s == links.Closed {
		defer l.told.once.Do(func() { close(l.told.yes) })
	}
	l.cfg.state(amqpState(s), reason)
}

func amqpState(s links.State) State {
	switch s {
	case links.Connecting:
		return Connecting
	case links.Connected:
		return Connected
	case links.Renewing:
		return Renewing
	}
	return Closed
}

func (l *amqpLink) state() State { return amqpState(l.device.State()) }

func (l *amqpLink) mayWait() error { return l.device.MayWait() }

// close implements [link]. The connection of the device alone goes with it.
func (l *amqpLink) close() error {
	if l.shared != nil {
		return l.device.Close()
	}
	moment, stop := context.WithTimeout(context.Background(), l.cfg.linkCloseTimeout()/2)
	defer stop()
	l.device.Drain(moment)
	return l.conn.Close()
}
