package mqtt

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/testkit"
)

// wire is a net.Conn that gives in, in pieces of the sizes that chunk says,
// and keeps each Write apart.
type wire struct {
	net.Conn
	in     []byte
	chunk  func() int
	end    error // after in; nil means io.EOF
	reads  int
	asked  []int // room that each Read had
	before []int // bytes given before each Read
	given  int
	writes [][]byte
}

func (w *wire) Read(b []byte) (int, error) {
	w.reads++
	w.asked, w.before = append(w.asked, len(b)), append(w.before, w.given)
	if len(w.in) == 0 {
		if w.end != nil {
			return 0, w.end
		}
		return 0, io.EOF
	}
	n := len(b)
	if w.chunk != nil {
		n = min(n, w.chunk())
	}
	n = copy(b[:n], w.in)
	w.in = w.in[n:]
	w.given += n
	return n, nil
}

func (w *wire) Write(b []byte) (int, error) {
	w.writes = append(w.writes, bytes.Clone(b))
	return len(b), nil
}

func (w *wire) Close() error { return nil }

func ofSize(n int) func() int { return func() int { return n } }

// stream is packets of awkward sizes: around those of the read buffer, and larger.
func stream(t testing.TB) (all []byte, packets [][]byte) {
	for _, g := range goldens(t) {
		packets = append(packets, unhex(t, g.hex))
	}
	for _, n := range []int{0, 1, 56, 57, 58, 59, 60, 1000, 1017, 1018, 1019, 1500, 16370, 16380, 16384, 40000, 5, 70000, 3} {
		p := Publish{Topic: []byte("t"), Payload: bytes.Repeat([]byte{byte(n)}, n)}
		packets = append(packets, p.AppendTo(nil))
	}
	for i := range 2000 {
		ack := Puback{ID: uint16(i + 1)}
		packets = append(packets, ack.AppendTo(nil))
	}
	return bytes.Join(packets, nil), packets
}

func TestAnyChunkingGivesTheSamePackets(t *testing.T) {
	all, packets := stream(t)
	r := rand.New(rand.NewPCG(3, 4))
	chunkings := map[string]func() int{
		"a byte at a time":       ofSize(1),
		"three bytes at a time":  ofSize(3),
		"1023 bytes at a time":   ofSize(1023),
		"1024 bytes at a time":   ofSize(1024),
		"1025 bytes at a time":   ofSize(1025),
		"as much as there is":    nil,
		"of any size up to 50":   func() int { return 1 + r.IntN(50) },
		"of any size up to 5000": func() int { return 1 + r.IntN(5000) },
	}
	for name, chunk := range chunkings {
		t.Run(name, func(t *testing.T) {
			w := &wire{in: all, chunk: chunk}
			c := NewConn(w, nil)
			for i, want := range packets {
				p, err := c.ReadPacket()
				if err != nil || !bytes.Equal(p, want) {
					t.Fatalf("packet %d: %d bytes, %v, want %d bytes", i, len(p), err, len(want))
				}
			}
			if p, err := c.ReadPacket(); err != io.EOF {
				t.Fatalf("after the last packet: %x, %v, want io.EOF", p, err)
			}
		})
	}
}

