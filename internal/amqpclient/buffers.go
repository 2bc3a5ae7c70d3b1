package amqpclient

import "sync"

// Sizes of what is written from, in bytes.
const (
	// newBuffer is the size of a new write buffer, and keptBuffer of the largest that is used again.
	newBuffer  = 4 << 10
	keptBuffer = 256 << 10
)

// buffer is a write buffer.
type buffer struct{ b []byte }

// buffers are the write buffers of all connections: one that has nothing to write has none.
var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, newBuffer)} }}

// put takes a buffer back, which nobody may use any more.
func (w *buffer) put() {
	if cap(w.b) <= keptBuffer {
		w.b = w.b[:0]
		buffers.Put(w)
	}
}
