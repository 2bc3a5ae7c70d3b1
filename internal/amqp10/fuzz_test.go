package amqp10

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// FuzzValue reads bytes as values. What Check passes can be read to its end and written again, as
// it was and in the shortest forms, which then is what it stays.
func FuzzValue(f *testing.F) {
	for _, v := range vectors(f).Primitives {
		f.Add(v.bytes(f))
	}
	for _, v := range vectors(f).Messages {
		f.Add(v.bytes(f))
	}
	for _, b := range bodies(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		v := r.Value()
		end := -1
		if len(b) > 0 {
			end = Extent(b, 0)
		}
		if r.Err() != nil {
			if end != -1 || !v.IsNull() {
				t.Fatalf("%v, and yet it ends at %d", r.Err(), end)
			}
			return
		}
		if got := v.AppendTo(nil); !bytes.Equal(got, b[:end]) || r.Offset() != end {
			t.Fatalf("%x is read as %x", b[:end], got)
		}
		if err := v.Check(); err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) || e.Offset > end {
				t.Fatalf("%v, of %d bytes", err, end)
			}
			return
		}
		read(v) // panics at a fault
		short := appendShortest(nil, v)
		if again := appendShortest(nil, ValueOf(short)); len(short) > end || !bytes.Equal(short, again) {
			t.Fatalf("%x\n -> %x\n -> %x", b[:end], short, again)
		}
	})
}

// FuzzPerformative reads bytes as the performative that they say they are. What is written of it
// reads the same.
func FuzzPerformative(f *testing.F) {
	for _, b := range bodies(f) {
		f.Add(b)
		f.Add(redescribe(b)["a symbol"])
	}
	for _, two := range full() {
		f.Add(two[0].AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := parseBody(b); err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(b) {
				t.Fatalf("%v, of %d bytes", err, len(b))
			}
			return
		}
		once := rewriteBody(t, b)
		if twice := rewriteBody(t, once); !bytes.Equal(once, twice) {
			t.Fatalf("%x\n -> %x\n -> %x", b, once, twice)
		}
	})
}

// FuzzFrames cuts bytes into frames, at once and byte by byte.
func FuzzFrames(f *testing.F) {
	for _, v := range vectors(f).Capture.Frames {
		f.Add(v.bytes(f))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, whichErr := frames(b, len(b)+1)
		pieces, err := frames(b, 1)
		if !bytes.Equal(whole, pieces) || fmt.Sprint(err) != fmt.Sprint(whichErr) {
			t.Fatalf("at once %x, %v, and byte by byte %x, %v", whole, whichErr, pieces, err)
		}
	})
}

// frames gives the frames of a stream that comes in pieces of n bytes, one behind the other.
func frames(b []byte, n int) (all []byte, err error) {
	var held []byte
	for len(b) > 0 {
		piece := b[:min(n, len(b))]
		held, b = append(held, piece...), b[len(piece):]
		for {
			f, rest, err := SplitFrame(held, 4096)
			if err != nil {
				return all, err
			}
			if f == nil {
				break
			}
			all = append(all, f...)
			held = rest
		}
	}
	return all, nil
}
