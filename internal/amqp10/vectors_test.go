package amqp10

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
)

type vector struct {
	Name, What, Direction, Hex string
}

func (v vector) bytes(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(v.Hex)
	if err != nil {
		t.Fatalf("%s%s: %v", v.Name, v.What, err)
	}
	return b
}

type vectorFile struct {
	Primitives, Messages, Frames []vector
	Capture                      struct{ Frames []vector } `json:"session_capture"`
}

func vectors(t testing.TB) (file vectorFile) {
	t.Helper()
	if err := json.Unmarshal(testkit.Vectors(t, "amqp.json"), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

type performative interface {
	Parse(b []byte) error
	AppendTo(dst []byte) []byte
}

func performativeOf(d Descriptor) performative {
	switch d {
	case DescOpen:
		return new(Open)
	case DescBegin:
		return new(Begin)
	case DescAttach:
		return new(Attach)
	case DescFlow:
		return new(Flow)
	case DescDisposition:
		return new(Disposition)
	case DescDetach:
		return new(Detach)
	case DescEnd:
		return new(End)
	case DescClose:
		return new(Close)
	case DescSource:
		return new(Source)
	case DescTarget:
		return new(Target)
	case DescSASLMechanisms:
		return new(SASLMechanisms)
	case DescSASLInit:
		return new(SASLInit)
	case DescSASLChallenge:
		return new(SASLChallenge)
	case DescSASLResponse:
		return new(SASLResponse)
	case DescSASLOutcome:
		return new(SASLOutcome)
	}
	return nil
}

// A frame is written with the shortest forms there are, so it comes out as it went in if its peer
// did so too, and shorter if not; then what comes out reads the same.
func TestFrameVectorsBothWays(t *testing.T) {
	file := vectors(t)
	same := 0
	for _, v := range append(file.Frames, file.Capture.Frames...) {
		b := v.bytes(t)
		if bytes.HasPrefix(b, []byte("AMQP")) {
			continue // see TestProtocolHeadersBothWays
		}
		rewrite := rewriteFrame
		if PeekDescriptor(b) != 0 {
			rewrite = rewriteBody // a source that stands alone
		}
		again := rewrite(t, b)
		if bytes.Equal(again, b) {
			same++
			continue
		}
		if len(again) >= len(b) || !bytes.Equal(rewrite(t, again), again) {
			t.Errorf("%s%s:\n got %x\nwant %x", v.Name, v.What, again, b)
		}
	}
	if same == 0 {
		t.Error("no frame came out as it went in")
	}
}

// rewriteFrame reads a frame and writes what it read.
func rewriteFrame(t *testing.T, b []byte) []byte {
	t.Helper()
	f, rest, err := SplitFrame(b, 65536)
	if f == nil || len(rest) > 0 {
		t.Fatalf("%x: %v", b, err)
	}
	out := OpenFrame(nil, f.Type(), f.Channel())
	if len(f.Body()) == 0 {
		return CloseFrame(out, 0)
	}
	return CloseFrame(append(out, rewriteBody(t, f.Body())...), 0)
}

// rewriteBody reads a performative and writes what it read, and the payload behind it.
func rewriteBody(t *testing.T, b []byte) []byte {
	t.Helper()
	d := PeekDescriptor(b)
	if d == DescTransfer {
		var x Transfer
		payload, err := x.Parse(b)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		return append(x.AppendTo(nil), payload...)
	}
	p := performativeOf(d)
	if p == nil {
		t.Fatalf("no performative %#x", uint8(d))
	}
	if err := p.Parse(b); err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	return p.AppendTo(nil)
}
