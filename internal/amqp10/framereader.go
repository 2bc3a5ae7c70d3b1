package amqp10

import "io"

// Sizes of the buffer of a [FrameReader] whose peer is quiet, and busy, in bytes.
const (
	smallRead  = 512
	readBuffer = 64 << 10
)

// FrameReader cuts what a peer sends into frames. What it gives is a view of its buffer, up to the next Fill. An idle one
// has 512 bytes, a busy one 64 KiB, and as much as a frame takes that is larger. Set Src first.
type FrameReader struct {
	Src  io.Reader
	buf  []byte
	r, w int // what is between has been read, and not taken
}

// Frame takes the next frame, of at most limit bytes, or returns nil when it is not all there. The error is that of
// [SplitFrame].
func (in *FrameReader) Frame(limit uint32) (Frame, error) {
	f, rest, err := SplitFrame(in.buf[in.r:in.w], limit)
	if err == nil && f != nil {
		in.r = in.w - len(rest)
	}
	return f, err
}

// Rest returns what has been read and not taken.
func (in *FrameReader) Rest() []byte { return in.buf[in.r:in.w] }

// Discard takes the first n bytes of Rest.
func (in *FrameReader) Discard(n int) { in.r += n }

// emptyReads is how many reads may bring nothing, one after the other, before Src is taken for broken.
const emptyReads = 100

// Fill waits for more, with one Read of Src that brings something, whose error it returns if none does: that is
// [io.ErrNoProgress] when Src gives neither bytes nor an error. The buffer grows when a read has filled it: to the size of a
// busy one for more of what comes, beyond that only for a frame that has begun.
func (in *FrameReader) Fill() error {
	if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	if in.w == len(in.buf) {
		in.buf = append(in.buf[:in.w], make([]byte, max(smallRead, len(in.buf)))...)
	}
	n, err := 0, error(nil)
	for range emptyReads {
		if n, err = in.Src.Read(in.buf[in.w:]); n > 0 || err != nil {
			break
		}
	}
	in.w += n
	if in.w == len(in.buf) && in.w < readBuffer { // there may be more
		in.grow()
	}
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

func (in *FrameReader) grow() {
	b := make([]byte, min(4*len(in.buf), readBuffer))
	copy(b, in.buf[in.r:in.w])
	in.buf = b
}

// Quiet gives a large buffer back when nothing is in it.
func (in *FrameReader) Quiet() {
	if in.r == in.w && len(in.buf) > smallRead {
		in.buf, in.r, in.w = make([]byte, smallRead), 0, 0
	}
}