// Whoever takes PUBACKs of a burst together and who reads them one by one get the same.
func TestPubacksOfABurstAreTakenTogether(t *testing.T) {
	ack := func(b []byte, id uint16) []byte { return (&Puback{ID: id}).AppendTo(b) }
	var all []byte
	var want []uint16
	for id := uint16(1); id <= 1000; id++ {
		all, want = ack(all, id), append(want, id)
	}
	message := (&Publish{Topic: []byte("t")}).AppendTo(nil)
	all = append(all, message...)
	all = ack(append(ack(all, 1001), 0x40, 0x82, 0, 0, 7), 1002) // a length in two bytes; no limit of bytes forbids it
	all = append(all, 0x40, 2, 0, 0)                             // identifier 0 is not sound
	all = ack(all, 1003)
	want = append(want, 1001, 7, 1002, 1003)
	for _, chunk := range []func() int{ofSize(1), ofSize(3), ofSize(4), ofSize(6), ofSize(1023), nil} {
		c := NewConn(&wire{in: bytes.Clone(all), chunk: chunk}, nil)
		var got []uint16
		messages, refused := 0, 0
		for {
			p, err := c.ReadPacket()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.Type() == TypePublish {
				messages++
				if !bytes.Equal(p, message) || len(c.takePubacks(nil, 0)) != 0 {
					t.Errorf("the message is %x", []byte(p))
				}
				continue
			}
			a, err := ParsePuback(p)
			if err != nil {
				refused++
				continue
			}
			got = append(got, a.ID)
			before := len(got)
			if got = c.takePubacks(got, before+100); len(got) > before+100 {
				t.Errorf("%d were taken, with a limit of 100", len(got)-before)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || messages != 1 || refused != 1 {
			t.Errorf("%d messages, %d refused, want 1 and 1; (-want +got):\n%s", messages, refused, diff)
		}
	}
}

func TestPacketsHoldUntilTheNextIsRead(t *testing.T) {
	all, packets := stream(t)
	c := NewConn(&wire{in: bytes.Clone(all)}, nil)
	for i, want := range packets {
		p, err := c.ReadPacket()
		if err != nil {
			t.Fatal(err)
		}
		ahead := c.Buffered() // looking ahead changes nothing
		if !bytes.Equal(p, want) {
			t.Fatalf("packet %d changed before the next was read", i)
		}
		if ahead != 0 && ahead != len(packets[i+1]) {
			t.Fatalf("after packet %d Buffered is %d, want 0 or %d", i, ahead, len(packets[i+1]))
		}
		for j := range p {
			p[j] = 0xdb // what the caller does to its view must not reach the next packet
		}
		_ = append(p, 0xdb)
	}
}

func TestOneReadBringsManyPackets(t *testing.T) {
	var acks []byte
	for i := range 1000 {
		acks = (&Puback{ID: uint16(i + 1)}).AppendTo(acks)
	}
	w := &wire{in: acks}
	c := NewConn(w, nil)
	for range 1000 {
		if _, err := c.ReadPacket(); err != nil {
			t.Fatal(err)
		}
	}
	if w.reads > 3 {
		t.Errorf("1000 acknowledgements took %d reads, with room for %v bytes", w.reads, w.asked)
	}
	if c.Buffered() != 0 {
		t.Error("packets are left")
	}
}

func TestTheEndOfTheStream(t *testing.T) {
	whole := (&Publish{Topic: []byte("t"), Payload: make([]byte, 2000)}).AppendTo(nil)
	for n := range len(whole) {
		c := NewConn(&wire{in: whole[:n]}, nil)
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if p, err := c.ReadPacket(); err != want || p != nil {
			t.Fatalf("after %d bytes of %d: %d bytes, %v, want %v", n, len(whole), len(p), err, want)
		}
	}
	broken := errors.New("cable cut")
	c := NewConn(&wire{in: whole[:10], end: broken}, nil)
	if _, err := c.ReadPacket(); err != broken {
		t.Errorf("got %v, want the error of the net.Conn", err)
	}
	c = NewConn(&wire{in: whole, chunk: ofSize(0)}, nil)
	if _, err := c.ReadPacket(); err != io.ErrNoProgress {
		t.Errorf("a net.Conn that gives nothing: %v", err)
	}
}

func TestPacketsThatCannotBeReadEndTheConnection(t *testing.T) {
	tests := []struct {
		name string
		in   string
		max  int
		want error
	}{
		{"garbage", "GET / HTTP/1.1\r\n", 10, ErrTooLarge}, // a PUBCOMP-like byte and a length
		{"type 0", "\x00\x00", 0, ErrType},
		{"type 15", "\xf0\x00", 0, ErrType},
		{"no end to the length", "\x30\xff\xff\xff\xff\xff", 0, ErrLength},
		{"too large", "\x30\xff\xff\xff\x7f", 0, ErrTooLarge},
	}
	for _, tt := range tests {
		w := &wire{in: []byte("\xc0\x00" + tt.in)}
		c := NewConn(w, &ConnOptions{MaxPacket: tt.max})
		if p, err := c.ReadPacket(); err != nil || p.Type() != TypePingreq {
			t.Fatalf("%s: the good packet before it: %x, %v", tt.name, p, err)
		}
		if c.Buffered() != 0 {
			t.Errorf("%s: counts as a packet", tt.name)
		}
		_, first := c.ReadPacket()
		var pe *PacketError
		if !errors.Is(first, tt.want) || !errors.As(first, &pe) {
			t.Errorf("%s: %v, want %v", tt.name, first, tt.want)
		}
		if _, again := c.ReadPacket(); again != first || c.Buffered() != 0 {
			t.Errorf("%s: then %v, want the same again", tt.name, again)
		}
		if w.reads > 1 {
			t.Errorf("%s: read on after the fault", tt.name)
		}
	}
}

// A length that is announced and never comes must not cost memory.
func TestTheBufferGrowsWithWhatArrives(t *testing.T) {
	w := &wire{in: append([]byte{0x30, 0xfc, 0xff, 0x0f}, make([]byte, 262140)...), chunk: ofSize(700)}
	c := NewConn(w, nil)
	if _, err := c.ReadPacket(); err != nil {
		t.Fatal(err)
	}
	for i, room := range w.asked {
		arrived := w.before[i]
		if held := arrived + room; held > max(burstBuffer, 2*arrived) {
			t.Fatalf("read %d had a buffer of %d bytes when %d had arrived", i, held, arrived)
		}
	}
	if len(c.buf) != 262144 {
		t.Errorf("the buffer has %d bytes for a packet of 262144", len(c.buf))
	}
}

func TestAnIdleConnHoldsNoBuffer(t *testing.T) {
	ack := (&Puback{ID: 1}).AppendTo(nil)
	large := (&Publish{Topic: []byte("t"), Payload: make([]byte, 100000)}).AppendTo(nil)
	w := &wire{end: os.ErrDeadlineExceeded}
	c := NewConn(w, nil)
	for _, tt := range []struct {
		after string
		in    []byte
		waits int
	}{
		{"nothing", nil, idleBuffer},
		{"a burst", bytes.Repeat(ack, 3000), busyBuffer},
		{"one packet more", ack, busyBuffer},
		{"a ping", (*Pingreq)(nil).AppendTo(nil), idleBuffer},
		{"one packet after it", ack, idleBuffer},
		{"a large packet", append(large, bytes.Repeat(ack, 3000)...), busyBuffer},
		{"the answer to a ping", (*Pingresp)(nil).AppendTo(nil), idleBuffer},
	} {
		w.in = tt.in
		for {
			if _, err := c.ReadPacket(); err != nil {
				break
			}
		}
		if len(c.buf) != tt.waits {
			t.Errorf("after %s it waits with a buffer of %d bytes, want %d", tt.after, len(c.buf), tt.waits)
		}
	}
	if &c.buf[0] != &c.idle[0] || &c.wait[0] != &c.idle[0] {
		t.Error("an idle Conn holds more than itself")
	}
	if size := unsafe.Sizeof(*c); size > 176 {
		t.Errorf("a Conn has %d bytes", size)
	}
}

func TestReadingGoesOnAfterADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := testkit.Pipe()
		defer client.Close()
		defer server.Close()
		c := NewConn(server, nil)
		p := (&Publish{Topic: []byte("topic"), Payload: []byte("body")}).AppendTo(nil)
		if _, err := client.Write(p[:5]); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := c.ReadPacket(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %v, want a deadline exceeded", err)
		}
		if waited := time.Since(start); waited != time.Minute {
			t.Errorf("waited %v, want a minute", waited)
		}
		if err := c.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Write(p[5:]); err != nil {
			t.Fatal(err)
		}
		if got, err := c.ReadPacket(); err != nil || !bytes.Equal(got, p) {
			t.Errorf("got %x, %v", []byte(got), err)
		}
		if err := c.SetWriteDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := c.Write([]byte{0xc0, 0}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a write after its deadline: %v", err)
		}
		if c.NetConn() != server {
			t.Error("NetConn is another")
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ReadPacket(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a read after Close: %v", err)
		}
	})
}

