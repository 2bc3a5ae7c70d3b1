package mqttfront

import (
	"errors"
	"math"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hubwire/hubwire/mqtt"
)

// Writing imitates nothing: how the service treats peers that do not read is not
// documented. Here the peer's own requests wait, and what the hub would push to
// it is bounded; who takes too long is dropped. Of a peer that is gone, what it has sent
// is read still: telemetry, and the good-bye behind it.

// Bounds of what waits to be written to one peer, in bytes.
const (
	// softLimit is where the connection's own reader waits for the peer to
	// take its answers before it does more work for it, and where messages stay in their queue.
	softLimit = 256 << 10
	// hardLimit is where a peer that does not read what the hub pushes is
	// dropped: changes of its twin, and calls of methods.
	hardLimit = 8 << 20
	// pieceSize is how much a peer must take within the time limit: one whose way is slow
	// reads all the same.
	pieceSize = 16 << 10
)

var errSlow = errors.New("mqtt: the peer does not read what it is sent")

// out is the way to the peer: a buffer of whole packets, and whoever writes
// them. There is one writer at a time: the connection's reader, when it has
// answered all that came, or a goroutine that lives while something waits.
type out struct {
	conn    *mqtt.Conn
	buffers *buffers
	timeout time.Duration // of a write of pieceSize bytes
	cut     func()        // ends the connection at once
	roomy   func()        // called by the writer, for who found it full

	mu      sync.Mutex
	changed *sync.Cond // writing, len(buf) or err has changed
	buf     []byte     // waits for the writer; nil when nothing does
	early   []byte     // pushed before the CONNACK, or while it is held
	opened  bool       // nothing is held back; the CONNACK is in buf, or gone
	writing bool       // somebody is in write, or about to be
	wanted  bool       // roomy is to be called
	writes  uint64     // that have ended
	end     time.Time  // of all writes; zero for none
	err     error      // no more writes
}

func newOut(c *mqtt.Conn, b *buffers, timeout time.Duration, cut, roomy func()) *out {
	o := &out{conn: c, buffers: b, timeout: timeout, cut: cut, roomy: roomy}
	o.changed = sync.NewCond(&o.mu)
	return o
}

// open adds what add appends, an answer, of which the CONNACK is the first, and
// lets out what was held back for it. A nil add is for no answer.
func (o *out) open(add func(dst []byte) []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	if add != nil {
		o.add(add)
	}
	if len(o.early) > 0 {
		o.add(func(dst []byte) []byte { return append(dst, o.early...) })
	}
	o.early, o.opened = nil, true
}

// add adds what waits for the writer. The caller holds the lock.
func (o *out) add(add func(dst []byte) []byte) {
	if o.buf == nil {
		o.buf = o.buffers.get()
	}
	if o.buf = add(o.buf); len(o.buf) == 0 {
		o.buffers.put(o.buf)
		o.buf = nil
	}
}

// hold keeps back what is pushed from now on, until open: the reader, who has a
// packet to answer, calls both, and flush before it reads on. When too much
// waits it waits until the peer has taken that; what is pushed meanwhile does not count, or it
// would wait for as long as others push.
func (o *out) hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(o.buf) <= softLimit:
	case !o.writing:
		o.write(softLimit)
	default:
		for last := o.writes + 2; o.writing && o.writes < last; { // the one that is under way, and that of buf
			o.changed.Wait()
		}
	}
	o.opened = false
}

// push adds what add appends, for anybody, and reports whether it did. It never
// waits: what would be too much cuts the connection. With wake it sees to it that
// somebody writes.
func (o *out) push(wake bool, add func(dst []byte) []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.err != nil:
		return false
	case len(o.buf)+len(o.early) > hardLimit:
		o.fail(errSlow)
		return false
	case !o.opened:
		o.early = add(o.early)
		return true
	}
	o.add(add)
	if wake && !o.writing {
		o.writeOn()
	}
	return true
}

// writeOn has a goroutine write until nothing waits. The caller holds the lock, and nobody else is writing.
func (o *out) writeOn() {
	o.writing = true
	go func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.write(math.MaxInt)
	}()
}

// full reports whether so much waits already that what can wait elsewhere should, or nothing can
// be written any more. When there is room again, roomy is called.
func (o *out) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return true
	}
	o.wanted = len(o.buf)+len(o.early) > softLimit
	return o.wanted
}

// flush writes what waits, unless somebody is at it, who will write this too.
func (o *out) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.writing {
		o.write(softLimit)
	}
}

// await sets how long the reader waits for the next packet, unless that of a peer
// that cannot be written to is bounded already.
func (o *out) await(d time.Duration) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return nil
	}
	return o.conn.SetReadDeadline(time.Now().Add(d))
}

// drain returns when all that waited is written, or the connection is over. It has the time of one write:
// the connection ends then.
func (o *out) drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end = time.Now().Add(o.timeout)
	for o.err == nil && (o.writing || len(o.buf) > 0) {
		if o.writing {
			o.changed.Wait()
		} else {
			o.write(math.MaxInt)
		}
	}
}

// write writes until nothing waits, or has a goroutine go on when it has written that many bytes: the
// connection's reader must not write for as long as others push. The caller
// holds the lock, and nobody else is writing.
func (o *out) write(budget int) {
	o.writing = true
	for len(o.buf) > 0 && o.err == nil {
		if budget <= 0 {
			o.writeOn()
			return
		}
		b := o.buf
		budget -= len(b)
		o.buf = nil
		err := o.writeAll(b)
		o.buffers.put(b)
		o.writes++
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			o.fail(err)
		case err != nil:
			o.lose(err)
		}
		o.changed.Broadcast()
		if o.wanted && o.err == nil && len(o.buf)+len(o.early) <= softLimit {
			o.wanted = false
			o.mu.Unlock()
			o.roomy()
			o.mu.Lock()
		}
	}
	o.writing = false
	o.changed.Broadcast()
}

// writeAll writes b in pieces, each of which has its time. The caller holds the lock, which is
// released meanwhile.
func (o *out) writeAll(b []byte) (err error) {
	for len(b) > 0 && err == nil && o.err == nil {
		piece := b[:min(len(b), pieceSize)]
		b = b[len(piece):]
		by := time.Now().Add(o.timeout)
		if !o.end.IsZero() && o.end.Before(by) {
			by = o.end
		}
		o.mu.Unlock()
		if err = o.conn.SetWriteDeadline(by); err == nil {
			err = o.conn.Write(piece)
		}
		o.mu.Lock()
	}
	return err
}

// fail ends the connection. The caller holds the lock.
func (o *out) fail(err error) {
	if o.err == nil {
		o.lose(err)
		o.cut()
	}
}

// lose ends all writing to a peer that is gone. What came from it before can be read still, and the end
// is behind that; where it is not, the reader does not wait for it for long. The caller holds the lock.
func (o *out) lose(err error) {
	if o.err == nil {
		o.err = err
		o.buf, o.early = nil, nil
		_ = o.conn.SetReadDeadline(time.Now().Add(o.timeout)) // fails only when there is nothing to read
		o.changed.Broadcast()
	}
}

// close ends all writing, and returns when the writer is gone; what waited is
// lost. The connection must be cut, or its writes have a deadline.
func (o *out) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = net.ErrClosed
		o.buf, o.early = nil, nil
	}
	for o.writing {
		o.changed.Wait()
	}
}

// cause returns why writing failed, or nil.
func (o *out) cause() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
