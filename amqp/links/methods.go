package links

import (
	"context"
	"errors"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// MethodReply answers the direct method that it came with: at most once, from any goroutine. It
// returns when the hub has taken the answer, which is sent again when the connection is lost before;
// called within the function that it was given to, it returns at once, and the answer follows.
// The error is a *hubwire.Error.
type MethodReply func(ctx context.Context, r hubwire.MethodResponse) error

// maxAnswers is how many answers may be under way; more wait. One is as large as the hub takes, 128 KiB.
const maxAnswers = 1000

// methods are the direct methods of an entity: a link for calls, and one for answers.
type methods struct {
	in       *incoming
	requests *receiver
	out      outgoing
	pump     pump
	places   chan struct{} // whose holders may answer

	mu    sync.Mutex
	serve func(hubwire.MethodRequest, MethodReply) // nil until asked for
}

func (m *methods) init(in *incoming) {
	m.in, m.places = in, make(chan struct{}, maxAnswers)
	m.pump.in, m.pump.f = in, m.call
	properties := in.d.properties(newPair("methods"))
	m.out.init(in.d.e, linkConfig{
		node: amqp.MethodResponses, address: in.d.address(amqp.MethodResponses), properties: properties,
	}, in.d.o.AckTimeout)
	m.requests = in.d.e.receiver(receiverConfig{
		linkConfig: linkConfig{node: amqp.MethodRequests, address: in.d.address(amqp.MethodRequests), properties: properties, keen: true},
		credit:     pumpCredit, delivery: m.pump.push,
	})
}

// subscribe has calls given to serve from now on, and returns when the hub sends them. The link for
// answers comes first, so that no call comes that cannot be answered.
func (m *methods) subscribe(ctx context.Context, serve func(hubwire.MethodRequest, MethodReply)) error {
	m.mu.Lock()
	m.serve = serve
	m.mu.Unlock()
	const op = "serve methods"
	if _, _, err := m.out.to.link(ctx, 0); err != nil {
		return unattached(op, m.in.d.e, err)
	}
	if _, _, err := m.requests.link(ctx, 0); err != nil {
		return unattached(op, m.in.d.e, err)
	}
	return nil
}

var errNotAnswerable = errors.New("links: a method call that cannot be answered")

// methodCall is a call, and what its answer says that it is to.
type methodCall struct {
	id amqp.UUID
	r  hubwire.MethodRequest
}

func parseCall(m *amqp.Message) (c methodCall, err error) {
	c.id, c.r, err = amqp.ParseMethodRequest(m)
	return c, err
}

// call hands a call on.
func (m *methods) call(_ generation, message []byte) {
	c, err := read(message, parseCall)
	if err != nil {
		m.in.unexpected(errors.Join(errNotAnswerable, err))
		return
	}
	m.mu.Lock()
	serve := m.serve
	m.mu.Unlock()
	m.in.d.c.call(func() {
		serve(c.r, func(ctx context.Context, r hubwire.MethodResponse) error { return m.answer(ctx, c.id, r) })
	})
}

// answer is a MethodReply.
func (m *methods) answer(ctx context.Context, id amqp.UUID, r hubwire.MethodResponse) error {
	const op = "answer method"
	message := amqp.AppendMethodResponse(nil, id, &r)
	select {
	case m.places <- struct{}{}:
	case <-ctx.Done():
		return &hubwire.Error{Op: op, Outcome: hubwire.NotSent, Retryable: true, Err: ctx.Err()}
	case <-m.in.d.e.life.Done():
		return ended(op, context.Cause(m.in.d.e.life))
	}
	send := func() error {
		defer func() { <-m.places }()
		return m.send(ctx, op, message)
	}
	if !m.in.d.c.inside() {
		return send()
	}
	m.in.start(func() { _ = send() }) // who called times out if it fails, as they would if nobody had answered
	return nil
}

// send sends an answer, again also when the hub does not take it for the moment.
func (m *methods) send(ctx context.Context, op string, message []byte) error {
	for n := 0; ; n++ {
		_, _, err := m.out.deliver(ctx, op, message)
		e, ok := err.(*hubwire.Error)
		if !ok || e.Outcome != hubwire.Refused || !e.Retryable || ctx.Err() != nil {
			return err
		}
		m.in.pause(ctx, n)
	}
}
