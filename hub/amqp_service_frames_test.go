package hub_test

import (
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/sas"
)

// serviceFrames is a peer that has put a token of the policy service.
func serviceFrames(t testing.TB, h *hub.Hub) *frames {
	t.Helper()
	f := openFrames(t, h)
	f.attach(0, amqp10.RoleSender, "$cbs", 0)
	f.attach(1, amqp10.RoleReceiver, "$cbs", 50)
	f.transfer(0, amqp.AppendPutToken(nil, &amqp.PutToken{
		ID: amqp.Ulong(0).Value(), Type: amqp.SASTokenType, Name: "localhost",
		Token: sas.NewSecret(token(policyKey(t, h, "service"), "localhost", "service", time.Now().Add(time.Hour))),
	}))
	f.disposition()
	f.received()
	return f
}

// TestAMQPServiceSendsEveryPrefix cuts a message at each byte. Each is answered, and is in the
// queue or rejected.
func TestAMQPServiceSendsEveryPrefix(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		f := serviceFrames(t, h)
		f.attach(2, amqp10.RoleSender, deviceBoundAddress, 0)
		whole := amqp.AppendSend(nil, dev, &hubwire.Message{ID: "1", Body: []byte("hi"), Properties: []hubwire.Property{{Name: "a", Value: "b"}}})
		for n := range whole {
			f.transfer(2, whole[:n])
			d := f.disposition()
			waits := queueLength(t, h, dev)
			switch e, _ := d.State.Error(); d.State.Kind() {
			case amqp10.DescAccepted:
				if waits != 1 { // it ends behind a section
					t.Errorf("%d of %d bytes are accepted, %d wait", n, len(whole), waits)
				}
				if _, err := h.Purge(t.Context(), dev); err != nil {
					t.Fatal(err)
				}
			default:
				if waits != 0 || e == nil || e.Condition != "com.microsoft:argument-error" && e.Condition != "amqp:decode-error" {
					t.Errorf("%d of %d bytes: %v, %d wait", n, len(whole), e, waits)
				}
			}
		}
		f.transfer(2, whole)
		if d := f.disposition(); d.State.Kind() != amqp10.DescAccepted {
			t.Errorf("the whole message: %+v", d)
		}
	})
}

// TestAMQPFeedbackIsSettledTwice says of the same delivery what becomes of it, again and again.
func TestAMQPFeedbackIsSettledTwice(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		completed(t, h, "one")
		f := serviceFrames(t, h)
		f.attach(2, amqp10.RoleReceiver, feedbackAddress, 10)
		got, _ := f.received()
		for _, state := range []amqp10.State{amqp10.Accepted(), amqp10.Released(), amqp10.Accepted()} {
			f.send((&amqp10.Disposition{Role: amqp10.RoleReceiver, First: got.DeliveryID.Value, State: state}).AppendTo)
		}
		d := f.disposition()
		if d.Role != amqp10.RoleSender || !d.Settled.Value || d.State.Kind() != amqp10.DescAccepted {
			t.Errorf("the hub's word is %+v", d)
		}
		completed(t, h, "two")
		if _, m := f.received(); len(m.Data()) == 0 { // and no more of one
			t.Error("the next feedback is empty")
		}
	})
}
