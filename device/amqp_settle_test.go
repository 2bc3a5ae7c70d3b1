package device_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// TestAMQPHasThreeWordsForAMessage has the sender hear each of them, and a word that is too late.
func TestAMQPHasThreeWordsForAMessage(t *testing.T) {
	overAMQP(t, hub.Config{MaxDeliveryCount: 3, LockTimeout: time.Minute}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		for _, id := range []string{"completed", "rejected"} {
			b.order(id, hubwire.AckFull, time.Time{})
			m := b.receive(c, id)
			settle := m.Complete
			if id == "rejected" {
				settle = m.Reject
			}
			if err := settle(t.Context()); err != nil {
				t.Error(err)
			}
		}
		b.order("abandoned", hubwire.AckFull, time.Time{})
		for i := range 3 {
			m := b.receive(c, "abandoned")
			if m.DeliveryCount != i || m.Redelivered != (i > 0) {
				t.Errorf("delivery %d: %+v", i, m)
			}
			if err := m.Abandon(t.Context()); err != nil {
				t.Error(err)
			}
		}
		b.order("late", hubwire.AckFull, time.Time{})
		m := b.receive(c, "late")
		time.Sleep(2 * time.Minute)
		err := m.Complete(t.Context())
		if e, ok := errors.AsType[*hubwire.Error](err); !ok || e.Code != hubwire.MessageLockLost || e.Retryable || e.Op != "complete" {
			t.Errorf("after its lock: %v", err)
		}
		again := b.receive(c, "late")
		if err := again.Complete(t.Context()); err != nil {
			t.Error(err)
		}
		if err := again.Reject(t.Context()); err != nil && !errors.Is(err, hubwire.MessageLockLost) {
			t.Errorf("settled twice: %v", err)
		}
		want := map[string]string{"completed": "Success", "rejected": "Rejected", "abandoned": "DeliveryCountExceeded", "late": "Success"}
		if diff := cmp.Diff(want, b.feedback(4)); diff != "" {
			t.Errorf("feedback (-want +got):\n%s", diff)
		}
		b.noFeedback()
		b.waiting(dev, 0)
	})
}

// TestTwoClientsOfOneDeviceOverAMQP is TestTwoClientsOfOneDevice where the hub says who it was.
func TestTwoClientsOfOneDeviceOverAMQP(t *testing.T) {
	overAMQP(t, hub.Config{}, func(t *testing.T, b *bench) {
		var first, second stateLog
		b.dial(b.device, first.watched)
		b.dial(b.device, second.watched)
		time.Sleep(time.Hour)
		synctest.Wait()
		for name, l := range map[string]*stateLog{"first": &first, "second": &second} {
			states, reasons := l.told()
			connects := 0
			for i, s := range states {
				reason := reasons[i]
				if s == device.Connected {
					connects++
				} else if !errors.Is(reason, hubwire.ConnectionClosedOnNew) || !errors.Is(reason, net.ErrClosed) || !strings.Contains(reason.Error(), "took over") {
					t.Errorf("%v: %v", s, reason)
				}
			}
			// Each waits for half a minute on average, while the other is connected.
			if connects < 30 || connects > 120 {
				t.Errorf("the %s connects %d times in an hour", name, connects)
			}
		}
	})
}
