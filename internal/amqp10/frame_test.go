package amqp10

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cuts gives b in pieces of n bytes.
func cuts(b []byte, n int) (pieces [][]byte) {
	for len(b) > n {
		pieces, b = append(pieces, b[:n]), b[n:]
	}
	return append(pieces, b)
}

// A stream has the frames that it has, whatever pieces it comes in.
func TestFramesAreFoundInWhateverPiecesTheyCome(t *testing.T) {
	streams := map[string][]vector{}
	for _, v := range vectors(t).Capture.Frames {
		if !bytes.HasPrefix(v.bytes(t), []byte("AMQP")) {
			streams[v.Direction] = append(streams[v.Direction], v)
		}
	}
	if len(streams) != 2 {
		t.Fatalf("the capture has %d directions", len(streams))
	}
	for direction, frames := range streams {
		var stream []byte
		var want [][]byte
		for _, v := range frames {
			stream = append(stream, v.bytes(t)...)
			want = append(want, v.bytes(t))
		}
		for _, n := range []int{1, 7, 8, 100, len(stream)} {
			var got [][]byte
			var held []byte
			for _, piece := range cuts(stream, n) {
				held = append(held, piece...)
				for {
					f, rest, err := SplitFrame(held, 4096)
					if err != nil {
						t.Fatalf("%s in pieces of %d: %v", direction, n, err)
					}
					if held = rest; f == nil {
						break
					}
					got = append(got, f)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" || len(held) > 0 {
				t.Errorf("%s in pieces of %d: %d bytes are left, (-want +got)\n%s", direction, n, len(held), diff)
			}
		}
	}
}

func TestAFrameHeaderIsReadAndWritten(t *testing.T) {
	b := AppendEmptyFrame(nil)
	b = CloseFrame(append(OpenFrame(b, FrameSASL, 0xabcd), "body"...), len(b))
	b = append(b, 0, 0, 0, 13, 3, 0, 0, 7, 1, 2, 3, 4, 'x') // with an extended header
	type frame struct {
		Type    FrameType
		Channel uint16
		Body    string
	}
	var got []frame
	for len(b) > 0 {
		f, rest, err := SplitFrame(b, 0)
		if err != nil || f == nil {
			t.Fatal(err)
		}
		got = append(got, frame{f.Type(), f.Channel(), string(f.Body())})
		b = rest
	}
	want := []frame{{FrameAMQP, 0, ""}, {FrameSASL, 0xabcd, "body"}, {FrameAMQP, 7, "x"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestABadFrameHeaderIsRefusedAsSoonAsItShows(t *testing.T) {
	for _, c := range []struct {
		name string
		hex  string
		max  uint32
		want SyntaxError
		from int // how many bytes it takes to know
	}{
		{"smaller than a header", "00 00 00 07 02 00 00 00", 512, SyntaxError{Limit: 8, Err: ErrFrame}, 4},
		{"of no size", "00 00 00 00 02 00 00 00", 512, SyntaxError{Limit: 8, Err: ErrFrame}, 4},
		{"larger than agreed", "00 00 02 01 02 00 00 00", 512, SyntaxError{Limit: 512, Err: ErrTooLarge}, 4},
		{"larger than what is agreed unless it is said", "00 00 02 01 02 00 00 00", 0, SyntaxError{Limit: 512, Err: ErrTooLarge}, 4},
		{"of four GiB", "ff ff ff ff 02 00 00 00", 65536, SyntaxError{Limit: 65536, Err: ErrTooLarge}, 4},
		{"a body that begins in the header", "00 00 00 08 01 00 00 00", 512, SyntaxError{Offset: 4, Err: ErrFrame}, 5},
		{"a body that begins behind the end", "00 00 00 08 03 00 00 00", 512, SyntaxError{Offset: 4, Err: ErrFrame}, 5},
		{"of another type", "00 00 00 08 02 02 00 00", 512, SyntaxError{Offset: 5, Err: ErrFrame}, 6},
		{"text", "'HTTP/1.1'", 65536, SyntaxError{Limit: 65536, Err: ErrTooLarge}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := unhex(t, c.hex)
			for n := range len(b) + 1 {
				f, rest, err := SplitFrame(b[:n], c.max)
				if f != nil || len(rest) != n {
					t.Fatalf("%d bytes are a frame", n)
				}
				if n < c.from {
					if err != nil {
						t.Errorf("%d bytes: %v", n, err)
					}
					continue
				}
				wantFault(t, err, c.want)
			}
		})
	}
}

func TestAFrameAsLargeAsAgreedIsRead(t *testing.T) {
	b := make([]byte, 512)
	binary.BigEndian.PutUint32(b, 512)
	b[4] = 2
	if f, rest, err := SplitFrame(b, 512); len(f) != 512 || len(rest) != 0 || err != nil {
		t.Errorf("%d bytes, %d are left, %v", len(f), len(rest), err)
	}
}

func TestProtocolHeadersBothWays(t *testing.T) {
	file := vectors(t)
	seen := map[Protocol]bool{}
	for _, v := range append(file.Frames, file.Capture.Frames...) {
		b := v.bytes(t)
		if !bytes.HasPrefix(b, []byte("AMQP")) {
			continue
		}
		p, err := ParseProtocol(b)
		if err != nil {
			t.Errorf("%s%s: %v", v.Name, v.What, err)
		}
		if got := AppendProtocol(nil, p); !bytes.Equal(got, b) {
			t.Errorf("%s%s: written as %x, want %x", v.Name, v.What, got, b)
		}
		seen[p] = true
	}
	if len(seen) == 0 {
		t.Error("no protocol header in the vectors")
	}
}

func TestWhatIsNoProtocolHeaderIsRefusedAtItsFirstWrongByte(t *testing.T) {
	for text, want := range map[string]SyntaxError{
		"":                     {Offset: 0, Err: ErrTruncated},
		"AMQ":                  {Offset: 3, Err: ErrTruncated},
		"AMQP\x00\x01\x00":     {Offset: 7, Err: ErrTruncated},
		"G":                    {Offset: 0, Err: ErrProtocol},
		"AMQX":                 {Offset: 3, Err: ErrProtocol},
		"AMQP\x01\x01\x00":     {Offset: 4, Err: ErrProtocol},
		"AMQP\x00\x00\x09\x01": {Offset: 5, Err: ErrProtocol}, // AMQP 0-9-1
		"AMQP\x03\x01\x00\x01": {Offset: 7, Err: ErrProtocol},
	} {
		_, err := ParseProtocol([]byte(text))
		wantFault(t, err, want)
	}
}
