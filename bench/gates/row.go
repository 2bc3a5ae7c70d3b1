package main

import "strconv"

// row is one piece of work: what it costs us, a peer, and at the least.
type row struct {
	name    string
	floor   *work // nil if nothing bounds the cost from below
	peer    *work // nil if there is none
	ours    *work
	gates   []bound // what must hold; none: the row is information
	targets []bound // what is reported
	allocs  int     // the most allocations in one of ours
}

// sample is what a row costs in one round, each in nanoseconds of one time; 0
// for what the row has not.
type sample struct{ floor, peer, ours float64 }

// overFloor is how many times ours costs what the floor does.
func (s sample) overFloor() float64 { return s.ours / s.floor }

// fasterThanPeer is how many times the peer costs what ours does.
func (s sample) fasterThanPeer() float64 { return s.peer / s.ours }

// bound is a claim on one of the two ratios.
type bound struct {
	peer bool // on [sample.fasterThanPeer], which has to be x at least
	x    float64
}

// atLeast claims that ours is x times as fast as the peer.
func atLeast(x float64) bound { return bound{peer: true, x: x} }

// atMost claims that ours costs at most x times what the floor does.
func atMost(x float64) bound { return bound{x: x} }

func (b bound) ratio(s sample) float64 {
	if b.peer {
		return s.fasterThanPeer()
	}
	return s.overFloor()
}

// holds reports whether ratio keeps b, with slack times the room.
func (b bound) holds(ratio, slack float64) bool {
	if b.peer {
		return ratio*slack >= b.x
	}
	return ratio <= b.x*slack
}

func (b bound) String() string {
	x := strconv.FormatFloat(b.x, 'g', -1, 64)
	if b.peer {
		return "peer / ours ≥ " + x
	}
	return "ours / floor ≤ " + x
}
