package faults_test

import (
	"bytes"
	"time"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/mqtt"
)

// protocol is one column of the table.
type protocol struct {
	name      string
	transport device.Transport
	webSocket bool // it runs through one, which has an end of its own
	amqp      bool // it has links and sessions, which may end alone

	// requests says that there is no connection that would stand or be lost, but
	// one request after the other: no logins, and nothing for which the hub would need a session.
	requests bool

	// renewal is what the hub sees of a token that is renewed: another login, or the token alone.
	renewal hub.OpKind

	// telemetry returns the bodies of the telemetry in what a client writes, as its Packet hook
	// shows it, and whether they are marked as sent before, if the protocol marks that.
	telemetry func(b []byte) (bodies []string, again bool)
	marks     bool

	settles  bool  // a message can be abandoned and rejected
	refusals []end // of a login

	// overtakes says that messages pass those that the hub has refused for now.
	overtakes bool

	// unheard is how long a link may be dead on which the hub still speaks, and does not hear. 0: no longer than any other.
	unheard time.Duration
}

// renewsInPlace reports whether a connection outlives its token.
func (p protocol) renewsInPlace() bool { return p.renewal == hub.OpToken }

// skips reports whether the i-th case of many is left out: two in three through WebSockets under the race detector, which
// makes them cost ten times as much. What they run of ours is what the same protocol runs without one, but for the framing.
func (p protocol) skips(i int) bool { return testkit.RaceEnabled && p.webSocket && i%3 != 0 }

// protocols are those with connections, which the themes are about.
var protocols = append(mqttProtocols, amqpProtocols...)

var mqttProtocols = []protocol{
	{
		name: "mqtt", transport: device.MQTT(nil),
		renewal: hub.OpConnect, telemetry: mqttTelemetry, marks: true, refusals: mqttRefusals,
	},
	{
		name: "mqtt-ws", transport: device.MQTTWebSocket(nil), webSocket: true,
		renewal: hub.OpConnect, telemetry: mqttTelemetry, marks: true, refusals: mqttRefusals,
	},
}

// amqpProtocols are those that have links and sessions.
var amqpProtocols = []protocol{
	{
		name: "amqp", transport: device.AMQP(nil), amqp: true,
		renewal: hub.OpToken, telemetry: amqpTelemetry, settles: true, overtakes: true, refusals: amqpRefusals, unheard: 2 * hubIdle,
	},
	{
		name: "amqp-ws", transport: device.AMQPWebSocket(nil), amqp: true, webSocket: true,
		renewal: hub.OpToken, telemetry: amqpTelemetry, settles: true, overtakes: true, refusals: amqpRefusals, unheard: 2 * hubIdle,
	},
}

// hubIdle is the hub's idle time-out of AMQP: who is silent for twice as long is gone.
const hubIdle = 240 * time.Second

// amqpTelemetry finds what goes out in the format of batches, as all telemetry does, and nothing else.
// AMQP has no mark for what is sent again.
func amqpTelemetry(b []byte) (bodies []string, again bool) {
	f, ok := performative(b)
	if !ok || amqp10.PeekDescriptor(f.Body()) != amqp10.DescTransfer {
		return nil, false
	}
	var t amqp10.Transfer
	payload, err := t.Parse(f.Body())
	if err != nil || t.MessageFormat.Or(0) != amqp.BatchFormat {
		return nil, false
	}
	batch, err := amqp.ParseMessage(payload)
	if err != nil {
		return nil, false // the rest is in other frames
	}
	messages, _ := amqp.AppendBatch(nil, &batch) // none, when it is broken
	for i := range messages {
		bodies = append(bodies, string(messages[i].Body))
	}
	return bodies, false
}

// mqttTelemetry finds what MQTT marks by its DUP.
func mqttTelemetry(b []byte) (bodies []string, again bool) {
	p, err := mqtt.ParsePublish(mqtt.Packet(b))
	if err != nil || p.QoS == mqtt.AtMostOnce || !bytes.Contains(p.Topic, []byte("/messages/events/")) {
		return nil, false
	}
	return []string{string(p.Payload)}, p.Dup
}

// httpsLock is how long a message stays locked whose receiver is cut off. It has to outlast a slow hub.
const httpsLock = 20 * time.Second

// everywhere are the columns of the table itself; the themes are about connections.
var everywhere = append(protocols[:len(protocols):len(protocols)], protocol{
	name: "https", requests: true, settles: true,
	transport: device.HTTPS(&device.HTTPSOptions{PollInterval: 500 * time.Millisecond, LockTimeout: httpsLock}),
})
