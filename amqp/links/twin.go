package links

import (
	"context"
	"errors"
	"strconv"
	"sync"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// twins is the twin of an entity: a link for requests, and one for answers and for changes of the
// desired properties, which a goroutine takes from it.
type twins struct {
	in        *incoming
	responses *receiver
	out       outgoing

	mu      sync.Mutex
	last    uint64                 // request
	open    map[string]twinRequest // by correlation-id
	gone    generation             // the last of responses that was lost
	lost    chan struct{}          // closed, and made anew, when another one is
	pumping bool

	desired desired
}

// twinRequest waits for its answer.
type twinRequest struct {
	answer  chan twinAnswer // has room for the one
	success func()          // is called before what comes behind the answer is looked at; may be nil
}

// twinAnswer is the hub's.
type twinAnswer struct {
	status  int
	version int64
	body    []byte
	err     error // of the status
}

func (t *twins) init(in *incoming) {
	t.in, t.open, t.lost = in, make(map[string]twinRequest), make(chan struct{})
	pair, e := newPair("twin"), in.d.e
	requests := e.sender(senderConfig{
		linkConfig: linkConfig{node: amqp.TwinRequests, address: in.d.address(amqp.TwinRequests), up: t.requestsUp},
		options:    func() goamqp.SenderOptions { return goamqp.SenderOptions{Properties: pair} },
	})
	t.responses = e.receiver(receiverConfig{
		linkConfig: linkConfig{
			node: amqp.TwinResponses, address: in.d.address(amqp.TwinResponses), up: t.responsesUp, down: t.responsesDown,
		},
		options: func() goamqp.ReceiverOptions { return goamqp.ReceiverOptions{Credit: pumpCredit, Properties: pair} },
	})
	t.out.init(requests, amqp.TwinRequests)
}

// request asks the hub, and again whenever a link is lost before there is an answer. What it returns
// without an error is a success; attached is what the request and its answer went over.
func (t *twins) request(ctx context.Context, op string, o amqp.TwinOperation, body []byte, success func()) (a twinAnswer, attached pairing, err error) {
	id, answered := t.begin(success)
	defer t.end(id)
	m, err := encode(amqp.AppendTwinRequest(nil, &amqp.TwinRequest{ID: amqp.String(id).Value(), Operation: o, Body: body}))
	if err != nil {
		return a, attached, err
	}
	for doubt := false; ; doubt = true {
		_, in, err := t.responses.link(ctx)
		if err != nil {
			return a, attached, doubtful(asError(op, amqp.TwinResponses, err), doubt)
		}
		lost := t.listen(in)
		out, err := t.out.deliver(ctx, op, m)
		if err != nil {
			return a, attached, doubtful(asError(op, amqp.TwinRequests, err), doubt)
		}
		select {
		case a := <-answered:
			return a, pairing{out, in}, withOp(op, a.err)
		case <-lost:
			continue // the answer went with it
		case <-ctx.Done():
			err = ctx.Err()
		case <-t.in.d.e.life.Done():
			err = errors.Unwrap(ended(op, context.Cause(t.in.d.e.life)))
		}
		return a, attached, &hubwire.Error{
			Op: op, Outcome: hubwire.Unknown, Retryable: ctx.Err() != nil, Message: "the hub has not answered", Err: err,
		}
	}
}

// begin opens a request.
func (t *twins) begin(success func()) (id string, answered chan twinAnswer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	id, answered = strconv.FormatUint(t.last, 16), make(chan twinAnswer, 1)
	t.open[id] = twinRequest{answered, success}
	return id, answered
}

func (t *twins) end(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, id)
}

// listen sees to it that what comes is taken, and returns what is closed when that attachment is lost.
func (t *twins) listen(in generation) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.pumping {
		t.pumping = t.in.pump(t.responses, t.received)
	}
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

// received hands on an answer, or a change.
func (t *twins) received(m *goamqp.Message) {
	type response struct {
		id      string
		change  bool
		version int64
		answer  twinAnswer
	}
	r, err := decode(m, func(v *amqp.Message) (response, error) {
		r, err := amqp.ParseTwinResponse(v)
		if err != nil {
			return response{}, err
		}
		id, _ := r.ID.Text()
		return response{string(id), r.IsChange(), r.Version, newTwinAnswer(&r)}, nil
	})
	switch {
	case err != nil:
		t.in.unexpected(err)
	case r.change:
		t.changed(r.version, r.answer.body)
	default:
		t.answer(r.id, r.answer)
	}
}

func newTwinAnswer(r *amqp.TwinResponse) twinAnswer {
	return twinAnswer{r.Status, r.Version, append([]byte{}, r.Body...), r.Err("")}
}

// answer hands an answer on. One that nobody waits for any more is late, which is no fault.
func (t *twins) answer(id string, a twinAnswer) {
	t.mu.Lock()
	r, ok := t.open[id]
	delete(t.open, id)
	t.mu.Unlock()
	if !ok {
		return
	}
	if a.err == nil && r.success != nil {
		t.in.d.c.call(r.success)
	}
	r.answer <- a
}
