package amqpfront

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/sas"
)

var (
	dev = hubwire.Identity{DeviceID: "dev"}
	mod = hubwire.Identity{DeviceID: "dev", ModuleID: "mod"}
)

func own(id hubwire.Identity, token string, expires time.Time) *credential {
	return &credential{token: sas.NewSecret(token), grant: &core.Grant{Identity: id, Expires: expires}}
}

func pass(resource, token string, expires time.Time) *credential {
	return &credential{token: sas.NewSecret(token), pass: &core.Pass{
		Policy: "p", Rights: core.DeviceConnect | core.ServiceConnect, Resource: resource, Expires: expires,
	}}
}

func TestCredentialsTakeThePlaceOfTheOneBefore(t *testing.T) {
	var cs credentials
	at := time.Unix(1000, 0)
	for _, c := range []*credential{
		own(dev, "a", at), own(dev, "b", at), own(mod, "c", at), pass("h", "d", at), pass("h", "e", at), pass("h/devices/x", "f", at),
	} {
		if !cs.add(c) {
			t.Fatal("there is no room")
		}
	}
	if len(cs.own) != 2 || len(cs.passes) != 2 {
		t.Errorf("there are %d and %d", len(cs.own), len(cs.passes))
	}
	if got := cs.forDevice(dev).Reveal(); got != "b" {
		t.Errorf("the token of the device is %q", got)
	}
}

func TestCredentialsAreBounded(t *testing.T) {
	var cs credentials
	for i := range maxOwn {
		cs.add(own(hubwire.Identity{DeviceID: fmt.Sprint(i)}, "", time.Time{}))
	}
	for i := range maxPasses {
		cs.add(pass(fmt.Sprint(i), "", time.Time{}))
	}
	if cs.add(own(dev, "", time.Time{})) || cs.add(pass("h", "", time.Time{})) {
		t.Error("there is room for one more")
	}
	if !cs.add(own(hubwire.Identity{DeviceID: "7"}, "", time.Time{})) || !cs.add(pass("7", "", time.Time{})) {
		t.Error("one that is there cannot be renewed")
	}
}

func TestCredentialsExpire(t *testing.T) {
	var cs credentials
	start := time.Unix(1000, 0)
	cs.add(own(dev, "", start.Add(time.Minute)))
	cs.add(own(mod, "", start.Add(2*time.Minute)))
	cs.add(pass("h", "", start.Add(3*time.Minute)))
	cs.add(pass("for ever", "", time.Time{}))
	const skew = 10 * time.Second
	for _, tt := range []struct {
		at, next     time.Duration // zero for never
		owns, passes int
	}{
		{0, time.Minute + skew, 2, 2},
		{time.Minute + skew - 1, time.Minute + skew, 2, 2},
		{time.Minute + skew, 2*time.Minute + skew, 1, 2},
		{2*time.Minute + skew, 3*time.Minute + skew, 0, 2},
		{time.Hour, 0, 0, 1},
	} {
		next := cs.expire(start.Add(tt.at), skew)
		want := start.Add(tt.next)
		if tt.next == 0 {
			want = time.Time{}
		}
		if !next.Equal(want) || len(cs.own) != tt.owns || len(cs.passes) != tt.passes {
			t.Errorf("after %v: next %v, %d and %d", tt.at, next, len(cs.own), len(cs.passes))
		}
	}
}

func TestParsePlain(t *testing.T) {
	const host = "my.azure-devices.net"
	for _, tt := range []struct {
		name, user string
		want       plain
	}{
		{"a policy", "service@sas.root.my", plain{policy: "service"}},
		{"a policy in other letters", "service@SAS.Root.MY", plain{policy: "service"}},
		{"a policy with its key", "iothubowner", plain{policy: "iothubowner", key: true}},
		{"a device", "dev@sas.my", plain{identity: dev}},
		{"a device, without sas", "dev@my", plain{identity: dev}},
		{"a device, with the whole host", "dev@sas.my.azure-devices.net", plain{identity: dev}},
		{"a module", "dev/modules/mod@sas.my", plain{identity: mod}},
		{"an escaped module", "%64ev/modules/%6Dod@sas.my", plain{identity: mod}},
		{"a device with an @", "a@b@sas.my", plain{identity: hubwire.Identity{DeviceID: "a@b"}}},
		{"another hub", "dev@sas.other", plain{}},
		{"a hub that begins alike", "dev@sas.m", plain{}},
		{"no device", "@sas.my", plain{}},
		{"an id that is none", "a b@sas.my", plain{}},
		{"a module without an id", "dev/modules/@sas.my", plain{}},
		{"nobody", "", plain{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parsePlain([]byte("as whom\x00"+tt.user+"\x00secret"), host)
			if tt.want.identity == (hubwire.Identity{}) && tt.want.policy == "" {
				if err != errPlain {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			tt.want.password = []byte("secret")
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(plain{})); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	for _, response := range []string{"", "\x00", "\x00dev@my", "\x00dev@my\x00", "dev@my\x00secret"} {
		if got, err := parsePlain([]byte(response), host); err != errPlain {
			t.Errorf("%q: %+v, %v", response, got, err)
		}
	}
}

func TestCallID(t *testing.T) {
	for _, id := range []uint64{0, 1, 0x0123456789abcdef, 1<<64 - 1} {
		u := callID(id)
		if u[6]>>4 != 4 || u[8]>>6 != 2 {
			t.Errorf("%v is no uuid of version 4", u)
		}
		if got, ok := parseCallID(u); !ok || got != id {
			t.Errorf("%#x became %v and then %#x, %v", id, u, got, ok)
		}
	}
	for _, u := range []amqp.UUID{{}, {6: 0x40}, {15: 1, 6: 0x40, 8: 0x80}} {
		if got, ok := parseCallID(u); ok {
			t.Errorf("%v is the id %d", u, got)
		}
	}
}
