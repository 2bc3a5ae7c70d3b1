package device

import (
	"context"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/mqtt"
)

func (l *mqttLink) send(ctx context.Context, m *hubwire.Message) error {
	room, p := l.telemetry(m)
	defer rooms.Put(room)
	return l.session.Publish(ctx, &p)
}

func (l *mqttLink) sendAsync(ctx context.Context, m *hubwire.Message, done func(error)) error {
	room, p := l.telemetry(m)
	defer rooms.Put(room)
	return l.session.PublishAsync(ctx, &p, done)
}

// rooms is where topics are made, by all clients: a fleet sends few messages at the same moment.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// telemetry returns m as a PUBLISH. Its topic is in room, which goes back to
// rooms when the session has copied it.
func (l *mqttLink) telemetry(m *hubwire.Message) (room *[]byte, p mqtt.Publish) {
	room = rooms.Get().(*[]byte)
	*room = mqtt.AppendTelemetryTopic((*room)[:0], l.cfg.id, m)
	return room, mqtt.Publish{Topic: *room, QoS: l.qos, Payload: m.Body}
}
