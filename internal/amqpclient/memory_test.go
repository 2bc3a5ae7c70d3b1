package amqpclient_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
	"github.com/hubwire/hubwire/internal/testkit"
)

// server is a connection whose peer answers opens, begins and attaches, gives a sender credit, and does else what the test
// puts into in.
type server struct {
	net.Conn
	in     chan []byte
	now    []byte
	frames atomic.Int64 // that were written
}

func newServer(t testing.TB) (*server, *amqpclient.Conn) {
	near, _ := testkit.Pipe()
	s := &server{Conn: near, in: make(chan []byte, 100)}
	s.in <- headAMQP
	c := must[*amqpclient.Conn](t)(amqpclient.Open(t.Context(), s, nil))
	t.Cleanup(func() {
		close(s.in)
		<-c.Done()
	})
	return s, c
}

func (s *server) Read(b []byte) (int, error) {
	if len(s.now) == 0 {
		var ok bool
		if s.now, ok = <-s.in; !ok {
			return 0, io.EOF
		}
	}
	n := copy(b, s.now)
	s.now = s.now[n:]
	return n, nil
}

func (s *server) Write(b []byte) (int, error) {
	n := len(b)
	if b[0] == 'A' {
		b = b[8:]
	}
	for len(b) > 0 {
		f, rest, err := amqp10.SplitFrame(b, 1<<20)
		if err != nil {
			return 0, err
		}
		s.frames.Add(1)
		s.answer(f.Channel(), f.Body())
		b = rest
	}
	return n, nil
}

func (s *server) answer(channel uint16, body []byte) {
	switch amqp10.PeekDescriptor(body) {
	case amqp10.DescOpen:
		s.in <- encode(&amqp10.Open{})
	case amqp10.DescBegin:
		s.in <- encode(on{channel, &amqp10.Begin{RemoteChannel: amqp10.Some(channel), IncomingWindow: 1 << 30}})
	case amqp10.DescAttach:
		var a amqp10.Attach
		if a.Parse(body) != nil {
			return
		}
		a.Role = !a.Role
		all := encode(on{channel, &a})
		if a.Role == amqp10.RoleReceiver {
			f := linkFlow(a.Handle, 0, 1<<30)
			f.channel = channel
			f.body.(*amqp10.Flow).IncomingWindow = 1 << 30
			all = append(all, encode(f)...)
		}
		s.in <- all
	}
}

// linked begins a session with a sender and a receiver.
func linked(t testing.TB, c *amqpclient.Conn, out *amqpclient.SenderOptions, in *amqpclient.ReceiverOptions) *amqpclient.Sender {
	t.Helper()
	s := must[*amqpclient.Session](t)(c.Begin(t.Context(), nil))
	l := must[*amqpclient.Sender](t)(s.Sender(t.Context(), out))
	must[*amqpclient.Receiver](t)(s.Receiver(t.Context(), in))
	if err := l.Send(t.Context(), nil, amqpclient.Outgoing{Settled: true}); err != nil { // it has credit from here on
		t.Fatal(err)
	}
	return l
}

func TestSendingAndItsOutcomeDoNotAllocate(t *testing.T) {
	s, c := newServer(t)
	told := make(chan uint64, 100)
	l := linked(t, c, &amqpclient.SenderOptions{
		OnSettled: func(_, last uint64, _ amqp10.State) { told <- last },
	}, &amqpclient.ReceiverOptions{})
	// The ids are written into the disposition, as they take four bytes each.
	answer := encode(on{0, settled(amqp10.RoleReceiver, 0x01020304, 0x05060708, amqp10.Accepted()).body})
	first, last := bytes.Index(answer, []byte{1, 2, 3, 4}), bytes.Index(answer, []byte{5, 6, 7, 8})
	msg, id := make([]byte, 256), uint32(0)
	once := func() {
		wrote := s.frames.Load()
		for range 10 {
			id++ // behind the one of linked
			if ok, err := l.TrySend(msg, amqpclient.Outgoing{Token: uint64(id)}); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		for s.frames.Load() < wrote+10 {
			runtime.Gosched()
		}
		binary.BigEndian.PutUint32(answer[first:], id-9)
		binary.BigEndian.PutUint32(answer[last:], id)
		s.in <- answer
		if n := <-told; n != uint64(id) {
			t.Fatalf("%d is settled, not %d", n, id)
		}
	}
	for range 100 {
		once()
	}
	testkit.NoAllocs(t, "ten messages and their outcome", once)
}

func TestReceivingAndSettlingDoNotAllocate(t *testing.T) {
	s, c := newServer(t)
	got := make(chan uint32, 100)
	linked(t, c, &amqpclient.SenderOptions{}, &amqpclient.ReceiverOptions{Credit: 1 << 20, OnDelivery: func(d *amqpclient.Delivery) {
		d.Link.Dispose(d.ID, d.ID, amqp10.Accepted())
		d.Link.AddCredit(1)
		got <- d.ID
	}})
	for s.frames.Load() < 6 { // open, begin, two attaches, a transfer, and the credit
		runtime.Gosched()
	}
	id := uint32(0x01020304)
	b := encode(transfer{amqp10.Transfer{Handle: 1, DeliveryID: amqp10.Some(id), DeliveryTag: []byte{1}}, string(make([]byte, 256))})
	at := bytes.Index(b, []byte{1, 2, 3, 4})
	once := func() {
		id++
		binary.BigEndian.PutUint32(b[at:], id)
		s.in <- b
		if n := <-got; n != id {
			t.Fatalf("delivery %d, want %d", n, id)
		}
	}
	for range 100 {
		once()
	}
	testkit.NoAllocs(t, "a message that comes, and its outcome", once)
}

// What an idle session with two links takes is what each of many devices takes on one connection.
func TestAnIdleSessionIsSmall(t *testing.T) {
	const n = 2000
	_, c := newServer(t)
	one := func() {
		linked(t, c, &amqpclient.SenderOptions{Target: "t"}, &amqpclient.ReceiverOptions{Source: "s", Credit: 10})
	}
	for range 10 {
		one()
	}
	goroutines, before := runtime.NumGoroutine(), heap()
	for range n {
		one()
	}
	size := (heap() - before) / n
	t.Logf("%d bytes", size)
	if size > 1100 && !testkit.RaceEnabled {
		t.Errorf("an idle session with two links takes %d bytes", size)
	}
	if more := runtime.NumGoroutine() - goroutines; more > n/100 { // some may be writing
		t.Errorf("%d goroutines for %d sessions", more, n)
	}
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
