package amqpserver_test

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/Azure/go-amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// mailbox is an address space of one node: what is sent to it comes back to who receives from it.
type mailbox struct {
	mu      sync.Mutex
	waiting [][]byte         // encoded messages
	reader  *amqpserver.Link // where they go
}

// inbox and outbox are the two ends of a mailbox.
type (
	inbox  struct{ *mailbox }
	outbox struct{ *mailbox }
)

func (m inbox) Deliver(d *amqpserver.Delivery) {
	m.mu.Lock()
	m.waiting = append(m.waiting, append([]byte(nil), d.Message...)) // the view ends with the call
	reader := m.reader
	m.mu.Unlock()
	d.Settle(amqp10.Accepted())
	if reader != nil {
		reader.Wake()
	}
}

func (m outbox) Next(dst []byte) ([]byte, amqpserver.Outgoing, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.waiting) == 0 {
		return dst, amqpserver.Outgoing{}, false
	}
	dst = append(dst, m.waiting[0]...)
	m.waiting = m.waiting[1:]
	return dst, amqpserver.Outgoing{}, true
}

func (m outbox) Settled(_ uint64, state amqp10.State, _ bool) amqp10.State {
	fmt.Println("settled:", state.Kind())
	return amqp10.State{}
}

func (m inbox) Detached(error)  {}
func (m outbox) Detached(error) {}

func (m *mailbox) receiver(a *amqpserver.Attach) (amqpserver.Receiver, *amqp10.Error) {
	if address, _ := a.Peer.Target.Value.Address.Text(); string(address) != "mailbox" {
		return nil, &amqp10.Error{Condition: amqp10.NotFound, Description: "there is only a mailbox"}
	}
	return inbox{m}, nil
}

func (m *mailbox) sender(a *amqpserver.Attach) (amqpserver.Sender, *amqp10.Error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reader = a.Link
	return outbox{m}, nil
}

// A client sends a message, and receives it.
func Example() {
	box := &mailbox{}
	server := amqpserver.NewServer(&amqpserver.Config{ContainerID: "post office", Mechanisms: []string{"ANONYMOUS"}})
	near, far := net.Pipe()
	conn := server.NewConn(far, nil, &amqpserver.Handler{Receiver: box.receiver, Sender: box.sender})
	done := make(chan error)
	go func() { done <- conn.Serve() }()

	ctx := context.Background()
	client, err := amqp.NewConn(ctx, near, &amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous()})
	if err != nil {
		panic(err)
	}
	session, err := client.NewSession(ctx, nil)
	if err != nil {
		panic(err)
	}
	receiver, err := session.NewReceiver(ctx, "mailbox", nil)
	if err != nil {
		panic(err)
	}
	sender, err := session.NewSender(ctx, "mailbox", nil)
	if err != nil {
		panic(err)
	}
	if err := sender.Send(ctx, amqp.NewMessage([]byte("hello")), nil); err != nil {
		panic(err)
	}
	m, err := receiver.Receive(ctx, nil)
	if err != nil {
		panic(err)
	}
	fmt.Printf("received: %s\n", m.GetData())
	if err := receiver.AcceptMessage(ctx, m); err != nil {
		panic(err)
	}
	client.Close()
	fmt.Println("served:", <-done)
	// Output:
	// received: hello
	// settled: accepted
	// served: <nil>
}
