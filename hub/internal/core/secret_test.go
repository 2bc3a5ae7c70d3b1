package core

import (
	"crypto/x509"
	"log/slog"
	"strings"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// TestTheLogQuotesNothingBeforeTheLogin has peers put a key where a name belongs.
func TestTheLogQuotesNothingBeforeTheLogin(t *testing.T) {
	const pasted = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0Yw=="
	stranger := hubwire.Identity{DeviceID: pasted}
	login := func(id hubwire.Identity, token string) func(*testing.T, *Core) {
		return func(t *testing.T, c *Core) {
			_, err := c.Authenticate(ctx, &Login{Identity: id, Token: sas.NewSecret(token)})
			wantCode(t, "Authenticate", err, hubwire.Unauthorized)
		}
	}
	for _, tc := range []struct {
		name string
		do   func(*testing.T, *Core)
		want string
	}{
		{"as device id", login(stranger, token(newKey(), "h", soon(), "")), `unknownBytes=44 protocol="" reason="the identity is not registered"`},
		{"as module id", login(hubwire.Identity{DeviceID: "dev", ModuleID: pasted}, "x"), "unknownBytes=48"},
		{"as policy", login(dev, token(newKey(), "h", soon(), pasted)), "device=dev"},
		{"as resource", func(t *testing.T, c *Core) {
			d, err := c.Device(dev)
			must(t, err)
			login(dev, token(d.Auth.Primary, pasted, soon(), ""))(t, c)
		}, "device=dev"},
		{"as common name", func(t *testing.T, c *Core) {
			create(t, c, &Device{ID: hubwire.Identity{DeviceID: "ca"}, Auth: Auth{Type: AuthCA}})
			_, err := c.Authenticate(ctx, &Login{Identity: hubwire.Identity{DeviceID: "ca"}, Certificates: []*x509.Certificate{issue(t, nil, pasted, false).cert}})
			wantCode(t, "Authenticate", err, hubwire.Unauthorized)
		}, "device=ca"},
		{"of a device that is gone", func(t *testing.T, c *Core) {
			create(t, c, &Device{ID: stranger})
			g := grant(t, c, stranger)
			must(t, c.Delete(ctx, stranger, "*"))
			_, err := c.Connect(ctx, g, nil, &fakeLink{})
			wantCode(t, "Connect", err, hubwire.Unauthorized)
		}, "unknownBytes=44"},
		{"in a service's path", func(t *testing.T, c *Core) {
			_, err := c.AuthorizeService(ctx, token(newKey(), "h", soon(), pasted), "/devices/"+pasted, RegistryRead)
			wantCode(t, "AuthorizeService", err, hubwire.UnauthorizedAccess)
		}, "pathBytes=53"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log strings.Builder
			c := newCore(t, &Config{HostName: "h", Log: slog.New(slog.NewTextHandler(&log, nil))})
			tc.do(t, c)
			if got := log.String(); strings.Contains(got, pasted[:8]) || !strings.Contains(got, tc.want) {
				t.Errorf("want %q and no key in\n%s", tc.want, got)
			}
		})
	}
}
