package core

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

func update(tags, desired string) *TwinUpdate {
	u := &TwinUpdate{}
	if tags != "" {
		u.Tags = json.RawMessage(tags)
	}
	if desired != "" {
		u.Desired = json.RawMessage(desired)
	}
	return u
}

// twinText is tags and desired properties, or "" of what is not registered.
func twinText(c *Core, id hubwire.Identity) string {
	tw, err := c.Twin(ctx, id)
	if err != nil {
		return ""
	}
	return string(tw.Tags) + string(tw.Desired.JSON)
}

func TestEachElementOfABulkGoesByItsMode(t *testing.T) {
	newID := hubwire.Identity{DeviceID: "new"}
	newMod := hubwire.Identity{DeviceID: "dev", ModuleID: "new"}
	for _, tt := range []struct {
		name string
		op   BulkOperation
		etag bool // take the identity's etag
		twin bool // take the twin's etag
		code hubwire.Code
		want string // of the twin afterwards, which is {"t":1}{"d":1} at first
		old  bool   // StatusReason is still "before"
	}{
		{name: "create registers with a twin", op: BulkOperation{Mode: BulkCreate, Device: Device{ID: newID}, Twin: update(`{"a":1}`, `{"b":2}`)}, want: `{"a":1}{"b":2}`},
		{name: "create registers a module", op: BulkOperation{Mode: BulkCreate, Device: Device{ID: newMod}, Twin: update("", `{"b":2}`)}, want: `{}{"b":2}`},
		{name: "create of what exists is refused", op: BulkOperation{Mode: BulkCreate, Device: Device{ID: dev}, Twin: update(`{"a":1}`, "")}, code: hubwire.DeviceAlreadyExists, want: `{"t":1}{"d":1}`, old: true},
		{name: "create of a module that exists is refused", op: BulkOperation{Mode: BulkCreate, Device: Device{ID: mod}}, code: hubwire.ModuleAlreadyExists, want: `{"t":1}{"d":1}`, old: true},
		{name: "create with a bad twin registers nothing", op: BulkOperation{Mode: BulkCreate, Device: Device{ID: newID}, Twin: update(`{"a b":1}`, "")}, code: hubwire.ArgumentInvalid},
		{name: "create with a twin over its limit registers nothing", op: BulkOperation{Mode: BulkCreate, Device: Device{ID: newID}, Twin: update(`{"a":["`+strings.Repeat("x", 4096)+`","`+strings.Repeat("x", 4096)+`"]}`, "")}, code: hubwire.ArgumentInvalid},
		{name: "update leaves the twin alone", op: BulkOperation{Mode: BulkUpdate, Device: Device{ID: dev}}, want: `{"t":1}{"d":1}`},
		{name: "update replaces a section that is there", op: BulkOperation{Mode: BulkUpdate, Device: Device{ID: dev}, Twin: update(`{"a":1}`, "")}, want: `{"a":1}{"d":1}`},
		{name: "update with a twin that is refused changes nothing", op: BulkOperation{Mode: BulkUpdate, Device: Device{ID: dev}, Twin: update(`[]`, "")}, code: hubwire.ArgumentInvalid, want: `{"t":1}{"d":1}`, old: true},
		{name: "update with a stale etag of the twin changes nothing", op: BulkOperation{Mode: BulkUpdate, Device: Device{ID: dev}, Twin: update(`{"a":1}`, ""), TwinETag: "stale"}, code: hubwire.PreconditionFailed, want: `{"t":1}{"d":1}`, old: true},
		{name: "update of nobody is refused", op: BulkOperation{Mode: BulkUpdate, Device: Device{ID: newID}}, code: hubwire.DeviceNotFound},
		{name: "update of no module is refused", op: BulkOperation{Mode: BulkUpdate, Device: Device{ID: newMod}}, code: hubwire.ModuleNotFound},
		{name: "update with the right etag", op: BulkOperation{Mode: BulkUpdateIfMatch, Device: Device{ID: dev}}, etag: true, want: `{"t":1}{"d":1}`},
		{name: "update with a stale etag is refused", op: BulkOperation{Mode: BulkUpdateIfMatch, Device: Device{ID: dev, ETag: "stale"}}, code: hubwire.PreconditionFailed, want: `{"t":1}{"d":1}`, old: true},
		{name: "update if match needs an etag", op: BulkOperation{Mode: BulkUpdateIfMatch, Device: Device{ID: dev}}, code: hubwire.ArgumentInvalid, want: `{"t":1}{"d":1}`, old: true},
		{name: "create or update creates", op: BulkOperation{Mode: BulkCreateOrUpdate, Device: Device{ID: newID}, Twin: update("", `{"b":2}`)}, want: `{}{"b":2}`},
		{name: "create or update updates", op: BulkOperation{Mode: BulkCreateOrUpdate, Device: Device{ID: mod}, Twin: update("", `{"b":2}`)}, want: `{"t":1}{"b":2}`},
		{name: "create or update if match creates", op: BulkOperation{Mode: BulkCreateOrUpdateIfMatch, Device: Device{ID: newID, ETag: "any"}}, want: `{}{}`},
		{name: "create or update if match compares", op: BulkOperation{Mode: BulkCreateOrUpdateIfMatch, Device: Device{ID: dev, ETag: "stale"}}, code: hubwire.PreconditionFailed, want: `{"t":1}{"d":1}`, old: true},
		{name: "delete", op: BulkOperation{Mode: BulkDelete, Device: Device{ID: dev}}},
		{name: "delete of nobody is refused", op: BulkOperation{Mode: BulkDelete, Device: Device{ID: newID}}, code: hubwire.DeviceNotFound},
		{name: "delete with the right etag", op: BulkOperation{Mode: BulkDeleteIfMatch, Device: Device{ID: mod}}, etag: true},
		{name: "delete with a stale etag is refused", op: BulkOperation{Mode: BulkDeleteIfMatch, Device: Device{ID: dev, ETag: "stale"}}, code: hubwire.PreconditionFailed, want: `{"t":1}{"d":1}`, old: true},
		{name: "a twin is merged", op: BulkOperation{Mode: BulkUpdateTwin, Device: Device{ID: dev}, Twin: update(`{"a":1}`, `{"d":null}`)}, want: `{"t":1,"a":1}{}`, old: true},
		{name: "a twin of nobody is refused", op: BulkOperation{Mode: BulkUpdateTwin, Device: Device{ID: newID}, Twin: update(`{"a":1}`, "")}, code: hubwire.DeviceNotFound},
		{name: "a twin with its etag", op: BulkOperation{Mode: BulkUpdateTwinIfMatch, Device: Device{ID: dev}, Twin: update(`{"a":1}`, "")}, twin: true, want: `{"t":1,"a":1}{"d":1}`, old: true},
		{name: "a twin with a stale etag is refused", op: BulkOperation{Mode: BulkUpdateTwinIfMatch, Device: Device{ID: dev}, Twin: update(`{"a":1}`, ""), TwinETag: "stale"}, code: hubwire.PreconditionFailed, want: `{"t":1}{"d":1}`, old: true},
		{name: "a twin if match needs an etag", op: BulkOperation{Mode: BulkUpdateTwinIfMatch, Device: Device{ID: dev}}, code: hubwire.ArgumentInvalid, want: `{"t":1}{"d":1}`, old: true},
		{name: "an unknown mode is refused", op: BulkOperation{Mode: "upsert", Device: Device{ID: dev}}, code: hubwire.ArgumentInvalid, want: `{"t":1}{"d":1}`, old: true},
		{name: "a bad id is refused", op: BulkOperation{Mode: BulkCreateOrUpdate, Device: Device{ID: hubwire.Identity{DeviceID: "a b"}}}, code: hubwire.ArgumentInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCore(t, nil)
			for _, id := range []hubwire.Identity{dev, mod} {
				_, err := c.PatchTwin(ctx, id, update(`{"t":1}`, `{"d":1}`), "")
				must(t, err)
				d, _ := c.Device(id)
				d.StatusReason = "before"
				_, err = c.Update(ctx, d, "*")
				must(t, err)
			}
			id := tt.op.Device.ID
			if tt.etag {
				d, _ := c.Device(id)
				tt.op.Device.ETag = d.ETag
			}
			if tt.twin {
				tw, _ := c.Twin(ctx, id)
				tt.op.TwinETag = tw.ETag
			}
			failed, err := c.Bulk(ctx, []BulkOperation{tt.op})
			must(t, err)
			switch {
			case tt.code == 0 && len(failed) != 0:
				t.Errorf("refused: %v", failed[0].Err)
			case tt.code != 0 && len(failed) != 1:
				t.Errorf("%d refused, want code %d", len(failed), int(tt.code))
			case tt.code != 0:
				wantCode(t, "the element", failed[0].Err, tt.code)
				if failed[0].ID != id || failed[0].Mode != tt.op.Mode {
					t.Errorf("refused: %+v", failed[0])
				}
			}
			if got := twinText(c, id); got != tt.want {
				t.Errorf("twin = %s, want %s", got, tt.want)
			}
			if d, err := c.Device(id); err == nil && (d.StatusReason == "before") != tt.old {
				t.Errorf("status reason %q", d.StatusReason)
			}
		})
	}
}

