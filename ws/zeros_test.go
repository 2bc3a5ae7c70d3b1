package ws_test

import (
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/ws"
)

func TestNothingPanicsWhereItsArgumentsAreLeftOut(t *testing.T) {
	testkit.Zeros(t, map[string]any{
		"Accept":        ws.Accept,
		"AcceptAnyPath": ws.AcceptAnyPath,
		"Dial":          ws.Dial,
		"ProxyDialer":   ws.ProxyDialer,
	}, &ws.CloseError{}, &ws.HandshakeError{}, &ws.ProxyError{})
}
