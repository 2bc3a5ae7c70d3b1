package core

import (
	"slices"
	"sync"
	"sync/atomic"
)

// bell calls those who wait for something, each of them once for each time that it was
// armed. It is what a [notifier] is to goroutines, for whoever has none to spare. Ringing
// costs one atomic load when nobody is armed. The zero bell is ready.
type bell struct {
	armed atomic.Int32

	mu  sync.Mutex // a leaf
	all []*Watch
}

// Watch is someone's place at a bell. Its methods may be called from any goroutine.
type Watch struct {
	bell           *bell
	wake           func()
	armed, stopped atomic.Bool
}

// watch returns a Watch that is not armed. wake is called with locks held: it must
// not block, and must not call the Core.
func (b *bell) watch(wake func()) *Watch {
	w := &Watch{bell: b, wake: wake}
	b.add(w)
	return w
}

func (b *bell) add(w *Watch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, w)
}

// Arm asks for one call, when there may be something that was not there. Arm first, look then.
func (w *Watch) Arm() {
	if w.armed.CompareAndSwap(false, true) {
		w.bell.armed.Add(1)
		if w.stopped.Load() {
			w.disarm()
		}
	}
}

// disarm reports whether w was armed.
func (w *Watch) disarm() bool {
	if !w.armed.CompareAndSwap(true, false) {
		return false
	}
	w.bell.armed.Add(-1)
	return true
}

// Stop ends it. A call may be on its way; none begins after Stop has returned.
func (w *Watch) Stop() {
	b := w.bell
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = slices.DeleteFunc(b.all, func(other *Watch) bool { return other == w })
	w.stopped.Store(true)
	w.disarm()
}

// ring calls who is armed.
func (b *bell) ring() {
	if b.armed.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.all {
		if w.disarm() {
			w.wake()
		}
	}
}
