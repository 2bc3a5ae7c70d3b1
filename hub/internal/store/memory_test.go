package store_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/hub/internal/store/storetest"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestMemoryPassesTheConformanceTests(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return store.NewMemory(nil) })
}

func TestLogDropsTheOldestAndKeepsItsNumbers(t *testing.T) {
	ctx := context.Background()
	cases := []struct {
		name  string
		o     store.MemoryOptions
		first int64 // oldest left after 100 entries of 10 bytes
	}{
		{"by count", store.MemoryOptions{LogEntries: 7}, 93},
		{"by bytes", store.MemoryOptions{LogBytes: 55}, 95},
		{"the newest stays although it is over the bound", store.MemoryOptions{LogBytes: 5}, 99},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := store.NewMemory(&c.o)
			for range 100 {
				if _, err := s.Append(ctx, 2, time.Time{}, make([]byte, 10)); err != nil {
					t.Fatal(err)
				}
			}
			b, err := s.Bounds(ctx, 2)
			if err != nil || b.First != c.first || b.Next != 100 {
				t.Errorf("Bounds = %+v, %v; want %d to 100", b, err, c.first)
			}
			es, err := read(s, 2, 0, 1000)
			if err != nil || len(es) != int(100-c.first) || es[0].Sequence != c.first || es[0].Offset != 11*c.first {
				t.Errorf("Read = %+v, %v; want it to start at %d", es, err, c.first)
			}
		})
	}
}

// TestLogHoldsWhatASliceWould appends values of random sizes to a log with tight
// bounds, and to a slice that is cut by the same rule.
func TestLogHoldsWhatASliceWould(t *testing.T) {
	const entries, size = 50, 200_000
	ctx := context.Background()
	s := store.NewMemory(&store.MemoryOptions{LogEntries: entries, LogBytes: size})
	rnd := rand.New(rand.NewPCG(1, 2))
	var model []store.Entry
	held, offset := 0, int64(0)
	for i := range int64(2000) {
		value := bytes.Repeat([]byte{byte(i)}, rnd.IntN(1<<rnd.IntN(18)))
		at := time.Unix(i/3, i).UTC()
		for len(model) > 0 && (len(model) == entries || held+len(value) > size) {
			held -= len(model[0].Value)
			model = model[1:]
		}
		model = append(model, store.Entry{Sequence: i, Offset: offset, Time: at, Value: value})
		held += len(value)
		offset += int64(len(value)) + 1
		if _, err := s.Append(ctx, 0, at, value); err != nil {
			t.Fatal(err)
		}
		if i%7 != 0 {
			continue
		}
		var got []store.Entry
		for next := int64(0); ; next = got[len(got)-1].Sequence + 1 {
			es, err := read(s, 0, next, 1+rnd.IntN(20))
			if err != nil {
				t.Fatal(err)
			}
			if len(es) == 0 {
				break
			}
			got = append(got, es...)
		}
		if !slices.EqualFunc(model, got, sameEntry) {
			t.Fatalf("after %d entries the log holds %d, want %d", i+1, len(got), len(model))
		}
		want := model[rnd.IntN(len(model))]
		if seq, err := s.Seek(ctx, 0, want.Time); err != nil || seq != want.Sequence {
			t.Fatalf("Seek(%v) = %d, %v; want %d", want.Time, seq, err, want.Sequence)
		}
	}
}

func sameEntry(a, b store.Entry) bool {
	return a.Sequence == b.Sequence && a.Offset == b.Offset && a.Time.Equal(b.Time) && bytes.Equal(a.Value, b.Value)
}

func TestAFullLogAllocatesNothing(t *testing.T) {
	ctx := context.Background()
	s := store.NewMemory(&store.MemoryOptions{LogEntries: 500})
	value, at := make([]byte, 300), time.Now()
	add := func() {
		if _, err := s.Append(ctx, 0, at, value); err != nil {
			t.Fatal(err)
		}
	}
	for range 2000 {
		add()
	}
	testkit.NoAllocs(t, "Append", add)
}

// read is Store.Read into a page of its own.
func read(s store.Store, p int, from int64, limit int) ([]store.Entry, error) {
	var page store.Page
	err := s.Read(context.Background(), p, from, limit, &page)
	return page.Entries, err
}
