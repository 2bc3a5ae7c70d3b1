package core

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

const host = "hub.example"

// token signs a token; sr is sent as it is given.
func token(key sas.Secret, sr string, expires time.Time, policy string) string {
	raw, _ := base64.StdEncoding.DecodeString(key.Reveal())
	h := hmac.New(sha256.New, raw)
	fmt.Fprintf(h, "%s\n%d", sr, expires.Unix())
	sig := url.QueryEscape(base64.StdEncoding.EncodeToString(h.Sum(nil)))
	t := fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%d", sr, sig, expires.Unix())
	if policy != "" {
		t += "&skn=" + policy
	}
	return t
}

func TestTokens(t *testing.T) {
	escaped := func(s string) string { return url.QueryEscape(s) }
	cases := []struct {
		name string
		id   hubwire.Identity
		make func(c *Core, d *Device) string
		ok   bool
	}{
		{"the primary key", dev, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, escaped(host+"/devices/dev"), soon(), "")
		}, true},
		{"the secondary key", dev, func(_ *Core, d *Device) string {
			return token(d.Auth.Secondary, escaped(host+"/devices/dev"), soon(), "")
		}, true},
		{"a resource that is not encoded", dev, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, host+"/devices/dev", soon(), "")
		}, true},
		{"a resource that is encoded twice", dev, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, escaped(escaped(host+"/devices/dev")), soon(), "")
		}, true},
		{"a host in capitals", dev, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, strings.ToUpper(host)+"/devices/dev", soon(), "")
		}, true},
		{"an api-version at the end", dev, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, escaped(host+"/devices/dev/api-version=2016-11-14"), soon(), "")
		}, true},
		{"a module's key", mod, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, escaped(host+"/devices/dev/modules/mod"), soon(), "")
		}, true},
		{"a resource that is a prefix", mod, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, escaped(host+"/devices/dev"), soon(), "")
		}, true},
		{"a token five minutes too old", dev, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, host+"/devices/dev", time.Now().Add(-5*time.Minute), "")
		}, true},
		{"an expiry in the far future", dev, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, host+"/devices/dev", time.Unix(253402300799, 0), "")
		}, true},
		{"a policy for the device", dev, func(c *Core, _ *Device) string {
			return token(c.policy("device").Primary, host+"/devices/dev", soon(), "device")
		}, true},
		{"a policy for all devices", mod, func(c *Core, _ *Device) string {
			return token(c.policy("iothubowner").Secondary, host, soon(), "IotHubOwner")
		}, true},
		{"a device's key for its module", mod, func(c *Core, _ *Device) string {
			d, _ := c.Device(dev)
			return token(d.Auth.Primary, escaped(host+"/devices/dev/modules/mod"), soon(), "")
		}, false},
		{"another key", dev, func(c *Core, _ *Device) string { return token(newKey(), host+"/devices/dev", soon(), "") }, false},
		{"another device", dev, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, host+"/devices/de", soon(), "")
		}, false},
		{"another hub", dev, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, "other.example/devices/dev", soon(), "")
		}, false},
		{"a token that has expired", dev, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, host+"/devices/dev", time.Now().Add(-5*time.Minute-time.Second), "")
		}, false},
		{"an unknown policy", dev, func(c *Core, _ *Device) string {
			return token(c.policy("device").Primary, host, soon(), "nobody")
		}, false},
		{"a policy without the right", dev, func(c *Core, _ *Device) string {
			return token(c.policy("service").Primary, host, soon(), "service")
		}, false},
		{"a policy's name with a device's key", dev, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, host, soon(), "device")
		}, false},
		{"no scheme", dev, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, host+"/devices/dev", soon(), "")[len("SharedAccessSignature "):]
		}, false},
		{"a field twice", dev, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, host+"/devices/dev", soon(), "") + "&SR=x"
		}, false},
		{"an expiry that is no number", dev, func(_ *Core, d *Device) string {
			return token(d.Auth.Primary, host+"/devices/dev", soon(), "") + "x"
		}, false},
		{"garbage", dev, func(*Core, *Device) string { return "SharedAccessSignature %" }, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				c := newCore(t, &Config{HostName: host, Log: slog.New(slog.NewTextHandler(&log, nil))})
				d, err := c.Device(tc.id)
				must(t, err)
				login := &Login{Identity: tc.id, Protocol: "mqtt", Token: sas.NewSecret(tc.make(c, d))}
				g, err := c.Authenticate(ctx, login)
				if !tc.ok {
					wantUniformRefusal(t, err, log.String())
					if strings.Contains(log.String(), "sig=") {
						t.Errorf("the log shows the token: %s", log.String())
					}
				} else if err != nil || g.Identity != tc.id || g.Expires.IsZero() {
					t.Errorf("Authenticate = %+v, %v\n%s", g, err, log.String())
				} else if _, err := c.Connect(ctx, g, nil, &fakeLink{}); err != nil {
					t.Errorf("Connect: %v", err)
				}
				synctest.Wait() // for the end of a session that is over at once, in the log
				d.Disabled = true
				_, err = c.Update(ctx, d, "*")
				must(t, err)
				log.Reset()
				_, err = c.Authenticate(ctx, login)
				wantUniformRefusal(t, err, log.String())
			})
		})
	}
}

