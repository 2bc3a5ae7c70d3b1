package amqpserver_test

import (
	"errors"
	"fmt"
	"sync"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// space is an address space of whatever nodes a test has.
type space struct {
	mu      sync.Mutex
	sinks   map[string]*sink
	sources map[string]*source
	log     []string // what the handler was told
	attach  func(a *amqpserver.Attach)
}

func (s *space) handler() *amqpserver.Handler {
	return &amqpserver.Handler{
		Begun: func(ss *amqpserver.Session) { s.note("begun %d", ss.Channel()) },
		Ended: func(ss *amqpserver.Session, err error) { s.note("ended %d: %v", ss.Channel(), err) },
		Receiver: func(a *amqpserver.Attach) (amqpserver.Receiver, *amqp10.Error) {
			address, _ := a.Peer.Target.Value.Address.Text()
			n := s.sinks[string(address)]
			if n == nil {
				return nil, &amqp10.Error{Condition: amqp10.NotFound}
			}
			n.space, n.link = s, a.Link
			if s.attach != nil {
				s.attach(a)
			}
			return n, nil
		},
		Sender: func(a *amqpserver.Attach) (amqpserver.Sender, *amqp10.Error) {
			address, _ := a.Peer.Source.Value.Address.Text()
			n := s.sources[string(address)]
			if n == nil {
				return nil, &amqp10.Error{Condition: amqp10.NotFound}
			}
			n.space, n.link = s, a.Link
			if s.attach != nil {
				s.attach(a)
			}
			return n, nil
		},
	}
}

func (s *space) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

// told returns what was noted since the last call.
func (s *space) told() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	s.log = nil
	return log
}

// sink is a receiver. It settles what it gets as settle says, or keeps the receipts.
type sink struct {
	space    *space
	link     *amqpserver.Link
	settle   func(d *amqpserver.Delivery)
	receipts []amqpserver.Receipt
}

func accept(d *amqpserver.Delivery) { d.Settle(amqp10.Accepted()) }

func (n *sink) Deliver(d *amqpserver.Delivery) {
	how := ""
	if d.Settled {
		how = " settled"
	}
	body := string(d.Message)
	if len(body) > 20 {
		body = fmt.Sprintf("%d bytes", len(body))
	}
	n.space.note("%s: %s%s", n.link.Name(), body, how)
	n.receipts = append(n.receipts, d.Receipt())
	if n.settle != nil {
		n.settle(d)
	}
}

func (n *sink) Detached(err error) { n.space.note("%s detached: %s", n.link.Name(), why(err)) }

// source is a sender of the messages that it has.
type source struct {
	space    *space
	link     *amqpserver.Link
	mu       sync.Mutex
	messages []string
	out      amqpserver.Outgoing
	asked    func() // is called in Next
	answer   amqp10.State
}

func (n *source) Next(dst []byte) ([]byte, amqpserver.Outgoing, bool) {
	if n.asked != nil {
		n.asked()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.messages) == 0 {
		return append(dst, "never sent"...), amqpserver.Outgoing{}, false
	}
	dst = append(dst, n.messages[0]...)
	n.messages = n.messages[1:]
	n.out.Token++
	return dst, n.out, true
}

func (n *source) add(messages ...string) {
	n.mu.Lock()
	n.messages = append(n.messages, messages...)
	n.mu.Unlock()
	n.link.Wake()
}

func (n *source) Settled(token uint64, state amqp10.State, settled bool) amqp10.State {
	s := fmt.Sprintf("%s: token %d %v", n.link.Name(), token, state.Kind())
	if settled {
		s += " settled"
	}
	n.space.note("%s", s)
	return n.answer
}

func (n *source) Detached(err error) { n.space.note("%s detached: %s", n.link.Name(), why(err)) }

func why(err error) string {
	var e *amqp10.Error
	switch {
	case err == nil:
		return "nil"
	case errors.As(err, &e):
		return string(e.Condition)
	case errors.Is(err, amqpserver.ErrNoClose):
		return "no close"
	}
	return err.Error()
}

// sender attaches a link on which the peer sends, receiver one on which it receives.
func sender(name, address string, handle uint32) *amqp10.Attach {
	return &amqp10.Attach{
		Name: []byte(name), Handle: handle, Role: amqp10.RoleSender, InitialDeliveryCount: amqp10.Some[uint32](0),
		Source: amqp10.Some(amqp10.Source{}), Target: amqp10.Some(amqp10.Target{Address: text(address)}),
	}
}

func receiver(name, address string, handle uint32) *amqp10.Attach {
	return &amqp10.Attach{
		Name: []byte(name), Handle: handle, Role: amqp10.RoleReceiver,
		Source: amqp10.Some(amqp10.Source{Address: text(address)}), Target: amqp10.Some(amqp10.Target{}),
	}
}

func text(s string) amqp10.Value { return amqp10.ValueOf(amqp10.AppendString(nil, s)) }

// message is a whole delivery in one frame.
func message(handle, id uint32, payload string) transfer {
	return transfer{amqp10.Transfer{
		Handle: handle, DeliveryID: amqp10.Some(id), DeliveryTag: []byte{byte(id)}, MessageFormat: amqp10.Some[uint32](0),
	}, payload}
}

// credit grants credit to the server, with a window of 100.
func credit(handle, count, n uint32) *amqp10.Flow {
	return &amqp10.Flow{
		NextIncomingID: amqp10.Some[uint32](1 + count), IncomingWindow: 100, OutgoingWindow: 100,
		Handle: amqp10.Some(handle), DeliveryCount: amqp10.Some(count), LinkCredit: amqp10.Some(n),
	}
}
