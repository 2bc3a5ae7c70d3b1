//go:build !linux

package main

import (
	"errors"
	"time"
)

func cpuTime() (time.Duration, error) { return 0, errors.ErrUnsupported }

func residentSize() (int64, error) { return 0, errors.ErrUnsupported }

func peakSize() (int64, error) { return 0, errors.ErrUnsupported }

func pinned(func() error) error { return errors.ErrUnsupported }

func nap(d time.Duration) { time.Sleep(d) }
