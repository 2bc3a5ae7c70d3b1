package amqp10

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// Frames of all sizes come as they were written, however the bytes are cut.
func TestFrameReaderCutsWhatComes(t *testing.T) {
	var b []byte
	var want []int
	for size := 0; size < 200_000; size = 3*size + 1 {
		at := len(b)
		b = CloseFrame(append(OpenFrame(b, FrameAMQP, 1), bytes.Repeat([]byte{byte(size)}, size)...), at)
		want = append(want, size)
	}
	for name, src := range map[string]io.Reader{
		"whole": bytes.NewReader(b), "in halves": iotest.HalfReader(bytes.NewReader(b)), "byte by byte": iotest.OneByteReader(bytes.NewReader(b)),
	} {
		t.Run(name, func(t *testing.T) {
			in := FrameReader{Src: src}
			var got []int
			for {
				f, err := in.Frame(1 << 20)
				if err != nil {
					t.Fatal(err)
				}
				if f != nil {
					got = append(got, len(f.Body()))
					continue
				}
				if in.Quiet(); in.Fill() != nil {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("sizes (-want +got):\n%s", diff)
			}
			if n := len(in.Rest()); n > 0 {
				t.Errorf("%d bytes are left", n)
			}
		})
	}
}

func TestAFrameReaderGivesUpASourceThatGivesNothing(t *testing.T) {
	src := &reluctant{none: emptyReads - 1}
	in := FrameReader{Src: src}
	if err := in.Fill(); err != nil || string(in.Rest()) != "x" {
		t.Errorf("%q, %v", in.Rest(), err)
	}
	src.none = emptyReads
	if err := in.Fill(); err != io.ErrNoProgress {
		t.Errorf("nothing at all is %v", err)
	}
}

// reluctant gives nothing for some reads.
type reluctant struct{ none int }

func (r *reluctant) Read(b []byte) (int, error) {
	if r.none > 0 {
		r.none--
		return 0, nil
	}
	return copy(b, "x"), nil
}
