package hub_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// The AMQP conversations of the SDKs that do not run here: what each puts on the wire, and what it
// insists on in what comes back. Every frame that the hub sends is checked for what all of them need.

// amqpSDK is how an SDK talks.
type amqpSDK struct {
	name     string
	sasl     string // its mechanism, "" for a connection without SASL
	pipes    bool   // it does not wait for the answers to headers and frames
	encoder  encoder
	open     list // behind container id and host name
	begin    list // behind the remote channel
	sessions bool // $cbs has a session of its own
	snd, rcv any  // the settle modes of its attaches
	scheme   string
	to       string // the literal in the address of messages to a device
	props    pairs  // of its links

	putID     func(n int) any
	putType   string
	putName   string
	putProps  list // its other properties, behind the message id
	putExpiry bool
}

// The SDKs. Ids and names are theirs, as far as they matter.
var (
	sdkC = amqpSDK{name: "C", sasl: "MSSBCBS", open: list{uint32(4294967295), uint16(65535), uint32(240000)},
		begin: list{uint32(0), uint32(2147483647), uint32(100), uint32(4294967295)},
		snd:   uint8(0), rcv: uint8(0), scheme: "amqps://localhost", to: "deviceBound",
		props: pairs{sym("com.microsoft:client-version"), "iothubclient/1.15.0 (native; Linux; x86_64)"},
		putID: func(n int) any { return uint64(n) }, putType: "servicebus.windows.net:sastoken", putName: "localhost/devices/dev-1"}
	sdkNET = amqpSDK{name: ".NET", pipes: true, open: list{uint32(65536), uint16(8191), uint32(120000)},
		begin: list{uint32(1), uint32(5000), uint32(5000), uint32(262143)}, sessions: true,
		scheme: "amqps://localhost:5671", to: "deviceBound",
		props: pairs{sym("com.microsoft:timeout"), uint32(60000), sym("com.microsoft:client-version"), "Microsoft.Azure.Devices.Client/1.42.0 (.NET 8.0)",
			sym("com.microsoft:api-version"), "2020-09-30"},
		putID:   func(n int) any { return "request" + string(rune('1'+n)) },
		putType: "azure-devices.net:sastoken", putName: "localhost/devices/dev-1",
		putProps: list{nil, nil, nil, "4f2a8f0d6c7e4a0b9a3f1d2c5b6e7f80"}, putExpiry: true}
	sdkJava = amqpSDK{name: "Java", sasl: "ANONYMOUS", encoder: encoder{wide: true}, open: list{uint32(65536), uint16(65535), uint32(115000)},
		begin: list{uint32(1), uint32(2147483647), uint32(2147483647), uint32(65535)}, sessions: true,
		snd: uint8(0), rcv: uint8(0), to: "devicebound",
		props: pairs{sym("com.microsoft:client-version"), "com.microsoft.azure.sdk.iot.iot-device-client/2.5.0",
			sym("com.microsoft:api-version"), "2020-09-30", sym("com.microsoft:channel-correlation-id"), "dev-1"},
		putID: func(n int) any { return guid{15: byte(n + 1)} }, putType: "servicebus.windows.net:sastoken",
		putName: "localhost/devices/dev-1", putProps: list{nil, "$cbs", nil, "cbs"}}
	amqpSDKs = []*amqpSDK{&sdkC, &sdkNET, &sdkJava}
)

// script is a connection of an SDK.
type script struct {
	t       testing.TB
	sdk     *amqpSDK
	nc      net.Conn
	buf     []byte
	out     map[uint16]uint32 // the next delivery id of each session, both ways
	in      map[uint16]uint32
	tags    byte
	handles map[uint16]uint32 // the next of each session
	puts    int
	more    bool   // the delivery goes on in the next transfer
	most    uint64 // max-message-size of links to receive on
	takes   uint64 // and of the hub's answer to the last one to send on
}

func newScript(t testing.TB, sdk *amqpSDK, nc net.Conn) *script {
	return &script{t: t, sdk: sdk, nc: nc, out: map[uint16]uint32{}, in: map[uint16]uint32{}, handles: map[uint16]uint32{}}
}

