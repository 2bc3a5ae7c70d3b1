package upload

import (
	"testing"

	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestNothingPanicsWhereItsArgumentsAreLeftOut(t *testing.T) {
	at(t, hub.Upload{}, func(s *site) {
		testkit.Zeros(t, map[string]any{"File": File, "At": At, "Stream": Stream})
	})
}
