package links

import (
	"time"

	"github.com/hubwire/hubwire/internal/backoff"
)

// retry is how long to wait before the next attempt to mend one thing. The zero retry does not wait.
type retry struct {
	waits int       // since it stood for long enough
	since time.Time // when it was mended; zero: it is not
	at    time.Time // no attempt before
}

// failed puts the next attempt off.
func (r *retry) failed(o *Options) {
	r.since = time.Time{}
	r.at = time.Now().Add(backoff.Wait(r.waits, o.MinBackoff, o.MaxBackoff))
	r.waits++
}

// mended notes that an attempt succeeded.
func (r *retry) mended() { r.since = time.Now() }

// lost puts the first attempt off after a loss, by little if it had stood for long.
func (r *retry) lost(o *Options) {
	if !r.since.IsZero() && time.Since(r.since) >= o.MaxBackoff {
		r.waits = 0
	}
	r.failed(o)
}

// wait is how long to wait still.
func (r *retry) wait() time.Duration { return max(0, time.Until(r.at)) }
