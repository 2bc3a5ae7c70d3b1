package device

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/topics"
)

// methodCalls is where direct method calls go.
type methodCalls struct {
	mu    sync.Mutex
	serve func(hubwire.MethodRequest, replyFunc) // nil until asked for
}

func (l *mqttLink) serveMethods(ctx context.Context, serve func(hubwire.MethodRequest, replyFunc)) error {
	l.methods.mu.Lock()
	l.methods.serve = serve
	l.methods.mu.Unlock()
	return l.subscribe(ctx, &l.methodFilter)
}

var errNoHandler = errors.New("nobody has called HandleMethod, and the caller gets no answer")

// method hands on a call. One that comes before anybody asked for calls, because
// the hub kept a subscription, has no answer, as if it had come a moment earlier.
func (l *mqttLink) method(t *topics.Topic, payload []byte) error {
	l.methods.mu.Lock()
	serve := l.methods.serve
	l.methods.mu.Unlock()
	if serve == nil {
		return errNoHandler
	}
	rid := bytes.Clone(t.RequestID())
	serve(hubwire.MethodRequest{
		Name:    string(topics.AppendUnescape(nil, t.Name())),
		Payload: bytes.Clone(payload),
	}, func(ctx context.Context, r hubwire.MethodResponse) error {
		// Until it is acknowledged it is the session's to send, and to send again.
		return l.session.PublishAsync(ctx, &mqtt.Publish{
			Topic: topics.AppendMethodResponse(nil, r.Status, rid), QoS: mqtt.AtLeastOnce, Payload: r.Payload,
		}, nil)
	})
	return nil
}
