package amqpserver_test

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqp10/frametext"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/internal/testkit"
)

// peer is a scripted peer of one connection, in a bubble.
type peer struct {
	t    testing.TB
	nc   net.Conn
	done chan struct{} // Serve has returned
	err  error         // what it returned

	mu     sync.Mutex
	got    []byte
	closed bool // the server has closed
}

// connect serves one end of a pipe, and returns the other without a byte sent.
func connect(t testing.TB, cfg *amqpserver.Config, h *amqpserver.Handler) (*peer, *amqpserver.Conn) {
	near, far := testkit.Pipe()
	return connectOver(t, near, far, cfg, h)
}

func connectOver(t testing.TB, near, far net.Conn, cfg *amqpserver.Config, h *amqpserver.Handler) (*peer, *amqpserver.Conn) {
	c := amqpserver.NewServer(cfg).NewConn(far, nil, h)
	p := &peer{t: t, nc: near, done: make(chan struct{})}
	go func() {
		p.err = c.Serve()
		close(p.done)
	}()
	go p.read()
	t.Cleanup(func() {
		near.Close()
		<-p.done
	})
	return p, c
}

// meet is connect, with headers, opens and begins behind it, the latter for channel 0.
func meet(t testing.TB, cfg *amqpserver.Config, h *amqpserver.Handler) (*peer, *amqpserver.Conn) {
	p, c := connect(t, cfg, h)
	p.begin()
	return p, c
}

func (p *peer) begin() {
	p.t.Helper()
	p.raw([]byte("AMQP\x00\x01\x00\x00"))
	p.send(&amqp10.Open{ContainerID: []byte("peer")}, &amqp10.Begin{IncomingWindow: 100, OutgoingWindow: 100})
	p.want("AMQP 0", "open amqpserver", "begin 0 next=1")
}

func (p *peer) read() {
	buf := make([]byte, 4<<10)
	for {
		n, err := p.nc.Read(buf)
		p.mu.Lock()
		p.got = append(p.got, buf[:n]...)
		p.closed = err != nil
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *peer) raw(b []byte) { p.nc.Write(b) }

// body is a performative.
type body interface{ AppendTo(dst []byte) []byte }

// transfer is a transfer with what it carries.
type transfer struct {
	amqp10.Transfer
	payload string
}

func (t transfer) AppendTo(dst []byte) []byte { return append(t.Transfer.AppendTo(dst), t.payload...) }

// on is a performative for another channel than 0.
type on struct {
	channel uint16
	body
}

// encode returns frames as they go over the wire.
func encode(bodies ...body) []byte {
	var b []byte
	for _, body := range bodies {
		at, channel := len(b), uint16(0)
		if o, ok := body.(on); ok {
			channel = o.channel
		}
		b = amqp10.CloseFrame(body.AppendTo(amqp10.OpenFrame(b, amqp10.FrameAMQP, channel)), at)
	}
	return b
}

// send sends frames in one write.
func (p *peer) send(bodies ...body) { p.raw(encode(bodies...)) }

// want compares all that has come since the last look with frames as show shows them.
func (p *peer) want(frames ...string) {
	p.t.Helper()
	if diff := cmp.Diff(frames, p.frames()); diff != "" {
		p.t.Errorf("frames from the server (-want +got):\n%s", diff)
	}
}

// frames waits until nothing happens any more, and returns what has come since the last look.
func (p *peer) frames() (all []string) {
	p.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.got) > 0 {
		if p.got[0] == 'A' {
			all = append(all, fmt.Sprintf("AMQP %d", p.got[4]))
			p.got = p.got[8:]
			continue
		}
		f, rest, err := amqp10.SplitFrame(p.got, 1<<20)
		if err != nil {
			p.t.Fatalf("from the server: %v", err)
		}
		if f == nil {
			break
		}
		all = append(all, show(p.t, f))
		p.got = rest
	}
	if p.closed {
		all = append(all, "EOF")
	}
	return all
}

// show shows a frame.
func show(t testing.TB, f amqp10.Frame) string {
	t.Helper()
	s, err := frametext.Of(f)
	if err != nil {
		t.Fatalf("from the server: %v\n% x", err, []byte(f))
	}
	return s
}
