package store

import (
	"sort"
	"sync"
	"time"
)

// partition is a ring of entries that drops its oldest when either bound is
// passed. The ring grows to its bound by need, by doubling.
type partition struct {
	maxEntries, maxBytes int

	mu    sync.RWMutex
	ring  []Entry
	head  int   // index of the oldest
	n     int   // entries held
	bytes int   // of their values
	next  int64 // sequence of the next
	last  Entry // newest ever, without value
	end   int64 // offset of the next
}

func (p *partition) append(at time.Time, value []byte) Entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.Before(p.last.Time) {
		at = p.last.Time
	}
	for p.n > 0 && (p.n >= p.maxEntries || p.bytes+len(value) > p.maxBytes) {
		p.dropOldest()
	}
	if p.n == len(p.ring) {
		p.grow()
	}
	e := Entry{Sequence: p.next, Offset: p.end, Time: at, Value: value}
	p.ring[(p.head+p.n)%len(p.ring)] = e
	p.n++
	p.bytes += len(value)
	p.next++
	p.end += int64(len(value)) + 1 // so that empty values advance it too
	p.last = e
	p.last.Value = nil
	return e
}

func (p *partition) dropOldest() {
	p.bytes -= len(p.ring[p.head].Value)
	p.ring[p.head] = Entry{}
	p.head = (p.head + 1) % len(p.ring)
	p.n--
}

func (p *partition) grow() {
	ring := make([]Entry, max(16, 2*len(p.ring)))
	for i := range p.n {
		ring[i] = *p.at(i)
	}
	p.ring, p.head = ring, 0
}

// at returns the i-th oldest entry.
func (p *partition) at(i int) *Entry { return &p.ring[(p.head+i)%len(p.ring)] }

func (p *partition) read(from int64, limit int) []Entry {
	p.mu.RLock()
	defer p.mu.RUnlock()
	i := int(max(0, from-(p.next-int64(p.n))))
	if i >= p.n {
		return nil
	}
	out := make([]Entry, min(limit, p.n-i))
	for j := range out {
		out[j] = *p.at(i + j)
	}
	return out
}

func (p *partition) seek(t time.Time) int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	i := sort.Search(p.n, func(i int) bool { return !p.at(i).Time.Before(t) })
	return p.next - int64(p.n) + int64(i)
}

func (p *partition) bounds() Bounds {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return Bounds{First: p.next - int64(p.n), Next: p.next, Last: p.last}
}
