package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/hub/internal/store/storetest"
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
			es, err := s.Read(ctx, 2, 0, 1000)
			if err != nil || len(es) != int(100-c.first) || es[0].Sequence != c.first || es[0].Offset != 11*c.first {
				t.Errorf("Read = %+v, %v; want it to start at %d", es, err, c.first)
			}
		})
	}
}
