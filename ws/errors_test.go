package ws_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hubwire/hubwire/ws"
)

func TestARefusalIsWhatWillBeTheSameTheNextTime(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{
		{"the upgrade is forbidden", &ws.HandshakeError{Status: 403}, true},
		{"the proxy wants another user", &ws.ProxyError{Status: 407}, true},
		{"wrapped", fmt.Errorf("dial: %w", &ws.ProxyError{Status: 407}), true},
		{"a proxy of another kind", &ws.ProxyError{Err: fmt.Errorf("%w: x", ws.ErrProxyURL)}, true},
		{"the server timed out", &ws.HandshakeError{Status: 408}, false},
		{"too many requests", &ws.ProxyError{Status: 429}, false},
		{"the gateway is bad", &ws.ProxyError{Status: 502}, false},
		{"no answer", &ws.HandshakeError{}, false},
		{"another error", errors.New("404"), false},
		{"none", nil, false},
		{"a nil pointer", (*ws.HandshakeError)(nil), false},
	} {
		if got := ws.IsRefusal(tt.err); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
