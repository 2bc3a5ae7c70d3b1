package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"
)

// ticks is processor time in hundredths of a second, as Linux counts it: what all
// processors did, by /proc/stat, and what this process and its children did. Time
// that a hypervisor gave to others counts as done.
type ticks struct{ machine, own int64 }

const tick = time.Second / 100

// during runs f, and tells what the rest of the machine used meanwhile, in cores.
// Where that can't be known, which is elsewhere than on Linux, it is infinite.
func during(f func()) (others float64) {
	before, err := readTicks()
	start := time.Now()
	f()
	took := time.Since(start)
	after, err2 := readTicks()
	if err != nil || err2 != nil {
		return math.Inf(1)
	}
	return after.others(before, took)
}

func (t ticks) others(before ticks, elapsed time.Duration) float64 {
	n := (t.machine - before.machine) - (t.own - before.own)
	return math.Max(0, float64(n)) * float64(tick) / float64(elapsed)
}

func readTicks() (t ticks, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t, err
	}
	if t.machine, err = machineTicks(stat); err != nil {
		return t, fmt.Errorf("/proc/stat: %w", err)
	}
	if t.own, err = ticksOf(os.Getpid()); err != nil {
		return t, err
	}
	n, err := children.ticks()
	t.own += n
	return t, err
}

// ticksOf is what a process has used, and those children that it has waited for.
func ticksOf(pid int) (int64, error) {
	file := fmt.Sprintf("/proc/%d/stat", pid)
	stat, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	n, err := ownTicks(stat)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return n, nil
}

// machineTicks reads the first line of /proc/stat: "cpu" and then user, nice,
// system, idle, iowait, irq, softirq, steal, and two that the first have in them.
func machineTicks(stat []byte) (int64, error) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	f := bytes.Fields(line)
	if len(f) < 9 || string(f[0]) != "cpu" {
		return 0, errForm
	}
	return sum(f[1], f[2], f[3], f[6], f[7], f[8])
}

// ownTicks reads user and system time of a process and of the children that it
// has waited for, which are the 14th to the 17th field of /proc/{pid}/stat. The
// second, the program's name in brackets, may hold blanks.
func ownTicks(stat []byte) (int64, error) {
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) < 15 {
		return 0, errForm
	}
	return sum(f[11:15]...)
}

var errForm = errors.New("not in the form that was expected")

func sum(fields ...[]byte) (n int64, err error) {
	for _, f := range fields {
		v, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, errForm
		}
		n += v
	}
	return n, nil
}
