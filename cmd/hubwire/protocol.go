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

// protocolOf returns the protocol of that name.
func protocolOf(name string) (protocol, error) {
	for _, p := range protocols {
		if p.name == name {
			return p, nil
		}
	}
	return protocol{}, fmt.Errorf("--transport %q is none of %s", name, protocolNames(protocols))
}
