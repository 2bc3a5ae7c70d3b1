package device

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/topics"
)

// requests are the twin requests that wait for their answers.
type requests struct {
	mu   sync.Mutex
	last uint64
	open map[string]chan answer // by $rid; each has room for the one answer
	gone chan struct{}          // closed and made anew when a connection is lost
}

// answer is the hub's answer to a twin request.
type answer struct {
	status  int
	version int64 // of the reported properties; 0 when it does not say
	body    []byte
}

func (r *requests) init() {
	r.open = map[string]chan answer{}
	r.gone = make(chan struct{})
}

func (r *requests) begin() (rid string, answered chan answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	rid, answered = strconv.FormatUint(r.last, 16), make(chan answer, 1)
	r.open[rid] = answered
	return rid, answered
}

func (r *requests) end(rid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, rid)
}

// connectionLost returns a channel that is closed when the next connection is lost.
func (r *requests) connectionLost() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone
}

func (r *requests) lost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.gone)
	r.gone = make(chan struct{})
}

// answer hands an answer on. One that nobody waits for any more is late, which is no fault.
func (r *requests) answer(t *topics.Topic, payload []byte) error {
	version, _ := t.Version()
	r.mu.Lock()
	defer r.mu.Unlock()
	if answered, ok := r.open[string(t.RequestID())]; ok {
		delete(r.open, string(t.RequestID()))
		answered <- answer{t.Status(), version, bytes.Clone(payload)}
	}
	return nil
}

// request asks the hub, again on each new connection, until there is an
// answer. What it returns is a success.
func (l *mqttLink) request(ctx context.Context, payload []byte, topic func(rid string) []byte) (answer, error) {
	if err := l.subscribe(ctx, &l.twinFilter); err != nil {
		return answer{}, notSent(err)
	}
	if err := l.mayWait(); err != nil {
		return answer{}, err
	}
	rid, answered := l.requests.begin()
	defer l.requests.end(rid)
	p := &mqtt.Publish{Topic: topic(rid), QoS: mqtt.AtLeastOnce, Payload: payload}
	for again := false; ; again = true {
		lost := l.requests.connectionLost()
		if err := l.session.Publish(ctx, p); err != nil {
			return answer{}, asked(err, again)
		}
		select {
		case a := <-answered:
			return a, a.refusal()
		case <-lost:
			continue // the answer went with it
		case <-ctx.Done():
		case <-l.cfg.life.Done():
		}
		e := ended(ctx, l.cfg.life)
		e.Outcome, e.Message = hubwire.Unknown, "the hub has not answered"
		return answer{}, e
	}
}

// notSent is err, of a subscription, for the request that it stood in the way of.
func notSent(err error) error {
	if e, ok := errors.AsType[*hubwire.Error](err); ok && e.Outcome == hubwire.Unknown {
		e.Outcome = hubwire.NotSent
	}
	return err
}

// asked is err, of a request that another connection may have carried before.
func asked(err error, before bool) error {
	if e, ok := errors.AsType[*hubwire.Error](err); ok && before {
		e.Outcome = hubwire.Unknown
	}
	return err
}

func (l *mqttLink) twin(ctx context.Context) (*hubwire.Twin, error) {
	a, err := l.request(ctx, nil, func(rid string) []byte { return topics.AppendTwinGet(nil, rid) })
	if err != nil {
		return nil, err
	}
	return parseTwin(a.body)
}

func (l *mqttLink) report(ctx context.Context, patch []byte) (version int64, err error) {
	a, err := l.request(ctx, patch, func(rid string) []byte { return topics.AppendTwinReported(nil, rid, 0) })
	return a.version, err
}

// parseTwin reads the twin as a device gets it:
//
//	{"desired":{...,"$version":n},"reported":{...,"$version":m}}
func parseTwin(body []byte) (*hubwire.Twin, error) {
	var v struct{ Desired, Reported json.RawMessage }
	err := json.Unmarshal(body, &v)
	var t hubwire.Twin
	if err == nil {
		t.Desired, err = twinSection(v.Desired)
	}
	if err == nil {
		t.Reported, err = twinSection(v.Reported)
	}
	if err != nil {
		return nil, &hubwire.Error{Code: hubwire.FormatError, Outcome: hubwire.Unknown, Message: "the hub's answer is no twin", Err: err}
	}
	return &t, nil
}

// desiredPatches is where changes of the desired properties go.
type desiredPatches struct {
	mu      sync.Mutex
	change  func(version int64, patch []byte) // nil when nobody watches
	renewed func()
}

func (d *desiredPatches) watch(change func(int64, []byte), renewed func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.change, d.renewed = change, renewed
}

// add hands a change on. One whose version cannot be read counts as missed.
func (d *desiredPatches) add(t *topics.Topic, payload []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.change == nil {
		return nil
	}
	version, ok := t.Version()
	if !ok {
		d.renewed()
		return errVersion
	}
	d.change(version, bytes.Clone(payload))
	return nil
}

var errVersion = errors.New("$version is not a number")

func (d *desiredPatches) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.renewed != nil {
		d.renewed()
	}
}

func (l *mqttLink) watchDesired(ctx context.Context, change func(int64, []byte), reset func()) (stop func(), err error) {
	l.desired.watch(change, reset)
	stop = func() { l.desired.watch(nil, nil) }
	if err := l.insist(ctx, &l.desiredFilter); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}
