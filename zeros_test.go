package hubwire_test

import (
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestNothingPanicsWhereItsArgumentsAreLeftOut(t *testing.T) {
	testkit.Zeros(t, map[string]any{"ParseCode": hubwire.ParseCode}, hubwire.Code(0), hubwire.Disposition(0), &hubwire.Error{}, hubwire.Identity{}, &hubwire.Message{},
		hubwire.Outcome(0), &hubwire.Received{}, hubwire.TwinSection{})
}
