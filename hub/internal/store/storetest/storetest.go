// Package storetest holds the tests that every [store.Store] passes.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// Run tests the stores that open makes. Each has at least two partitions, and
// each of those room for 64 entries and 1 MiB. Run closes what it opened.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	cases := []struct {
		name string
		test func(t *testing.T, s store.Store)
	}{
		{"a record that was never put is not found", notFound},
		{"a put is read back", putGet},
		{"put checks the version it replaces", compareAndSwap},
		{"a version never comes back after a delete", versionsNeverRepeat},
		{"deleting a missing record is no error", deleteMissing},
		{"a scan is in the order of the keys", scanOrder},
		{"a scan goes on where it was cut", scanPages},
		{"one of many concurrent puts wins", concurrentPut},
		{"the log numbers entries from zero", logSequence},
		{"offsets and times of the log never go back", logMonotonic},
		{"partitions do not share their log", logPartitions},
		{"reading starts at the wanted sequence", logReadFrom},
		{"the log keeps nothing of what it was given", logCopies},
		{"values of all sizes come back as they were", logSizes},
		{"seek finds the first entry of a time", logSeek},
		{"seek finds the first entry of an offset", logSeekOffset},
		{"a page is filled again in the memory that it has", logPageAgain},
		{"concurrent appends lose nothing", logConcurrent},
		{"an unknown partition is refused", unknownPartition},
		{"a closed store refuses everything", closed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			defer s.Close()
			c.test(t, s)
		})
	}
}

var ctx = context.Background()

func key(kind store.Kind, device, module string, seq uint64) store.Key {
	return store.Key{Kind: kind, ID: hubwire.Identity{DeviceID: device, ModuleID: module}, Seq: seq}
}

func put(t *testing.T, s store.Store, k store.Key, value string, prev uint64) uint64 {
	t.Helper()
	v, err := s.Put(ctx, k, []byte(value), prev)
	if err != nil {
		t.Fatalf("Put(%v, prev %d): %v", k, prev, err)
	}
	return v
}

func notFound(t *testing.T, s store.Store) {
	if _, err := s.Get(ctx, key(store.Twins, "d", "", 0)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get = %v, want ErrNotFound", err)
	}
}

func putGet(t *testing.T, s store.Store) {
	k := key(store.Twins, "d", "m", 7)
	v := put(t, s, k, "one", 0)
	put(t, s, key(store.Identities, "d", "m", 7), "another kind", 0)
	r, err := s.Get(ctx, k)
	if err != nil || r.Key != k || r.Version != v || string(r.Value) != "one" {
		t.Errorf("Get = %+v, %v; want version %d, one", r, err, v)
	}
}

func compareAndSwap(t *testing.T, s store.Store) {
	k := key(store.Twins, "d", "", 0)
	if _, err := s.Put(ctx, k, nil, 1); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Put over a missing record = %v, want ErrConflict", err)
	}
	v1 := put(t, s, k, "one", 0)
	if _, err := s.Put(ctx, k, nil, 0); !errors.Is(err, store.ErrConflict) {
		t.Errorf("second create = %v, want ErrConflict", err)
	}
	v2 := put(t, s, k, "two", v1)
	if v2 == v1 || v2 == 0 {
		t.Errorf("versions %d, %d", v1, v2)
	}
	if _, err := s.Put(ctx, k, nil, v1); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Put over an old version = %v, want ErrConflict", err)
	}
	if r, err := s.Get(ctx, k); err != nil || string(r.Value) != "two" || r.Version != v2 {
		t.Errorf("after conflicts Get = %+v, %v", r, err)
	}
}

func versionsNeverRepeat(t *testing.T, s store.Store) {
	k := key(store.Identities, "d", "", 0)
	v1 := put(t, s, k, "one", 0)
	if err := s.Delete(ctx, k); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, k); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get after Delete = %v, want ErrNotFound", err)
	}
	if v2 := put(t, s, k, "two", 0); v2 == v1 {
		t.Errorf("version %d came back", v2)
	}
	if _, err := s.Put(ctx, k, nil, v1); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Put with the deleted version = %v, want ErrConflict", err)
	}
}

func deleteMissing(t *testing.T, s store.Store) {
	put(t, s, key(store.Queue, "d", "", 1), "x", 0)
	for _, k := range []store.Key{key(store.Queue, "d", "", 2), key(store.Feedback, "e", "", 0)} {
		if err := s.Delete(ctx, k); err != nil {
			t.Errorf("Delete(%v) = %v", k, err)
		}
	}
}

