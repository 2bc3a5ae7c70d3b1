package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hubwire/hubwire/device"
)

// protocol is a way that a device can take to its hub: a column of the demo's table.
type protocol struct {
	name string
	open func(transportOptions) device.Transport
}

// transportOptions are those of all protocols, of which each takes its own.
type transportOptions struct {
	mqtt  device.MQTTOptions
	https device.HTTPSOptions
}

var protocols = []protocol{
	{"mqtt", func(o transportOptions) device.Transport { return device.MQTT(&o.mqtt) }},
	{"mqtt-ws", func(o transportOptions) device.Transport {
		return device.MQTTWebSocket(&device.MQTTWebSocketOptions{MQTTOptions: o.mqtt})
	}},
	{overHTTPS, func(o transportOptions) device.Transport { return device.HTTPS(&o.https) }},
}

// overHTTPS is the name of the one protocol that has no connection.
const overHTTPS = "https"

// notYet are IoT Hub's other protocols.
var notYet = []string{"amqp", "amqp-ws"}

// protocolNames lists the names of ps for people.
func protocolNames(ps []protocol) string {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = p.name
	}
	return strings.Join(names, ", ")
}

// protocolOf returns the protocol of that name.
func protocolOf(name string) (protocol, error) {
	for _, p := range protocols {
		if p.name == name {
			return p, nil
		}
	}
	if slices.Contains(notYet, name) {
		return protocol{}, fmt.Errorf("--transport %s is not built yet; there are %s", name, protocolNames(protocols))
	}
	return protocol{}, fmt.Errorf("--transport %q is none of %s", name, protocolNames(protocols))
}
