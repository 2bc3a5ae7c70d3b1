package amqp10

import "encoding/binary"

// Limits of frames, in bytes.
const (
	FrameHead = 8 // the header of a frame without an extended header
	// MinMaxFrameSize is the least max-frame-size that an [Open] may name (part 2 section 2.7.1).
	MinMaxFrameSize = 512
)

// FrameType tells a frame of AMQP from one of SASL.
type FrameType uint8

// The types of frames.
const (
	FrameAMQP FrameType = 0
	FrameSASL FrameType = 1
)

// Frame is a view of one whole frame (part 2 section 2.3), as [SplitFrame] gives it.
type Frame []byte

// SplitFrame cuts the first frame off b, which may hold a part of one, or several. f and rest are
// views of b. An incomplete frame is f == nil and no error. max is the largest frame that was
// agreed on, header included; 0 means [MinMaxFrameSize]. The error is a [*SyntaxError], as soon as
// the bytes that are wrong are there: a size of less than 8 bytes or more than max, a data offset
// of less than 8 bytes or beyond the end, and a type that there is not. It does not allocate.
func SplitFrame(b []byte, max uint32) (f Frame, rest []byte, err error) {
	if len(b) < FrameHead {
		return nil, b, earlyFault(b, max)
	}
	size := binary.BigEndian.Uint32(b)
	if size < FrameHead || size > orMin(max) || b[4] < 2 || uint32(b[4])*4 > size || b[5] > 1 {
		return nil, b, frameFault(b, max)
	}
	if uint64(size) > uint64(len(b)) {
		return nil, b, nil
	}
	return Frame(b[:size:size]), b[size:], nil
}

func orMin(max uint32) uint32 {
	if max == 0 {
		return MinMaxFrameSize
	}
	return max
}

// earlyFault says what is wrong with the beginning of a frame header, which may be nothing.
func earlyFault(b []byte, max uint32) error {
	if len(b) < 4 {
		return nil
	}
	var head [FrameHead]byte // what is missing is as it should be
	head[4] = 2
	copy(head[:], b)
	return frameFault(head[:], max)
}

func frameFault(head []byte, max uint32) error {
	max = orMin(max)
	size := binary.BigEndian.Uint32(head)
	switch {
	case size > max:
		return refuse(0, 0, faultTooLarge, 0, int(max))
	case size < FrameHead:
		return refuse(0, 0, faultFrame, 0, FrameHead)
	case head[4] < 2 || uint32(head[4])*4 > size:
		return refuse(0, 0, faultFrame, 4, 0)
	case head[5] > 1:
		return refuse(0, 0, faultFrame, 5, 0)
	}
	return nil
}

// Type returns the type of f.
func (f Frame) Type() FrameType { return FrameType(f[5]) }

// Channel returns the channel of f, which means nothing in a frame of SASL.
func (f Frame) Channel() uint16 { return binary.BigEndian.Uint16(f[6:]) }

// Body returns what follows the header: nothing in an empty frame, which only shows that the peer
// lives, else a performative, and behind a [Transfer] its payload.
func (f Frame) Body() []byte { return f[int(f[4])*4:] }

// OpenFrame begins a frame: append its body, and end it with [CloseFrame], to which the length
// that dst had before tells where it begins.
func OpenFrame(dst []byte, t FrameType, channel uint16) []byte {
	return append(dst, 0, 0, 0, 0, 2, byte(t), byte(channel>>8), byte(channel))
}

// CloseFrame writes the size of the frame that was begun when dst had length at.
func CloseFrame(dst []byte, at int) []byte {
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at))
	return dst
}

// AppendEmptyFrame appends a frame without a body, which keeps a connection from timing out.
func AppendEmptyFrame(dst []byte) []byte {
	return append(dst, 0, 0, 0, FrameHead, 2, byte(FrameAMQP), 0, 0)
}

// Protocol is what a protocol header asks for (part 2 section 2.2).
type Protocol uint8

// The protocols.
const (
	ProtocolAMQP Protocol = 0
	ProtocolTLS  Protocol = 2
	ProtocolSASL Protocol = 3
)

// ProtocolHead is the length of a protocol header, in bytes.
const ProtocolHead = 8

// AppendProtocol appends the protocol header of p, version 1.0.0.
func AppendProtocol(dst []byte, p Protocol) []byte {
	return append(dst, 'A', 'M', 'Q', 'P', byte(p), 1, 0, 0)
}

// ParseProtocol returns what the protocol header b, [ProtocolHead] bytes, asks for. The error is a
// [*SyntaxError]: [ErrProtocol] at the first byte that is wrong, or [ErrTruncated] when all is
// right as far as it goes.
func ParseProtocol(b []byte) (Protocol, error) {
	want := [ProtocolHead]byte{'A', 'M', 'Q', 'P', 0, 1, 0, 0}
	for i := range min(len(b), len(want)) {
		isProtocol := i == 4 && (b[i] == byte(ProtocolAMQP) || b[i] == byte(ProtocolTLS) || b[i] == byte(ProtocolSASL))
		if b[i] != want[i] && !isProtocol {
			return 0, refuse(0, 0, faultProtocol, i, 0)
		}
	}
	if len(b) < ProtocolHead {
		return 0, refuse(0, 0, faultTruncated, len(b), 0)
	}
	return Protocol(b[4]), nil
}
