package mqttfront

import "sync"

// burst is the size of the write buffers that are used again, in bytes: that of
// a TLS record. Larger ones are left to the garbage collector.
const burst = 16 << 10

// buffers are the write buffers of all connections: an idle one has none.
type buffers struct{ pool sync.Pool } // of *[burst]byte

// get returns an empty buffer.
func (p *buffers) get() []byte {
	if b, ok := p.pool.Get().(*[burst]byte); ok {
		return b[:0]
	}
	return new([burst]byte)[:0]
}

// put takes a buffer back, which nobody may use any more.
func (p *buffers) put(b []byte) {
	if cap(b) == burst {
		p.pool.Put((*[burst]byte)(b[:burst]))
	}
}
