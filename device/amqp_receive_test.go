package device_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// overAMQP is overEach for what is about AMQP.
func overAMQP(t *testing.T, cfg hub.Config, test func(*testing.T, *bench)) {
	t.Helper()
	for _, tr := range []device.Transport{device.AMQP(nil), device.AMQPWebSocket(nil)} {
		t.Run(tr.String(), func(t *testing.T) { over(t, tr, cfg, test) })
	}
}

func TestHandleMessagesGivesBackWhatItsHandlerDidNotTake(t *testing.T) {
	overAMQP(t, hub.Config{}, func(t *testing.T, b *bench) {
		var panics []any
		c := b.dial(b.device, func(o *device.Options) {
			o.Hooks = &device.Hooks{HandlerPanic: func(v any, _ []byte) { panics = append(panics, v) }}
		})
		for _, id := range []string{"fine", "panics", "fails"} {
			b.tell(dev, id)
		}
		ctx, cancel := context.WithCancel(t.Context())
		deliveries := map[string]int{}
		err := c.HandleMessages(ctx, func(_ context.Context, m *hubwire.Received) error {
			body := string(m.Body)
			if deliveries[body]++; m.DeliveryCount != deliveries[body]-1 {
				t.Errorf("%s: delivery count %d", body, m.DeliveryCount)
			}
			switch {
			case body == "panics" && deliveries[body] < 3:
				panic("oh")
			case body == "fails" && deliveries[body] < 3:
				return errors.New("not now")
			}
			if len(deliveries) == 3 && deliveries["fails"] == 3 && deliveries["panics"] == 3 {
				cancel()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it returned %v", err)
		}
		if diff := cmp.Diff(map[string]int{"fine": 1, "panics": 3, "fails": 3}, deliveries); diff != "" {
			t.Errorf("deliveries (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]any{"oh", "oh"}, panics); diff != "" {
			t.Errorf("panics (-want +got):\n%s", diff)
		}
		b.waiting(dev, 0)
	})
}