func TestABulkIsRefusedAsAWhole(t *testing.T) {
	many := make([]BulkOperation, MaxBulk+1)
	for i := range many {
		many[i] = BulkOperation{Mode: BulkCreate, Device: Device{ID: hubwire.Identity{DeviceID: fmt.Sprint("d", i)}}}
	}
	for _, tt := range []struct {
		name string
		ops  []BulkOperation
		code hubwire.Code
	}{
		{"no element", nil, hubwire.ArgumentInvalid},
		{"too many elements", many, hubwire.TooManyDevices},
		{"an identity that is there twice", []BulkOperation{many[0], many[1], many[0]}, hubwire.DeviceDefinedMultipleTimes},
	} {
		c := newCore(t, nil)
		_, err := c.Bulk(ctx, tt.ops)
		wantCode(t, tt.name, err, tt.code)
		if ds := c.Devices(10); len(ds) != 1 {
			t.Errorf("%s: %d devices", tt.name, len(ds))
		}
	}
	c := newCore(t, nil)
	failed, err := c.Bulk(ctx, many[:MaxBulk])
	if err != nil || len(failed) != 0 {
		t.Errorf("%d elements: %v, %v", MaxBulk, failed, err)
	}
	c.Close()
	if _, err := c.Bulk(ctx, many[:1]); err == nil {
		t.Error("a closed hub took a bulk")
	}
}

