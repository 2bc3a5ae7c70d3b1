package links

import (
	"context"
	"sync"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire/internal/backoff"
)

// pumpCredit is how many messages the peer may send ahead of a pump.
const pumpCredit = 100

// pump gives each message that comes by a link to f, in order, as long as the device lives. f should not
// block: it holds up what comes behind. What the hub has not settled is accepted.
//
// It has a goroutine only while something comes, or the link is to be had again: of a thousand devices most
// wait for messages that seldom come.
type pump struct {
	in   *incoming
	from *receiver
	f    func(generation, *goamqp.Message)

	mu      sync.Mutex
	running bool
}

// lost is the down of the link: one that is refused then is asked for again.
func (p *pump) lost(generation, error) { p.start() }

// start has the goroutine run, and is the link's arriving.
func (p *pump) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running {
		p.running = p.in.start(p.run)
	}
}

// run takes what comes until there is no more. A link that is refused is asked for again after a while.
func (p *pump) run() {
	life, o := p.in.d.e.life, &p.in.d.c.o
	for n := 0; life.Err() == nil; n++ {
		at, err := p.from.core.await(life)
		if err == nil {
			var some bool
			if some, err = p.drain(life, at); err == nil {
				return
			}
			if some {
				n = 0
			}
			p.from.failed(at.gen, err)
			if level, _ := ending(err); level > levelRefusal {
				continue // it is being attached again, with back-off
			}
		}
		pause(life, backoff.Wait(n, o.MinBackoff, o.MaxBackoff))
	}
}

// drain takes what has come by one attachment. It reports whether that is anything. Without an error the pump has
// stopped.
func (p *pump) drain(ctx context.Context, at *attachment) (some bool, err error) {
	r := at.handle.(*goamqp.Receiver)
	for {
		if p.stop(at) {
			return some, nil
		}
		m, err := r.Receive(ctx, nil)
		if err != nil {
			return some, err
		}
		some = true
		at.taken++
		p.f(at.gen, m)
		if err := r.AcceptMessage(ctx, m); err != nil {
			return some, err
		}
	}
}

// stop ends the pump when all that has come by at is taken; what comes from then on starts it again.
func (p *pump) stop(at *attachment) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = at.taken < at.arrived.Load()
	return !p.running
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
