package mqtt

import (
	"errors"
	"math/rand/v2"
	"testing"
	"unicode/utf8"

	"github.com/hubwire/hubwire/internal/testkit"
)

// slowTopic is checkTopic as the standard words it, a rune at a time: the
// offset of the first fault and what it is.
func slowTopic(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, ErrEmpty
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			return i, ErrUTF8
		case r == 0:
			return i, ErrNUL
		case r == '#' || r == '+':
			return i, ErrWildcard
		}
		i += n
	}
	return 0, nil
}

func checkAgainstSlowTopic(t *testing.T, b []byte) {
	t.Helper()
	at, want := slowTopic(b)
	check := func(name string, err error, at int) {
		t.Helper()
		var pe *PacketError
		if errors.As(err, &pe) != (want != nil) || !errors.Is(err, want) || pe != nil && pe.Offset != at {
			t.Fatalf("%s of %q: %v, want %v at offset %d", name, b, err, want, at)
		}
	}
	check("checkTopic", checkTopic(TypePublish, partTopic, b, 0), at)

	p := Publish{Topic: b}
	wire := p.AppendTo(nil)
	for _, name := range []string{"ParsePublish", "ParsePublish once more"} { // which takes another way
		_, err := ParsePublish(wire)
		check(name, err, headerSize(p.remaining())+2+at)
	}
}

// Each byte value, at each place of topics of each length that the fast path
// treats differently, between neighbours that could carry into it.
func TestEveryByteAtEveryPlaceOfATopic(t *testing.T) {
	for _, n := range []int{1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 39, 40, 41, 64, 71} {
		for _, fill := range []byte{'a', 0x01, 0x7f, '*'}[:max(1, testkit.Fewer(4))] {
			b := make([]byte, n)
			for i := range b {
				b[i] = fill
			}
			for i := range b {
				for c := range 256 {
					b[i] = byte(c)
					checkAgainstSlowTopic(t, b)
				}
				b[i] = fill
			}
		}
	}
}

func TestTopicsWithSeveralFaultsNameTheFirst(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"abc/", "#", "+", "\x00", "\u00e9", "\U0001F600", "\xed\xa0\x80", "\xff", "\xc3", "x"}
	for range 20000 {
		var b []byte
		for range r.IntN(24) {
			p := pieces[0]
			if r.IntN(4) == 0 {
				p = pieces[r.IntN(len(pieces))]
			}
			b = append(b, p...)
		}
		checkAgainstSlowTopic(t, b)
	}
}

func TestSplit(t *testing.T) {
	two := []byte{0xc0, 0, 0x40, 2, 0, 7, 0x30}
	p, rest, err := Split(two, 0)
	if string(p) != "\xc0\x00" || len(rest) != 5 || err != nil {
		t.Fatalf("first: %x, %x, %v", p, rest, err)
	}
	p, rest, err = Split(rest, 0)
	if string(p) != "\x40\x02\x00\x07" || len(rest) != 1 || err != nil {
		t.Fatalf("second: %x, %x, %v", p, rest, err)
	}
	if p, rest, err = Split(rest, 0); p != nil || len(rest) != 1 || err != nil {
		t.Fatalf("the half packet: %x, %x, %v", p, rest, err)
	}
	if p, rest, err = Split(nil, 0); p != nil || len(rest) != 0 || err != nil {
		t.Fatalf("nothing: %x, %x, %v", p, rest, err)
	}
	tests := []struct {
		name string
		in   []byte
		max  int
		want error
	}{
		{"type 0", []byte{0x00}, 0, ErrType},
		{"type 15", []byte{0xf0, 0}, 0, ErrType},
		{"five bytes of length", []byte{0x30, 0xff, 0xff, 0xff, 0xff, 0x01}, 0, ErrLength},
		{"four bytes of length that all go on", []byte{0x30, 0x80, 0x80, 0x80, 0x80}, 0, ErrLength},
		{"one more than the default", []byte{0x30, 0xfd, 0xff, 0x0f}, 0, ErrTooLarge}, // 4 + 262141
		{"exactly the default", []byte{0x30, 0xfc, 0xff, 0x0f}, 0, nil},
		{"one more than asked for", []byte{0x30, 9}, 10, ErrTooLarge},
		{"exactly as asked for", []byte{0x30, 8}, 10, nil},
		{"whole, and one more than asked for", []byte{0x30, 9, 0, 1, 't', 5, 6, 7, 8, 9, 10}, 10, ErrTooLarge},
		{"whole, but of a reserved type", []byte{0xf0, 2, 0, 0}, 0, ErrType},
		{"the largest of all", []byte{0x30, 0xff, 0xff, 0xff, 0x7f}, maxHeader + MaxRemaining, nil},
	}
	for _, tt := range tests {
		p, _, err := Split(tt.in, tt.max)
		var pe *PacketError
		if p != nil || !errors.Is(err, tt.want) || errors.As(err, &pe) != (tt.want != nil) {
			t.Errorf("%s: %x, %v, want %v", tt.name, p, err, tt.want)
		}
		if tt.want == ErrTooLarge && pe.Limit != max(tt.max, 10) && pe.Limit != DefaultMaxPacket {
			t.Errorf("%s: limit is %d", tt.name, pe.Limit)
		}
	}
}

// MQTT 3.1.1 does not forbid a remaining length with needless bytes.
func TestRemainingLengthNeedNotBeShort(t *testing.T) {
	for _, in := range []string{"\x40\x82\x00\x00\x07", "\x40\x82\x80\x00\x00\x07", "\x40\x82\x80\x80\x00\x00\x07"} {
		p, rest, err := Split([]byte(in), 0)
		if err != nil || len(rest) != 0 {
			t.Fatalf("Split(%x): %x, %v", in, p, err)
		}
		if ack, err := ParsePuback(p); err != nil || ack.ID != 7 {
			t.Errorf("ParsePuback(%x): %v, %v", in, ack, err)
		}
	}
	for _, in := range []string{"\x30\x84\x80\x00\x00\x01tx", "\x30\x84\x00\x00\x01tx"} {
		if p, err := ParsePublish([]byte(in)); err != nil || string(p.Topic) != "t" || string(p.Payload) != "x" {
			t.Errorf("ParsePublish(%x): %v, %v", in, p, err)
		}
	}
}

func TestHeaderSizes(t *testing.T) {
	for _, n := range []int{0, 127, 128, 16383, 16384, 2097151, 2097152, MaxRemaining} {
		b := appendHeader(nil, 0x30, n)
		if got, head := remainingLength(b); got != n || head != len(b) || head != headerSize(n) {
			t.Errorf("%d: bytes %x give %d with a header of %d, headerSize says %d", n, b, got, head, headerSize(n))
		}
	}
}

func TestNames(t *testing.T) {
	for typ, want := range map[Type]string{
		TypeConnect: "CONNECT", TypePublish: "PUBLISH", TypeDisconnect: "DISCONNECT", 0: "packet type 0", 15: "packet type 15",
	} {
		if typ.String() != want {
			t.Errorf("Type(%d) is %q, want %q", uint8(typ), typ.String(), want)
		}
	}
	for code, want := range map[ReturnCode]string{
		NotAuthorized: "mqtt: connection refused, CONNACK 5: not authorized",
		9:             "mqtt: connection refused, CONNACK 9: return code 9",
	} {
		if code.Error() != want {
			t.Errorf("got %q, want %q", code.Error(), want)
		}
	}
	if Packet(nil).Type() != 0 {
		t.Error("an empty Packet has a type")
	}
}
