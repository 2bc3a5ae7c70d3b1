package hub_test

import (
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire/hub"
)

func TestAMQPTelemetry(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		s := sender(t, c.session(), eventsAddress(dev), nil)
		if err := s.Send(t.Context(), goamqp.NewMessage([]byte("hi")), nil); err != nil {
			t.Fatal(err)
		}
		evs := events(t, h)
		if len(evs) != 1 || string(evs[0].Body) != "hi" || evs[0].Source != dev {
			t.Errorf("the log has %v", evs)
		}
	})
}