func TestTraceSeesEachPacketBothWays(t *testing.T) {
	connect := (&Connect{ClientID: []byte("d"), UserName: []byte("user"), Password: NewSecret([]byte("pass"))}).AppendTo(nil)
	ack := (&Puback{ID: 9}).AppendTo(nil)
	ping := (&Pingreq{}).AppendTo(nil)
	masked := string(withoutSecrets(connect))
	var in, out []string
	w := &wire{in: slices.Concat(connect, ack, ack)}
	c := NewConn(w, &ConnOptions{Trace: &Trace{
		Received: func(p Packet) { in = append(in, string(p)) },
		Sent:     func(p Packet) { out = append(out, string(p)) },
	}})
	p, err := c.ReadPacket()
	if err != nil || !bytes.Equal(p, connect) {
		t.Fatalf("the packet itself must not be masked: %x, %v", []byte(p), err)
	}
	if _, err := c.ReadPacket(); err != nil {
		t.Fatal(err)
	}
	both := append(append(bytes.Clone(connect), ack...), ping...)
	if err := c.Write(both); err != nil {
		t.Fatal(err)
	}
	if err := c.Write([]byte("\x10\x7fhalf a secret")); err != nil {
		t.Fatal(err)
	}
	if ids := c.takePubacks(nil, 10); len(ids) > 0 {
		t.Errorf("PUBACKs %v were taken unseen", ids)
	}
	if _, err := c.ReadPacket(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{masked, string(ack), string(ack)}, in); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{masked, string(ack), string(ping)}, out); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]byte{both, []byte("\x10\x7fhalf a secret")}, w.writes); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	quiet := NewConn(&wire{in: ack}, &ConnOptions{Trace: &Trace{}})
	if _, err := quiet.ReadPacket(); err != nil || quiet.Write(ack) != nil {
		t.Errorf("a Trace without functions: %v", err)
	}
}
