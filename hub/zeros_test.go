package hub_test

import (
	"testing"

	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestNothingPanicsWhereItsArgumentsAreLeftOut(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	events, err := h.Events(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Zeros(t, map[string]any{"Start": hub.Start, "S1": hub.S1}, h, events)
}
