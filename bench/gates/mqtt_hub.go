package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/sas"
)

// startHub starts a hub on sockets, with these devices.
func startHub(devices ...hubwire.Identity) (*hub.Hub, door, error) {
	return startHubAs(nil, devices...)
}

func startHubAs(cfg *hub.Config, devices ...hubwire.Identity) (*hub.Hub, door, error) {
	h, err := hub.Start(context.Background(), cfg)
	if err != nil {
		return nil, door{}, err
	}
	for _, id := range devices {
		if _, err := h.Create(context.Background(), &hub.Device{Identity: id, PrimaryKey: sas.NewSecret(sasKey)}); err != nil {
			return nil, door{}, err
		}
	}
	return h, door{TLS: h.MQTTAddr(), CA: h.CAPEM(), Host: h.HostName()}, nil
}

// hubRole is a hub whose events somebody reads as they come.
func hubRole(setup) (*actor, error) { return readHub(identity) }

// readHub is such a hub, with these devices. It counts the events.
func readHub(devices ...hubwire.Identity) (*actor, error) {
	h, d, err := startHub(devices...)
	if err != nil {
		return nil, err
	}
	r, err := h.Events(context.Background(), nil)
	if err != nil {
		return nil, err
	}
	var count atomic.Int64
	go func() {
		for {
			if _, err := r.Next(context.Background()); err != nil {
				return
			}
			count.Add(1)
		}
	}()
	return &actor{door: d, count: count.Load}, nil
}

// hubLogRole is a hub whose events nobody reads.
func hubLogRole(setup) (*actor, error) {
	h, d, err := startHub(identity)
	if err != nil {
		return nil, err
	}
	return &actor{door: d, count: (&recorded{hub: h}).count}, nil
}

// recorded counts the events that a hub has recorded, of one device or in its one partition, by the
// sequence number of the last one. It reads few of them: reading makes garbage.
type recorded struct {
	hub  *hub.Hub
	last *hub.Event
}

func (r *recorded) count() int64 {
	if r.last == nil || r.since(r.last.EnqueuedTime.Add(1), 1) != nil {
		for back := time.Millisecond; back < time.Hour; back *= 4 {
			if e := r.since(time.Now().Add(-back), math.MaxInt); e != nil {
				r.last = e
				break
			}
		}
	}
	if r.last == nil {
		return 0
	}
	return r.last.SequenceNumber + 1
}

// since returns the last of the first n events from then on, nil if there are none.
func (r *recorded) since(then time.Time, n int) (last *hub.Event) {
	events, err := r.hub.Events(context.Background(), &hub.EventOptions{Since: then})
	for ; err == nil && n > 0; n-- {
		var e *hub.Event
		if e, err = events.TryNext(context.Background()); e == nil {
			break
		}
		last = e
	}
	return last
}

// mochiRole is mochi's server, which lets everybody in.
func mochiRole(setup) (*actor, error) {
	server, d, err := startMochi(false)
	if err != nil {
		return nil, err
	}
	received := &server.Info.MessagesReceived
	return &actor{door: d, count: func() int64 { return atomic.LoadInt64(received) }}, nil
}

// mochiReadRole has a subscriber in the same process.
func mochiReadRole(setup) (*actor, error) {
	server, d, err := startMochi(true)
	if err != nil {
		return nil, err
	}
	var count atomic.Int64
	err = server.Subscribe("devices/#", 1, func(*mochi.Client, packets.Subscription, packets.Packet) { count.Add(1) })
	return &actor{door: d, count: count.Load}, err
}

func startMochi(subscribes bool) (*mochi.Server, door, error) {
	cfg, ca, err := newServerTLS()
	if err != nil {
		return nil, door{}, err
	}
	server := mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler), InlineClient: subscribes})
	listener := listeners.NewTCP(listeners.Config{ID: "tls", Address: "127.0.0.1:0", TLSConfig: cfg})
	err = errors.Join(server.AddHook(new(auth.AllowHook), nil), server.AddListener(listener), server.Serve())
	return server, door{TLS: listener.Address(), CA: ca}, err
}

// hubC2DRole is a hub that sends messages to its device.
func hubC2DRole(setup) (*actor, error) {
	h, d, err := startHub(identity)
	if err != nil {
		return nil, err
	}
	var sent atomic.Int64
	return &actor{door: d, count: sent.Load, run: func(n int) error {
		if err := together(producers, n, func() error {
			err := sendC2D(h)
			if err == nil {
				sent.Add(1)
			}
			return err
		}); err != nil {
			return err
		}
		return allSettled(h)
	}}, nil
}

// producers is how many goroutines send to the device.
const producers = 2

// pause is how long a producer waits when the queue is full.
const pause = 50 * time.Microsecond

// sendC2D sends one message as soon as the queue has room for it.
func sendC2D(h *hub.Hub) error {
	for {
		err := h.SendC2D(context.Background(), identity, telemetryMessage)
		if !errors.Is(err, hubwire.QueueDepthExceeded) {
			return err
		}
		nap(pause)
	}
}

// allSettled waits until the device has settled all that it was sent.
func allSettled(h *hub.Hub) error {
	for end := time.Now().Add(time.Minute); ; {
		n, err := h.QueueLength(identity)
		if n == 0 || err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d messages are not settled", n)
		}
		nap(pause)
	}
}

// c2dDeviceRole is a device that acknowledges all messages that a read brings
// in one write.
func c2dDeviceRole(s setup) (*actor, error) {
	nc, err := s.dialMQTT()
	if err != nil {
		return nil, err
	}
	filters, err := mqtt.AppendFilter(nil, "devices/"+identity.DeviceID+"/messages/devicebound/#", mqtt.AtLeastOnce)
	if err != nil {
		return nil, err
	}
	want := (&mqtt.Suback{ID: 1, Codes: []byte{1}}).AppendTo(nil)
	if err := request(nc, (&mqtt.Subscribe{ID: 1, Filters: filters}).AppendTo(nil), want); err != nil {
		return nil, err
	}
	var messages atomic.Int64
	go serveSink(nc, &messages)
	return &actor{count: messages.Load}, nil
}

// request writes a packet and reads the answer, which must be want.
func request(nc net.Conn, packet, want []byte) error {
	if _, err := nc.Write(packet); err != nil {
		return err
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(nc, got); err != nil {
		return err
	}
	if string(got) != string(want) {
		return fmt.Errorf("the answer is % x, want % x", got, want)
	}
	return nil
}
