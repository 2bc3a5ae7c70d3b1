package device

import (
	"context"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/mqtt"
)

func (l *mqttLink) send(ctx context.Context, m *hubwire.Message) error {
	room := rooms.Get().(*[]byte)
	p := l.telemetry((*room)[:0], m)
	*room = p.Topic
	return l.session.PublishReleasing(ctx, &p, func() { rooms.Put(room) })
}

func (l *mqttLink) sendAsync(ctx context.Context, m *hubwire.Message, done func(error)) error {
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
	p := l.telemetry((*room)[:0], m)
	*room = p.Topic
	return l.session.PublishAsync(ctx, &p, done)
}

// rooms is where topics are made, by all clients. A send that waits for its acknowledgement has none.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// telemetry returns m as a PUBLISH, with its topic, as [mqtt.AppendTelemetryTopic] makes it, in room, which the session copies.
func (l *mqttLink) telemetry(room []byte, m *hubwire.Message) mqtt.Publish {
	return mqtt.Publish{Topic: mqtt.AppendTelemetryBag(append(room, l.events...), m), QoS: l.qos, Payload: m.Body}
}
