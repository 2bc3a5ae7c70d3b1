package mqtt

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unhex reads annotated hex: everything from "#" to the end of a line is a comment.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(s) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatalf("bad hex in the test: %v", err)
	}
	return b
}

// writable is any packet.
type writable interface {
	AppendTo([]byte) []byte
	Check() error
}

// parseAny parses p as what its first byte says and returns a pointer to the result.
func parseAny(p Packet) (writable, error) {
	switch p.Type() {
	case TypeConnect:
		return pointer(ParseConnect(p))
	case TypeConnack:
		return pointer(ParseConnack(p))
	case TypePublish:
		return pointer(ParsePublish(p))
	case TypePuback:
		return pointer(ParsePuback(p))
	case TypePubrec:
		return pointer(ParsePubrec(p))
	case TypePubrel:
		return pointer(ParsePubrel(p))
	case TypePubcomp:
		return pointer(ParsePubcomp(p))
	case TypeSubscribe:
		return pointer(ParseSubscribe(p))
	case TypeSuback:
		return pointer(ParseSuback(p))
	case TypeUnsubscribe:
		return pointer(ParseUnsubscribe(p))
	case TypeUnsuback:
		return pointer(ParseUnsuback(p))
	case TypePingreq:
		return pointer(ParsePingreq(p))
	case TypePingresp:
		return pointer(ParsePingresp(p))
	case TypeDisconnect:
		return pointer(ParseDisconnect(p))
	}
	return nil, ErrType
}

func pointer[T any, P interface {
	*T
	writable
}](v T, err error) (writable, error) {
	return P(&v), err
}

