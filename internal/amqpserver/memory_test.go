package amqpserver_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/internal/testkit"
)

// stream is a connection whose peer is the test: what it is given is read, what is written is thrown away.
type stream struct {
	net.Conn
	in  chan []byte
	now []byte
	out chan int // bytes written, one for each write
}

func newStream() *stream {
	near, _ := testkit.Pipe()
	return &stream{Conn: near, in: make(chan []byte), out: make(chan int, 1)}
}

func (s *stream) Read(b []byte) (int, error) {
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

func (s *stream) Write(b []byte) (int, error) {
	select {
	case s.out <- len(b):
	default:
	}
	return len(b), nil
}

func (s *stream) SetDeadline(time.Time) error      { return nil }
func (s *stream) SetReadDeadline(time.Time) error  { return nil }
func (s *stream) SetWriteDeadline(time.Time) error { return nil }

// counter is a node that does nothing but settle, and send the same message for ever.
type counter struct{ message []byte }

func (n *counter) Deliver(d *amqpserver.Delivery) { d.Settle(amqp10.Accepted()) }
func (n *counter) Next(dst []byte) ([]byte, amqpserver.Outgoing, bool) {
	return append(dst, n.message...), amqpserver.Outgoing{}, true
}
func (n *counter) Settled(uint64, amqp10.State, bool) amqp10.State { return amqp10.State{} }
func (n *counter) Detached(error)                                  {}

func (n *counter) handler() *amqpserver.Handler {
	return &amqpserver.Handler{
		Receiver: func(*amqpserver.Attach) (amqpserver.Receiver, *amqp10.Error) { return n, nil },
		Sender:   func(*amqpserver.Attach) (amqpserver.Sender, *amqp10.Error) { return n, nil },
	}
}

// serve serves a stream on which the peer has attached links.
func serve(t testing.TB, links ...body) *stream {
	s := newStream()
	c := amqpserver.NewServer(nil).NewConn(s, nil, (&counter{make([]byte, 256)}).handler())
	done := make(chan error)
	go func() { done <- c.Serve() }()
	t.Cleanup(func() {
		close(s.in)
		<-done
	})
	start := append([]body{&amqp10.Open{}, &amqp10.Begin{IncomingWindow: 1 << 30}}, links...)
	s.in <- append([]byte(headAMQP), encode(start...)...)
	<-s.out
	return s
}

// batch is n messages, whose delivery-ids are set by number.
type batch struct {
	b  []byte
	at []int // of the delivery-ids
}

func newBatch(n int) *batch {
	t := &batch{}
	for range n {
		start := len(t.b)
		t.b = amqp10.OpenFrame(t.b, amqp10.FrameAMQP, 0)
		t.b = amqp10.AppendDescriptor(t.b, amqp10.DescTransfer)
		at := len(t.b)
		t.b = amqp10.AppendUint(amqp10.OpenCompound(t.b), 0)
		t.at = append(t.at, len(t.b)+1)
		t.b = amqp10.AppendUint(amqp10.AppendBinary(append(t.b, amqp10.CodeUint, 0, 0, 0, 0), []byte("12345678")), 0)
		t.b = append(amqp10.CloseList(t.b, at, 4), make([]byte, 256)...)
		t.b = amqp10.CloseFrame(t.b, start)
	}
	return t
}

func (t *batch) number(first uint32) []byte {
	for i, at := range t.at {
		id := first + uint32(i)
		t.b[at], t.b[at+1], t.b[at+2], t.b[at+3] = byte(id>>24), byte(id>>16), byte(id>>8), byte(id)
	}
	return t.b
}

// inRounds returns a function that sends 100 messages. It returns when they are taken, and at most acted on in part.
func inRounds(s *stream) func() {
	const n = 100
	batches, id := [2]*batch{newBatch(n), newBatch(n)}, uint32(0)
	return func() {
		s.in <- batches[id/n%2].number(id) // the other one may still be read
		id += n
	}
}

func TestNothingIsAllocatedForAMessageThatComesIn(t *testing.T) {
	s := serve(t, sender("a", "sink", 0))
	round := inRounds(s)
	for range 100 {
		round()
	}
	testkit.NoAllocs(t, "100 messages in", round)
}

func TestNothingIsAllocatedForAMessageThatGoesOut(t *testing.T) {
	s := serve(t, receiver("a", "source", 0))
	const n = 50 // what fits into one write
	at := uint32(0)
	flow := make([]byte, 0, 200)
	f := &amqp10.Flow{IncomingWindow: 1 << 30, Handle: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](n)}
	d := &amqp10.Disposition{Role: amqp10.RoleReceiver, Settled: amqp10.Some(true), State: amqp10.Accepted()}
	round := func() {
		f.NextIncomingID, f.DeliveryCount = amqp10.Some(1+at), amqp10.Some(at)
		flow = amqp10.OpenFrame(flow[:0], amqp10.FrameAMQP, 0)
		flow = amqp10.CloseFrame(f.AppendTo(flow), 0)
		start := len(flow)
		d.First, d.Last = at-n, amqp10.Some(at-1)
		flow = amqp10.OpenFrame(flow, amqp10.FrameAMQP, 0)
		flow = amqp10.CloseFrame(d.AppendTo(flow), start)
		at += n
		s.in <- flow
		<-s.out
	}
	for range 100 {
		round()
	}
	testkit.NoAllocs(t, "50 messages out", round)
}

// 10,000 idle links must cost a hub 4 KiB each at most; here is what the engine takes of that.
func TestIdleLinksAreSmall(t *testing.T) {
	if testkit.RaceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	const n, limit = 10_000, 1024
	s := serve(t)
	before := live()
	for i := range n / 10 {
		var links []body
		for j := range 10 {
			h := uint32(10*i + j)
			name := fmt.Sprintf("link-%08d-of-some-device", h)
			if h%2 == 0 {
				links = append(links, sender(name, "sink", h))
			} else {
				links = append(links, receiver(name, "source", h))
			}
		}
		s.in <- encode(links...)
		<-s.out
	}
	s.in <- amqp10.AppendEmptyFrame(nil)
	s.in <- amqp10.AppendEmptyFrame(nil)        // is taken when the one before it has been acted on
	each := (int64(live()) - int64(before)) / n // what earlier tests left may go meanwhile
	t.Logf("%d bytes a link", each)
	if each > limit {
		t.Errorf("%d bytes a link, the limit is %d", each, limit)
	}
}

func live() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func BenchmarkIn(b *testing.B) {
	s := serve(b, sender("a", "sink", 0))
	round := inRounds(s)
	b.ReportAllocs()
	b.SetBytes(100 * 256)
	for b.Loop() {
		round()
	}
}
