package store

import (
	"slices"
	"sort"
	"sync"
	"time"
)

const (
	// blockSize is how much of a log is allocated at once, in bytes.
	blockSize = 32 << 10
	// readBytes bounds what one Read copies, unless a single value is larger.
	readBytes = 64 << 10
)

// partition is a stream of bytes, the values one behind the other, and a ring
// that says where in it each begins. It drops its oldest entries when either
// bound is passed. The stream lies in blocks that are used again, and neither
// blocks nor ring hold pointers: a full log costs the garbage collector nothing
// and appending to it hardly allocates. The ring grows to its bound by need,
// by doubling.
type partition struct {
	maxEntries, maxBytes int

	mu     sync.RWMutex
	ring   []slot
	head   int // index of the oldest
	n      int // entries held
	blocks []*[blockSize]byte
	start  int64            // position in the stream of blocks[0]
	spare  *[blockSize]byte // or nil
	end    int64            // position of the next value
	next   int64            // sequence of the next
	last   Entry            // newest ever, without value
}

// slot is what is known of an entry.
type slot struct {
	position  int64 // in the stream
	sec, nsec int64 // when it was appended, since 1970
}

func (p *partition) append(at time.Time, value []byte) Entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.Before(p.last.Time) {
		at = p.last.Time
	}
	for p.n > 0 && (p.n >= p.maxEntries || p.end-p.at(0).position+int64(len(value)) > int64(p.maxBytes)) {
		p.dropOldest()
	}
	if p.n == len(p.ring) {
		p.grow()
	}
	p.n++
	*p.at(p.n - 1) = slot{p.end, at.Unix(), int64(at.Nanosecond())}
	p.last = Entry{Sequence: p.next, Offset: p.end + p.next, Time: at}
	p.next++
	p.write(value)
	return p.last
}

// write adds to the end of the stream.
func (p *partition) write(b []byte) {
	for len(b) > 0 {
		i := int(p.end-p.start) / blockSize
		if i == len(p.blocks) {
			p.blocks = append(p.blocks, p.block())
		}
		n := copy(p.blocks[i][(p.end-p.start)%blockSize:], b)
		b, p.end = b[n:], p.end+int64(n)
	}
}

func (p *partition) block() *[blockSize]byte {
	b := p.spare
	if p.spare = nil; b == nil {
		b = new([blockSize]byte)
	}
	return b
}

// copyAt fills b from a position of the stream.
func (p *partition) copyAt(b []byte, position int64) {
	for len(b) > 0 {
		i := position - p.start
		n := copy(b, p.blocks[i/blockSize][i%blockSize:])
		b, position = b[n:], position+int64(n)
	}
}

// dropOldest drops the oldest entry, and the blocks that nothing is left in.
func (p *partition) dropOldest() {
	p.head = (p.head + 1) % len(p.ring)
	p.n--
	for left := p.positionOf(0) - p.start; left >= blockSize; left -= blockSize {
		p.spare, p.blocks[0] = p.blocks[0], nil
		p.blocks = p.blocks[1:]
		p.start += blockSize
	}
}

func (p *partition) grow() {
	ring := make([]slot, min(max(16, 2*len(p.ring)), p.maxEntries))
	for i := range p.n {
		ring[i] = *p.at(i)
	}
	p.ring, p.head = ring, 0
}

// at returns the i-th oldest entry.
func (p *partition) at(i int) *slot {
	if i += p.head; i >= len(p.ring) {
		i -= len(p.ring)
	}
	return &p.ring[i]
}

// positionOf is the position of the i-th oldest entry, of which there may be i.
func (p *partition) positionOf(i int) int64 {
	if i == p.n {
		return p.end
	}
	return p.at(i).position
}

// read fills into, which is empty.
func (p *partition) read(from int64, limit int, into *Page) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	first := int(max(0, from-p.oldest()))
	if first >= p.n || limit <= 0 {
		return
	}
	begin, n := p.positionOf(first), 1
	for n < min(limit, p.n-first) && p.positionOf(first+n+1)-begin <= readBytes {
		n++
	}
	into.Bytes = slices.Grow(into.Bytes, int(p.positionOf(first+n)-begin))[:p.positionOf(first+n)-begin]
	p.copyAt(into.Bytes, begin)
	into.Entries = slices.Grow(into.Entries, n)
	for i := first; i < first+n; i++ {
		s, to := p.at(i), p.positionOf(i+1)-begin
		into.Entries = append(into.Entries, Entry{
			Sequence: p.oldest() + int64(i),
			Offset:   p.offsetOf(i),
			Time:     time.Unix(s.sec, s.nsec).UTC(),
			Value:    into.Bytes[s.position-begin : to : to],
		})
	}
}

// oldest is the sequence of the oldest entry.
func (p *partition) oldest() int64 { return p.next - int64(p.n) }

// offsetOf is the offset of the i-th oldest entry: its position, and its sequence, so that
// empty values advance it too.
func (p *partition) offsetOf(i int) int64 { return p.at(i).position + p.oldest() + int64(i) }

func (p *partition) seek(t time.Time) int64 {
	return p.search(func(i int) bool {
		s := p.at(i)
		return !time.Unix(s.sec, s.nsec).Before(t)
	})
}

func (p *partition) seekOffset(offset int64) int64 {
	return p.search(func(i int) bool { return p.offsetOf(i) >= offset })
}

// search returns the sequence of the oldest entry that is, as all behind it are.
func (p *partition) search(is func(i int) bool) int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.oldest() + int64(sort.Search(p.n, is))
}

func (p *partition) bounds() Bounds {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return Bounds{First: p.oldest(), Next: p.next, Last: p.last}
}
