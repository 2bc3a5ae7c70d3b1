package amqpserver

import (
	"math"
	"math/rand/v2"
	"testing"
)

// A ring of deliveries against a map of them, over the wrap of their ids, with gaps, settled in any order.
func TestUnsettledKeepsWhatAMapKeeps(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var u unsettled
		twin := map[uint32]uint64{} // ids to tokens
		links := []*Link{{}, {}, {}}
		of := map[uint32]*Link{}
		most, next := 0, uint32(math.MaxUint32-300)
		if seed%2 == 0 {
			next = 0
		}
		for step := range 2000 {
			switch {
			case r.IntN(5) < 2 || len(twin) == 0:
				l := links[r.IntN(len(links))]
				u.push(next, l, uint64(step))
				twin[next], of[next] = uint64(step), l
				next++
				if r.IntN(10) == 0 {
					next += uint32(r.IntN(5))
				}
			case r.IntN(200) == 0:
				l := links[r.IntN(len(links))]
				u.drop(l)
				for id := range twin {
					if of[id] == l {
						delete(twin, id)
					}
				}
			default:
				// One that is there, most of the time.
				id := next - 1 - uint32(r.IntN(40))
				e := u.find(id)
				token, ok := twin[id]
				if (e != nil) != ok || ok && (e.token != token || e.link != of[id]) {
					t.Fatalf("seed %d, step %d: %d is %+v, want %v %v", seed, step, id, e, token, ok)
				}
				if ok {
					u.settle(e)
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
	var u unsettled
	u.push(0, &Link{}, 0)
	for id := range uint32(100_000) {
		u.push(id+1, &Link{}, 0)
		u.settle(u.find(id + 1))
	}
	if len(u.ring) > 2*smallRing || u.find(0) == nil {
		t.Errorf("a ring of %d for one delivery", len(u.ring))
	}
}
