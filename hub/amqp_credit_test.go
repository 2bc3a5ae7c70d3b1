package hub_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire/hub"
)

// TestAMQPLinkForAnswersThatIsAttachedAgain has a device go away with answers that it never took, and come back for others.
func TestAMQPLinkForAnswersThatIsAttachedAgain(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		s := c.session()
		update := hub.TwinUpdate{Desired: json.RawMessage(`{"a":"` + strings.Repeat("x", 4000) + `"}`)}
		if _, err := h.PatchTwin(t.Context(), dev, update, ""); err != nil {
			t.Fatal(err)
		}
		address := addressOf(dev, "twin")
		w := &amqpTwin{t, receiver(t, s, address, &goamqp.ReceiverOptions{Credit: -1}), sender(t, s, address, nil)}
		for {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			m := goamqp.NewMessage(nil)
			m.Properties = &goamqp.MessageProperties{CorrelationID: "1"}
			m.Annotations = goamqp.Annotations{"operation": "GET"}
			err := w.out.Send(ctx, m, nil)
			cancel()
			if err != nil {
				break // it is held back
			}
		}
		if err := w.in.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.in = receiver(t, s, address, &goamqp.ReceiverOptions{Credit: 100})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		m := goamqp.NewMessage(nil)
		m.Properties = &goamqp.MessageProperties{CorrelationID: "2"}
		m.Annotations = goamqp.Annotations{"operation": "GET"}
		if err := w.out.Send(ctx, m, nil); err != nil {
			t.Fatalf("the link for requests is held back for ever: %v", err)
		}
		if status, _, _ := w.answered("2"); status != 200 {
			t.Errorf("status %d", status)
		}
	})
}

// TestAMQPStrangerThatGivesNoCredit has somebody without any right fill links of many sessions with answers.
func TestAMQPStrangerThatGivesNoCredit(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		id := strings.Repeat("x", 900<<10) // the answer has it too
		put := func(out *goamqp.Sender) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			m := goamqp.NewMessage(nil)
			m.Properties = &goamqp.MessageProperties{MessageID: id}
			return out.Send(ctx, m, nil)
		}
		var in *goamqp.Receiver
		for range 5 {
			s := c.session()
			in = receiver(t, s, "$cbs", &goamqp.ReceiverOptions{Credit: -1})
			out := sender(t, s, "$cbs", nil)
			for range 8 {
				if err := put(out); err != nil {
					t.Fatal(err)
				}
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := in.Receive(ctx, nil)
		wantCondition(t, "a link with which 35 MB of answers wait", err, "amqp:resource-limit-exceeded")
	})
}
