package amqp10

import (
	"encoding/binary"
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
)

func TestPerformativesDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 4096)
	var transfer Transfer
	for name, b := range bodies(t) {
		if d := PeekDescriptor(b); d == DescTransfer {
			testkit.NoAllocs(t, name, func() {
				payload, err := transfer.Parse(b)
				if err != nil {
					t.Fatal(err)
				}
				buf = append(transfer.AppendTo(buf[:0]), payload...)
			})
			continue
		} else if d == DescDetach || d == DescEnd || d == DescClose {
			continue // an Error owns what it has
		}
		p := performativeOf(PeekDescriptor(b))
		testkit.NoAllocs(t, name, func() {
			if err := p.Parse(b); err != nil {
				t.Fatal(err)
			}
			buf = p.AppendTo(buf[:0])
		})
	}
}

func TestMessagesDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 4096)
	for _, v := range vectors(t).Messages {
		b := v.bytes(t)
		var p Properties
		var h Header
		testkit.NoAllocs(t, v.Name, func() {
			for r := NewReader(b); r.More(); {
				what, content := r.Section()
				err := content.Check()
				switch what {
				case DescProperties:
					err = p.Parse(content)
					buf = p.AppendTo(buf[:0])
				case DescHeader:
					err = h.Parse(content)
					buf = h.AppendTo(buf[:0])
				case 0:
					err = r.Err()
				}
				if err != nil {
					t.Fatal(err)
				}
				for k, v := range content.Entries() {
					k.Text()
					v.Text()
				}
				content.Lookup("no such key")
			}
		})
	}
}

func TestFramesDoNotAllocate(t *testing.T) {
	var stream []byte
	for _, v := range vectors(t).Capture.Frames[7:] {
		stream = append(stream, v.bytes(t)...)
	}
	buf := make([]byte, 0, 4096)
	testkit.NoAllocs(t, "frames", func() {
		for b := stream; len(b) > 0; {
			f, rest, err := SplitFrame(b, 4096)
			if f == nil {
				t.Fatal(err)
			}
			buf = CloseFrame(append(OpenFrame(buf[:0], f.Type(), f.Channel()), f.Body()...), 0)
			b = rest
		}
	})
}

// What is refused again and again is refused with the error that is there.
func TestRefusingDoesNotAllocate(t *testing.T) {
	for name, b := range bodies(t) {
		cut := b[:Extent(b, 0)-1]
		d := PeekDescriptor(b)
		p, transfer := performativeOf(d), new(Transfer)
		testkit.NoAllocs(t, name+", cut", func() {
			var err error
			if d == DescTransfer {
				_, err = transfer.Parse(cut)
			} else {
				err = p.Parse(cut)
			}
			if err == nil {
				t.Fatal("it is read")
			}
		})
	}
	huge := binary.BigEndian.AppendUint32(nil, 1<<31)
	testkit.NoAllocs(t, "a frame that is too large", func() {
		if _, _, err := SplitFrame(huge, 65536); err == nil {
			t.Fatal("it is read")
		}
	})
}

func TestDispositionsDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 256)
	testkit.NoAllocs(t, "accepted", func() {
		d := Disposition{Role: RoleReceiver, First: 1, Last: Some(uint32(2)), Settled: Some(true), State: Accepted()}
		buf = d.AppendTo(buf[:0])
		if err := d.Parse(buf); err != nil || d.State.Kind() != DescAccepted {
			t.Fatal(err)
		}
	})
}