func soon() time.Time { return time.Now().Add(time.Hour) }

func TestATokenNeedsTheTypeSAS(t *testing.T) {
	for _, typ := range []AuthType{AuthCA, AuthNone, AuthSelfSigned} {
		c := newCore(t, &Config{HostName: host})
		d, _ := c.Device(dev)
		tok := token(d.Auth.Primary, host+"/devices/dev", soon(), "")
		d.Auth.Type, d.Auth.PrimaryThumbprint = typ, strings.Repeat("a", 40)
		_, err := c.Update(ctx, d, "*") // the keys are still in the record
		must(t, err)
		_, err = c.Authenticate(ctx, &Login{Identity: dev, Token: sas.NewSecret(tok)})
		wantCode(t, string(typ), err, hubwire.Unauthorized)
	}
}

func TestScopeOfPolicyTokensIsTheHub(t *testing.T) {
	c := newCore(t, &Config{HostName: host})
	g, err := c.Authenticate(ctx, &Login{Identity: dev, Token: sas.NewSecret(token(c.policy("device").Primary, host, soon(), "device"))})
	must(t, err)
	s, _ := connectWith(t, c, g, nil)
	if !strings.Contains(string(s.stamp.Load().head), `"scope":"hub","type":"sas"`) {
		t.Errorf("stamp %q", s.stamp.Load().head)
	}
	d, _ := c.Device(dev)
	d.Auth.Primary, d.Auth.Secondary = sas.Secret{}, sas.Secret{}
	_, err = c.Update(ctx, d, "*")
	must(t, err)
	if s.Err() != nil {
		t.Errorf("a policy's session ended with the device's keys: %v", s.Err())
	}
}

func TestAuthorizeService(t *testing.T) {
	c := newCore(t, &Config{HostName: host})
	tok := func(policy, sr string) string { return token(c.policy(policy).Primary, sr, soon(), policy) }
	cases := []struct {
		name, token, path string
		want              Right
		ok                bool
	}{
		{"the owner may write", tok("iothubowner", host), "/devices/dev", RegistryRead | RegistryWrite, true},
		{"a reader may read", tok("registryRead", host), "/devices", RegistryRead, true},
		{"a reader may not write", tok("registryRead", host), "/devices/dev", RegistryWrite, false},
		{"a service may connect", tok("service", host), "/twins/dev", ServiceConnect, true},
		{"a service may not read the registry", tok("service", host), "/devices/dev", RegistryRead, false},
		{"within the token's path", tok("iothubowner", host+"%2Fdevices"), "/devices/dev/modules", RegistryRead, true},
		{"outside of the token's path", tok("iothubowner", host+"%2Fdevices"), "/twins/dev", ServiceConnect, false},
		{"a path that only begins alike", tok("iothubowner", host+"%2Fdev"), "/devices", RegistryRead, false},
		{"no policy", token(c.policy("service").Primary, host, soon(), ""), "/twins/dev", ServiceConnect, false},
		{"an expired token", token(c.policy("service").Primary, host, time.Now().Add(-time.Hour), "service"), "/twins/dev", ServiceConnect, false},
		{"nothing", "", "/devices", RegistryRead, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			g, err := c.AuthorizeService(ctx, tc.token, tc.path, tc.want)
			if !tc.ok {
				wantCode(t, "AuthorizeService", err, hubwire.UnauthorizedAccess)
			} else if err != nil || g.Expires.IsZero() || !g.Rights.Has(tc.want) || g.Policy == "" {
				t.Errorf("AuthorizeService = %+v, %v", g, err)
			}
		})
	}
	for policy, ok := range map[string]bool{"service": true, "registryRead": true, "device": false} {
		t.Run("one of two rights: "+policy, func(t *testing.T) {
			_, err := c.AuthorizeService(ctx, tok(policy, host), "/statistics/service", RegistryRead, ServiceConnect)
			if (err == nil) != ok {
				t.Errorf("error %v", err)
			}
		})
	}
}

// asking is a log handler that asks the hub about the device that a record is about.
type asking struct {
	slog.Handler
	ask func()
}

func (a asking) Handle(context.Context, slog.Record) error { a.ask(); return nil }

func TestTheLogMayAskTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := false
		var c *Core
		c = newCore(t, &Config{Log: slog.New(asking{slog.NewTextHandler(io.Discard, nil), func() {
			if _, err := c.Device(dev); err != nil {
				t.Error(err)
			}
			asked = true
		}})})
		g := grant(t, c, dev)
		d, err := c.Device(dev)
		if err != nil {
			t.Fatal(err)
		}
		d.Disabled = true
		if _, err := c.Update(ctx, d, "*"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Connect(ctx, g, nil, nil); !errors.Is(err, hubwire.Unauthorized) || !asked {
			t.Errorf("%v, and the log was asked: %v", err, asked)
		}
	})
}
