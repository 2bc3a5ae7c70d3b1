package store

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Memory is a [Store] that is gone with its process. It starts no goroutine
// and reads no clock. Records are kept by device, so that a scan over one
// device is cheap however many there are.
type Memory struct {
	parts  []*partition
	closed atomic.Bool

	mu      sync.RWMutex // guards what follows
	version uint64
	tables  map[Kind]*table
}

// MemoryOptions bound a [Memory]. nil and zero fields mean the defaults.
type MemoryOptions struct {
	// Partitions of the event log. 0 means 4, as a new IoT Hub has.
	Partitions int

	// LogEntries is how many entries a partition holds before it drops the
	// oldest. 0 means 100,000.
	LogEntries int

	// LogBytes is how many bytes of values a partition holds before it drops
	// the oldest; the newest entry always stays. 0 means 64 MiB.
	LogBytes int
}

// NewMemory returns an empty Memory.
func NewMemory(o *MemoryOptions) *Memory {
	var opt MemoryOptions
	if o != nil {
		opt = *o
	}
	opt.Partitions = cmp.Or(opt.Partitions, 4)
	opt.LogEntries = cmp.Or(opt.LogEntries, 100_000)
	opt.LogBytes = cmp.Or(opt.LogBytes, 64<<20)
	m := &Memory{tables: map[Kind]*table{}}
	for range opt.Partitions {
		m.parts = append(m.parts, &partition{maxEntries: opt.LogEntries, maxBytes: opt.LogBytes})
	}
	return m
}

// table holds the records of a kind: per device a sorted slice, which is
// short, and the device ids sorted when a scan needs them.
type table struct {
	devices map[string][]Record
	names   []string
	stale   bool // names lacks or has too many
}

func compareKeys(a Record, b Key) int {
	return cmp.Or(cmp.Compare(a.Key.ID.ModuleID, b.ID.ModuleID), cmp.Compare(a.Key.Seq, b.Seq))
}

// Get implements [Store].
func (m *Memory) Get(_ context.Context, k Key) (Record, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed.Load() {
		return Record{}, ErrClosed
	}
	if t := m.tables[k.Kind]; t != nil {
		rs := t.devices[k.ID.DeviceID]
		if i, ok := slices.BinarySearchFunc(rs, k, compareKeys); ok {
			return rs[i], nil
		}
	}
	return Record{}, ErrNotFound
}

// Put implements [Store].
func (m *Memory) Put(_ context.Context, k Key, value []byte, prev uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed.Load() {
		return 0, ErrClosed
	}
	t := m.tables[k.Kind]
	if t == nil {
		t = &table{devices: map[string][]Record{}}
		m.tables[k.Kind] = t
	}
	rs, known := t.devices[k.ID.DeviceID]
	i, found := slices.BinarySearchFunc(rs, k, compareKeys)
	if found && rs[i].Version != prev || !found && prev != 0 {
		return 0, ErrConflict
	}
	m.version++
	r := Record{Key: k, Version: m.version, Value: value}
	if found {
		rs[i] = r
		return r.Version, nil
	}
	t.stale = t.stale || !known
	t.devices[k.ID.DeviceID] = slices.Insert(rs, i, r)
	return r.Version, nil
}

// Delete implements [Store].
func (m *Memory) Delete(_ context.Context, k Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed.Load() {
		return ErrClosed
	}
	t := m.tables[k.Kind]
	if t == nil {
		return nil
	}
	rs := t.devices[k.ID.DeviceID]
	i, found := slices.BinarySearchFunc(rs, k, compareKeys)
	if !found {
		return nil
	}
	if i == 0 { // the oldest of a queue, mostly
		rs[0] = Record{}
		rs = rs[1:]
	} else {
		rs = slices.Delete(rs, i, i+1)
	}
	if len(rs) > 0 {
		t.devices[k.ID.DeviceID] = rs
		return nil
	}
	delete(t.devices, k.ID.DeviceID)
	t.stale = true
	return nil
}

// Scan implements [Store].
func (m *Memory) Scan(_ context.Context, from Key, max int) ([]Record, error) {
	m.mu.Lock() // not RLock: it may sort the names
	defer m.mu.Unlock()
	if m.closed.Load() {
		return nil, ErrClosed
	}
	t := m.tables[from.Kind]
	if t == nil {
		return nil, nil
	}
	t.sort()
	var out []Record
	first, _ := slices.BinarySearch(t.names, from.ID.DeviceID)
	for _, name := range t.names[first:] {
		rs := t.devices[name]
		if name == from.ID.DeviceID {
			i, _ := slices.BinarySearchFunc(rs, from, compareKeys)
			rs = rs[i:]
		}
		if room := max - len(out); len(rs) > room {
			rs = rs[:room]
		}
		if out = append(out, rs...); len(out) >= max {
			break
		}
	}
	return out, nil
}

func (t *table) sort() {
	if !t.stale {
		return
	}
	t.names = t.names[:0]
	for name := range t.devices {
		t.names = append(t.names, name)
	}
	slices.Sort(t.names)
	t.stale = false
}

// Partitions implements [Store].
func (m *Memory) Partitions() int { return len(m.parts) }

// Append implements [Store].
func (m *Memory) Append(_ context.Context, p int, at time.Time, value []byte) (Entry, error) {
	part, err := m.partition(p)
	if err != nil {
		return Entry{}, err
	}
	return part.append(at, value), nil
}

// Read implements [Store].
func (m *Memory) Read(_ context.Context, p int, from int64, max int, into *Page) error {
	into.Entries, into.Bytes = into.Entries[:0], into.Bytes[:0]
	part, err := m.partition(p)
	if err != nil {
		return err
	}
	part.read(from, max, into)
	return nil
}

// Seek implements [Store].
func (m *Memory) Seek(_ context.Context, p int, t time.Time) (int64, error) {
	part, err := m.partition(p)
	if err != nil {
		return 0, err
	}
	return part.seek(t), nil
}

// SeekOffset implements [Store].
func (m *Memory) SeekOffset(_ context.Context, p int, offset int64) (int64, error) {
	part, err := m.partition(p)
	if err != nil {
		return 0, err
	}
	return part.seekOffset(offset), nil
}

// Bounds implements [Store].
func (m *Memory) Bounds(_ context.Context, p int) (Bounds, error) {
	part, err := m.partition(p)
	if err != nil {
		return Bounds{}, err
	}
	return part.bounds(), nil
}

// Close implements [Store].
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed.Store(true)
	return nil
}

func (m *Memory) partition(p int) (*partition, error) {
	if m.closed.Load() {
		return nil, ErrClosed
	}
	if p < 0 || p >= len(m.parts) {
		return nil, ErrPartition
	}
	return m.parts[p], nil
}
