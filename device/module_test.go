package device_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

func TestAModuleSendsToOutputsAndReceivesByInputs(t *testing.T) {
	cfg := hub.Config{Routes: []hub.Route{{From: mod, Output: "out/1", To: mod, Input: "in 1"}}}
	overEach(t, cfg, func(t *testing.T, b *bench) {
		c := b.dial(b.module, nil)
		if c.Identity() != mod {
			t.Errorf("it is %v", c.Identity())
		}
		b.tell(mod, "c2d")
		if m := b.receive(c, "c2d"); m.Input != "" || m.Complete(t.Context()) != nil {
			t.Errorf("%+v", m)
		}
		want := hubwire.Message{Body: []byte("routed"), ID: "1", Properties: []hubwire.Property{{Name: "p", Value: "/+"}}}
		sent := want
		sent.Output = "out/1"
		if err := c.Send(t.Context(), &sent); err != nil {
			t.Fatal(err)
		}
		if ev := b.next(); ev.Output != "out/1" || ev.Source != mod {
			t.Errorf("output %q of %v", ev.Output, ev.Source)
		}
		m := b.receive(c, "routed")
		if diff := cmp.Diff(want, m.Message, cmpopts.IgnoreFields(hubwire.Message{}, "To")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if m.Input != "in 1" || m.Source != mod {
			t.Errorf("by input %q, from %v", m.Input, m.Source)
		}
		b.waiting(mod, 1)
		if err := m.Complete(t.Context()); err != nil {
			t.Error(err)
		}
		b.waiting(mod, 0)
	})
}

func TestAModuleHasATwinAndMethodsOfItsOwn(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.module, nil)
		if _, err := c.Report(t.Context(), map[string]int{"x": 1}); err != nil {
			t.Fatal(err)
		}
		twin, err := c.Twin(t.Context())
		if err != nil || string(twin.Reported.JSON) != `{"x":1}` || twin.Identity != mod {
			t.Errorf("%+v, %v", twin, err)
		}
		err = c.HandleMethod(t.Context(), "m", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{Status: 201}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := b.hub.Invoke(t.Context(), mod, hubwire.MethodRequest{Name: "m"}, nil)
		if err != nil || resp.Status != 201 {
			t.Errorf("%+v, %v", resp, err)
		}
		for range c.Desired(t.Context()) {
			break
		}
		if err := c.Send(t.Context(), &hubwire.Message{}); err != nil { // five filters are no more than the hub takes
			t.Error(err)
		}
	})
}
