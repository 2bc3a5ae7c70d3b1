// Package unsettled keeps the deliveries of a session of AMQP 1.0 that are not settled yet, and what is to be said about
// them, for both ends of the wire.
package unsettled

import "sort"

// Entry is a delivery that is not settled yet, in either direction.
type Entry[L comparable] struct {
	Link   L
	Token  uint64 // of who pushed it
	ID     uint32 // delivery-id
	Open   bool   // not settled
	Second bool   // the peer settles behind us
	Told   bool   // its outcome has been said, and the peer has yet to settle it
}

// Ring is the deliveries of a session in one direction, in the order of
// their delivery-ids, which are serial numbers (RFC 1982) and may have gaps: uAMQP numbers
// a delivery by its first transfer. What is settled at the front leaves; what is
// settled in the middle stays until it is at the front or is the better half.
type Ring[L comparable] struct {
	ring []Entry[L] // its length is a power of two
	head uint32     // index of the oldest, modulo the length
	n    uint32     // entries in use
	open int        // of them not settled
}

// smallRing is how many entries the first ring has.
const smallRing = 16

// Len returns how many places there are, of what is not settled and some of what is.
func (u *Ring[L]) Len() uint32 { return u.n }

// Open returns how many deliveries are not settled.
func (u *Ring[L]) Open() int { return u.open }

// At returns the delivery at place i, which may be settled.
func (u *Ring[L]) At(i uint32) *Entry[L] { return &u.ring[(u.head+i)&uint32(len(u.ring)-1)] }

// Push adds a delivery, whose id must be later than all that are in. What it returns holds until
// the next push.
func (u *Ring[L]) Push(id uint32, l L, token uint64) *Entry[L] {
	if int(u.n) == len(u.ring) {
		u.makeRoom()
	}
	u.n++
	e := u.At(u.n - 1)
	*e = Entry[L]{Link: l, Token: token, ID: id, Open: true}
	u.open++
	return e
}

// makeRoom drops what is settled, and doubles the ring if that was less than half.
func (u *Ring[L]) makeRoom() {
	size := len(u.ring)
	if 2*u.open >= size {
		size = max(smallRing, 2*size)
	}
	ring, k := make([]Entry[L], size), uint32(0)
	for i := range u.n {
		if e := u.At(i); e.Open {
			ring[k] = *e
			k++
		}
	}
	u.ring, u.head, u.n = ring, 0, k
}

// Search returns the place of the first entry whose id is not before id.
func (u *Ring[L]) Search(id uint32) uint32 {
	if u.n == 0 {
		return 0
	}
	// Where there are no gaps, the id says the place.
	if i := id - u.At(0).ID; i < u.n && u.At(i).ID == id {
		return i
	}
	return uint32(sort.Search(int(u.n), func(i int) bool { return !Before(u.At(uint32(i)).ID, id) }))
}

// Find returns the delivery of that id, or nil when it is unknown or settled.
func (u *Ring[L]) Find(id uint32) *Entry[L] {
	if i := u.Search(id); i < u.n {
		if e := u.At(i); e.ID == id && e.Open {
			return e
		}
	}
	return nil
}

// Settle takes a delivery out.
func (u *Ring[L]) Settle(e *Entry[L]) {
	u.Close(e)
	u.Trim()
}

// Drop takes all deliveries of a link out.
func (u *Ring[L]) Drop(l L) {
	for i := range u.n {
		if e := u.At(i); e.Link == l {
			u.Close(e)
		}
	}
	u.Trim()
}

// Close takes a delivery out, whose place stays until [Ring.Trim].
func (u *Ring[L]) Close(e *Entry[L]) {
	var none L
	e.Open, e.Link = false, none
	u.open--
}

// Trim gives up the places of what is settled at the front.
func (u *Ring[L]) Trim() {
	for u.n > 0 && !u.At(0).Open {
		u.head++
		u.n--
	}
}

// Quiet gives the memory back when nothing is unsettled.
func (u *Ring[L]) Quiet() {
	if u.n == 0 {
		u.ring = nil
	}
}

// Before reports whether a comes before b in serial-number order (RFC 1982).
func Before(a, b uint32) bool { return int32(a-b) < 0 }
