package faults_test

import "github.com/hubwire/hubwire/device"

// protocol is one column of the table.
type protocol struct {
	name      string
	transport device.Transport
	webSocket bool // it runs through one, which has an end of its own
}

var protocols = []protocol{
	{"mqtt", device.MQTT(nil), false},
	{"mqtt-ws", device.MQTTWebSocket(nil), true},
}
