package amqpclient_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/internal/testkit"
)

// echo is a node of a server: what it is sent it accepts, and gives to who receives.
type echo struct {
	mu    sync.Mutex
	links []*amqpserver.Link
	queue [][]byte
	said  []string
	token uint64
}

func (n *echo) Deliver(d *amqpserver.Delivery) {
	n.mu.Lock()
	n.queue = append(n.queue, slices.Clone(d.Message))
	links := n.links
	n.mu.Unlock()
	d.Settle(amqp10.Accepted())
	for _, l := range links {
		l.Wake()
	}
}

func (n *echo) Next(dst []byte) ([]byte, amqpserver.Outgoing, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) == 0 {
		return dst, amqpserver.Outgoing{}, false
	}
	msg := n.queue[0]
	n.queue = n.queue[1:]
	n.token++
	return append(dst, msg...), amqpserver.Outgoing{Token: n.token}, true
}

func (n *echo) Settled(token uint64, state amqp10.State, settled bool) amqp10.State {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said = append(n.said, fmt.Sprint(token, state.Kind(), settled))
	return amqp10.Accepted()
}

func (n *echo) Detached(err error) {}

func (n *echo) handler() *amqpserver.Handler {
	return &amqpserver.Handler{
		Receiver: func(*amqpserver.Attach) (amqpserver.Receiver, *amqp10.Error) { return n, nil },
		Sender: func(a *amqpserver.Attach) (amqpserver.Sender, *amqp10.Error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.links = append(n.links, a.Link)
			return n, nil
		},
	}
}

// serve returns a connection to a server of our own, which ends with the test.
func serve(t testing.TB, cfg *amqpserver.Config, h *amqpserver.Handler) net.Conn {
	near, far := testkit.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		amqpserver.NewServer(cfg).NewConn(far, nil, h).Serve()
	}()
	t.Cleanup(func() {
		near.Close()
		<-done
	})
	return near
}

// journal is what callbacks were told, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) want(t testing.TB, lines ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if diff := cmp.Diff(lines, j.lines); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	j.lines = nil
}

func (j *journal) end(who string) func(error) {
	return func(err error) { j.add("%s: %v", who, err) }
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestMessagesGoBothWaysThroughAServerOfOurOwn(t *testing.T) {
	for _, sasl := range []*amqpclient.SASL{nil, amqpclient.Anonymous(), amqpclient.External(), amqpclient.Plain("u", "p")} {
		synctest.Test(t, func(t *testing.T) { roundTrip(t, sasl) })
	}
}

func roundTrip(t *testing.T, sasl *amqpclient.SASL) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var j journal
	node := &echo{}
	nc := serve(t, &amqpserver.Config{Mechanisms: []string{"ANONYMOUS", "EXTERNAL", "PLAIN"}}, node.handler())
	c := must[*amqpclient.Conn](t)(amqpclient.Open(ctx, nc, &amqpclient.Options{SASL: sasl, OnEnd: j.end("conn")}))
	s := must[*amqpclient.Session](t)(c.Begin(ctx, &amqpclient.SessionOptions{OnEnd: j.end("session")}))
	out := must[*amqpclient.Sender](t)(s.Sender(ctx, &amqpclient.SenderOptions{
		Target:    "here",
		OnSettled: func(first, last uint64, state amqp10.State) { j.add("settled %d-%d %v", first, last, state.Kind()) },
		OnEnd:     j.end("sender"),
	}))
	in := must[*amqpclient.Receiver](t)(s.Receiver(ctx, &amqpclient.ReceiverOptions{
		Source: "there", Credit: 10,
		OnDelivery: func(d *amqpclient.Delivery) {
			j.add("delivery %d of %d bytes", d.ID, len(d.Message))
			d.Link.Dispose(d.ID, d.ID, amqp10.Released())
		},
		OnEnd: j.end("receiver"),
	}))
	if err := out.Send(ctx, make([]byte, 100), amqpclient.Outgoing{Token: 7}); err != nil {
		t.Error(err)
	}
	if err := out.Send(ctx, make([]byte, 200_000), amqpclient.Outgoing{Token: 8}); err != nil {
		t.Error(err)
	}
	synctest.Wait()
	slices.Sort(j.lines)
	j.want(t, "delivery 0 of 100 bytes", "delivery 1 of 200000 bytes", "settled 7-7 accepted", "settled 8-8 accepted")
	if diff := cmp.Diff([]string{"1 released true", "2 released true"}, node.said); diff != "" {
		t.Errorf("the server was told (-want +got):\n%s", diff)
	}
	for _, err := range []error{out.Detach(ctx, nil), in.Detach(ctx, nil), s.End(ctx, nil), c.Close(ctx)} {
		if err != nil {
			t.Error(err)
		}
	}
	j.want(t, "sender: amqpclient: link ended: amqpclient: closed", "receiver: amqpclient: link ended: amqpclient: closed",
		"session: amqpclient: session ended: amqpclient: closed", "conn: amqpclient: connection ended: amqpclient: closed")
	<-c.Done()
}
