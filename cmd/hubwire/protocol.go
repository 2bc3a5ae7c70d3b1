package main

import (
	"fmt"
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
	{overMQTT, func(o transportOptions) device.Transport { return device.MQTT(&o.mqtt) }},
	{overMQTTWS, func(o transportOptions) device.Transport {
		return device.MQTTWebSocket(&device.MQTTWebSocketOptions{MQTTOptions: o.mqtt})
	}},
	{overAMQP, func(transportOptions) device.Transport { return device.AMQP(nil) }},
	{overAMQPWS, func(transportOptions) device.Transport { return device.AMQPWebSocket(nil) }},
	{overHTTPS, func(o transportOptions) device.Transport { return device.HTTPS(&o.https) }},
}

// Names of protocols.
const (
	overMQTT   = "mqtt"
	overMQTTWS = "mqtt-ws"
	overAMQP   = "amqp"
	overAMQPWS = "amqp-ws"
	overHTTPS  = "https" // the one that has no connection
)

// protocolNames lists the names of ps for people.
func protocolNames(ps []protocol) string {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = p.name
	}
	return strings.Join(names, ", ")
}

// everyTransport is one of each protocol, in the order in which the choice is made.
func everyTransport(o transportOptions) []device.Transport {
	all := make([]device.Transport, len(protocols))
	for i, p := range protocols {
		all[i] = p.open(o)
	}
	return all
}

// automatic is the name of a transport that chooses among all protocols.
const automatic = "auto"

// transportOf returns the transport of that name. One that chooses is to have what is needed.
func transportOf(name string, o transportOptions, needs []device.Feature) (device.Transport, error) {
	if name == automatic {
		return device.Auto(&device.AutoOptions{Transports: everyTransport(o), Needs: needs}), nil
	}
	p, err := protocolOf(name)
	if err != nil {
		return device.Transport{}, fmt.Errorf("%w, %s", err, automatic)
	}
	return p.open(o), nil
}

// protocolOf returns the protocol of that name.
func protocolOf(name string) (protocol, error) {
	for _, p := range protocols {
		if p.name == name {
			return p, nil
		}
	}
	return protocol{}, fmt.Errorf("--transport %q is none of %s", name, protocolNames(protocols))
}
