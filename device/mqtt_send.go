package device

import (
	"context"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/mqtt"
)

func (l *mqttLink) send(ctx context.Context, m *hubwire.Message) error {
	room, p := l.telemetry(m)
	defer l.buffers.Put(room)
	return l.session.Publish(ctx, &p)
}

func (l *mqttLink) sendAsync(ctx context.Context, m *hubwire.Message, done func(error)) error {
	room, p := l.telemetry(m)
	defer l.buffers.Put(room)
	return l.session.PublishAsync(ctx, &p, done)
}

// telemetry returns m as a PUBLISH. Its topic is in room, which goes back to
// l.buffers when the session has copied it.
func (l *mqttLink) telemetry(m *hubwire.Message) (room *[]byte, p mqtt.Publish) {
	room, _ = l.buffers.Get().(*[]byte)
	if room == nil {
		room = new([]byte)
	}
	*room = mqtt.AppendTelemetryTopic((*room)[:0], l.cfg.id, m)
	return room, mqtt.Publish{Topic: *room, QoS: l.qos, Payload: m.Body}
}
