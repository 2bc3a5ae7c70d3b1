package core

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
)

// newFamily returns a Core with an edge device top, whose children are the edge device low and
// the leaf a with a module; b is the child of low, alone nobody's.
func newFamily(t *testing.T) *Core {
	t.Helper()
	c := newCore(t, nil)
	id := func(s string) hubwire.Identity { return hubwire.Identity{DeviceID: s} }
	top := create(t, c, &Device{ID: id("top"), Edge: true})
	low := create(t, c, &Device{ID: id("low"), Edge: true, ParentScopes: []string{top.Scope}})
	create(t, c, &Device{ID: id("a"), Scope: top.Scope})
	create(t, c, &Device{ID: hubwire.Identity{DeviceID: "a", ModuleID: "m"}})
	create(t, c, &Device{ID: id("b"), Scope: low.Scope})
	create(t, c, &Device{ID: id("alone")})
	return c
}

func idsOf(lists ...[]*Device) string {
	var ids []string
	for _, ds := range lists {
		for _, d := range ds {
			ids = append(ids, d.ID.String())
		}
	}
	return strings.Join(ids, " ")
}

func TestScope(t *testing.T) {
	c := newFamily(t)
	devices, modules, next, err := c.Scope("top", "", 10)
	must(t, err)
	if got, want := idsOf(devices, modules), "a low top a/m low/$edgeAgent low/$edgeHub top/$edgeAgent top/$edgeHub"; got != want || next != "" {
		t.Errorf("%s, next %q", got, next)
	}
	var pages []string
	for next, more := "", true; more; more = next != "" {
		devices, modules, next, err = c.Scope("top", next, 2)
		must(t, err)
		pages = append(pages, idsOf(devices, modules))
	}
	if diff := cmp.Diff([]string{"a low a/m low/$edgeAgent low/$edgeHub", "top top/$edgeAgent top/$edgeHub"}, pages); diff != "" {
		t.Errorf("pages (-want +got)\n%s", diff)
	}
	_, _, _, err = c.Scope("a", "", 10)
	wantCode(t, "of a leaf", err, hubwire.InvalidDeviceScope)
	_, _, _, err = c.Scope("x", "", 10)
	wantCode(t, "of nobody", err, hubwire.DeviceNotFound)
}

func TestMayAct(t *testing.T) {
	c := newFamily(t)
	for _, tt := range []struct {
		actor, device, module, chain string
		ok                           bool
	}{
		{"top", "top", "", "", true},
		{"top", "top", "$edgeAgent", "", true},
		{"top", "a", "", "", true},
		{"top", "a", "m", "", true},
		{"top", "b", "", "", false}, // a grandchild, without a chain that says how
		{"top", "alone", "", "", false},
		{"top", "x", "", "", false},
		{"top", "b", "", "b;low;top", true},
		{"top", "b", "", "b;low/$edgeHub;top", true},
		{"top", "a", "m", "a/m;top", true},
		{"top", "a", "m", "a/m;a;top", true},
		{"top", "a", "m", "a;top", true},
		{"top", "low", "", "low/$edgeHub;low;top", true},
		{"top", "top", "", "top", true},
		{"low", "b", "", "b;low", true},
		{"low", "b", "", "b;low;top", false}, // it speaks for another actor
		{"top", "b", "", "a;top", false},     // of another identity
		{"top", "b", "", "b;top", false},     // that skips one
		{"top", "alone", "", "alone;top", false},
		{"top", "b", "", "b;x;top", false},
	} {
		id := hubwire.Identity{DeviceID: tt.device, ModuleID: tt.module}
		err := c.MayAct(tt.actor, id, SplitChain(tt.chain))
		if tt.ok {
			if err != nil {
				t.Errorf("%s for %s by %q: %v", tt.actor, id, tt.chain, err)
			}
			continue
		}
		wantCode(t, tt.actor+" for "+id.String()+" by "+tt.chain, err, hubwire.UnauthorizedAccess)
	}
	d, err := c.Device(hubwire.Identity{DeviceID: "low"})
	must(t, err)
	d.Disabled = true
	_, err = c.Update(ctx, d, "*")
	must(t, err)
	wantCode(t, "through one that is disabled", c.MayAct("top", hubwire.Identity{DeviceID: "b"}, SplitChain("b;low;top")), hubwire.UnauthorizedAccess)
}
