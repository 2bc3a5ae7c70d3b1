package main

import (
	"errors"
	"os"
	"runtime"
	"time"
)

// usage is what a process has used since it began, or within a stretch.
type usage struct {
	CPU        time.Duration // user and system
	Wall       time.Duration // since the process began to count
	Allocs     int64
	RSS        int64 // bytes
	Heap       int64 // bytes of what is in use, and garbage
	Peak       int64 // the most RSS there was at any time
	Goroutines int64
	Count      int64 // of the messages that it has taken in or seen acknowledged

	// Of a client whose tokens are renewed:
	Sent       int64 // messages
	Renewals   int64
	Reconnects int64

	P99   time.Duration // the 99th percentile of how long they took, in the last stretch
	Worst time.Duration // the longest
}

var began = time.Now()

// used returns what this process has used so far, but for Count.
func used() (usage, error) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	cpu, err := cpuTime()
	rss, err2 := residentSize()
	peak, err3 := peakSize()
	return usage{
		CPU:        cpu,
		Wall:       time.Since(began),
		Allocs:     int64(mem.Mallocs),
		RSS:        rss,
		Heap:       int64(mem.HeapAlloc),
		Peak:       peak,
		Goroutines: int64(runtime.NumGoroutine()),
	}, errors.Join(err, err2, err3)
}

// since returns what was used after before.
func (u usage) since(before usage) usage {
	return usage{
		CPU:        u.CPU - before.CPU,
		Wall:       u.Wall - before.Wall,
		Allocs:     u.Allocs - before.Allocs,
		RSS:        u.RSS - before.RSS,
		Heap:       u.Heap - before.Heap,
		Peak:       u.Peak,
		Goroutines: u.Goroutines - before.Goroutines,
		Count:      u.Count - before.Count,
		Sent:       u.Sent - before.Sent,
		Renewals:   u.Renewals - before.Renewals,
		Reconnects: u.Reconnects - before.Reconnects,
		P99:        u.P99,
		Worst:      u.Worst,
	}
}

// plus returns what was used in two stretches together.
func (u usage) plus(v usage) usage {
	return usage{
		CPU:        u.CPU + v.CPU,
		Wall:       u.Wall + v.Wall,
		Allocs:     u.Allocs + v.Allocs,
		RSS:        u.RSS + v.RSS,
		Heap:       u.Heap + v.Heap,
		Goroutines: u.Goroutines + v.Goroutines,
		Count:      u.Count + v.Count,
	}
}

// pageBytes is the unit of /proc/self/statm.
var pageBytes = int64(os.Getpagesize())
