package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// cpuTime is user and system time of this process. The kernel splits them by
// sampling; their sum is exact.
func cpuTime() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// residentSize is the second number of /proc/self/statm, in bytes.
func residentSize() (int64, error) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	f := bytes.Fields(statm)
	if len(f) < 2 {
		return 0, fmt.Errorf("/proc/self/statm: %w", errForm)
	}
	pages, err := strconv.ParseInt(string(f[1]), 10, 64)
	return pages * pageBytes, err
}

// peakSize is VmHWM of /proc/self/status, in bytes.
func peakSize() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	f := bytes.Fields(rest)
	if len(f) < 2 || string(f[1]) != "kB" {
		return 0, fmt.Errorf("/proc/self/status: %w", errForm)
	}
	n, err := strconv.ParseInt(string(f[0]), 10, 64)
	return n << 10, err
}

// cpuSet is the processors that a thread may run on, one bit each.
type cpuSet [1024 / 64]uint64

func (s *cpuSet) call(trap uintptr) error {
	if _, _, e := syscall.RawSyscall(trap, 0, unsafe.Sizeof(*s), uintptr(unsafe.Pointer(s))); e != 0 {
		return e
	}
	return nil
}

// first returns the set of the first processor in s.
func (s *cpuSet) first() (one cpuSet) {
	for i, word := range s {
		if word != 0 {
			one[i] = word & -word
			break
		}
	}
	return one
}

// pinned runs f on a thread that is bound to one processor, always the same. A
// process that f starts inherits that, and its runtime sees one processor.
func pinned(f func() error) error {
	runtime.LockOSThread() // until it is as it was; otherwise it ends with the goroutine
	var all cpuSet
	if err := all.call(syscall.SYS_SCHED_GETAFFINITY); err != nil {
		return fmt.Errorf("sched_getaffinity: %w", err)
	}
	one := all.first()
	if err := one.call(syscall.SYS_SCHED_SETAFFINITY); err != nil {
		return fmt.Errorf("sched_setaffinity: %w", err)
	}
	ferr := f()
	if err := all.call(syscall.SYS_SCHED_SETAFFINITY); err != nil {
		return fmt.Errorf("sched_setaffinity: %w", err)
	}
	runtime.UnlockOSThread()
	return ferr
}

// nap waits for a time that may be far below the millisecond that is the
// runtime's least when a process has nothing else to do.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	syscall.Nanosleep(&t, nil)
}
