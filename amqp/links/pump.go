package links

import (
	"context"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire/internal/backoff"
)

// pumpCredit is how many messages the peer may send ahead of a pump.
const pumpCredit = 100

// pump gives each message that comes by a link to f, in order, as long as the device lives, on a
// goroutine of its own. f should not block: it holds up what comes behind. What the hub has not settled is
// accepted.
func (in *incoming) pump(from *receiver, f func(generation, *goamqp.Message)) bool {
	return in.start(func() { pump(in.d.e.life, from, &in.d.c.o, f) })
}

// pump does so until ctx ends. A link that is refused is asked for again after a while.
func pump(ctx context.Context, in *receiver, o *Options, f func(generation, *goamqp.Message)) {
	for n := 0; ctx.Err() == nil; n++ {
		r, gen, err := in.link(ctx)
		if err == nil {
			var some bool
			some, err = drain(ctx, r, func(m *goamqp.Message) { f(gen, m) })
			if some {
				n = 0
			}
			in.failed(gen, err)
			if level, _ := ending(err); level > levelRefusal {
				continue // it is being attached again, with back-off
			}
		}
		pause(ctx, backoff.Wait(n, o.MinBackoff, o.MaxBackoff))
	}
}

// drain is pump on one attachment. It reports whether anything came, and why no more does.
func drain(ctx context.Context, r *goamqp.Receiver, f func(*goamqp.Message)) (some bool, err error) {
	for {
		m, err := r.Receive(ctx, nil)
		if err != nil {
			return some, err
		}
		some = true
		f(m)
		if err := r.AcceptMessage(ctx, m); err != nil {
			return some, err
		}
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