// ordered are keys of one kind in their order.
var ordered = []store.Key{
	key(store.Queue, "", "", 3),
	key(store.Queue, "a", "", 0),
	key(store.Queue, "a", "", 2),
	key(store.Queue, "a", "", 10),
	key(store.Queue, "a", "$edgeAgent", 1),
	key(store.Queue, "a", "m", 0),
	key(store.Queue, "a-1", "", 0),
	key(store.Queue, "b", "", 0),
}

func fillOrdered(t *testing.T, s store.Store) {
	t.Helper()
	for _, i := range []int{5, 0, 7, 3, 1, 6, 2, 4} {
		put(t, s, ordered[i], fmt.Sprint(i), 0)
	}
	put(t, s, key(store.Twins, "a", "", 0), "another kind", 0)
}

func scan(t *testing.T, s store.Store, from store.Key, limit int) (keys []store.Key) {
	t.Helper()
	rs, err := s.Scan(ctx, from, limit)
	if err != nil {
		t.Fatalf("Scan(%v): %v", from, err)
	}
	for _, r := range rs {
		keys = append(keys, r.Key)
	}
	return keys
}

func scanOrder(t *testing.T, s store.Store) {
	fillOrdered(t, s)
	if got := scan(t, s, store.Key{Kind: store.Queue}, 100); !slices.Equal(got, ordered) {
		t.Errorf("Scan = %v, want %v", got, ordered)
	}
	if got := scan(t, s, key(store.Queue, "a", "", 3), 100); !slices.Equal(got, ordered[3:]) {
		t.Errorf("Scan from the middle = %v, want %v", got, ordered[3:])
	}
	if got := scan(t, s, key(store.Queue, "c", "", 0), 100); len(got) != 0 {
		t.Errorf("Scan past the end = %v", got)
	}
	if err := s.Delete(ctx, ordered[6]); err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(ordered[:6], ordered[7:])
	if got := scan(t, s, store.Key{Kind: store.Queue}, 100); !slices.Equal(got, want) {
		t.Errorf("Scan after Delete = %v, want %v", got, want)
	}
}

func scanPages(t *testing.T, s store.Store) {
	fillOrdered(t, s)
	var got []store.Key
	from := store.Key{Kind: store.Queue}
	for {
		page := scan(t, s, from, 3)
		if len(page) == 0 {
			break
		}
		if len(page) > 3 {
			t.Fatalf("a page of 3 has %d", len(page))
		}
		got = append(got, page...)
		from = page[len(page)-1]
		from.Seq++
	}
	if !slices.Equal(got, ordered) {
		t.Errorf("pages gave %v, want %v", got, ordered)
	}
}

