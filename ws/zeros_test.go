package ws_test

import (
	"context"
	"net"
	"net/url"
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/ws"
)

func TestNothingPanicsWhereItsArgumentsAreLeftOut(t *testing.T) {
	testkit.Zeros(t, map[string]any{
		"Accept":        ws.Accept,
		"AcceptAnyPath": ws.AcceptAnyPath,
		"Dial":          ws.Dial,
		"IsRefusal":     ws.IsRefusal,
		"ProxyDialer":   ws.ProxyDialer,
	}, &ws.CloseError{}, &ws.HandshakeError{}, &ws.ProxyError{})
}

// FuzzAddress dials arbitrary addresses, through arbitrary proxies, of a network that has none.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"", "h", "h:443", "[::1]:1", "::1", "http://u:p@proxy", "http://proxy:80\r\n", "\xff", "%zz", "a b"} {
		f.Add(s, s)
	}
	nobody := func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
	f.Fuzz(func(t *testing.T, addr, proxy string) {
		via := ws.DialFunc(nobody)
		if u, err := url.Parse(proxy); err == nil {
			via = ws.ProxyDialer(u, nobody)
		}
		if nc, err := ws.Dial(t.Context(), addr, &ws.DialOptions{Dial: via, Path: proxy, Query: proxy, Subprotocol: proxy}); nc != nil || err == nil {
			t.Errorf("%q by way of %q: %v, %v", addr, proxy, nc, err)
		}
	})
}