func TestWhatABulkRefusesDoesNotStopTheRest(t *testing.T) {
	c := newCore(t, nil)
	failed, err := c.Bulk(ctx, []BulkOperation{
		{Mode: BulkCreate, Device: Device{ID: hubwire.Identity{DeviceID: "one"}}},
		{Mode: BulkCreate, Device: Device{ID: dev}},
		{Mode: BulkCreate, Device: Device{ID: hubwire.Identity{DeviceID: "two"}}},
	})
	if err != nil || len(failed) != 1 || failed[0].ID != dev {
		t.Errorf("Bulk = %v, %v", failed, err)
	}
	if ds := c.Devices(10); len(ds) != 3 {
		t.Errorf("%d devices", len(ds))
	}
}

func TestABulkUpdateWithoutAuthKeepsTheKeys(t *testing.T) {
	c := newCore(t, nil)
	before, _ := c.Device(dev)
	failed, err := c.Bulk(ctx, []BulkOperation{{Mode: BulkUpdate, Device: Device{ID: dev, Disabled: true}}})
	after, _ := c.Device(dev)
	if err != nil || len(failed) != 0 || !after.Disabled || !after.Auth.Primary.Equal(before.Auth.Primary) || !after.Auth.Secondary.Equal(before.Auth.Secondary) {
		t.Errorf("Bulk = %v, %v; disabled %v", failed, err, after.Disabled)
	}
}

func TestATwinThatABulkCreatesWithOutlivesTheHub(t *testing.T) {
	s := &brokenStore{Store: store.NewMemory(nil)}
	c := newCoreOn(t, nil, s)
	id := hubwire.Identity{DeviceID: "new"}
	op := []BulkOperation{{Mode: BulkCreate, Device: Device{ID: id}, Twin: update(`{"a":1}`, `{"b":2}`)}}
	s.broken = true
	if failed, err := c.Bulk(ctx, op); err != nil || len(failed) != 1 || failed[0].Err.Code != hubwire.ServerError {
		t.Errorf("on a broken store: %v, %v", failed, err)
	}
	s.broken = false
	if failed, err := c.Bulk(ctx, op); err != nil || len(failed) != 0 {
		t.Errorf("Bulk = %v, %v", failed, err)
	}
	want, _ := c.Twin(ctx, id)
	c.Close()
	got, err := newCoreOn(t, nil, s).Twin(ctx, id)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("twin (-old +new), %v:\n%s", err, diff)
	}
}

func TestBulksAtTheSameTimeAgree(t *testing.T) {
	c := newCore(t, nil)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 50 {
				mode := []BulkMode{BulkCreateOrUpdate, BulkDelete, BulkUpdateTwin}[(n+i)%3]
				_, err := c.Bulk(ctx, []BulkOperation{
					{Mode: mode, Device: Device{ID: hubwire.Identity{DeviceID: "a"}}, Twin: update(`{"t":1}`, "")},
					{Mode: mode, Device: Device{ID: hubwire.Identity{DeviceID: "a", ModuleID: "m"}}, Twin: update(`{"t":1}`, "")},
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	id := hubwire.Identity{DeviceID: "a"}
	failed, err := c.Bulk(ctx, []BulkOperation{{Mode: BulkCreateOrUpdate, Device: Device{ID: id}, Twin: update(`{"t":2}`, "{}")}})
	if got := twinText(c, id); err != nil || len(failed) != 0 || got != `{"t":2}{}` {
		t.Errorf("afterwards: %v, %v, twin %s", failed, err, got)
	}
}
