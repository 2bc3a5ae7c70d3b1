package amqp10

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
)

type vector struct {
	Name, What, Hex string
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
		if bytes.HasPrefix(b, []byte("AMQP")) || b[0] == 0 && b[1] == 0x53 {
			continue
		}
		again := rewrite(t, v, b)
		if bytes.Equal(again, b) {
			same++
			continue
		}
		if len(again) >= len(b) || !bytes.Equal(rewrite(t, v, again), again) {
			t.Errorf("%s%s:\n got %x\nwant %x", v.Name, v.What, again, b)
		}
	}
	if same == 0 {
		t.Error("no frame came out as it went in")
	}
}

// rewrite reads a frame and writes what it read.
func rewrite(t *testing.T, v vector, b []byte) []byte {
	t.Helper()
	f, rest, err := SplitFrame(b, 65536)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%s%s: %v", v.Name, v.What, err)
	}
	out := OpenFrame(nil, f.Type(), f.Channel())
	if len(f.Body()) == 0 {
		return CloseFrame(out, 0)
	}
	d := PeekDescriptor(f.Body())
	if d == DescTransfer {
		var x Transfer
		payload, err := x.Parse(f.Body())
		if err != nil {
			t.Fatalf("%s%s: %v", v.Name, v.What, err)
		}
		return CloseFrame(append(x.AppendTo(out), payload...), 0)
	}
	p := performativeOf(d)
	if p == nil {
		t.Fatalf("%s%s: no performative %#x", v.Name, v.What, d)
	}
	if err := p.Parse(f.Body()); err != nil {
		t.Fatalf("%s%s: %v", v.Name, v.What, err)
	}
	return CloseFrame(p.AppendTo(out), 0)
}
