package fuzz

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/mqtt"
)

// mqttPacket is any packet of package mqtt.
type mqttPacket interface {
	AppendTo([]byte) []byte
	Check() error
}

func parseMQTT(p mqtt.Packet) (mqttPacket, error) {
	switch p.Type() {
	case mqtt.TypeConnect:
		return packetOf(mqtt.ParseConnect(p))
	case mqtt.TypeConnack:
		return packetOf(mqtt.ParseConnack(p))
	case mqtt.TypePublish:
		return packetOf(mqtt.ParsePublish(p))
	case mqtt.TypePuback:
		return packetOf(mqtt.ParsePuback(p))
	case mqtt.TypePubrec:
		return packetOf(mqtt.ParsePubrec(p))
	case mqtt.TypePubrel:
		return packetOf(mqtt.ParsePubrel(p))
	case mqtt.TypePubcomp:
		return packetOf(mqtt.ParsePubcomp(p))
	case mqtt.TypeSubscribe:
		return packetOf(mqtt.ParseSubscribe(p))
	case mqtt.TypeSuback:
		return packetOf(mqtt.ParseSuback(p))
	case mqtt.TypeUnsubscribe:
		return packetOf(mqtt.ParseUnsubscribe(p))
	case mqtt.TypeUnsuback:
		return packetOf(mqtt.ParseUnsuback(p))
	case mqtt.TypePingreq:
		return packetOf(mqtt.ParsePingreq(p))
	case mqtt.TypePingresp:
		return packetOf(mqtt.ParsePingresp(p))
	case mqtt.TypeDisconnect:
		return packetOf(mqtt.ParseDisconnect(p))
	}
	return nil, mqtt.ErrType
}

func packetOf[T any, P interface {
	*T
	mqttPacket
}](v T, err error) (mqttPacket, error) {
	return P(&v), err
}

var mqttSeeds = []string{
	"\x10\x19\x00\x04MQTT\x04\xc0\x00\xf0\x00\x02d1\x00\x05h/d1/\x00\x02pw",
	"\x10\x17\x00\x04MQTT\x04\xae\x00\x3c\x00\x02d1\x00\x01w\x00\x02\x00\x01\x00\x00",
	"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00",
	"\x20\x02\x01\x00", "\x20\x02\x00\x05",
	"\x30\x03\x00\x01a", "\x32\x09\x00\x03a/b\x00\x0ahi", "\x3d\x07\x00\x02\xc3\xa9\xff\xff\xff",
	"\x30\x05\x00\x03a/+", "\x30\x83\x00\x00\x01a",
	"\x40\x02\x00\x07", "\x50\x02\x00\x07", "\x62\x02\x00\x07", "\x70\x02\x00\x07",
	"\x82\x0d\x00\x01\x00\x03a/#\x01\x00\x02\x2b/\x00", "\x90\x06\x00\x01\x00\x01\x02\x80",
	"\xa2\x0b\x00\x02\x00\x01#\x00\x04a//b", "\xb0\x02\x00\x02",
	"\xc0\x00", "\xd0\x00", "\xe0\x00",
	"\x30\xff\xff\xff\xff", "\x30\xff\xff\xff\x7f", "\x00\x00", "\xf0\x00",
}

// What is taken must come out the same: parse, append, parse. What is refused
// must be refused with a PacketError whose place lies in the packet.
func FuzzMQTTPacket(f *testing.F) {
	for _, s := range mqttSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		p, rest, err := mqtt.Split(in, 0)
		if err != nil {
			checkPacketError(t, err, len(in))
			return
		}
		if p == nil {
			if !bytes.Equal(rest, in) {
				t.Fatalf("Split(%x) gave no packet and kept %x", in, rest)
			}
			return
		}
		if !bytes.Equal(append(bytes.Clone(p), rest...), in) {
			t.Fatalf("Split(%x) is %x and %x", in, []byte(p), rest)
		}
		v, err := parseMQTT(p)
		if err != nil {
			checkPacketError(t, err, len(p))
			return
		}
		if err := v.Check(); err != nil {
			t.Fatalf("%x was taken, and Check says %v", []byte(p), err)
		}
		wire := v.AppendTo(nil)
		if len(wire) > len(p) {
			t.Fatalf("%x became longer: %x", []byte(p), wire)
		}
		again, err := parseMQTT(wire)
		if err != nil {
			t.Fatalf("%x -> %x -> %v", []byte(p), wire, err)
		}
		if diff := cmp.Diff(v, again, cmp.Comparer(bytes.Equal)); diff != "" {
			t.Fatalf("%x -> %x (-first +second):\n%s", []byte(p), wire, diff)
		}
		if len(wire) == len(p) && !bytes.Equal(wire, p) {
			t.Fatalf("%x -> %x", []byte(p), wire)
		}
	})
}

