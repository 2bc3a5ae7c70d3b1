package amqpclient

import (
	"io"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// reader cuts what a peer sends into frames. What it gives is a view of its buffer, up to the next fill.
type reader struct {
	src  io.Reader
	buf  []byte
	r, w int // what is between has been read, and not taken
}

// frame takes the next frame, of at most limit bytes, or returns nil when it is not all there.
func (in *reader) frame(limit uint32) (amqp10.Frame, error) {
	f, rest, err := amqp10.SplitFrame(in.buf[in.r:in.w], limit)
	if err == nil && f != nil {
		in.r = in.w - len(rest)
	}
	return f, err
}

// fill waits for more, with one read. The buffer grows when a read has filled it: to the size of a
// busy one for more of what comes, beyond that only for a frame that has begun.
func (in *reader) fill() error {
	if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	if in.w == len(in.buf) {
		in.buf = append(in.buf[:in.w], make([]byte, max(smallRead, len(in.buf)))...)
	}
	n, err := in.src.Read(in.buf[in.w:])
	in.w += n
	if in.w == len(in.buf) && in.w < readBuffer { // there may be more
		in.grow()
	}
	if n > 0 {
		return nil
	}
	return err
}

func (in *reader) grow() {
	b := make([]byte, min(4*len(in.buf), readBuffer))
	copy(b, in.buf[in.r:in.w])
	in.buf = b
}

// quiet gives a large buffer back when nothing is in it.
func (in *reader) quiet() {
	if in.r == in.w && len(in.buf) > smallRead {
		in.buf, in.r, in.w = make([]byte, smallRead), 0, 0
	}
}
