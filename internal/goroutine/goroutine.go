// Package goroutine tells goroutines apart, for the one thing that Go has no other
// way for: whether a function was called from inside a callback, where waiting for
// that callback would last for ever. Nothing else may rest on it.
package goroutine

import (
	"bytes"
	"runtime"
	"strconv"
	"sync"
)

// ID returns the number of the calling goroutine that the runtime prints in stack
// traces, or 0, which is nobody's, if their form should change. It does not allocate
// in the steady state.
func ID() uint64 {
	buf := buffers.Get().(*[64]byte)
	defer buffers.Put(buf)
	b := buf[:runtime.Stack(buf[:], false)] // "goroutine 18 [running]:..."
	b = bytes.TrimPrefix(b, []byte("goroutine "))
	b, _, _ = bytes.Cut(b, []byte(" "))
	id, _ := strconv.ParseUint(string(b), 10, 64)
	return id
}

var buffers = sync.Pool{New: func() any { return new([64]byte) }}
