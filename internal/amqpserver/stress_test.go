package amqpserver_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/internal/testkit"
)

// livelyNode settles from other goroutines, and is told of its end once.
type livelyNode struct {
	*fifo
	link   *amqpserver.Link
	lively *lively
	ends   atomic.Int32
}

type lively struct {
	queues *queues
	mu     sync.Mutex
	nodes  []*livelyNode
	wg     sync.WaitGroup
}

func (n *livelyNode) Deliver(d *amqpserver.Delivery) {
	r := d.Receipt()
	n.mu.Lock()
	n.waiting = append(n.waiting, append([]byte(nil), d.Message...))
	n.mu.Unlock()
	n.lively.wg.Go(func() { r.Settle(amqp10.Accepted()) })
}

func (n *livelyNode) Detached(error) { n.ends.Add(1) }

func (v *lively) node(address amqp10.Value, l *amqpserver.Link) *livelyNode {
	n := &livelyNode{fifo: v.queues.queue(address), link: l, lively: v}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.nodes = append(v.nodes, n)
	return n
}

// any returns one of the latest nodes.
func (v *lively) any() *livelyNode {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.nodes) == 0 {
		return nil
	}
	return v.nodes[max(0, len(v.nodes)-1-rand.IntN(40))]
}

// meddle does what hubs do to links, from the side.
func (v *lively) meddle(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		n := v.any()
		if n == nil {
			continue
		}
		switch rand.IntN(60) {
		case 0:
			n.link.Detach(&amqp10.Error{Condition: amqp10.DetachForced})
		case 1:
			n.link.Pause()
			n.link.Resume()
		default:
			n.link.Wake()
		}
		time.Sleep(time.Duration(rand.IntN(50)) * time.Microsecond) // so that others get to do something
	}
}

// Many links of a client come and go while the server detaches, wakes and settles from other goroutines.
func TestManyLinksAtOnce(t *testing.T) {
	testkit.LeakCheck(t)
	v := &lively{queues: newQueues()}
	h := &amqpserver.Handler{
		Receiver: func(a *amqpserver.Attach) (amqpserver.Receiver, *amqp10.Error) {
			return v.node(a.Peer.Target.Value.Address, a.Link), nil
		},
		Sender: func(a *amqpserver.Attach) (amqpserver.Sender, *amqp10.Error) {
			return v.node(a.Peer.Source.Value.Address, a.Link), nil
		},
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
	stop := make(chan struct{})
	var clients, meddlers sync.WaitGroup
	for range 2 {
		meddlers.Go(func() { v.meddle(stop) })
	}
	for i := range 8 {
		clients.Go(func() {
			for range 15 {
				if err := comeAndGo(ctx, conn, fmt.Sprint("q", i)); err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
			}
		})
	}
	clients.Wait()
	close(stop)
	meddlers.Wait()
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	v.wg.Wait()
	for _, n := range v.nodes {
		if ends := n.ends.Load(); ends != 1 {
			t.Errorf("a node was told of its end %d times", ends)
		}
	}
}

// comeAndGo attaches both ends of a queue, and sends and receives until it is detached or done. Each link has a
// session of its own, as go-amqp may use a handle again before it has answered the server's detach.
func comeAndGo(ctx context.Context, c *amqp.Conn, address string) (err error) {
	out, err := c.NewSession(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close(ctx)) }()
	in, err := c.NewSession(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close(ctx)) }()
	sender, err := out.NewSender(ctx, address, nil)
	if err != nil {
		return detachedByServer(err)
	}
	defer sender.Close(ctx)
	receiver, err := in.NewReceiver(ctx, address, &amqp.ReceiverOptions{Credit: 10})
	if err != nil {
		return detachedByServer(err)
	}
	defer receiver.Close(ctx)
	for range 20 {
		if err := sender.Send(ctx, amqp.NewMessage(make([]byte, 100)), nil); err != nil {
			return detachedByServer(err)
		}
	}
	for range 5 {
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond) // others may have taken them
		m, err := receiver.Receive(short, nil)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return nil
		}
		if err == nil {
			err = receiver.AcceptMessage(ctx, m)
		}
		if err != nil {
			return detachedByServer(err)
		}
	}
	return nil
}

// detachedByServer returns err, or nil if it is that the server detached the link.
func detachedByServer(err error) error {
	var link *amqp.LinkError
	var e *amqp.Error
	if errors.As(err, &link) && link.RemoteErr != nil {
		return nil
	}
	if errors.As(err, &e) && e.Condition == amqp.ErrCondDetachForced {
		return nil
	}
	return err
}
