package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire"
)

// TestOrderedIsAlwaysInOrder compares it with a sorted slice, over changes in any order.
func TestOrderedIsAlwaysInOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var o ordered
	known := map[hubwire.Identity]bool{}
	for step := range 20_000 {
		id := hubwire.Identity{DeviceID: fmt.Sprint(rnd.IntN(2000)), ModuleID: []string{"", "m1", "m2"}[rnd.IntN(3)]}
		grow := step%7000 < 5000 // then shrink
		switch {
		case !known[id] && grow:
			o.add(&entity{id: id})
			known[id] = true
		case !grow:
			o.remove(id)
			delete(known, id)
		}
		if step%500 != 0 && step < 19_990 {
			continue
		}
		checkOrdered(t, &o, known, id)
	}
	for id := range known {
		o.remove(id)
	}
	if o.n != 0 || len(o.chunks) != 0 {
		t.Errorf("emptied, it has %d entities in %d chunks", o.n, len(o.chunks))
	}
}

func checkOrdered(t *testing.T, o *ordered, known map[hubwire.Identity]bool, from hubwire.Identity) {
	t.Helper()
	var all []hubwire.Identity
	for id := range known {
		all = append(all, id)
	}
	slices.SortFunc(all, compareIdentities)
	if got := identities(o.after(make([]*entity, 0, len(all)+1), hubwire.Identity{})); o.n != len(all) || !cmp.Equal(got, all) {
		t.Fatalf("it has %d entities, in order %d, want %d", o.n, len(got), len(all))
	}
	i, found := slices.BinarySearchFunc(all, from, compareIdentities)
	if found {
		i++
	}
	want := all[i:min(len(all), i+700)]
	if got := identities(o.after(make([]*entity, 0, 700), from)); !slices.Equal(got, want) {
		t.Fatalf("after %v there are %d, want %d", from, len(got), len(want))
	}
}

func identities(es []*entity) (ids []hubwire.Identity) {
	for _, e := range es {
		ids = append(ids, e.id)
	}
	return ids
}