func (s *script) write(b []byte) {
	s.t.Helper()
	if _, err := s.nc.Write(b); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) frame(kind byte, ch uint16, code uint64, fields list, payload []byte) []byte {
	b := s.sdk.encoder.value([]byte{0, 0, 0, 0, 2, kind, byte(ch >> 8), byte(ch)}, described{code, fields})
	b = append(b, payload...)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

func (s *script) send(ch uint16, code uint64, fields ...any) {
	s.t.Helper()
	s.write(s.frame(0, ch, code, fields, nil))
}

func (s *script) read(n int) []byte {
	s.t.Helper()
	for len(s.buf) < n {
		var b [8192]byte
		if err := s.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
			s.t.Fatal(err)
		}
		k, err := s.nc.Read(b[:])
		if s.buf = append(s.buf, b[:k]...); err != nil && len(s.buf) < n {
			s.t.Fatalf("reading: %v", err)
		}
	}
	b := bytes.Clone(s.buf[:n])
	s.buf = s.buf[n:]
	return b
}

const (
	fOpen, fBegin, fAttach, fFlow, fTransfer, fDisposition  uint64 = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15
	fDetach, fEnd, fClose, fMechanisms, fSASLInit, fOutcome uint64 = 0x16, 0x17, 0x18, 0x40, 0x41, 0x44
	stAccepted, stRejected, stReleased                      uint64 = 0x24, 0x25, 0x26
)

// next returns the next frame that is not empty.
func (s *script) next() (ch uint16, code uint64, fields list, payload []byte) {
	s.t.Helper()
	for {
		size := binary.BigEndian.Uint32(s.read(4))
		if size < 8 || size > 65536 {
			s.t.Fatalf("a frame of %d bytes", size)
		}
		b := s.read(int(size - 4))
		if b[0] != 2 {
			s.t.Fatalf("the data offset is %d", b[0])
		}
		if len(b) == 4 {
			continue
		}
		ch = binary.BigEndian.Uint16(b[2:])
		v, payload := decode(b[4:])
		code, fields := inner(v)
		s.check(ch, code, fields)
		return ch, code, fields, payload
	}
}

// check is what all SDKs need of every frame.
func (s *script) check(ch uint16, code uint64, f list) {
	s.t.Helper()
	ok := true
	switch code {
	case fOpen:
		size, _ := f.field(2).(uint32)
		idle, isSet := f.field(4).(uint32)
		ok = size >= 512 && (!isSet || idle >= 5000) // .NET gives up below 5 s, uAMQP below 512 bytes
	case fBegin:
		_, ok = f.field(0).(uint16)
	case fAttach:
		if f.field(2) == false { // the hub sends
			_, ok = f.field(9).(uint32)
		}
	case fFlow:
		_, ok = f.field(0).(uint32) // go-amqp ends the session without
		if f.field(4) != nil {
			_, count := f.field(5).(uint32) // uAMQP and rhea count with both
			_, credit := f.field(6).(uint32)
			ok = ok && count && credit
		}
	case fTransfer:
		id, isSet := f.field(1).(uint32)
		_, format := f.field(3).(uint32)
		if want, known := s.in[ch]; !s.more {
			ok = isSet && format && (!known || id == want)
			s.in[ch] = id + 1
		}
		s.more = f.field(5) == true
	case fDisposition:
		_, ok = f.field(4).(described) // uAMQP does not see one without
		ok = ok && f.field(3) == true
	}
	if !ok {
		s.t.Fatalf("a frame that not every SDK can read: %#x %v", code, f)
	}
}

// await returns the next frame of a kind; before it there may be flows only.
func (s *script) await(ch uint16, want uint64) (list, []byte) {
	s.t.Helper()
	for {
		at, code, fields, payload := s.next()
		switch {
		case code == want && at == ch:
			return fields, payload
		case code != fFlow:
			s.t.Fatalf("frame %#x %v on channel %d, want %#x", code, fields, at, want)
		}
	}
}

func (s *script) header(protocol byte) []byte { return []byte{'A', 'M', 'Q', 'P', protocol, 1, 0, 0} }

func (s *script) wantHeader(protocol byte) {
	s.t.Helper()
	if got := s.read(8); !bytes.Equal(got, s.header(protocol)) {
		s.t.Fatalf("header % x", got)
	}
}

