package device

import (
	"context"

	"github.com/hubwire/hubwire"
)

func (l *amqpLink) send(ctx context.Context, m *hubwire.Message) error {
	return l.device.Send(ctx, m)
}

func (l *amqpLink) sendAsync(ctx context.Context, m *hubwire.Message, done func(error)) error {
	return l.device.SendAsync(ctx, m, tellsSend(done))
}

// sendBatch implements [batcher].
func (l *amqpLink) sendBatch(ctx context.Context, ms []*hubwire.Message, done func(i int, err error)) (int, error) {
	return l.device.SendBatch(ctx, ms, done)
}