func checkPacketError(t *testing.T, err error, n int) {
	t.Helper()
	var pe *mqtt.PacketError
	if !errors.As(err, &pe) || pe.Part == "" || pe.Rule == "" || pe.Err == nil || pe.Offset < 0 || pe.Offset > n {
		t.Fatalf("an error that does not say what and where in %d bytes: %#v", n, err)
	}
}

// What Check passes must be readable, and the same, on the other side; what it
// does not pass, a parser must not pass either.
func FuzzMQTTPublish(f *testing.F) {
	f.Add("a/b", []byte("hi"), uint16(10), uint8(1), false, true)
	f.Add("", []byte(nil), uint16(0), uint8(3), true, false)
	f.Add("devices/d/messages/events/\u00e9\x00", []byte{0xff}, uint16(1), uint8(2), true, true)
	f.Fuzz(func(t *testing.T, topic string, payload []byte, id uint16, qos uint8, dup, retain bool) {
		if qos &= 3; qos == 0 {
			id = 0
		}
		p := mqtt.Publish{Topic: []byte(topic), Payload: payload, ID: id, QoS: mqtt.QoS(qos), Dup: dup, Retain: retain}
		refused := p.Check()
		if len(topic) > mqtt.MaxString {
			return
		}
		wire := p.AppendTo(nil)
		if len(wire) != p.Size() {
			t.Fatalf("Size is %d, the packet has %d bytes", p.Size(), len(wire))
		}
		got, err := mqtt.ParsePublish(wire)
		sameVerdict(t, refused, err)
		if err != nil {
			return
		}
		if diff := cmp.Diff(p, got, cmp.Comparer(bytes.Equal)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		inPlace := append(mqtt.OpenPublish(nil, len(payload)), topic...)
		if inPlace, err = mqtt.ClosePublish(inPlace, 0, &p); err != nil || !bytes.Equal(inPlace, wire) {
			t.Fatalf("in place %x, %v, want %x", inPlace, err, wire)
		}
	})
}

// A Conn must find what Split finds, however the bytes are cut.
func FuzzMQTTConn(f *testing.F) {
	for _, s := range mqttSeeds {
		f.Add([]byte(s+"\xc0\x00"+s), uint16(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, size uint16) {
		c := mqtt.NewConn(&pieces{in: in, size: int(size)%2048 + 1}, nil)
		for rest := in; ; {
			want, after, splitErr := mqtt.Split(rest, 0)
			got, err := c.ReadPacket()
			switch {
			case splitErr != nil:
				if err == nil || err.Error() != splitErr.Error() {
					t.Fatalf("Conn says %v, Split %v", err, splitErr)
				}
				return
			case want == nil:
				end := io.ErrUnexpectedEOF
				if len(rest) == 0 {
					end = io.EOF
				}
				if err != end {
					t.Fatalf("with %d bytes left: %x, %v, want %v", len(rest), []byte(got), err, end)
				}
				return
			case err != nil || !bytes.Equal(got, want):
				t.Fatalf("Conn gives %x, %v, Split %x", []byte(got), err, []byte(want))
			}
			rest = after
		}
	})
}

// pieces is a net.Conn that gives in, at most size bytes a Read.
type pieces struct {
	net.Conn
	in   []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.in)
	p.in = p.in[n:]
	return n, nil
}

// As FuzzMQTTPublish, for CONNECT. Optional fields are there when has says so.
func FuzzMQTTConnect(f *testing.F) {
	f.Add("d1", true, uint16(240), "", []byte(nil), uint8(0), false, "h/d1/", []byte("pw"), uint8(0b110))
	f.Add("", false, uint16(0), "w/#", []byte{0, 1}, uint8(3), true, "\xff", []byte(nil), uint8(0b111))
	f.Add("d", false, uint16(0), "w", []byte(nil), uint8(1), true, "u\x00", []byte{}, uint8(0b011))
	f.Fuzz(func(t *testing.T, client string, clean bool, alive uint16, topic string, payload []byte, qos uint8, retain bool, user string, password []byte, has uint8) {
		c := mqtt.Connect{ClientID: []byte(client), CleanSession: clean, KeepAlive: alive}
		if has&1 != 0 {
			c.Will = mqtt.Will{Topic: []byte(topic), Payload: payload, QoS: mqtt.QoS(qos & 3), Retain: retain}
		}
		if has&2 != 0 {
			c.UserName = []byte(user)
		}
		if has&4 != 0 {
			c.Password = mqtt.NewSecret(append([]byte{}, password...))
		}
		if max(len(client), len(topic), len(payload), len(user), len(password)) > mqtt.MaxString {
			return
		}
		got, err := mqtt.ParseConnect(c.AppendTo(nil))
		sameVerdict(t, c.Check(), err)
		if err != nil {
			return
		}
		if diff := cmp.Diff(c, got, cmp.Comparer(bytes.Equal)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// As FuzzMQTTPublish, for the packets that are a packet identifier and a list.
func FuzzMQTTList(f *testing.F) {
	f.Add(uint8(0), uint16(1), []byte("\x00\x03a/#\x01\x00\x02+/\x00"))
	f.Add(uint8(1), uint16(0), []byte("\x00\x01#\x00\x04a//b"))
	f.Add(uint8(2), uint16(7), []byte("\x00\x01\x02\x80\x03"))
	f.Add(uint8(0), uint16(7), []byte("\x00\x02+a\x00"))
	f.Fuzz(func(t *testing.T, kind uint8, id uint16, list []byte) {
		var p, got mqttPacket
		var err error
		switch kind % 3 {
		case 0:
			p = &mqtt.Subscribe{ID: id, Filters: list}
			got, err = packetOf(mqtt.ParseSubscribe(p.AppendTo(nil)))
		case 1:
			p = &mqtt.Unsubscribe{ID: id, Filters: list}
			got, err = packetOf(mqtt.ParseUnsubscribe(p.AppendTo(nil)))
		case 2:
			p = &mqtt.Suback{ID: id, Codes: list}
			got, err = packetOf(mqtt.ParseSuback(p.AppendTo(nil)))
		}
		sameVerdict(t, p.Check(), err)
		if err != nil {
			return
		}
		if diff := cmp.Diff(p, got, cmp.Comparer(bytes.Equal)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		relist(t, p)
	})
}

// relist takes the list of p apart and puts it together again.
func relist(t *testing.T, p mqttPacket) {
	t.Helper()
	var err error
	switch p := p.(type) {
	case *mqtt.Subscribe:
		var again mqtt.Filters
		for filter, qos := range p.Filters.All() {
			if again, err = mqtt.AppendFilter(again, filter, qos); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(again, p.Filters) {
			t.Fatalf("%x came back as %x", p.Filters, again)
		}
	case *mqtt.Unsubscribe:
		var again mqtt.FilterNames
		for filter := range p.Filters.All() {
			if again, err = mqtt.AppendFilterName(again, filter); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(again, p.Filters) {
			t.Fatalf("%x came back as %x", p.Filters, again)
		}
	}
}

// sameVerdict compares what Check says of a packet with what its parser says of its bytes.
func sameVerdict(t *testing.T, check, parse error) {
	t.Helper()
	if (check == nil) != (parse == nil) || check != nil && check.Error() != parse.Error() {
		t.Fatalf("Check says %v, Parse says %v", check, parse)
	}
}
