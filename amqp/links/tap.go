package links

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// tap is the net.Conn that go-amqp gets. It looks at each whole frame of both directions
// before that goes on, in the goroutine that reads or writes it.
//
// Deadlines are not passed on: go-amqp would make the deadline of one caller's context that
// of a write, and so end everybody's connection with it. network.look bounds what takes too long.
type tap struct {
	nc      net.Conn
	start   time.Time // the clock counts from here
	watcher watcher
	trace   func(sent bool, frame []byte) // may be nil

	part      []byte        // of a frame that is not whole yet; the reader's
	opened    atomic.Bool   // the peer's open came
	lastRead  atomic.Int64  // a time.Duration
	said      atomic.Uint64 // frames that came, but for those that only keep the connection alive
	writeFrom atomic.Int64  // a time.Duration, of the write under way; 0: none
	writer    chan struct{} // whose holder may write
	farewell  atomic.Bool   // the last frame has been written
	peerGone  chan struct{} // closed when nothing more comes
	goneOnce  sync.Once
	aborted   atomic.Bool

	mu       sync.Mutex
	expected []*attachment          // that are about to be attached
	locals   map[uint16]*tapSession // by our channels
	remotes  map[uint16]*tapSession // by the peer's
}

// watcher is told what has ended, by the peer or by its fault. It must not block.
type watcher interface {
	linkEnded(at *attachment, level level, err *amqp10.Error)
	connEnded(err error)
	run(f func()) // on a goroutine of its own
	badNetConn(err *error)
	badTrace()
}

func newTap(nc net.Conn, w watcher, trace func(bool, []byte)) *tap {
	return &tap{
		nc: nc, start: time.Now(), watcher: w, trace: trace,
		writer: make(chan struct{}, 1), peerGone: make(chan struct{}),
		locals: make(map[uint16]*tapSession), remotes: make(map[uint16]*tapSession),
	}
}

// maxFrame is the max-frame-size of our open, in bytes.
const maxFrame = 65536

func (t *tap) now() time.Duration { return time.Since(t.start) + 1 }

// Read reads what go-amqp may see: nothing else gets through.
func (t *tap) Read(b []byte) (n int, err error) {
	defer func() {
		if err != nil {
			t.watcher.connEnded(err)
			t.goneOnce.Do(func() { close(t.peerGone) })
		}
	}()
	defer t.watcher.badNetConn(&err)
	n, err = t.nc.Read(b)
	t.lastRead.Store(int64(t.now()))
	if n < 0 || n > len(b) {
		return 0, fmt.Errorf("links: the net.Conn read %d bytes into %d", n, len(b))
	}
	if broken := t.received(b[:n]); broken != nil {
		return 0, protocolError("%w", broken)
	}
	return n, err
}

// received looks at what came in, which may begin and end within frames.
func (t *tap) received(b []byte) error {
	for len(b) > 0 {
		unit := b
		if len(t.part) > 0 {
			n := min(missing(t.part), len(b))
			t.part, b = append(t.part, b[:n]...), b[n:]
			unit = t.part
		}
		whole, rest, err := t.cut(unit)
		switch {
		case err != nil:
			return err
		case whole == nil && len(t.part) == 0:
			t.part = append(t.part, b...)
			return nil
		case whole == nil:
			continue
		}
		if err := t.look(whole); err != nil {
			return err
		}
		if len(t.part) == 0 {
			b = rest
		} else if t.part = t.part[:0]; cap(t.part) > keptPart {
			t.part = nil
		}
	}
	return nil
}

// keptPart is how much room for parts of frames a connection keeps.
const keptPart = 4096

// missing is how many bytes are needed to know more of the part of a frame.
func missing(part []byte) int {
	if len(part) < amqp10.FrameHead {
		return amqp10.FrameHead - len(part)
	}
	return int(binary.BigEndian.Uint32(part)) - len(part) // more, and not too much: cut has looked
}

// cut takes a whole frame or protocol header off b; nil when there is none.
func (t *tap) cut(b []byte) (whole, rest []byte, err error) {
	if b[0] == 'A' && !t.opened.Load() {
		if len(b) < amqp10.ProtocolHead {
			return nil, b, nil
		}
		return b[:amqp10.ProtocolHead], b[amqp10.ProtocolHead:], nil // go-amqp looks into it
	}
	return amqp10.SplitFrame(b, maxFrame)
}

