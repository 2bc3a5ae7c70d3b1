package links

import (
	"context"
	"net"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/internal/testkit"
)

// far is the peer of an outbox: a server with one node, which keeps what it is sent until the test
// settles it, or settles it at once. Each attachment has a connection of its own.
type far struct {
	t      *testing.T
	server *amqpserver.Server

	mu      sync.Mutex
	gen     generation // of the latest connection
	conns   []net.Conn
	got     []string // bodies in the order of arrival; those of a batch are joined by +
	pending []amqpserver.Receipt
	answer  func(body string) (amqp10.State, bool) // nil: what comes stays unsettled
	stalls  []error
}

func newFar(t *testing.T, cfg *amqpserver.Config) *far {
	return &far{t: t, server: amqpserver.NewServer(cfg)}
}

// accepts settles all with accepted.
func accepts(string) (amqp10.State, bool) { return amqp10.Accepted(), true }

// Deliver implements [amqpserver.Receiver].
func (f *far) Deliver(d *amqpserver.Delivery) {
	m, err := amqp.ParseMessage(d.Message)
	if err != nil {
		f.t.Error(err)
		return
	}
	ms, err := amqp.AppendBatch(nil, &m)
	if err != nil || d.Format != amqp.BatchFormat {
		f.t.Errorf("a transfer of format %#x: %v", d.Format, err)
		return
	}
	body := ""
	for i := range ms {
		if i > 0 {
			body += "+"
		}
		body += string(ms[i].Body)
	}
	f.mu.Lock()
	f.got = append(f.got, body)
	answer := f.answer
	f.mu.Unlock()
	if answer != nil {
		if state, ok := answer(body); ok {
			d.Settle(state)
			return
		}
	}
	f.mu.Lock()
	f.pending = append(f.pending, d.Receipt())
	f.mu.Unlock()
}

// Detached implements [amqpserver.Node].
func (f *far) Detached(error) {}

// attach makes a connection with the link, of an outbox.
func (f *far) attach(ctx context.Context, b *outbox) error {
	f.mu.Lock()
	f.gen++
	gen := f.gen
	f.mu.Unlock()
	near, peer := testkit.Pipe()
	f.conns = append(f.conns, near)
	c := f.server.NewConn(peer, nil, &amqpserver.Handler{
		Receiver: func(a *amqpserver.Attach) (amqpserver.Receiver, *amqp10.Error) { return f, nil },
	})
	go c.Serve()
	conn, err := amqpclient.Open(ctx, near, nil)
	if err != nil {
		return err
	}
	session, err := conn.Begin(ctx, nil)
	if err != nil {
		return err
	}
	link, err := session.Sender(ctx, &amqpclient.SenderOptions{
		Target:    "node",
		OnSettled: func(first, last uint64, state amqp10.State) { b.settled(gen, first, last, state) },
		OnReady:   b.ready,
		OnEnd:     func(reason error) { b.down(gen, reason) },
	})
	if err != nil {
		return err
	}
	b.up(gen, link)
	return nil
}

// cut ends the connection without a word.
func (f *far) cut() {
	f.mu.Lock()
	f.pending = nil
	nc := f.conns[len(f.conns)-1]
	f.mu.Unlock()
	nc.Close()
	synctest.Wait()
}

// stall is told that the peer does not answer, and has the connection lost.
func (f *far) stall(_ generation, err error) {
	f.mu.Lock()
	f.stalls = append(f.stalls, err)
	nc := f.conns[len(f.conns)-1]
	f.mu.Unlock()
	nc.Close()
}

// say settles the oldest that is pending.
func (f *far) say(state amqp10.State) {
	f.mu.Lock()
	r := f.pending[0]
	f.pending = f.pending[1:]
	f.mu.Unlock()
	r.Settle(state)
	synctest.Wait()
}

// stalled returns what the outbox has told of its link.
func (f *far) stalled() []error {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stalls
}

// arrived returns what has come since the last call.
func (f *far) arrived() []string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	got := f.got
	f.got = nil
	return got
}

// mailbox is an outbox with its peer, in a bubble.
type mailbox struct {
	*far
	*outbox
	t *testing.T

	mu   sync.Mutex
	told []string // what done functions were told, in order
}

var shortOptions = outboxOptions{
	window: 8, windowBytes: 1 << 20, ackTimeout: 30 * time.Second, minBackoff: time.Second, maxBackoff: time.Second,
}

// inBubble runs f with an outbox whose link is attached.
func inBubble(t *testing.T, o outboxOptions, f func(t *testing.T, b *mailbox)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &mailbox{t: t, far: newFar(t, &amqpserver.Config{IdleTimeout: -1}), outbox: new(outbox)}
		o.stalled = b.stall
		b.outbox.init(o)
		b.connect()
		f(t, b)
		never := make(chan struct{})
		if !b.end(ErrClosed, never) {
			t.Error("the goroutines are not gone")
		}
		for _, nc := range b.conns {
			nc.Close()
		}
		synctest.Wait()
	})
}

// async sends messages with these bodies, and has told what became of them.
func (b *mailbox) async(bodies ...string) error {
	for _, body := range bodies {
		o := order{m: &hubwire.Message{Body: []byte(body)}, done: func(err error) { b.note(body, err) }}
		o.size = o.m.Size() + messageRoom
		if _, _, err := b.accept(b.t.Context(), []order{o}); err != nil {
			return err
		}
	}
	return nil
}

// all sends messages that may share transfers.
func (b *mailbox) all(bodies ...string) (int, error) {
	os := make([]order, len(bodies))
	for i, body := range bodies {
		m := &hubwire.Message{Body: []byte(body)}
		os[i] = order{m: m, size: m.Size() + messageRoom, each: func(i int, err error) { b.note(bodies[i], err) }, i: i, share: true}
	}
	n, _, err := b.accept(b.t.Context(), os)
	return n, err
}

func (b *mailbox) note(body string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append(b.told, body+": "+inShort(err))
}

func inShort(err error) string {
	e, ok := err.(*hubwire.Error)
	switch {
	case err == nil:
		return "ok"
	case !ok:
		return err.Error()
	}
	text := e.Outcome.String()
	if e.Code != 0 {
		text += " " + strconv.Itoa(int(e.Code))
	}
	return text
}

func (b *mailbox) outcomes() []string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	told := b.told
	b.told = nil
	return told
}

// idle fails the test if a goroutine of the outbox is left.
func (b *mailbox) idle() {
	b.t.Helper()
	synctest.Wait()
	b.outbox.mu.Lock()
	defer b.outbox.mu.Unlock()
	if b.telling {
		b.t.Error("a goroutine tells, with nothing to be told")
	}
}

// connect attaches the link.
func (b *mailbox) connect() {
	if err := b.attach(b.t.Context(), b.outbox); err != nil {
		b.t.Error(err)
	}
}