// connect opens the connection of an SDK, up to the first session.
func (sdk *amqpSDK) connect(t testing.TB, h *hub.Hub) *script {
	t.Helper()
	s := newScript(t, sdk, dialTLS(t, h, "5671", nil))
	s.login(nil)
	return s
}

// login goes through headers, SASL and open, and begins the session of channel 0.
func (s *script) login(initial any) {
	s.t.Helper()
	if s.sdk.sasl != "" {
		s.write(s.header(3))
		s.wantHeader(3)
		m, _ := s.await(0, fMechanisms)
		offered, _ := m.field(0).(array)
		if !bytes.Contains(s.sdk.encoder.all(offered), []byte(s.sdk.sasl)) {
			s.t.Fatalf("mechanisms %v", m)
		}
		s.write(s.frame(1, 0, fSASLInit, list{sym(s.sdk.sasl), initial, "localhost"}, nil))
		if o, _ := s.await(0, fOutcome); o.field(0) != uint8(0) {
			s.t.Fatalf("the outcome is %v", o)
		}
	}
	open := s.frame(0, 0, fOpen, append(list{"8b6ae4de-1bd7-4d3f-9d6f-1f7a1f0c0a55", "localhost"}, s.sdk.open...), nil)
	begin := s.frame(0, 0, fBegin, append(list{nil}, s.sdk.begin...), nil)
	if s.sdk.pipes {
		s.write(append(append(s.header(0), open...), begin...))
		s.wantHeader(0)
	} else {
		s.write(s.header(0))
		s.wantHeader(0)
		s.write(open)
	}
	s.await(0, fOpen)
	if !s.sdk.pipes {
		s.write(begin)
	}
	s.await(0, fBegin)
	s.out[0], _ = s.sdk.begin[0].(uint32)
}

// session begins another session.
func (s *script) session(ch uint16) uint16 {
	s.t.Helper()
	s.send(ch, fBegin, append(list{nil}, s.sdk.begin...)...)
	s.await(ch, fBegin)
	s.out[ch], _ = s.sdk.begin[0].(uint32)
	return ch
}

// link attaches a link of the SDK's, which must be accepted, and returns its handle. To receive, it
// is given credit, and nothing else than what came of it is checked.
func (s *script) link(ch uint16, receives bool, name, address string, credit uint32, snd, rcv any, props pairs) uint32 {
	s.t.Helper()
	handle := s.handles[ch]
	s.handles[ch]++
	node, other := described{uint64(0x29), list{address}}, described{uint64(0x28), list{"dev-1"}}
	count := any(uint32(0))
	if receives {
		node.code, other.code, count = uint64(0x28), uint64(0x29), nil
	}
	source, target, most := other, node, uint64(0)
	if receives {
		source, target, most = node, other, s.most
	}
	s.send(ch, fAttach, name, handle, receives, snd, rcv, source, target, nil, nil, count, most, nil, nil, props)
	a, _ := s.await(ch, fAttach)
	for i, want := range []any{name, nil, !receives, snd, rcv} {
		if i != 1 && want != nil && a.field(i) != want {
			s.t.Fatalf("field %d of the attach is %v, want %v", i, a.field(i), want)
		}
	}
	for i, want := range map[int]described{5: source, 6: target} {
		_, was := inner(want)
		if _, got := inner(a.field(i)); got.field(0) != was.field(0) {
			s.t.Fatalf("terminus %v, want %v", got, was)
		}
	}
	if receives {
		s.send(ch, fFlow, s.in[ch], uint32(2147483647), s.out[ch], uint32(100), handle, a.field(9), credit)
		return handle
	}
	s.takes, _ = a.field(10).(uint64)
	if f, _ := s.await(ch, fFlow); f.field(6).(uint32) < 50 {
		s.t.Fatalf("credit %v", f)
	}
	return handle
}

// deliver sends a message and returns its delivery id.
func (s *script) deliver(ch uint16, handle uint32, format uint32, settled any, message []byte) uint32 {
	s.t.Helper()
	id := s.out[ch]
	s.out[ch]++
	s.tags++
	s.write(s.frame(0, ch, fTransfer, list{handle, id, []byte{s.tags, 0, 0, 0}, format, settled, false, nil, nil, nil, nil, true}, message))
	return id
}

