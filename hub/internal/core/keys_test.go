package core

import (
	"testing"

	"github.com/hubwire/hubwire"
)

func TestKeysAreRegenerated(t *testing.T) {
	for _, tt := range []struct {
		which              PolicyKey
		primary, secondary bool // is another
	}{
		{PrimaryKey, true, false}, {SecondaryKey, false, true}, {BothKeys, true, true},
	} {
		t.Run(string(tt.which), func(t *testing.T) {
			c := newCore(t, nil)
			before, _ := c.Device(mod)
			_, l := connect(t, c, mod) // with the primary key
			cert := hubwire.Identity{DeviceID: "cert"}
			create(t, c, &Device{ID: cert, Auth: Auth{Type: AuthCA}})
			nobody := hubwire.Identity{DeviceID: "nobody"}
			rotated, failed, err := c.RegenerateKeys(ctx, tt.which, []hubwire.Identity{mod, cert, nobody})
			if err != nil || len(rotated) != 1 || len(failed) != 2 || failed[0].ID != cert || failed[1].ID != nobody {
				t.Fatalf("RegenerateKeys = %v, %v, %v", rotated, failed, err)
			}
			wantCode(t, "an identity without keys", failed[0].Err, hubwire.InvalidOperation)
			wantCode(t, "nobody", failed[1].Err, hubwire.DeviceNotFound)
			after, _ := c.Device(mod)
			for _, d := range []*Device{rotated[0], after} {
				if d.ID != mod || d.ETag == before.ETag || d.Auth.Primary.IsZero() || d.Auth.Secondary.IsZero() ||
					d.Auth.Primary.Equal(before.Auth.Primary) == tt.primary || d.Auth.Secondary.Equal(before.Auth.Secondary) == tt.secondary {
					t.Errorf("%s: the wrong keys are new", tt.which)
				}
			}
			if cut := l.closed() == hubwire.Unauthorized; cut != tt.primary {
				t.Errorf("the connection was cut: %v", cut)
			}
		})
	}
}

func TestRegenerationIsRefusedAsAWhole(t *testing.T) {
	c := newCore(t, nil)
	before, _ := c.Device(dev)
	for _, tt := range []struct {
		name  string
		which PolicyKey
		ids   []hubwire.Identity
		code  hubwire.Code
	}{
		{"an unknown key", "tertiaryKey", []hubwire.Identity{dev}, hubwire.InvalidPolicyKey},
		{"nobody", BothKeys, nil, hubwire.ArgumentInvalid},
		{"one twice", BothKeys, []hubwire.Identity{dev, mod, dev}, hubwire.DeviceDefinedMultipleTimes},
		{"too many", BothKeys, make([]hubwire.Identity, MaxBulk+1), hubwire.TooManyDevices},
	} {
		_, _, err := c.RegenerateKeys(ctx, tt.which, tt.ids)
		wantCode(t, tt.name, err, tt.code)
	}
	if after, _ := c.Device(dev); after.ETag != before.ETag {
		t.Error("the device has changed")
	}
}
