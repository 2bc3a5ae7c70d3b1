package ws

import (
	"fmt"
	"io"
	"net"
)

// The bits and numbers of a frame's first two bytes (RFC 6455 section 5.2).
const (
	frameFin     = 0x80
	frameControl = 0x08 // in the opcode: of no message
	frameMasked  = 0x80
)

// maxFrameHead is the length of the longest head of a frame.
const maxFrameHead = 2 + 8 + 4

// borders follows where frames and messages begin and end in a stream. The
// library knows, and tells nobody.
type borders struct {
	head    [maxFrameHead]byte
	n       int    // how much of head there is, of a frame that has begun
	left    uint64 // how much of its payload is to come
	message bool   // it is not the last of its message
}

// pass follows b. Unless mask allows masked frames it stops within the head of
// one, and ok is false. n is how many bytes it has passed.
func (f *borders) pass(b []byte, mask bool) (n int, ok bool) {
	for n < len(b) {
		if f.left > 0 {
			k := min(f.left, uint64(len(b)-n))
			f.left -= k
			n += int(k)
			continue
		}
		f.head[f.n] = b[n]
		f.n++
		n++
		switch {
		case f.n < 2:
		case !mask && f.head[1]&frameMasked != 0:
			return n, false
		case f.n == f.headSize():
			f.begin()
		}
	}
	return n, true
}

// headSize returns the length of the head, once its first two bytes are there.
func (f *borders) headSize() int {
	n := 2 + f.lengthSize()
	if f.head[1]&frameMasked != 0 {
		n += 4
	}
	return n
}

// lengthSize returns how many bytes of length follow the first two bytes.
func (f *borders) lengthSize() int {
	switch f.head[1] &^ frameMasked {
	case 126:
		return 2
	case 127:
		return 8
	}
	return 0
}

// begin goes from a frame's head to its payload.
func (f *borders) begin() {
	f.left = uint64(f.head[1] &^ frameMasked)
	if long := f.head[2 : 2+f.lengthSize()]; len(long) > 0 {
		f.left = 0
		for _, b := range long {
			f.left = f.left<<8 | uint64(b)
		}
	}
	if f.head[0]&frameControl == 0 {
		f.message = f.head[0]&frameFin == 0
	}
	f.n = 0
}

// unmask takes the mask off b, the last of what was passed, where that is of a masked frame's payload.
// A multiple of 4 bytes of that payload has come before b.
func (f *borders) unmask(b []byte) {
	if f.head[1]&frameMasked == 0 {
		return
	}
	key := f.head[f.headSize()-4:]
	for i := range b {
		b[i] ^= key[i%4]
	}
}

// within reports whether what was passed ends within a frame or a message.
func (f *borders) within() bool { return f.n > 0 || f.left > 0 || f.message }

// tap is the connection as the library has it. It knows how reading ended, which
// the library does not tell in every case. Only pump reads it.
type tap struct {
	net.Conn
	first  io.Reader // bytes that came with the handshake, or nil
	client bool
	ready  bool // before the handshake is over there is nothing to read

	borders borders
	end     error // set when the library wanted more than there was
}

func (t *tap) Read(p []byte) (int, error) {
	switch {
	case !t.ready:
		return 0, io.EOF
	case t.end != nil:
		return 0, t.end
	}
	n, err := t.read(p)
	if n > 0 {
		passed, ok := t.borders.pass(p[:n], !t.client)
		if ok {
			return n, nil // an error, if any, comes again
		}
		n, err = passed, errMasked
	}
	if err != nil {
		t.end = err
	}
	return n, err
}

// errMasked is for what the library overlooks, and would hand on without taking the mask off.
var errMasked = fmt.Errorf("%w: the server masked a frame", ErrProtocol)

func (t *tap) read(p []byte) (int, error) {
	if t.first != nil {
		if n, err := t.first.Read(p); err == nil {
			return n, nil
		}
		t.first = nil
	}
	return t.Conn.Read(p)
}
