package core

import (
	"strings"
	"testing"

	"github.com/hubwire/hubwire"
)

// TestModelsThatAreNone has devices say what would go with each of their events, to readers who take text only when
// it is UTF-8.
func TestModelsThatAreNone(t *testing.T) {
	for name, tt := range map[string]struct {
		model string
		code  hubwire.Code
	}{
		"as long as it may be": {strings.Repeat("x", 2048), 0},
		"too long":             {strings.Repeat("x", 2049), hubwire.ArgumentInvalid},
		"not UTF-8":            {"dtmi:\xff;1", hubwire.ArgumentInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCore(t, nil)
			_, atFirst := c.Connect(ctx, grant(t, c, dev), &ConnectOptions{ModelID: tt.model}, &fakeLink{})
			s, _ := connect(t, c, dev)
			later := s.SetModel(ctx, tt.model)
			twin, err := c.Twin(ctx, dev)
			must(t, err)
			if tt.code == 0 {
				must(t, atFirst)
				must(t, later)
			} else {
				wantCode(t, "Connect", atFirst, tt.code)
				wantCode(t, "SetModel", later, tt.code)
			}
			if known := twin.ModelID != ""; known != (tt.code == 0) {
				t.Errorf("the twin has a model of %d bytes", len(twin.ModelID))
			}
		})
	}
}
