package core

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire"
)

// TestC2DTogether takes messages and completes them several at a time.
func TestC2DTogether(t *testing.T) {
	c := newCore(t, nil)
	s, _ := connect(t, c, dev)
	if err := s.Subscribe(t.Context(), Subscription{Filter: "a", Feature: FeatureC2D}, Subscription{Filter: "b", Feature: FeatureC2D, QoS: 1}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		send(t, c, dev, hubwire.Message{ID: fmt.Sprint(i)})
	}
	var got []string
	var locks []string
	take := func(max int) {
		batch := make([]Outgoing, max)
		n := s.NextC2D(batch)
		for i := range n {
			m := &batch[i]
			got = append(got, fmt.Sprint(m.ID, " at QoS ", m.QoS))
			locks = append(locks, m.LockToken)
		}
	}
	take(0)
	take(2)
	take(9)
	take(9)
	want := []string{"0 at QoS 1", "1 at QoS 1", "2 at QoS 1", "3 at QoS 1", "4 at QoS 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if err := s.Complete(t.Context(), locks[:1]); err != nil {
		t.Error(err)
	}
	if err := s.Complete(t.Context(), locks); !errors.Is(err, hubwire.MessageLockLost) {
		t.Errorf("completing one twice: %v, want MessageLockLost", err)
	}
	if d, err := c.Device(dev); err != nil || d.C2DCount != 0 {
		t.Errorf("%d messages are left, want none: %v", d.C2DCount, err)
	}
}
