package device

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/internal/goroutine"
)

// enter begins a send, unless the Client has begun to end.
func (l *httpsLink) enter(ctx context.Context, m *hubwire.Message) error {
	if err := httpsx.CheckProperties(m); err != nil {
		return &hubwire.Error{Code: hubwire.ArgumentInvalid, Outcome: hubwire.NotSent, Err: err}
	}
	if ctx.Err() != nil || l.cfg.life.Err() != nil {
		return ended(ctx, l.cfg.life)
	}
	if l.over.Err() != nil {
		return ended(ctx, l.over)
	}
	return nil
}

func (l *httpsLink) send(ctx context.Context, m *hubwire.Message) error {
	if err := l.enter(ctx, m); err != nil {
		return err
	}
	l.busy.begin()
	defer l.busy.end()
	return l.post(ctx, m)
}

// post sends a message by itself.
func (l *httpsLink) post(ctx context.Context, m *hubwire.Message) error {
	x := l.telemetry
	x.message, x.body = m, m.Body
	_, err := l.ask(ctx, &x)
	return err
}

// outbox is what SendAsync has sent and the hub has not acknowledged. A goroutine, which is
// there while something waits, sends it, one request after the other, so that it stays in order.
type outbox struct {
	link *httpsLink
	id   atomic.Uint64 // of that goroutine; 0 while there is none

	mu      sync.Mutex
	queue   []queued
	bytes   int
	running bool
	room    chan struct{} // closed when there is room; nil while nobody waits for it
	hurry   chan struct{} // has room for one: do not linger

	told []outcome // whose done functions are still to be called; the goroutine's own
}

type queued struct {
	m    *hubwire.Message
	size int
	done func(error)
}

type outcome struct {
	done func(error)
	err  error
}

// messageRoom is what a message takes beside what [hubwire.Message.Size] counts, about: its
// names on the wire.
const messageRoom = 128

func (o *outbox) init(l *httpsLink) { o.link, o.hurry = l, make(chan struct{}, 1) }

// mine reports whether the caller is on the outbox's goroutine.
func (o *outbox) mine() bool {
	id := o.id.Load()
	return id != 0 && id == goroutine.ID()
}

func (l *httpsLink) sendAsync(ctx context.Context, m *hubwire.Message, done func(error)) error {
	if err := l.enter(ctx, m); err != nil {
		return err
	}
	q := queued{m, m.Size() + messageRoom, tellsSend(done)}
	for {
		room := l.out.add(q)
		if room == nil {
			return nil
		}
		if err := l.mayWait(); err != nil {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ended(ctx, l.cfg.life)
		case <-l.cfg.life.Done():
			return ended(ctx, l.cfg.life)
		case <-l.over.Done():
			return ended(ctx, l.over)
		}
	}
}

// add takes a message in, or returns what to wait for.
func (o *outbox) add(q queued) (room <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	cfg := o.link.cfg
	if n := len(o.queue); n > 0 && (n >= cfg.Window || o.bytes+q.size > cfg.WindowBytes) {
		o.hasten()
		if o.room == nil {
			o.room = make(chan struct{})
		}
		return o.room
	}
	o.queue, o.bytes = append(o.queue, q), o.bytes+q.size
	if o.bytes/3*4 >= o.link.o.BatchBytes || len(o.queue) >= cfg.Window {
		o.hasten()
	}
	if !o.running {
		o.running = true
		o.link.busy.begin()
		go o.run()
	}
	return nil
}

// hasten ends a linger.
func (o *outbox) hasten() {
	select {
	case o.hurry <- struct{}{}:
	default: // it has been told
	}
}

// run sends until nothing waits.
func (o *outbox) run() {
	o.id.Store(goroutine.ID())
	over := false
	defer func() {
		if !over {
			go o.run() // a done function has ended the goroutine, not what the others wait for
		}
	}()
	var b httpsx.Batch
	b.MaxSize = o.link.o.BatchBytes
	o.tell()
	for o.linger() {
		ms := o.take(&b)
		o.settle(len(ms), o.post(ms, &b))
		o.tell()
	}
	over = true
}

// linger waits for more to send, if it is to, and reports whether there is anything; if not,
// the goroutine ends.
func (o *outbox) linger() bool {
	o.mu.Lock()
	waiting := len(o.queue)
	if waiting == 0 {
		o.running = false
		o.id.Store(0)
		o.link.busy.end()
	}
	o.mu.Unlock()
	if waiting == 0 || o.link.o.Linger <= 0 {
		return waiting > 0
	}
	t := time.NewTimer(o.link.o.Linger)
	defer t.Stop()
	select {
	case <-t.C:
	case <-o.hurry:
	case <-o.link.cfg.life.Done():
	case <-o.link.over.Done():
	}
	return true
}

// take returns what goes into the next request, and has it in b unless it is alone. It stays
// in the queue.
func (o *outbox) take(b *httpsx.Batch) []queued {
	o.mu.Lock()
	waiting := o.queue
	o.mu.Unlock()
	b.Reset()
	if len(waiting) == 1 || o.link.o.Linger < 0 {
		return waiting[:1]
	}
	for _, q := range waiting {
		if !b.Add(q.m) {
			break
		}
	}
	return waiting[:max(1, b.Len())]
}

// post sends ms, which are in b unless it is but one.
func (o *outbox) post(ms []queued, b *httpsx.Batch) error {
	l, ctx := o.link, context.Background()
	if len(ms) == 1 {
		return l.post(ctx, ms[0].m)
	}
	x := l.batch
	x.body = b.Body()
	_, err := l.ask(ctx, &x)
	return err
}

// settle takes the first n out of the queue. What became of them is told afterwards.
func (o *outbox) settle(n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, q := range o.queue[:n] {
		o.bytes -= q.size
		if q.done != nil {
			o.told = append(o.told, outcome{q.done, err})
		}
	}
	o.queue = slices.Delete(o.queue, 0, n)
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// tell calls the done functions, in order.
func (o *outbox) tell() {
	for len(o.told) > 0 {
		next := o.told[0]
		o.told = o.told[1:]
		func() {
			defer contain(o.link.cfg.panicked)
			next.done(next.err)
		}()
	}
	o.told = nil
}
