package httpsx_test

import (
	"testing"
	"time"

	"github.com/hubwire/hubwire/httpsx"
)

func TestHowLongAMethodMayTake(t *testing.T) {
	for want, m := range map[time.Duration]*httpsx.MethodCall{
		30 * time.Second:  {Name: "m"},
		90 * time.Second:  {Name: "m", ConnectTimeout: time.Minute},
		5 * time.Second:   {Name: "m", ResponseTimeout: 5 * time.Second},
		600 * time.Second: {Name: "m", ConnectTimeout: 300 * time.Second, ResponseTimeout: 300 * time.Second},
	} {
		if got := m.Wait(); got != want {
			t.Errorf("%+v waits %v, want %v", m, got, want)
		}
	}
}
