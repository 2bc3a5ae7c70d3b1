package main

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"
)

func TestMachineTicks(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     int64
		err      error
	}{
		{"all but idle, waiting and guests", "cpu  1 2 4 1000 1000 8 16 32 64 128\ncpu0 7 7 7 7 7 7 7 7 7 7\n", 63, nil},
		{"another first line", "cpu0 1 2 3 4 5 6 7 8\n", 0, errForm},
		{"too few fields", "cpu  1 2 3 4\n", 0, errForm},
		{"no number", "cpu  1 x 3 4 5 6 7 8\n", 0, errForm},
		{"nothing", "", 0, errForm},
	} {
		if got, err := machineTicks([]byte(tt.in)); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %d, %v, want %d, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func TestOwnTicks(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     int64
		err      error
	}{
		{"user and system time, and that of children that are gone", "42 (gates) R 1 2 3 4 5 6 7 8 9 10 300 17 2000 1 20", 2318, nil},
		{"a name with blanks and brackets", "42 (a) (b c) R 1 2 3 4 5 6 7 8 9 10 300 17 0 0 20", 317, nil},
		{"too few fields", "42 (gates) R 1 2", 0, errForm},
		{"nothing", "", 0, errForm},
	} {
		if got, err := ownTicks([]byte(tt.in)); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %d, %v, want %d, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func TestWhatOthersUsed(t *testing.T) {
	before := ticks{machine: 1000, own: 500}
	for _, tt := range []struct {
		name  string
		after ticks
		want  float64 // cores
	}{
		{"nothing but this process", ticks{1200, 700}, 0},
		{"half a core", ticks{1300, 700}, 0.5},
		{"a core and a half", ticks{1300, 500}, 1.5},
		{"counted a little late", ticks{1199, 700}, 0},
	} {
		if got := tt.after.others(before, 2*time.Second); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestWhatHasRetiredCountsStill(t *testing.T) {
	var p pids
	me, used := os.Getpid(), int64(0)
	for used == 0 {
		spin(1000)
		var err error
		if used, err = ticksOf(me); errors.Is(err, fs.ErrNotExist) {
			t.Skip("this system has no /proc")
		} else if err != nil {
			t.Fatal(err)
		}
	}
	p.add(me)
	alive, err := p.ticks()
	p.retire(me)
	after, err2 := p.ticks()
	if err := errors.Join(err, err2); err != nil || alive < used || after < alive || len(p.list()) > 0 {
		t.Errorf("%d ticks, then %d, and of the rest %d, %v; %v", used, alive, after, p.list(), err)
	}
}
