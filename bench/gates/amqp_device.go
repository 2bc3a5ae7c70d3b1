package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// rivals are the devices of clients that are measured side by side on one hub: were they one device, each would take
// over what the other has.
var rivals = []hubwire.Identity{identity, {DeviceID: "dev-0002"}, {DeviceID: "dev-0003"}, {DeviceID: "dev-0004"}}

// dialAMQPDevice connects a device client over AMQP.
func (s setup) dialAMQPDevice() (*device.Client, error) {
	o, err := s.deviceOptions()
	if err != nil {
		return nil, err
	}
	o.Window = window
	return s.dialAs(rivals[s.Rival], device.AMQP(nil), o)
}

func amqpAsyncRole(s setup) (*actor, error) { return async(s.dialAMQPDevice()) }

func amqpSendersRole(s setup) (*actor, error) { return waiting(s.dialAMQPDevice()) }

// batched is how many messages are in a batch.
const batched = 100

// amqpBatchesRole is as many producers as the window has room for batches, each of which waits for its own.
func amqpBatchesRole(s setup) (*actor, error) {
	c, err := s.dialAMQPDevice()
	if err != nil {
		return nil, err
	}
	var all [batched]*hubwire.Message
	for i := range all {
		all[i] = telemetryMessage
	}
	var acked atomic.Int64
	send := func(n int) error {
		err := c.SendAll(context.Background(), all[:n])
		if err == nil {
			acked.Add(int64(n))
		}
		return err
	}
	return &actor{count: acked.Load, run: func(n int) error {
		err := together(window/batched, n/batched, func() error { return send(batched) })
		if rest := n % batched; rest > 0 && err == nil {
			err = send(rest)
		}
		return err
	}}, nil
}

// sharedDevices are device clients on one connection.
type sharedDevices struct {
	s        setup
	conn     *device.AMQPConnection
	o        *device.Options
	clients  []*device.Client
	attached atomic.Int64           // links, less those that were detached
	onAttach atomic.Pointer[func()] // is told of each; nil: nobody is
}

func sharedDevicesRole(s setup) (*actor, error) {
	return multiplexerRole(s, func() (multiplexer, error) { return s.newSharedDevices() })
}

func (s setup) newSharedDevices() (*sharedDevices, error) {
	o, err := s.deviceOptions()
	if err != nil {
		return nil, err
	}
	d := &sharedDevices{s: s, o: o}
	over := *o
	over.Hooks = &device.Hooks{Packet: d.packet}
	d.conn, err = device.NewAMQPConnection(s.host(), device.AMQP(nil), &over)
	return d, err
}

// packet counts what the hub attaches and detaches.
func (d *sharedDevices) packet(sent bool, b []byte) {
	if sent || len(b) <= amqp10.FrameHead {
		return
	}
	switch amqp10.PeekDescriptor(amqp10.Frame(b).Body()) {
	case amqp10.DescAttach:
		d.attached.Add(1)
		if tell := d.onAttach.Load(); tell != nil {
			(*tell)()
		}
	case amqp10.DescDetach:
		d.attached.Add(-1)
	}
}

func (d *sharedDevices) add(id hubwire.Identity) error {
	c, err := d.s.dialAs(id, d.conn.Transport(), d.o)
	if err != nil {
		return err
	}
	d.clients = append(d.clients, c)
	return nil
}

// attach uses each kind of link once.
func (d *sharedDevices) attach() error {
	for _, c := range d.clients {
		if d.s.Links > 2 {
			if err := c.HandleMethod(context.Background(), "", noMethod); err != nil {
				return err
			}
			if _, err := c.Twin(context.Background()); err != nil {
				return err
			}
		}
		if err := d.receive(c); err != nil {
			return err
		}
	}
	return nil
}

// receive waits for messages, of which there are none, until the link is attached that they come by.
func (d *sharedDevices) receive(c *device.Client) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tell := func() { cancel() }
	d.onAttach.Store(&tell)
	defer d.onAttach.Store(nil)
	if r, err := c.Receive(ctx); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%v has received %v, %w", c.Identity(), r, err)
	}
	return nil
}

func noMethod(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
	return hubwire.MethodResponse{}, errors.New("there is none")
}

// up is all of them or none: the two links of the connection itself are attached too.
func (d *sharedDevices) up() (n int) {
	if d.attached.Load() != int64(2+len(d.clients)*d.s.Links) {
		return 0
	}
	for _, c := range d.clients {
		if c.State() == device.Connected {
			n++
		}
	}
	return n
}

func (d *sharedDevices) close() { d.conn.Close() }
