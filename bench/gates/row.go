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
	allocs  int     // the most allocations in one of ours, or uncounted

	// figure is what a race compares; of what runs in this process it is the time.
	figure figure

	// control is the floor's work once more. Where the two differ nothing can be
	// said of ours. nil: none.
	control *work

	// steady: what is measured is no time, so a busy machine changes nothing of
	// it, and it has no slack.
	steady bool
}

// uncounted is the allocs of a row that says nothing about them.
const uncounted = -1

// unit is what the row's figures count.
func (r *row) unit() string {
	if r.figure.unit == "" {
		return "ns"
	}
	return r.figure.unit
}

// sample is what a row's works cost at one time, each in the row's unit; 0 for
// what the row has not.
type sample struct {
	floor, peer, ours float64
	control           float64
	rate              float64 // of ours, in messages a second; 0: not known
}

// overFloor is how many times ours costs what the floor does.
func (s sample) overFloor() float64 { return s.ours / s.floor }

// fasterThanPeer is how many times the peer costs what ours does.
func (s sample) fasterThanPeer() float64 { return s.peer / s.ours }

// offControl is how far the control is from the floor, as a part of it.
func (s sample) offControl() float64 { return s.control/s.floor - 1 }

// quantity is what a bound is on.
type quantity uint8

const (
	overFloor      quantity = iota // [sample.overFloor]
	fasterThanPeer                 // [sample.fasterThanPeer]
	itself                         // what ours costs, in the row's unit
)

func (q quantity) of(s sample) float64 {
	switch q {
	case overFloor:
		return s.overFloor()
	case fasterThanPeer:
		return s.fasterThanPeer()
	}
	return s.ours
}

func (q quantity) String() string { return [...]string{"ours / floor", "peer / ours", "ours"}[q] }

// bound is a claim on one of a row's quantities.
type bound struct {
	on    quantity
	least bool // it is x at least; otherwise at most
	x     float64

	switches bool // what it is about is switches between goroutines
}

// ofSwitches is b for work that is made of switches between goroutines.
func (b bound) ofSwitches() bound {
	b.switches = true
	return b
}

// atLeast claims that ours is x times as fast as the peer.
func atLeast(x float64) bound { return bound{on: fasterThanPeer, least: true, x: x} }

// atMost claims that ours costs at most x times what the floor does.
func atMost(x float64) bound { return bound{on: overFloor, x: x} }

// oursAtLeast and oursAtMost claim it of ours itself, in the row's unit.
func oursAtLeast(x float64) bound { return bound{on: itself, least: true, x: x} }
func oursAtMost(x float64) bound  { return bound{on: itself, x: x} }

// holds reports whether x keeps b, with slack times the room.
func (b bound) holds(x, slack float64) bool {
	if b.least {
		return x*slack >= b.x
	}
	return x <= b.x*slack
}

func (b bound) String() string {
	sign := " ≤ "
	if b.least {
		sign = " ≥ "
	}
	return b.on.String() + sign + strconv.FormatFloat(b.x, 'f', -1, 64)
}
