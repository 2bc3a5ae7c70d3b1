package unsettled

import (
	"math"
	"math/rand/v2"
	"testing"
)

// link is one of several, which are not the same.
type link struct{ _ int }

// A ring of deliveries against a map of them, over the wrap of their ids, with gaps, settled in any order.
func TestUnsettledKeepsWhatAMapKeeps(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var u Ring[*link]
		twin := map[uint32]uint64{} // ids to tokens
		links := []*link{{}, {}, {}}
		of := map[uint32]*link{}
		most, next := 0, uint32(math.MaxUint32-300)
		if seed%2 == 0 {
			next = 0
		}
		for step := range 2000 {
			switch {
			case r.IntN(5) < 2 || len(twin) == 0:
				l := links[r.IntN(len(links))]
				u.Push(next, l, uint64(step))
				twin[next], of[next] = uint64(step), l
				next++
				if r.IntN(10) == 0 {
					next += uint32(r.IntN(5))
				}
			case r.IntN(200) == 0:
				l := links[r.IntN(len(links))]
				u.Drop(l)
				for id := range twin {
					if of[id] == l {
						delete(twin, id)
					}
				}
			default:
				// One that is there, most of the time.
				id := next - 1 - uint32(r.IntN(40))
				e := u.Find(id)
				token, ok := twin[id]
				if (e != nil) != ok || ok && (e.Token != token || e.Link != of[id]) {
					t.Fatalf("seed %d, step %d: %d is %+v, want %v %v", seed, step, id, e, token, ok)
				}
				if ok {
					u.Settle(e)
					delete(twin, id)
				}
			}
			if most = max(most, u.open); u.open != len(twin) {
				t.Fatalf("seed %d, step %d: %d are open, want %d", seed, step, u.open, len(twin))
			}
		}
		if len(u.ring) > 4*max(most, smallRing) {
			t.Errorf("seed %d: a ring of %d for %d deliveries", seed, len(u.ring), most)
		}
	}
}

// One that is never settled must not keep all that come behind it.
func TestUnsettledForgetsWhatIsSettledBehindOneThatIsNot(t *testing.T) {
	var u Ring[*link]
	u.Push(0, &link{}, 0)
	for id := range uint32(100_000) {
		u.Push(id+1, &link{}, 0)
		u.Settle(u.Find(id + 1))
	}
	if len(u.ring) > 2*smallRing || u.Find(0) == nil {
		t.Errorf("a ring of %d for one delivery", len(u.ring))
	}
}
