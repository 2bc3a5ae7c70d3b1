package links

import (
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
)

func TestNothingPanicsWhereItsArgumentsAreLeftOut(t *testing.T) {
	testkit.Zeros(t, map[string]any{"New": New, "NewEventReader": NewEventReader},
		&Conn{}, State(0), &Device{}, &EventHub{}, &EventReader{}, &Service{}, &Notification{})
}