// split is deliver of a message that takes several frames of the hub's size.
func (s *script) split(ch uint16, handle uint32, format uint32, message []byte) uint32 {
	s.t.Helper()
	id := s.out[ch]
	s.out[ch]++
	for first := true; len(message) > 0; first = false {
		part := message[:min(len(message), 60_000)]
		message = message[len(part):]
		f := list{handle, nil, nil, nil, nil, len(message) > 0}
		if first {
			f = list{handle, id, []byte{1}, format, false, len(message) > 0}
		}
		s.write(s.frame(0, ch, fTransfer, f, part))
	}
	return id
}

// settled awaits the disposition of a delivery.
func (s *script) settled(ch uint16, id uint32, want uint64) list {
	s.t.Helper()
	d, _ := s.await(ch, fDisposition)
	last, _ := d.field(2).(uint32)
	state, e := inner(d.field(4))
	if d.field(0) != true || d.field(1) != id || d.field(2) != nil && last != id || state != want {
		s.t.Fatalf("the disposition is %v, want %#x for %d", d, want, id)
	}
	return e
}

// receive awaits a delivery.
func (s *script) receive(ch uint16) received {
	s.t.Helper()
	f, payload := s.await(ch, fTransfer)
	for s.more {
		_, rest := s.await(ch, fTransfer)
		payload = append(payload, rest...)
	}
	m := parseSections(payload)
	m.tag, _ = f.field(2).([]byte)
	m.id = f.field(1).(uint32)
	m.settled = f.field(4) == true
	return m
}

// put attaches the links of $cbs and puts a token of the device, with the SDK's own text in it.
func (s *script) put(h *hub.Hub, id hubwire.Identity, name string) {
	s.t.Helper()
	d, err := h.Device(id)
	if err != nil {
		s.t.Fatal(err)
	}
	s.putText(name, token(d.PrimaryKey, audience(id), "", time.Now().Add(time.Hour)), "200")
}

func (s *script) putText(name, text, want string) {
	s.t.Helper()
	if s.puts == 0 {
		s.link(0, false, s.sdk.name+"-cbs-sender", "$cbs", 0, s.sdk.snd, s.sdk.rcv, nil)
		s.link(0, true, s.sdk.name+"-cbs-receiver", "$cbs", 5000, s.sdk.snd, s.sdk.rcv, nil)
	}
	id := s.sdk.putID(s.puts)
	s.puts++
	properties := append(list{id}, s.sdk.putProps[min(1, len(s.sdk.putProps)):]...)
	app := pairs{"operation", "put-token", "type", s.sdk.putType, "name", name}
	if s.sdk.putExpiry {
		app = append(app, "expiration", stamp(time.Now().Add(time.Hour).UnixMilli()))
	}
	delivery := s.deliver(0, 0, 0, false, s.sdk.encoder.message(sec(secProperties, properties), sec(secApplication, app), sec(secValue, text)))
	s.settled(0, delivery, stAccepted) // before the answer, or uAMQP fails
	m := s.receive(0)
	status, isInt := m.application("status-code").(int32)
	if got := m.property(5); got != id || !isInt || (status == 200) != (want == "200") {
		s.t.Fatalf("the answer to %v is for %v: %v", id, got, m.sections[secApplication])
	}
	if _, ok := m.application("status-description").(string); !ok {
		s.t.Errorf("no description: %v", m.sections[secApplication])
	}
	if !m.settled {
		s.send(0, fDisposition, true, m.id, m.id, true, described{stAccepted, list{}})
	}
}

// quit says good-bye as SDKs do, and the hub does too, and closes.
func (s *script) quit() {
	s.t.Helper()
	s.send(0, fClose)
	if fields, _ := s.await(0, fClose); len(fields) > 0 {
		s.t.Errorf("close %v", fields)
	}
	if n, err := s.nc.Read(make([]byte, 1)); err != io.EOF {
		s.t.Errorf("behind close: %d bytes, %v", n, err)
	}
}

// address is how the SDK writes the address of something of dev's.
func (s *script) address(path string) string {
	return s.sdk.scheme + "/devices/dev-1/" + strings.Replace(path, "devicebound", s.sdk.to, 1)
}
