package amqpserver

import "sync"

// Sizes of what is written from, in bytes.
const (
	// burst is how much is written at once, if there is as much: when it is reached no more messages are asked for.
	burst = 16 << 10
	// keptBuffer is the largest write buffer that is used again.
	keptBuffer = 128 << 10
)

// buffer is a write buffer.
type buffer struct{ b []byte }

// buffers are the write buffers of all connections: one that is not writing has none.
type buffers struct{ pool sync.Pool }

// get returns an empty buffer.
func (p *buffers) get() *buffer {
	if w, ok := p.pool.Get().(*buffer); ok {
		return w
	}
	return &buffer{make([]byte, 0, 2*burst)}
}

// put takes a buffer back, which nobody may use any more.
func (p *buffers) put(w *buffer) {
	if cap(w.b) <= keptBuffer {
		w.b = w.b[:0]
		p.pool.Put(w)
	}
}
