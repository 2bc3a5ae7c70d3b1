package amqpclient

import "sort"

// entry is a delivery that is not settled yet, in either direction.
type entry struct {
	link   *link
	token  uint64 // the caller's; unused for what came in
	id     uint32
	open   bool // not settled
	second bool // the peer settles behind us
	told   bool // its outcome has been said, and the peer has yet to settle it
}

// unsettled are the deliveries of a session in one direction, in the order of
// their delivery-ids, which are serial numbers (RFC 1982) and may have gaps: uAMQP numbers
// a delivery by its first transfer. What is settled at the front leaves; what is
// settled in the middle stays until it is at the front or is the better half.
type unsettled struct {
	ring []entry // its length is a power of two
	head uint32  // index of the oldest, modulo the length
	n    uint32  // entries in use
	open int     // of them not settled
}

// smallRing is how many entries the first ring has.
const smallRing = 16

func (u *unsettled) at(i uint32) *entry { return &u.ring[(u.head+i)&uint32(len(u.ring)-1)] }

// push adds a delivery, whose id must be later than all that are in. What it returns holds until
// the next push.
func (u *unsettled) push(id uint32, l *link, token uint64) *entry {
	if int(u.n) == len(u.ring) {
		u.makeRoom()
	}
	u.n++
	e := u.at(u.n - 1)
	*e = entry{link: l, token: token, id: id, open: true}
	u.open++
	return e
}

// makeRoom drops what is settled, and doubles the ring if that was less than half.
func (u *unsettled) makeRoom() {
	size := len(u.ring)
	if 2*u.open >= size {
		size = max(smallRing, 2*size)
	}
	ring, k := make([]entry, size), uint32(0)
	for i := range u.n {
		if e := u.at(i); e.open {
			ring[k] = *e
			k++
		}
	}
	u.ring, u.head, u.n = ring, 0, k
}

// search returns the place of the first entry whose id is not before id.
func (u *unsettled) search(id uint32) uint32 {
	if u.n == 0 {
		return 0
	}
	// Where there are no gaps, the id says the place.
	if i := id - u.at(0).id; i < u.n && u.at(i).id == id {
		return i
	}
	return uint32(sort.Search(int(u.n), func(i int) bool { return !before(u.at(uint32(i)).id, id) }))
}

// find returns the delivery of that id, or nil when it is unknown or settled.
func (u *unsettled) find(id uint32) *entry {
	if i := u.search(id); i < u.n {
		if e := u.at(i); e.id == id && e.open {
			return e
		}
	}
	return nil
}

// settle takes a delivery out.
func (u *unsettled) settle(e *entry) {
	u.close(e)
	u.trim()
}

// drop takes all deliveries of a link out.
func (u *unsettled) drop(l *link) {
	for i := range u.n {
		if e := u.at(i); e.link == l {
			u.close(e)
		}
	}
	u.trim()
}

func (u *unsettled) close(e *entry) {
	e.open, e.link = false, nil
	u.open--
}

func (u *unsettled) trim() {
	for u.n > 0 && !u.at(0).open {
		u.head++
		u.n--
	}
}

// quiet gives the memory back when nothing is unsettled.
func (u *unsettled) quiet() {
	if u.n == 0 {
		u.ring = nil
	}
}

// before reports whether a comes before b in serial-number order (RFC 1982).
func before(a, b uint32) bool { return int32(a-b) < 0 }
