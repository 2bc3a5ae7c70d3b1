package main

import (
	"fmt"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// amqpHubRole is a hub, seen from its AMQP door. Nobody reads its events, of which there is one sequence for all
// devices: see recorded.
func amqpHubRole(setup) (*actor, error) {
	h, d, err := startHubAs(&hub.Config{Partitions: 1}, rivals...)
	if err != nil {
		return nil, err
	}
	d.TLS = h.AMQPAddr()
	return &actor{door: d, count: (&recorded{hub: h}).count}, nil
}

// amqpLogRole is a hub with a log of events to read.
func amqpLogRole(setup) (*actor, error) {
	h, d, err := startHubAs(&hub.Config{Partitions: 1}, identity)
	if err != nil {
		return nil, err
	}
	nc, err := (setup{Door: d, TLS: true}).dialMQTT()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	if err := (&rawClient{nc: nc, frames: publishBatches(publishTopic, window/batch+1)}).pipeline(loggedEvents); err != nil {
		return nil, fmt.Errorf("filling the log: %w", err)
	}
	d.TLS, d.Uncounted = h.AMQPAddr(), true
	d.Service, err = h.PolicyConnectionString("iothubowner")
	return &actor{door: d}, err
}

// gatewayHubRole is a hub that knows the devices of a gateway.
func gatewayHubRole(s setup) (*actor, error) {
	devices := make([]hubwire.Identity, s.Devices)
	for i := range devices {
		devices[i] = fleetDevice(int64(i))
	}
	h, d, err := startHub(devices...)
	if err != nil {
		return nil, err
	}
	d.TLS = h.AMQPAddr()
	return &actor{door: d}, nil
}