func concurrentPut(t *testing.T, s store.Store) {
	k := key(store.Identities, "d", "", 0)
	v := put(t, s, k, "start", 0)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 16 {
		wg.Go(func() {
			if _, err := s.Put(ctx, k, []byte("x"), v); err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			} else if !errors.Is(err, store.ErrConflict) {
				t.Errorf("Put: %v", err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d puts over one version succeeded, want 1", won)
	}
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func appendLog(t *testing.T, s store.Store, p int, at time.Time, value string) store.Entry {
	t.Helper()
	e, err := s.Append(ctx, p, at, []byte(value))
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return e
}

// read is Store.Read into a page of its own.
func read(s store.Store, p int, from int64, limit int) ([]store.Entry, error) {
	var page store.Page
	err := s.Read(ctx, p, from, limit, &page)
	return page.Entries, err
}

func logSequence(t *testing.T, s store.Store) {
	b, err := s.Bounds(ctx, 0)
	if err != nil || b.First != 0 || b.Next != 0 || !b.Last.Time.IsZero() {
		t.Errorf("Bounds of an empty log = %+v, %v", b, err)
	}
	if es, err := read(s, 0, 0, 10); err != nil || len(es) != 0 {
		t.Errorf("Read of an empty log = %v, %v", es, err)
	}
	for i := range 20 {
		if e := appendLog(t, s, 0, start, fmt.Sprint(i)); e.Sequence != int64(i) {
			t.Fatalf("entry %d has sequence %d", i, e.Sequence)
		}
	}
	es, err := read(s, 0, 0, 100)
	if err != nil || len(es) != 20 {
		t.Fatalf("Read = %d entries, %v; want 20", len(es), err)
	}
	for i, e := range es {
		if e.Sequence != int64(i) || string(e.Value) != fmt.Sprint(i) {
			t.Errorf("entry %d = %d %q", i, e.Sequence, e.Value)
		}
	}
}

func logMonotonic(t *testing.T, s store.Store) {
	appendLog(t, s, 0, start.Add(time.Second), "a")
	b := appendLog(t, s, 0, start, "") // the clock went back
	c := appendLog(t, s, 0, start.Add(time.Minute), "c")
	if !b.Time.Equal(start.Add(time.Second)) || !c.Time.Equal(start.Add(time.Minute)) {
		t.Errorf("times %v, %v", b.Time, c.Time)
	}
	es, err := read(s, 0, 0, 3)
	if err != nil || len(es) != 3 || es[0].Offset >= es[1].Offset || es[1].Offset >= es[2].Offset {
		t.Errorf("Read = %+v, %v; want growing offsets", es, err)
	}
	bounds, err := s.Bounds(ctx, 0)
	if err != nil || bounds.Next != 3 || bounds.Last.Sequence != 2 || bounds.Last.Offset != c.Offset || !bounds.Last.Time.Equal(c.Time) {
		t.Errorf("Bounds = %+v, %v", bounds, err)
	}
}

func logPartitions(t *testing.T, s store.Store) {
	appendLog(t, s, 0, start, "zero")
	if e := appendLog(t, s, 1, start, "one"); e.Sequence != 0 {
		t.Errorf("first entry of partition 1 has sequence %d", e.Sequence)
	}
	es, err := read(s, 1, 0, 10)
	if err != nil || len(es) != 1 || string(es[0].Value) != "one" {
		t.Errorf("Read(1) = %v, %v", es, err)
	}
}

func logReadFrom(t *testing.T, s store.Store) {
	for i := range 10 {
		appendLog(t, s, 0, start, fmt.Sprint(i))
	}
	es, err := read(s, 0, 4, 3)
	if err != nil || len(es) != 3 || es[0].Sequence != 4 || string(es[2].Value) != "6" {
		t.Errorf("Read(from 4, max 3) = %+v, %v", es, err)
	}
	if es, err := read(s, 0, 10, 3); err != nil || len(es) != 0 {
		t.Errorf("Read at the end = %v, %v", es, err)
	}
}

func logCopies(t *testing.T, s store.Store) {
	value := []byte("as it was")
	if _, err := s.Append(ctx, 0, start, value); err != nil {
		t.Fatal(err)
	}
	copy(value, "poison!!!")
	for range 2 {
		es, err := read(s, 0, 0, 1)
		if err != nil || len(es) != 1 || string(es[0].Value) != "as it was" {
			t.Fatalf("Read = %+v, %v", es, err)
		}
		copy(es[0].Value, "poison!!!") // it is the caller's
	}
}

func logSizes(t *testing.T, s store.Store) {
	sizes := []int{0, 1, 40_000, 0, 300_000, 7, 25_000}
	value := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, sizes[i]) }
	for i := range sizes {
		if _, err := s.Append(ctx, 0, start, value(i)); err != nil {
			t.Fatal(err)
		}
	}
	for next := 0; next < len(sizes); {
		es, err := read(s, 0, int64(next), len(sizes))
		if err != nil || len(es) == 0 {
			t.Fatalf("Read from %d = %d entries, %v", next, len(es), err)
		}
		for _, e := range es {
			if e.Sequence != int64(next) || !bytes.Equal(e.Value, value(next)) {
				t.Errorf("entry %d = number %d, %d bytes, want %d", next, e.Sequence, len(e.Value), sizes[next])
			}
			next++
		}
	}
}

func logSeek(t *testing.T, s store.Store) {
	for _, d := range []time.Duration{0, 10, 10, 30} {
		appendLog(t, s, 0, start.Add(d*time.Second), "x")
	}
	for d, want := range map[time.Duration]int64{-5: 0, 0: 0, 1: 1, 10: 1, 11: 3, 30: 3, 31: 4} {
		got, err := s.Seek(ctx, 0, start.Add(d*time.Second))
		if err != nil || got != want {
			t.Errorf("Seek(start + %d s) = %d, %v; want %d", d, got, err, want)
		}
	}
}

func logSeekOffset(t *testing.T, s store.Store) {
	var offsets []int64
	for _, value := range []string{"", "", "three", "four"} {
		offsets = append(offsets, appendLog(t, s, 0, start, value).Offset)
	}
	offsets = append(offsets, offsets[3]+1) // behind the end, wherever the next will be
	for want, offset := range offsets {
		got, err := s.SeekOffset(ctx, 0, offset)
		if err != nil || got != int64(want) {
			t.Errorf("SeekOffset(%d) = %d, %v; want %d", offset, got, err, want)
		}
		if want == 0 {
			continue
		}
		if got, _ := s.SeekOffset(ctx, 0, offsets[want-1]+1); got != int64(want) {
			t.Errorf("SeekOffset behind entry %d = %d", want-1, got)
		}
	}
}

func logPageAgain(t *testing.T, s store.Store) {
	for i := range 20 {
		appendLog(t, s, 0, start, strings.Repeat("x", i))
	}
	var page store.Page
	for from := range int64(20) {
		if err := s.Read(ctx, 0, from, 7, &page); err != nil {
			t.Fatal(err)
		}
		if want := min(7, 20-int(from)); len(page.Entries) != want {
			t.Fatalf("%d entries from %d, want %d", len(page.Entries), from, want)
		}
		at := 0
		for i, e := range page.Entries {
			if e.Sequence != from+int64(i) || len(e.Value) != int(from)+i || len(e.Value) > 0 && &e.Value[0] != &page.Bytes[at] {
				t.Errorf("entry %d from %d is %d, %q", i, from, e.Sequence, e.Value)
			}
			at += len(e.Value)
		}
		if at != len(page.Bytes) {
			t.Errorf("%d of %d bytes belong to entries", at, len(page.Bytes))
		}
	}
	if err := s.Read(ctx, -1, 0, 7, &page); err == nil || len(page.Entries)+len(page.Bytes) != 0 {
		t.Errorf("after the error %v the page has %d entries", err, len(page.Entries))
	}
}

func logConcurrent(t *testing.T, s store.Store) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 8 {
				if _, err := s.Append(ctx, 1, start, make([]byte, 100)); err != nil {
					t.Errorf("Append: %v", err)
				}
			}
		})
	}
	wg.Wait()
	es, err := read(s, 1, 0, 100)
	if err != nil || len(es) != 64 {
		t.Fatalf("Read = %d entries, %v; want 64", len(es), err)
	}
	for i, e := range es {
		if e.Sequence != int64(i) {
			t.Errorf("entry %d has sequence %d", i, e.Sequence)
		}
	}
}