func filters(t testing.TB, pairs ...any) (f Filters) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		var err error
		if f, err = AppendFilter(f, pairs[i].(string), pairs[i+1].(QoS)); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func filterNames(t testing.TB, names ...string) (f FilterNames) {
	t.Helper()
	for _, name := range names {
		var err error
		if f, err = AppendFilterName(f, name); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

type golden struct {
	name   string
	packet writable
	hex    string
}

func goldens(t testing.TB) []golden {
	return []golden{
		{"connect of a persistent device with a token", &Connect{
			ClientID: []byte("d1"), KeepAlive: 240, UserName: []byte("h/d1/"), Password: NewSecret([]byte("pw")),
		}, `
			10 19            # CONNECT, remaining length 25
			00 04 4d 51 54 54 04 # "MQTT", level 4
			c0               # user name, password
			00 f0            # keep alive 240 s
			00 02 64 31      # client identifier "d1"
			00 05 68 2f 64 31 2f # user name "h/d1/"
			00 02 70 77      # password "pw"`},
		{"connect with a will and no password", &Connect{
			ClientID: []byte("d1"), CleanSession: true, KeepAlive: 60, UserName: []byte(""),
			Will: Will{Topic: []byte("w"), Payload: []byte{0, 1}, QoS: AtLeastOnce, Retain: true},
		}, `
			10 17
			00 04 4d 51 54 54 04
			ae               # user name, will retain, will QoS 1, will, clean session
			00 3c
			00 02 64 31
			00 01 77         # will topic "w"
			00 02 00 01      # will message
			00 00            # user name, empty`},
		{"connect of nobody", &Connect{ClientID: []byte{}, CleanSession: true}, `
			10 0c 00 04 4d 51 54 54 04 02 00 00 00 00`},
		{"connack that accepts and has a session", &Connack{SessionPresent: true}, `20 02 01 00`},
		{"connack that accepts", &Connack{}, `20 02 00 00`},
		{"connack that refuses", &Connack{Code: NotAuthorized}, `20 02 00 05`},
		{"publish with QoS 0 and nothing in it", &Publish{Topic: []byte("a"), Payload: []byte{}}, `30 03 00 01 61`},
		{"publish with QoS 1", &Publish{Topic: []byte("a/b"), Payload: []byte("hi"), ID: 10, QoS: AtLeastOnce}, `
			32 09            # type 3, flags 0010; remaining length 9
			00 03 61 2f 62   # topic "a/b"
			00 0a            # packet identifier 10
			68 69            # payload "hi"`},
		{"publish with QoS 2, sent again, retained", &Publish{
			Topic: []byte("\u00e9\U0001F600"), Payload: []byte{0xff}, ID: 65535, QoS: ExactlyOnce, Dup: true, Retain: true,
		}, `
			3d 0b
			00 06 c3 a9 f0 9f 98 80 # topic "é" and a character outside the BMP
			ff ff
			ff`},
		{"publish with a two-byte length", &Publish{Topic: []byte("t"), Payload: bytes.Repeat([]byte{'x'}, 125)}, `
			30 80 01 00 01 74` + strings.Repeat("78", 125)},
		{"puback", &Puback{ID: 7}, `40 02 00 07`},
		{"pubrec", &Pubrec{ID: 0x1234}, `50 02 12 34`},
		{"pubrel", &Pubrel{ID: 0x1234}, `62 02 12 34`},
		{"pubcomp", &Pubcomp{ID: 0x1234}, `70 02 12 34`},
		{"subscribe to three filters", &Subscribe{ID: 1, Filters: filters(t, "a/#", AtLeastOnce, "+", AtMostOnce, "+/b", ExactlyOnce)}, `
			82 12
			00 01
			00 03 61 2f 23 01
			00 01 2b 00
			00 03 2b 2f 62 02`},
		{"suback with each code", &Suback{ID: 1, Codes: []byte{0, 1, 2, 0x80}}, `90 06 00 01 00 01 02 80`},
		{"unsubscribe from two", &Unsubscribe{ID: 2, Filters: filterNames(t, "#", "a//b")}, `
			a2 0b
			00 02
			00 01 23
			00 04 61 2f 2f 62`},
		{"unsuback", &Unsuback{ID: 2}, `b0 02 00 02`},
		{"pingreq", &Pingreq{}, `c0 00`},
		{"pingresp", &Pingresp{}, `d0 00`},
		{"disconnect", &Disconnect{}, `e0 00`},
	}
}

func TestGoldenPackets(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			want := unhex(t, g.hex)
			if err := g.packet.Check(); err != nil {
				t.Fatalf("Check: %v", err)
			}
			got := g.packet.AppendTo([]byte("before"))
			if diff := cmp.Diff(append([]byte("before"), want...), got); diff != "" {
				t.Errorf("AppendTo (-want +got):\n%s", diff)
			}
			back, err := parseAny(want)
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if diff := cmp.Diff(g.packet, back); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
			if p, ok := g.packet.(*Publish); ok && p.Size() != len(want) {
				t.Errorf("Size is %d, want %d", p.Size(), len(want))
			}
		})
	}
}

func TestEveryPrefixOfAPacketIsIncompleteOrRefused(t *testing.T) {
	for _, g := range goldens(t) {
		whole := unhex(t, g.hex)
		for n := range len(whole) {
			prefix := bytes.Clone(whole[:n])
			if p, rest, err := Split(prefix, 0); p != nil || err != nil || len(rest) != n {
				t.Errorf("%s: Split of %d bytes of %d: %x, %d left, %v", g.name, n, len(whole), p, len(rest), err)
			}
			if n > 0 {
				if _, err := parseAny(prefix); !errors.Is(err, ErrTruncated) {
					t.Errorf("%s: %d bytes of %d: error %v, want ErrTruncated", g.name, n, len(whole), err)
				}
			}
			// The same with a remaining length that fits what is left.
			if n >= 2 && len(whole) < 0x80 {
				prefix[1] = byte(n - 2)
				if again, err := parseAny(prefix); err == nil && bytes.Equal(again.AppendTo(nil), whole) {
					t.Errorf("%s: %d bytes of %d were taken for the whole", g.name, n, len(whole))
				}
			}
		}
	}
}

func TestBytesBehindAPacketAreRefused(t *testing.T) {
	for _, g := range goldens(t) {
		p := append(unhex(t, g.hex), 0)
		var pe *PacketError
		_, err := parseAny(p)
		if !errors.As(err, &pe) || !errors.Is(err, ErrTrailing) || pe.Offset != len(p)-1 {
			t.Errorf("%s: %v, want ErrTrailing at %d", g.name, err, len(p)-1)
		}
	}
}

