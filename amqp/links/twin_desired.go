package links

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// desired is the subscription to changes of the desired properties. The hub forgets it with the
// links that it was made on, so it is made anew on each pair.
type desired struct {
	mu       sync.Mutex
	watcher  *watcher // nil when nobody watches
	attached pairing  // what stands, as far as it was told
	made     pairing  // what the subscription was made on
	renewing bool
}

// watcher is who is told.
type watcher struct {
	change func(version int64, patch []byte)
	reset  func()
}

// pairing is an attachment of each link of the pair.
type pairing struct{ out, in generation }

// covers reports whether p is not older than q.
func (p pairing) covers(q pairing) bool { return p.out >= q.out && p.in >= q.in }

// watch has changes told to change, in their order, until stop; and reset called when there may have been others,
// after each renewal of the subscription and ahead of the changes behind it. Neither may block. It returns when the
// hub has the subscription; what can pass is waited for, as long as ctx lasts.
func (t *twins) watch(ctx context.Context, change func(version int64, patch []byte), reset func()) (stop func(), err error) {
	d, w := &t.desired, &watcher{change, reset}
	d.mu.Lock()
	d.watcher = w
	made := d.made != pairing{} && d.made.covers(d.attached)
	d.mu.Unlock()
	stop = func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.watcher == w { // and no other has taken over
			d.watcher = nil
		}
	}
	for n := 0; !made; n++ {
		made, err = t.subscribe(ctx, nil)
		if e, ok := errors.AsType[*hubwire.Error](err); ok && !e.Retryable {
			break
		}
		if err != nil {
			t.in.pause(ctx, n)
			if ctx.Err() != nil {
				break
			}
		}
	}
	if err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// subscribe asks the hub for changes.
func (t *twins) subscribe(ctx context.Context, success func()) (bool, error) {
	a, out, err := t.request(ctx, "desired", amqp.TwinSubscribe, nil, success)
	if err != nil {
		return false, err
	}
	t.desired.mu.Lock()
	defer t.desired.mu.Unlock()
	t.desired.made = pairing{out, a.in}
	t.renewLocked() // it may have been lost in the meantime
	return true, nil
}

// requestsUp is told of an attachment of the link for requests.
func (t *twins) requestsUp(out generation) {
	t.desired.mu.Lock()
	defer t.desired.mu.Unlock()
	t.desired.attached.out = out
	t.renewLocked()
}

// responsesUp is told of an attachment of the link for answers.
func (t *twins) responsesUp(in generation) {
	t.desired.mu.Lock()
	defer t.desired.mu.Unlock()
	t.desired.attached.in = in
	t.renewLocked()
}

// renewLocked has the subscription renewed if it was made, is wanted, and is on links that are gone.
func (t *twins) renewLocked() {
	if d := &t.desired; !d.renewing && d.dueLocked() {
		d.renewing = t.in.start(t.renew)
	}
}

func (d *desired) dueLocked() bool {
	return d.watcher != nil && d.made != pairing{} && !d.made.covers(d.attached)
}

// renew makes the subscription anew, until it is.
func (t *twins) renew() {
	d := &t.desired
	for n := 0; ; n++ {
		d.mu.Lock()
		d.renewing = d.dueLocked() && t.in.d.e.life.Err() == nil
		due := d.renewing
		d.mu.Unlock()
		if !due {
			return
		}
		if _, err := t.subscribe(t.in.d.e.life, t.restart); err != nil {
			if e, ok := errors.AsType[*hubwire.Error](err); ok && !e.Retryable && t.in.d.e.life.Err() == nil {
				t.in.unexpected(err)
			}
			t.in.pause(t.in.d.e.life, n)
		}
	}
}

func (d *desired) watching() *watcher {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.watcher
}

// restart tells who watches that changes may have been missed.
func (t *twins) restart() {
	if w := t.desired.watching(); w != nil {
		w.reset()
	}
}

var errVersion = errors.New("links: a change of the desired properties without a $version")

// changed tells who watches of a change. One whose version cannot be read counts as missed.
func (t *twins) changed(version int64, patch []byte) {
	if version == 0 {
		var v struct {
			Version int64 `json:"$version"`
		}
		_ = json.Unmarshal(patch, &v)
		version = v.Version
	}
	if version <= 0 {
		t.in.unexpected(errVersion)
		t.in.d.c.call(t.restart)
		return
	}
	if w := t.desired.watching(); w != nil {
		t.in.d.c.call(func() { w.change(version, patch) })
	}
}
