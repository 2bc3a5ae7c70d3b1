package amqpserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/go-amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/internal/testkit"
)

// client connects go-amqp to a server over loopback, with one session.
func client(t testing.TB, cfg *amqpserver.Config, h *amqpserver.Handler, o *amqp.SessionOptions) (context.Context, *amqp.Session) {
	t.Helper()
	near, far := loopback(t)
	c := amqpserver.NewServer(cfg).NewConn(far, nil, h)
	done := make(chan error, 1)
	go func() { done <- c.Serve() }()
	ctx := t.Context() // what hangs is found by the time-out of all tests: no other is long enough on a busy machine
	conn, err := amqp.NewConn(ctx, near, &amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
	session, err := conn.NewSession(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, session
}

func loopback(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return near, far
}

var anonymous = &amqpserver.Config{Mechanisms: []string{"MSSBCBS", "ANONYMOUS"}}

// queues is an address space in which each address is a queue: messages in the order in which they came,
// those that are released at the front again.
type queues struct {
	mu  sync.Mutex
	all map[string]*fifo
}

// fifo is a queue, and what was sent and not settled. It is both kinds of node.
type fifo struct {
	mu      sync.Mutex
	waiting [][]byte
	sent    map[uint64][]byte
	tokens  uint64
	settled map[string]int // outcomes, counted
	readers []*amqpserver.Link
}

func newQueues() *queues { return &queues{all: map[string]*fifo{}} }

func (q *queues) queue(address amqp10.Value) *fifo {
	name, _ := address.Text()
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.all[string(name)]
	if f == nil {
		f = &fifo{sent: map[uint64][]byte{}, settled: map[string]int{}}
		q.all[string(name)] = f
	}
	return f
}

func (q *queues) handler() *amqpserver.Handler {
	return &amqpserver.Handler{
		Receiver: func(a *amqpserver.Attach) (amqpserver.Receiver, *amqp10.Error) {
			return q.queue(a.Peer.Target.Value.Address), nil
		},
		Sender: func(a *amqpserver.Attach) (amqpserver.Sender, *amqp10.Error) {
			f := q.queue(a.Peer.Source.Value.Address)
			f.mu.Lock()
			defer f.mu.Unlock()
			f.readers = append(f.readers, a.Link)
			return f, nil
		},
	}
}

func (f *fifo) Deliver(d *amqpserver.Delivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if bytes.Contains(d.Message, []byte("bad")) {
		d.Settle(amqp10.Rejected(&amqp10.Error{Condition: "test:bad", Description: "it is bad"}))
		return
	}
	f.waiting = append(f.waiting, bytes.Clone(d.Message))
	d.Settle(amqp10.Accepted())
	for _, l := range f.readers {
		l.Wake()
	}
}

func (f *fifo) Next(dst []byte) ([]byte, amqpserver.Outgoing, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 {
		return dst, amqpserver.Outgoing{}, false
	}
	m := f.waiting[0]
	f.waiting = f.waiting[1:]
	f.tokens++
	f.sent[f.tokens] = m
	return append(dst, m...), amqpserver.Outgoing{Token: f.tokens}, true
}

func (f *fifo) Settled(token uint64, state amqp10.State, settled bool) amqp10.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.sent[token]
	delete(f.sent, token)
	f.settled[fmt.Sprintf("%v %v", state.Kind(), settled)]++
	if state.Kind() == amqp10.DescReleased {
		f.waiting = append([][]byte{m}, f.waiting...)
		for _, l := range f.readers {
			l.Wake()
		}
	}
	return amqp10.Accepted()
}

func (*fifo) Detached(error) {}

func TestGoAMQPSendsAndReceivesLargeMessages(t *testing.T) {
	testkit.LeakCheck(t)
	ctx, session := client(t, anonymous, newQueues().handler(), nil)
	sender, err := session.NewSender(ctx, "q", nil)
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := session.NewReceiver(ctx, "q", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 65_000, 65_536, 200_000, 1 << 20 / 2} {
		body := bytes.Repeat([]byte{byte(size), 1}, size/2)
		if err := sender.Send(ctx, amqp.NewMessage(body), nil); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		m, err := receiver.Receive(ctx, nil)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if !bytes.Equal(m.GetData(), body) {
			t.Errorf("%d bytes came back as %d others", size, len(m.GetData()))
		}
		if err := receiver.AcceptMessage(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
}

// Windows smaller than what is under way, in both directions, and messages of several frames among others.
func TestGoAMQPWithSmallWindows(t *testing.T) {
	testkit.LeakCheck(t)
	const n = 3000
	cfg := &amqpserver.Config{Mechanisms: []string{"ANONYMOUS"}, Window: 7, Credit: 10, MaxFrameSize: 1024}
	ctx, session := client(t, cfg, newQueues().handler(), nil)
	sender, err := session.NewSender(ctx, "q", nil)
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := session.NewReceiver(ctx, "q", &amqp.ReceiverOptions{Credit: 13})
	if err != nil {
		t.Fatal(err)
	}
	body := func(i int) []byte { return []byte(fmt.Sprint(i, strings.Repeat("x", i%23*100))) }
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			if _, err := sender.SendWithReceipt(ctx, amqp.NewMessage(body(i)), nil); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range n {
		m, err := receiver.Receive(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.GetData(), body(i)) {
			t.Fatalf("message %d is %.20q", i, m.GetData())
		}
		if err := receiver.AcceptMessage(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestGoAMQPModes(t *testing.T) {
	testkit.LeakCheck(t)
	q := newQueues()
	ctx, session := client(t, anonymous, q.handler(), nil)
	for _, mode := range []amqp.SenderSettleMode{amqp.SenderSettleModeUnsettled, amqp.SenderSettleModeSettled, amqp.SenderSettleModeMixed} {
		for _, how := range []amqp.ReceiverSettleMode{amqp.ReceiverSettleModeFirst, amqp.ReceiverSettleModeSecond} {
			name := fmt.Sprint(mode, how)
			sender, err := session.NewSender(ctx, name, &amqp.SenderOptions{SettlementMode: &mode, RequestedReceiverSettleMode: &how})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			receiver, err := session.NewReceiver(ctx, name, &amqp.ReceiverOptions{RequestedSenderSettleMode: &mode, SettlementMode: &how})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for i := range 50 {
				if err := sender.Send(ctx, amqp.NewMessage([]byte{byte(i)}), nil); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				m, err := receiver.Receive(ctx, nil)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if err := receiver.AcceptMessage(ctx, m); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			want := 50
			if mode == amqp.SenderSettleModeSettled {
				want = 0
			}
			if err := sender.Close(ctx); err != nil {
				t.Error(err)
			}
			if err := receiver.Close(ctx); err != nil {
				t.Error(err)
			}
			f := q.all[name]
			f.mu.Lock()
			if got := f.settled[fmt.Sprintf("accepted %v", how == amqp.ReceiverSettleModeFirst)]; got != want {
				t.Errorf("%s: %v settled, want %d", name, f.settled, want)
			}
			f.mu.Unlock()
		}
	}
}

func TestGoAMQPOutcomes(t *testing.T) {
	testkit.LeakCheck(t)
	ctx, session := client(t, anonymous, newQueues().handler(), nil)
	sender, err := session.NewSender(ctx, "q", nil)
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := session.NewReceiver(ctx, "q", nil)
	if err != nil {
		t.Fatal(err)
	}
	var rejected *amqp.Error
	if err := sender.Send(ctx, amqp.NewMessage([]byte("bad")), nil); !errors.As(err, &rejected) || rejected.Condition != "test:bad" {
		t.Errorf("a rejected message: %v", err)
	}
	if err := sender.Send(ctx, amqp.NewMessage([]byte("good")), nil); err != nil {
		t.Fatal(err)
	}
	m, err := receiver.Receive(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.ReleaseMessage(ctx, m); err != nil {
		t.Fatal(err)
	}
	if m, err = receiver.Receive(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := receiver.AcceptMessage(ctx, m); err != nil || string(m.GetData()) != "good" {
		t.Errorf("came again as %q: %v", m.GetData(), err)
	}
}

func TestGoAMQPDrains(t *testing.T) {
	testkit.LeakCheck(t)
	q := newQueues()
	ctx, session := client(t, anonymous, q.handler(), nil)
	receiver, err := session.NewReceiver(ctx, "q", &amqp.ReceiverOptions{Credit: -1})
	if err != nil {
		t.Fatal(err)
	}
	sender, err := session.NewSender(ctx, "q", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := receiver.IssueCredit(10); err != nil {
			t.Fatal(err)
		}
		if err := sender.Send(ctx, amqp.NewMessage([]byte{byte(i)}), nil); err != nil {
			t.Fatal(err)
		}
		m, err := receiver.Receive(ctx, nil) // go-amqp drains with a credit of 0, so not before
		if err != nil {
			t.Fatal(err)
		}
		if err := receiver.AcceptMessage(ctx, m); err != nil {
			t.Fatal(err)
		}
		if err := receiver.DrainCredit(ctx, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// Links, sessions and the connection end with the errors that are given, and go-amqp understands them.
func TestGoAMQPHearsErrors(t *testing.T) {
	testkit.LeakCheck(t)
	var link *amqpserver.Link
	q := newQueues()
	h := q.handler()
	queue := h.Receiver
	h.Receiver = func(a *amqpserver.Attach) (amqpserver.Receiver, *amqp10.Error) {
		if name, _ := a.Peer.Target.Value.Address.Text(); string(name) == "no" {
			return nil, &amqp10.Error{Condition: "test:no", Description: "there is no no"}
		}
		link = a.Link
		return queue(a)
	}
	near, far := loopback(t)
	c := amqpserver.NewServer(nil).NewConn(far, nil, h)
	done := make(chan error, 1)
	go func() { done <- c.Serve() }()
	ctx := t.Context()
	conn, err := amqp.NewConn(ctx, near, nil)
	if err != nil {
		t.Fatal(err)
	}
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	var refused *amqp.Error
	if _, err := session.NewSender(ctx, "no", nil); !errors.As(err, &refused) || refused.Condition != "test:no" {
		t.Errorf("a refused link: %v", err)
	}
	sender, err := session.NewSender(ctx, "q", nil)
	if err != nil {
		t.Fatal(err)
	}
	link.Detach(&amqp10.Error{Condition: "test:detach"})
	var detached *amqp.LinkError
	if err := until(func() error { return sender.Send(ctx, amqp.NewMessage([]byte("x")), nil) }); !errors.As(err, &detached) || detached.RemoteErr == nil || detached.RemoteErr.Condition != "test:detach" {
		t.Errorf("a detached link: %v", err)
	}
	if sender, err = session.NewSender(ctx, "q", nil); err != nil {
		t.Fatal(err)
	}
	link.Session().End(&amqp10.Error{Condition: "test:end"})
	var ended *amqp.SessionError
	if err := until(func() error { return sender.Send(ctx, amqp.NewMessage([]byte("x")), nil) }); !errors.As(err, &ended) || ended.RemoteErr == nil || ended.RemoteErr.Condition != "test:end" {
		t.Errorf("an ended session: %v", err)
	}
	c.Close(&amqp10.Error{Condition: "test:close"})
	var closed *amqp.ConnError
	if err := conn.Close(); !errors.As(err, &closed) || closed.RemoteErr == nil || closed.RemoteErr.Condition != "test:close" {
		// go-amqp may be first with its own close.
		if err != nil {
			t.Errorf("a closed connection: %v", err)
		}
	}
	var own *amqp10.Error
	if err := <-done; !errors.As(err, &own) || own.Condition != "test:close" {
		t.Errorf("Serve returned %v", err)
	}
}

// until calls f until it fails.
func until(f func() error) error {
	for range 1000 {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}
