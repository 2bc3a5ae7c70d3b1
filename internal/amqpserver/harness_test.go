package amqpserver_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire/internal/amqp10"
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

// show shows a frame, with its channel if that is not 0.
func show(t testing.TB, f amqp10.Frame) string {
	t.Helper()
	s, err := showBody(f.Body())
	if err != nil {
		t.Fatalf("from the server: %v\n% x", err, []byte(f))
	}
	if f.Type() == amqp10.FrameAMQP && f.Channel() != 0 {
		s = fmt.Sprintf("%d: %s", f.Channel(), s)
	}
	return s
}

func showBody(b []byte) (string, error) {
	switch amqp10.PeekDescriptor(b) {
	case amqp10.DescOpen:
		var p amqp10.Open
		err := p.Parse(b)
		return "open " + string(p.ContainerID), err
	case amqp10.DescBegin:
		var p amqp10.Begin
		err := p.Parse(b)
		return fmt.Sprintf("begin %d next=%d", p.RemoteChannel.Value, p.NextOutgoingID), err
	case amqp10.DescAttach:
		return showAttach(b)
	case amqp10.DescFlow:
		return showFlow(b)
	case amqp10.DescTransfer:
		return showTransfer(b)
	case amqp10.DescDisposition:
		return showDisposition(b)
	case amqp10.DescDetach:
		var p amqp10.Detach
		err := p.Parse(b)
		return fmt.Sprintf("detach %d%s%s", p.Handle, flag(" closed", p.Closed), condition(p.Error)), err
	case amqp10.DescEnd:
		var p amqp10.End
		err := p.Parse(b)
		return "end" + condition(p.Error), err
	case amqp10.DescClose:
		var p amqp10.Close
		err := p.Parse(b)
		return "close" + condition(p.Error), err
	case amqp10.DescSASLMechanisms:
		var p amqp10.SASLMechanisms
		err := p.Parse(b)
		s, items := "mechanisms", p.Mechanisms.Items()
		for items.More() {
			s += " " + string(items.Text())
		}
		return s, err
	case amqp10.DescSASLOutcome:
		var p amqp10.SASLOutcome
		err := p.Parse(b)
		return fmt.Sprintf("outcome %d", p.Code), err
	}
	if len(b) == 0 {
		return "empty", nil
	}
	return "", fmt.Errorf("an unknown body % x", b)
}

func showAttach(b []byte) (string, error) {
	var p amqp10.Attach
	err := p.Parse(b)
	s := fmt.Sprintf("attach %s %d", p.Name, p.Handle)
	if p.Role == amqp10.RoleReceiver {
		s += " receiver"
	} else {
		s += fmt.Sprintf(" sender from %d", p.InitialDeliveryCount.Value)
	}
	if p.Role == amqp10.RoleReceiver && !p.Target.Valid || p.Role == amqp10.RoleSender && !p.Source.Valid {
		s += " refused"
	}
	return s, err
}

func showFlow(b []byte) (string, error) {
	var p amqp10.Flow
	err := p.Parse(b)
	s := fmt.Sprintf("flow in=%d+%d out=%d", p.NextIncomingID.Value, p.IncomingWindow, p.NextOutgoingID)
	if p.Handle.Valid {
		s += fmt.Sprintf(" link %d count=%d credit=%d", p.Handle.Value, p.DeliveryCount.Value, p.LinkCredit.Value)
	}
	return s + flag(" drain", p.Drain), err
}

func showTransfer(b []byte) (string, error) {
	var p amqp10.Transfer
	payload, err := p.Parse(b)
	s := fmt.Sprintf("transfer %d", p.Handle)
	if p.DeliveryID.Valid {
		s += fmt.Sprintf(" id=%d tag=%x format=%d", p.DeliveryID.Value, p.DeliveryTag, p.MessageFormat.Value)
	}
	s += flag(" settled", p.Settled) + flag(" more", p.More)
	if len(payload) > 20 {
		return s + fmt.Sprintf(" %d bytes", len(payload)), err
	}
	return s + " " + string(payload), err
}

func showDisposition(b []byte) (string, error) {
	var p amqp10.Disposition
	err := p.Parse(b)
	s := "disposition receiver"
	if p.Role == amqp10.RoleSender {
		s = "disposition sender"
	}
	s += fmt.Sprintf(" %d", p.First)
	if p.Last.Valid {
		s += fmt.Sprintf("-%d", p.Last.Value)
	}
	s += flag(" settled", p.Settled)
	if !p.State.IsNull() {
		s += " " + p.State.Kind().String()
	}
	if e, _ := p.State.Error(); e != nil {
		s += "(" + string(e.Condition) + ")"
	}
	return s, err
}

func flag(name string, v amqp10.Opt[bool]) string {
	if v.Or(false) {
		return name
	}
	return ""
}

func condition(e *amqp10.Error) string {
	if e == nil {
		return ""
	}
	return " " + strings.TrimPrefix(string(e.Condition), "amqp:")
}