func TestEveryOtherTypeIsRefused(t *testing.T) {
	parsers := map[Type]func(Packet) error{
		TypeConnect:     func(p Packet) error { _, err := ParseConnect(p); return err },
		TypeConnack:     func(p Packet) error { _, err := ParseConnack(p); return err },
		TypePublish:     func(p Packet) error { _, err := ParsePublish(p); return err },
		TypePuback:      func(p Packet) error { _, err := ParsePuback(p); return err },
		TypePubrec:      func(p Packet) error { _, err := ParsePubrec(p); return err },
		TypePubrel:      func(p Packet) error { _, err := ParsePubrel(p); return err },
		TypePubcomp:     func(p Packet) error { _, err := ParsePubcomp(p); return err },
		TypeSubscribe:   func(p Packet) error { _, err := ParseSubscribe(p); return err },
		TypeSuback:      func(p Packet) error { _, err := ParseSuback(p); return err },
		TypeUnsubscribe: func(p Packet) error { _, err := ParseUnsubscribe(p); return err },
		TypeUnsuback:    func(p Packet) error { _, err := ParseUnsuback(p); return err },
		TypePingreq:     func(p Packet) error { _, err := ParsePingreq(p); return err },
		TypePingresp:    func(p Packet) error { _, err := ParsePingresp(p); return err },
		TypeDisconnect:  func(p Packet) error { _, err := ParseDisconnect(p); return err },
	}
	for _, g := range goldens(t) {
		p := Packet(unhex(t, g.hex))
		for typ, parse := range parsers {
			if err := parse(p); (err == nil) != (typ == p.Type()) {
				t.Errorf("%s parsed as %v: %v", g.name, typ, err)
			} else if typ != p.Type() && !errors.Is(err, ErrType) {
				t.Errorf("%s parsed as %v: %v, want ErrType", g.name, typ, err)
			}
		}
	}
}

func TestFlagsOfTheFixedHeader(t *testing.T) {
	for _, g := range goldens(t) {
		p := Packet(unhex(t, g.hex))
		if p.Type() == TypePublish {
			continue // its flags mean something
		}
		right := p[0] & 0x0f
		for flags := range byte(16) {
			p[0] = p[0]&0xf0 | flags
			if _, err := parseAny(p); flags == right && err != nil || flags != right && !errors.Is(err, ErrFlags) {
				t.Errorf("%s with flags %04b: %v", g.name, flags, err)
			}
		}
	}
}

// A view must end where its field ends, so that appending to it cannot reach
// the next field.
func TestViewsAreClipped(t *testing.T) {
	p := unhex(t, goldens(t)[0].hex)
	c, err := ParseConnect(p)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(c.ClientID, 'X')
	_ = append(c.UserName, 'X')
	if again, err := ParseConnect(p); err != nil || string(again.UserName) != "h/d1/" || string(again.Password.Reveal()) != "pw" {
		t.Errorf("an append to a view reached its neighbour: %v", err)
	}
}

// What a parser gives is a view: change the buffer and it changes too. A copy
// made in passing would show here, and cost an allocation.
func TestFieldsAreViewsOfThePacket(t *testing.T) {
	for _, g := range goldens(t) {
		p := unhex(t, g.hex)
		v, err := parseAny(p)
		if err != nil {
			t.Fatal(err)
		}
		for i := range p {
			p[i] = 0xdb
		}
		var fields [][]byte
		switch v := v.(type) {
		case *Connect:
			fields = [][]byte{v.ClientID, v.UserName, v.Password.Reveal(), v.Will.Topic, v.Will.Payload}
		case *Publish:
			fields = [][]byte{v.Topic, v.Payload}
		case *Subscribe:
			fields = [][]byte{v.Filters}
		case *Suback:
			fields = [][]byte{v.Codes}
		case *Unsubscribe:
			fields = [][]byte{v.Filters}
		}
		for _, f := range fields {
			if want := bytes.Repeat([]byte{0xdb}, len(f)); !bytes.Equal(f, want) {
				t.Errorf("%s: a field is not a view: %x", g.name, f)
			}
		}
	}
}