// look follows a whole frame or header that came in.
func (t *tap) look(whole []byte) error {
	t.show(false, whole)
	if whole[0] == 'A' || amqp10.Frame(whole).Type() != amqp10.FrameAMQP {
		return nil
	}
	f := amqp10.Frame(whole)
	if body := f.Body(); len(body) > 0 {
		t.said.Add(1)
		return t.incoming(f.Channel(), body)
	}
	return nil
}

// Write writes b, which go-amqp makes one whole frame or header.
func (t *tap) Write(b []byte) (int, error) {
	t.writer <- struct{}{}
	defer func() { <-t.writer }()
	return t.write(b)
}

// write is Write for who may.
func (t *tap) write(b []byte) (n int, err error) {
	if t.farewell.Load() {
		return 0, net.ErrClosed
	}
	defer func() {
		t.writeFrom.Store(0)
		if err != nil {
			t.watcher.connEnded(err)
		}
	}()
	defer t.watcher.badNetConn(&err)
	if len(b) > amqp10.FrameHead {
		t.outgoing(amqp10.Frame(b))
	}
	t.show(true, b)
	t.writeFrom.Store(int64(t.now()))
	n, err = t.nc.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
}

// goodbye writes a close, after which nothing more goes out, and waits for the peer's: what
// was written before could else be lost with what was not read. It ends when over is closed.
//
// go-amqp would write the close as well, but waits for its end with a mutex held.
func (t *tap) goodbye(over <-chan struct{}) {
	select {
	case t.writer <- struct{}{}:
	case <-over:
		return
	}
	written := make(chan struct{})
	t.watcher.run(func() {
		defer close(written)
		defer func() { <-t.writer }()
		_, _ = t.write(closeFrame)
	})
	select {
	case <-written:
	case <-over:
		return
	}
	select {
	case <-t.peerGone:
	case <-over:
	}
}

var closeFrame = amqp10.CloseFrame((&amqp10.Close{}).AppendTo(amqp10.OpenFrame(nil, amqp10.FrameAMQP, 0)), 0)

// show gives a frame to Trace, without the secrets in it.
func (t *tap) show(sent bool, b []byte) {
	if t.trace == nil {
		return
	}
	if sent {
		b = t.masked(b)
	}
	defer t.watcher.badTrace()
	t.trace(sent, b)
}

// Close is how go-amqp ends the connection, when its writer is done.
func (t *tap) Close() error {
	t.abort()
	return nil
}

// abort ends the connection without a word to the peer, and does not wait for it.
func (t *tap) abort() {
	if !t.aborted.Swap(true) {
		t.goneOnce.Do(func() { close(t.peerGone) })
		t.watcher.run(t.hangUp) // which may take a net.Conn its time
	}
}

// hangUp closes the connection. After a good-bye it may say so in its own way, that of TLS or
// of a WebSocket; else it must not wait for a peer that may have stopped reading.
func (t *tap) hangUp() {
	var err error
	defer t.watcher.badNetConn(&err)
	defer t.nc.Close() // also when the others panic
	if t.farewell.Load() {
		return
	}
	switch c := t.nc.(type) {
	case interface{ CloseNow() error }:
		c.CloseNow()
	case interface{ NetConn() net.Conn }:
		c.NetConn().Close()
	}
}

// silent is how long nothing has come in.
func (t *tap) silent() time.Duration { return t.now() - time.Duration(t.lastRead.Load()) }

// stalled is how long the write under way has taken; 0 when there is none.
func (t *tap) stalled() time.Duration {
	if from := t.writeFrom.Load(); from != 0 {
		return t.now() - time.Duration(from)
	}
	return 0
}

func (t *tap) LocalAddr() net.Addr  { return t.nc.LocalAddr() }
func (t *tap) RemoteAddr() net.Addr { return t.nc.RemoteAddr() }

func (t *tap) SetDeadline(time.Time) error      { return nil }
func (t *tap) SetReadDeadline(time.Time) error  { return nil }
func (t *tap) SetWriteDeadline(time.Time) error { return nil }
