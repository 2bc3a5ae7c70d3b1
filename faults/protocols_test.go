package faults_test

import (
	"time"

	"github.com/hubwire/hubwire/device"
)

// protocol is one column of the table.
type protocol struct {
	name      string
	transport device.Transport
	webSocket bool // it runs through one, which has an end of its own

	// requests says that there is no connection that would stand or be lost, but
	// one request after the other: no logins, and nothing for which the hub would need a session.
	requests bool
}

var protocols = []protocol{
	{name: "mqtt", transport: device.MQTT(nil)},
	{name: "mqtt-ws", transport: device.MQTTWebSocket(nil), webSocket: true},
}

// httpsLock is how long a message stays locked whose receiver is cut off. It has to outlast a slow hub.
const httpsLock = 20 * time.Second

// everywhere are the columns of the table itself; the themes are about connections.
var everywhere = append(protocols[:len(protocols):len(protocols)], protocol{
	name: "https", requests: true,
	transport: device.HTTPS(&device.HTTPSOptions{PollInterval: 500 * time.Millisecond, LockTimeout: httpsLock}),
})
