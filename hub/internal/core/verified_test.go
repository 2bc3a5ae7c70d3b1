package core

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// TestATokenIsLookedAtEachTime shows one token again after what it was good for has changed.
func TestATokenIsLookedAtEachTime(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, c *Core)
		want   hubwire.Code // 0 for none
	}{
		{"nothing", func(*testing.T, *Core) {}, 0},
		{"time, up to the end of the grace", func(*testing.T, *Core) { time.Sleep(time.Hour + 5*time.Minute) }, 0},
		{"time, beyond the grace", func(*testing.T, *Core) { time.Sleep(time.Hour + 5*time.Minute + time.Second) }, hubwire.Unauthorized},
		{"the keys", func(t *testing.T, c *Core) { changeDev(t, c, func(d *Device) { d.Auth = Auth{} }) }, hubwire.Unauthorized},
		{"the other key", func(t *testing.T, c *Core) { changeDev(t, c, func(d *Device) { d.Auth.Secondary = sas.Secret{} }) }, 0},
		{"which key is the primary one", func(t *testing.T, c *Core) {
			changeDev(t, c, func(d *Device) { d.Auth.Primary, d.Auth.Secondary = d.Auth.Secondary, d.Auth.Primary })
		}, 0},
		{"the authentication type", func(t *testing.T, c *Core) { changeDev(t, c, func(d *Device) { d.Auth.Type = AuthCA }) }, hubwire.Unauthorized},
		{"the status", func(t *testing.T, c *Core) { changeDev(t, c, func(d *Device) { d.Disabled = true }) }, hubwire.DeviceDisabled},
		{"the identity, which is gone", func(t *testing.T, c *Core) { must(t, c.Delete(ctx, dev, "*")) }, hubwire.Unauthorized},
		{"the identity, which was created again", func(t *testing.T, c *Core) {
			must(t, c.Delete(ctx, dev, "*"))
			create(t, c, &Device{ID: dev})
		}, hubwire.Unauthorized},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCore(t, &Config{HostName: host})
				d, err := c.Device(dev)
				must(t, err)
				l := &Login{Identity: dev, Token: sas.NewSecret(token(d.Auth.Primary, host+"/devices/dev", soon(), ""))}
				for range 2 {
					err = c.AuthenticateRequest(ctx, l, new(Grant))
					must(t, err)
				}
				tt.change(t, c)
				err = c.AuthenticateRequest(ctx, l, new(Grant))
				if tt.want != 0 {
					wantCode(t, "afterwards", err, tt.want)
				} else {
					must(t, err)
				}
			})
		})
	}
}

// changeDev changes the device dev.
func changeDev(t *testing.T, c *Core, change func(*Device)) {
	t.Helper()
	d, err := c.Device(dev)
	must(t, err)
	change(d)
	_, err = c.Update(ctx, d, "*")
	must(t, err)
}

func TestAuthenticateRequestRefusals(t *testing.T) {
	c := newCore(t, &Config{HostName: host})
	good := func(id hubwire.Identity) sas.Secret {
		d, err := c.Device(id)
		must(t, err)
		return sas.NewSecret(token(d.Auth.Primary, host+"/devices/dev", soon(), ""))
	}
	changeDev(t, c, func(d *Device) { d.Disabled = true })
	for name, tt := range map[string]struct {
		l    Login
		want hubwire.Code
	}{
		"nothing was shown":                          {Login{Identity: dev}, hubwire.UnauthorizedAccess},
		"nothing was shown of who is not there":      {Login{Identity: hubwire.Identity{DeviceID: "x"}}, hubwire.UnauthorizedAccess},
		"no token":                                   {Login{Identity: dev, Token: sas.NewSecret("Bearer x")}, hubwire.Unauthorized},
		"a right token of who is disabled":           {Login{Identity: dev, Token: good(dev)}, hubwire.DeviceDisabled},
		"a wrong one does not learn of that":         {Login{Identity: dev, Token: good(mod)}, hubwire.Unauthorized},
		"a right token of somebody who is not there": {Login{Identity: hubwire.Identity{DeviceID: "x"}, Token: good(dev)}, hubwire.Unauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.AuthenticateRequest(ctx, &tt.l, new(Grant))
			wantCode(t, "AuthenticateRequest", err, tt.want)
		})
	}
}

func TestVerifiedIsBounded(t *testing.T) {
	var v verified
	key := newKey()
	text := func(i int) string { return token(key, fmt.Sprint("h/devices/", i), soon(), "") }
	first := text(-1)
	v.add(first, key, dev)
	zeroth := text(0)
	v.add(zeroth, key, dev)
	for i := range 3 * maxVerified {
		v.add(text(i+1), key, dev)
		if k := v.known(first); i%1000 == 0 && (k == nil || !k.key.Equal(key) || k.id != dev || k.Resource != "h/devices/-1") {
			t.Fatalf("what is used was forgotten after %d others", i)
		}
	}
	if n := len(v.young) + len(v.old); n > 2*maxVerified {
		t.Errorf("it holds %d", n)
	}
	if v.known(zeroth) != nil {
		t.Error("what is not used is remembered")
	}
	long := token(key, strings.Repeat("h", maxVerifiedToken), soon(), "")
	if v.add(long, key, dev); v.known(long) != nil {
		t.Error("a token that is too long was remembered")
	}
}

func TestTelemetryBatchIsTakenWholeOrNotAtAll(t *testing.T) {
	c := newCore(t, nil)
	g := grant(t, c, dev)
	good := hubwire.Message{Body: []byte("1"), Properties: []hubwire.Property{{Name: "a", Value: "b"}}}
	bad := hubwire.Message{Properties: []hubwire.Property{{Value: "x"}}}
	wantCode(t, "the last is bad", c.TelemetryBatch(ctx, g, []hubwire.Message{good, good, bad}), hubwire.ArgumentInvalid)
	if b, err := c.PartitionBounds(ctx, c.partitionOf("dev")); err != nil || b.Next != 0 {
		t.Errorf("some were taken: %+v, %v", b, err)
	}
	must(t, c.TelemetryBatch(ctx, g, []hubwire.Message{good, good}))
	must(t, c.TelemetryBatch(ctx, g, nil))
	if b, err := c.PartitionBounds(ctx, c.partitionOf("dev")); err != nil || b.Next != 2 {
		t.Errorf("not all were taken: %+v, %v", b, err)
	}
	must(t, c.Delete(ctx, dev, "*"))
	wantCode(t, "of who is gone", c.TelemetryBatch(ctx, g, []hubwire.Message{good}), hubwire.DeviceNotFound)
}

func TestMetersAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var th Throttle
		th.Metered[MeterQueries] = 20.0 / 60
		c := newCore(t, &Config{Throttle: th})
		for range 20 {
			must(t, c.Admit("query", MeterQueries))
		}
		wantCode(t, "more than a minute's worth at once", c.Admit("query", MeterQueries), hubwire.Throttled)
		for m := range meters {
			if m != MeterQueries {
				must(t, c.Admit("another", m))
			}
		}
		time.Sleep(3 * time.Second)
		must(t, c.Admit("query", MeterQueries))
		wantCode(t, "the one after", c.Admit("query", MeterQueries), hubwire.Throttled)
	})
}
