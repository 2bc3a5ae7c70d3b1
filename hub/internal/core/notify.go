package core

import (
	"sync"
	"sync/atomic"
	"time"
)

// notifier wakes everybody who waits. It costs one atomic load when nobody
// does. The zero notifier is ready.
type notifier struct{ ch atomic.Pointer[chan struct{}] }

// wait returns a channel that the next broadcast closes. Take it before
// looking at what one waits for.
func (n *notifier) wait() <-chan struct{} {
	for {
		if p := n.ch.Load(); p != nil {
			return *p
		}
		ch := make(chan struct{})
		if n.ch.CompareAndSwap(nil, &ch) {
			return ch
		}
	}
}

func (n *notifier) broadcast() {
	if p := n.ch.Load(); p != nil && n.ch.CompareAndSwap(p, nil) {
		close(*p)
	}
}

// timers counts, in wg, the callbacks that run or can still run, and what was
// begun by run, so that Close can wait for them.
type timers struct {
	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// timer is a [time.Timer] that is counted. A nil timer is one that never fires.
type timer struct {
	owner *timers
	t     *time.Timer
}

// after calls f in d, on a goroutine of its own, unless the timer is stopped.
// f must look whether it is still wanted: stop does not wait for it.
func (ts *timers) after(d time.Duration, f func()) *timer {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.closed {
		return nil
	}
	ts.wg.Add(1)
	return &timer{ts, time.AfterFunc(d, func() {
		defer ts.wg.Done()
		f()
	})}
}

// run calls f on a goroutine of its own, or returns false when closed.
func (ts *timers) run(f func()) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.closed {
		return false
	}
	ts.wg.Go(f)
	return true
}

func (t *timer) stop() {
	if t != nil && t.t.Stop() {
		t.owner.wg.Done()
	}
}

// close lets no new timer begin. Those that there are must then be stopped
// before ts.wg is waited for.
func (ts *timers) close() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.closed = true
}
