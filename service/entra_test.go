package service_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/service"
)

// TestATokenOfEntraID is judged by what goes out: the hub of this module knows no such tokens.
func TestATokenOfEntraID(t *testing.T) {
	credentials := service.Credentials{HostName: hubName, Tokens: service.Bearer(func(_ context.Context, scope string) (string, time.Time, error) {
		if scope != service.EntraScope {
			t.Errorf("asked for %q", scope)
		}
		return "e30.e30.sig", time.Now().Add(time.Hour), nil
	})}
	open := func(t *testing.T, o *service.Options) *service.Client {
		t.Helper()
		c, err := service.NewWithCredentials(credentials, o)
		if err != nil {
			t.Fatal(err)
		}
		closedInTheEnd(t, c)
		return c
	}
	t.Run("REST", func(t *testing.T) {
		withFake(t, []http.HandlerFunc{says(200, aTwin)}, func(t *testing.T, f *fake) {
			if _, err := open(t, f.options(nil)).Twin(t.Context(), dev); err != nil {
				t.Fatal(err)
			}
			if got := f.came()[0].Header.Get("Authorization"); got != "Bearer e30.e30.sig" {
				t.Errorf("Authorization: %s", got)
			}
		})
	})
	for name, web := range map[string]bool{"amqp": false, "amqp-ws": true} {
		t.Run(name, func(t *testing.T) {
			var puts []amqp.PutToken
			p := &peer{web: web, put: func(put amqp.PutToken) { puts = append(puts, put) }}
			withPeer(t, p, func(t *testing.T, p *peer, _ *service.Client) {
				o := &service.Options{Dial: p.dial, TLSConfig: &tls.Config{RootCAs: authority}, AMQPWebSocket: web}
				if err := open(t, o).SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte("x")}); err != nil {
					t.Fatal(err)
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				if len(puts) != 1 || puts[0].Type != "Bearer" || puts[0].Name != hubName || puts[0].Token.Reveal() != "Bearer e30.e30.sig" {
					t.Errorf("%d tokens were put, the first %+v", len(puts), puts)
				}
			})
		})
	}
}
