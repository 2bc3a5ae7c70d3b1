package device

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/backoff"
)

// Desired yields the desired properties: first the whole section, then each
// change, in order of version and without gaps, across reconnects, until ctx
// or the Client ends; then an error, and no more. Where changes were missed (the hub does not
// keep them for who is away) the whole section is read again and yielded with Full set. Versions
// only rise, but where the device was deleted and made anew in between, which is seen by the version
// of either section.
//
// One at a time per Client; a second one yields only an error with
// [hubwire.InvalidOperation]. What the hub can mend (throttling) is
// waited for, with back-off. Each change owns its bytes.
func (c *Client) Desired(ctx context.Context) iter.Seq2[hubwire.DesiredChange, error] {
	return func(yield func(hubwire.DesiredChange, error) bool) {
		err := c.desired(ctx, func(d hubwire.DesiredChange) bool { return yield(d, nil) })
		if err != nil {
			yield(hubwire.DesiredChange{}, withOp("desired", err))
		}
	}
}

// desired yields changes until it fails, or returns nil when yield had enough.
func (c *Client) desired(ctx context.Context, yield func(hubwire.DesiredChange) bool) error {
	l, err := c.ready(ctx, "desired")
	if err != nil {
		return err
	}
	if !c.desiring.TryLock() {
		return &hubwire.Error{Code: hubwire.InvalidOperation, Outcome: hubwire.NotSent, Message: "another Desired of this Client is under way"}
	}
	defer c.desiring.Unlock()
	f := &feed{client: c, link: l, wake: make(chan struct{}, 1)}
	stop, err := l.watchDesired(ctx, f.change, f.reset) // before the read, so that nothing falls between
	if err != nil {
		return err
	}
	defer stop()
	return f.run(ctx, yield)
}

// feed puts the desired properties and their patches in order.
type feed struct {
	client *Client
	link   link
	wake   chan struct{} // has room for one: something came in

	version  int64 // that was yielded last
	reported int64 // the version of the reported properties, read along with it
	some     bool  // one was yielded

	mu      sync.Mutex
	stale   bool // patches may have been missed
	patches []patch
	bytes   int
}

type patch struct {
	version int64
	json    []byte // nil when it was dropped
}

// A feed holds so much for a consumer that is slow. Of what it drops the last
// version is kept: reading the whole section, once it is as new, makes up for it.
const (
	maxPatches    = 64
	maxPatchBytes = 1 << 20
)

// change takes in a patch. It is called by the link.
func (f *feed) change(version int64, json []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.patches) == maxPatches || f.bytes+len(json) > maxPatchBytes {
		f.patches, f.bytes, json = nil, 0, nil
	}
	f.patches, f.bytes = append(f.patches, patch{version, json}), f.bytes+len(json)
	f.signal()
}

// reset says that patches may have been missed. It is called by the link.
func (f *feed) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.patches, f.bytes, f.stale = nil, 0, true
	f.signal()
}

func (f *feed) signal() {
	select {
	case f.wake <- struct{}{}:
	default: // it has been told
	}
}

// next takes the oldest patch, or reports that the section is to be read.
func (f *feed) next() (p patch, ok, stale bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stale {
		f.stale = false
		return patch{}, false, true
	}
	if len(f.patches) == 0 {
		return patch{}, false, false
	}
	p = f.patches[0]
	f.patches[0] = patch{}
	f.patches, f.bytes = f.patches[1:], f.bytes-len(p.json)
	return p, true, false
}

func (f *feed) run(ctx context.Context, yield func(hubwire.DesiredChange) bool) error {
	ctx, cancel := f.client.until(ctx)
	defer cancel()
	more, err := f.read(ctx, yield, true)
	for more && err == nil {
		p, ok, stale := f.next()
		switch {
		case stale:
			more, err = f.read(ctx, yield, true)
		case ok:
			more, err = f.apply(ctx, p, yield)
		default:
			select {
			case <-f.wake:
			case <-ctx.Done():
				err = ended(ctx, f.client.life)
			}
		}
	}
	return err
}

// apply yields a patch when it is the next one, and else the section as soon as it
// has what the patch says. more is false when yield had enough.
func (f *feed) apply(ctx context.Context, p patch, yield func(hubwire.DesiredChange) bool) (more bool, err error) {
	body, bad := withoutMember(p.json, "$version", "$metadata") // bad, too, when it was dropped
	missing := func() bool { return p.version > f.version+1 || p.version == f.version+1 && bad != nil }
	for wait := f.client.o.MinBackoff; missing() && !f.isStale(); wait = min(2*wait, f.client.o.MaxBackoff) {
		if more, err := f.read(ctx, yield, false); !more || err != nil {
			return more, err
		}
		if missing() && !pause(ctx, wait) { // what the hub reads from lags behind what it sends
			return false, ended(ctx, f.client.life)
		}
	}
	if p.version != f.version+1 || bad != nil {
		return true, nil // the section that was read, or is about to be, has it
	}
	f.version = p.version
	return yield(hubwire.DesiredChange{Version: p.version, JSON: body}), nil
}

func (f *feed) isStale() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stale
}

// read reads the section, and yields it when it is news. Versions that went back, of
// either section, are news only on another connection, as a device that is made
// anew is disconnected first; on the same, the hub reads from what lags behind.
func (f *feed) read(ctx context.Context, yield func(hubwire.DesiredChange) bool, reconnected bool) (more bool, err error) {
	for n := 0; ; n++ {
		t, err := f.client.Twin(ctx)
		if err == nil {
			v := t.Desired.Version
			anew := reconnected && (v < f.version || t.Reported.Version < f.reported)
			if f.some && v <= f.version && !anew {
				f.reported = max(f.reported, t.Reported.Version) // one that went back is for the next connection's read to see
				return true, nil
			}
			f.version, f.reported, f.some = v, t.Reported.Version, true
			return yield(hubwire.DesiredChange{Version: v, Full: true, JSON: t.Desired.JSON}), nil
		}
		e, ok := errors.AsType[*hubwire.Error](err)
		switch {
		case ctx.Err() != nil:
			return false, ended(ctx, f.client.life)
		case !ok || !e.Retryable:
			return false, err
		case !pause(ctx, max(e.RetryAfter, backoff.Wait(n, f.client.o.MinBackoff, f.client.o.MaxBackoff))):
			end := ended(ctx, f.client.life)
			end.Message = "the twin could not be read: " + err.Error()
			return false, end
		}
	}
}

// pause waits, and reports whether ctx lasted.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
