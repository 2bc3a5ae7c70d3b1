package device

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/topics"
)

// requests are the twin requests that wait for their answers.
type requests struct {
	mu   sync.Mutex
	last uint64
	open map[string]chan answer // by $rid; each has room for the one answer
	gone chan struct{}          // closed when the connection is lost, and made anew when there is another
	made int                    // connections so far
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

// connection returns what is closed when the connection is lost, and which one it is that a request
// given to the session now goes by first.
func (r *requests) connection() (lost <-chan struct{}, first int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isGone() {
		return r.gone, r.made + 1
	}
	return r.gone, r.made
}

// connected is told of each connection, before anything is read from it.
func (r *requests) connected() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made++
	if r.isGone() {
		r.gone = make(chan struct{})
	}
}

func (r *requests) lost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.isGone() {
		close(r.gone)
	}
}

// isGone reports whether there is no connection. The caller holds the lock.
func (r *requests) isGone() bool {
	select {
	case <-r.gone:
		return true
	default:
		return false
	}
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
		before, first := l.requests.connection()
		if err := l.session.Publish(ctx, p); err != nil {
			return answer{}, asked(err, again)
		}
		_, last := l.requests.connection()
		if a, ok := l.await(ctx, answered, before); ok {
			return a, asked(a.refusal(), again || last != first)
		}
		if ctx.Err() != nil || l.cfg.life.Err() != nil {
			e := ended(ctx, l.cfg.life)
			e.Outcome, e.Message = hubwire.Unknown, "the hub has not answered"
			return answer{}, e
		}
	}
}

// answerTime is how long an answer may take behind the acknowledgement of its request, where
// it is not certain that it did not go with a connection.
const answerTime = 10 * time.Second

// await waits for the answer to a request that was given to the session under the connection
// before, and has been acknowledged since. Where there is none it is to be asked again, if ctx and the Client last.
func (l *mqttLink) await(ctx context.Context, answered <-chan answer, before <-chan struct{}) (a answer, ok bool) {
	lost, _ := l.requests.connection()
	var late <-chan time.Time
	if lost != before {
		// The session has sent it by another connection: most likely this one, which may yet have come
		// after the one that acknowledged it, in the moment since.
		timer := time.NewTimer(answerTime)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case a = <-answered:
		return a, true
	case <-lost:
	case <-late:
	case <-ctx.Done():
	case <-l.cfg.life.Done():
	}
	select {
	case a = <-answered: // it came as well
		return a, true
	default:
		return a, false
	}
}

// notSent is err, of a subscription, for the request that it stood in the way of.
func notSent(err error) error {
	if e, ok := errors.AsType[*hubwire.Error](err); ok && e.Outcome == hubwire.Unknown {
		e.Outcome = hubwire.NotSent
	}
	return err
}

// asked is err, of a request that another connection may have carried before, and the hub have dealt with.
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
