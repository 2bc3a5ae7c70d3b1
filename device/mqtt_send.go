package device

import (
	"context"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/mqtt"
)

func (l *mqttLink) send(ctx context.Context, m *hubwire.Message) error {
	room := rooms.Get().(*[]byte)
	p := mqtt.Publish{Topic: l.appendTopic((*room)[:0], m), QoS: l.qos, Payload: m.Body}
	*room = p.Topic
	return l.session.PublishReleasing(ctx, &p, func() { rooms.Put(room) })
}

func (l *mqttLink) sendAsync(ctx context.Context, m *hubwire.Message, done func(error)) error {
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
	p := mqtt.Publish{Topic: l.appendTopic((*room)[:0], m), QoS: l.qos, Payload: m.Body}
	*room = p.Topic
	return l.session.PublishAsync(ctx, &p, done)
}

// rooms is where topics are made, which the session copies, by all clients. A send that waits for its
// acknowledgement has none.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// appendTopic appends the topic of m, as [mqtt.AppendTelemetryTopic] makes it.
func (l *mqttLink) appendTopic(room []byte, m *hubwire.Message) []byte {
	return mqtt.AppendTelemetryBag(append(room, l.events...), m)
}