func unknownPartition(t *testing.T, s store.Store) {
	for _, p := range []int{-1, s.Partitions()} {
		if _, err := s.Append(ctx, p, start, nil); !errors.Is(err, store.ErrPartition) {
			t.Errorf("Append(%d) = %v, want ErrPartition", p, err)
		}
		if _, err := read(s, p, 0, 1); !errors.Is(err, store.ErrPartition) {
			t.Errorf("Read(%d) = %v, want ErrPartition", p, err)
		}
		if _, err := s.Seek(ctx, p, start); !errors.Is(err, store.ErrPartition) {
			t.Errorf("Seek(%d) = %v, want ErrPartition", p, err)
		}
		if _, err := s.SeekOffset(ctx, p, 0); !errors.Is(err, store.ErrPartition) {
			t.Errorf("SeekOffset(%d) = %v, want ErrPartition", p, err)
		}
		if _, err := s.Bounds(ctx, p); !errors.Is(err, store.ErrPartition) {
			t.Errorf("Bounds(%d) = %v, want ErrPartition", p, err)
		}
	}
}

func closed(t *testing.T, s store.Store) {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	k := key(store.Twins, "d", "", 0)
	_, err1 := s.Get(ctx, k)
	_, err2 := s.Put(ctx, k, nil, 0)
	err3 := s.Delete(ctx, k)
	_, err4 := s.Scan(ctx, k, 1)
	_, err5 := s.Append(ctx, 0, start, nil)
	for i, err := range []error{err1, err2, err3, err4, err5} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("call %d after Close = %v, want ErrClosed", i+1, err)
		}
	}
}
