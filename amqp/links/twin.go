package links

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// twins is the twin of an entity: a link for requests, and one for answers and for changes of the
// desired properties.
type twins struct {
	in        *incoming
	responses *receiver
	out       outgoing
	pump      pump
	heard     generation // that the last message came by; of the pump

	mu   sync.Mutex
	last uint64                 // request
	open map[string]twinRequest // by correlation-id
	gone generation             // the last of responses that was lost
	lost chan struct{}          // closed, and made anew, when another one is

	desired desired
}

// twinRequest waits for its answer.
type twinRequest struct {
	answer  chan twinAnswer // has room for the one
	arrived func()          // is called when it is there
	success func()          // is called before what comes behind the answer is looked at; may be nil
}

// twinAnswer is the hub's.
type twinAnswer struct {
	in      generation // that it came by
	version int64
	body    []byte
	err     error // of the status
}

func (t *twins) init(in *incoming) {
	t.in, t.open, t.lost = in, make(map[string]twinRequest), make(chan struct{})
	t.pump.in, t.pump.f = in, t.received
	properties := in.d.properties(newPair("twin"))
	t.out.init(in.d.e, linkConfig{
		node: amqp.TwinRequests, address: in.d.address(amqp.TwinRequests), properties: properties, up: t.requestsUp,
	}, in.d.o.AckTimeout)
	t.responses = in.d.e.receiver(receiverConfig{
		linkConfig: linkConfig{
			node: amqp.TwinResponses, address: in.d.address(amqp.TwinResponses), properties: properties, keen: true,
			up: t.responsesUp, down: t.responsesDown,
		},
		credit: pumpCredit, delivery: t.pump.push,
	})
}

// request asks the hub, and again whenever a link is lost before there is an answer. What it returns
// without an error is a success; out is what the request went by last.
func (t *twins) request(ctx context.Context, op string, o amqp.TwinOperation, body []byte, success func()) (a twinAnswer, out generation, err error) {
	sending, arrived := context.WithCancelCause(ctx) // an answer says that the request has arrived, whatever else is missing
	defer arrived(nil)
	id, answered := t.begin(func() { arrived(errAnswered) }, success)
	defer t.take(id)
	m := amqp.AppendTwinRequest(nil, &amqp.TwinRequest{ID: amqp.String(id).Value(), Operation: o, Body: body})
	asked := false // before, and the hub may have dealt with it
	for len(answered) == 0 {
		_, in, err := t.responses.link(ctx, 0)
		if err != nil {
			return a, out, askedBefore(unattached(op, t.in.d.e, err), asked)
		}
		lost := t.listen(in)
		var again bool
		out, again, err = t.out.deliver(sending, op, m)
		asked = asked || again
		if err != nil && len(answered) == 0 {
			return a, out, askedBefore(asError(op, amqp.TwinRequests, err), asked)
		}
		select {
		case <-lost:
			asked = asked || len(answered) == 0 // an answer went with it, if it is not there
			continue
		case <-sending.Done(): // by the answer, or with ctx
		case <-t.in.d.e.life.Done():
		}
		if len(answered) == 0 {
			return a, out, t.unanswered(ctx, op)
		}
	}
	a = <-answered // whatever else has happened
	return a, out, askedBefore(withOp(op, a.err), asked)
}

// askedBefore is err, of a request that another attachment may have carried before, and the hub have dealt with.
func askedBefore(err error, before bool) error {
	if e, ok := err.(*hubwire.Error); ok && before {
		own := *e
		own.Outcome = hubwire.Unknown
		return &own
	}
	return err
}

// unanswered is the error of a request that the hub has, when ctx or the device has ended.
func (t *twins) unanswered(ctx context.Context, op string) error {
	e := &hubwire.Error{Op: op, Outcome: hubwire.Unknown, Retryable: true, Message: "the hub has not answered", Err: ctx.Err()}
	if e.Err == nil {
		e.Retryable, e.Err = false, errors.Unwrap(ended(op, context.Cause(t.in.d.e.life)))
	}
	return e
}

// begin opens a request.
func (t *twins) begin(arrived, success func()) (id string, answered chan twinAnswer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	id, answered = strconv.FormatUint(t.last, 16), make(chan twinAnswer, 1)
	t.open[id] = twinRequest{answered, arrived, success}
	return id, answered
}

// take closes a request.
func (t *twins) take(id string) (r twinRequest, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok = t.open[id]
	delete(t.open, id)
	return r, ok
}

// listen returns what is closed when that attachment is lost.
func (t *twins) listen(in generation) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if in <= t.gone {
		return closed
	}
	return t.lost
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// responsesDown is told that an attachment is lost, and with it the answers that were under way.
func (t *twins) responsesDown(in generation, _ error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone = in
	close(t.lost)
	t.lost = make(chan struct{})
}

// received hands on an answer, or a change. What comes first by another attachment than before is preceded by a
// reset: who watches has changes in hand that may be of another twin than what comes now.
func (t *twins) received(in generation, message []byte) {
	fresh := t.heard != 0 && in != t.heard
	t.heard = in
	var answer twinAnswer
	r, err := read(message, amqp.ParseTwinResponse)
	if err == nil {
		answer = twinAnswer{in: in, version: r.Version, body: r.Body, err: r.Err("")}
	}
	id, _ := r.ID.Text()
	waiting, ok := t.take(string(id))
	if success := waiting.success; success != nil && answer.err == nil {
		t.in.d.c.call(success)
	} else if fresh {
		t.in.d.c.call(t.restart)
	}
	switch {
	case err != nil:
		t.in.unexpected(err)
	case r.IsChange():
		t.changed(answer.version, answer.body)
	case ok: // else it is late, which is no fault
		waiting.answer <- answer
		waiting.arrived()
	}
}
