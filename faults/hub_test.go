package faults_test

import (
	"context"
	"slices"
	"sync"
	"syscall"

	"github.com/hubwire/hubwire/hub"
)

// rule is what the hub does with operations to come.
type rule struct {
	kinds []hub.OpKind // none means all
	left  int          // so many times more
	judge func(*hub.Op) hub.Verdict
	used  bool
	met   chan struct{} // closed when it was met for the first time
}

// on lays down what happens to the next n operations of such kinds, and returns a
// channel that is closed when the first of them has met judge. Of several rules that fit the oldest goes.
// judge runs on a goroutine of the hub, and must not wait for it.
func (v *venue) on(n int, judge func(*hub.Op) hub.Verdict, kinds ...hub.OpKind) (met <-chan struct{}) {
	r := &rule{kinds: kinds, left: n, judge: judge, met: make(chan struct{})}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.rules = append(v.rules, r)
	return r.met
}

// always gives the same verdict.
func always(verdict hub.Verdict) func(*hub.Op) hub.Verdict {
	return func(*hub.Op) hub.Verdict { return verdict }
}

// noRules ends all rules.
func (v *venue) noRules() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.rules = nil
}

// intercept is the hub's [hub.Config].Intercept.
func (v *venue) intercept(_ context.Context, op *hub.Op) hub.Verdict {
	r, first := v.take(op.Kind)
	if r == nil {
		return hub.Verdict{}
	}
	verdict := r.judge(op)
	if verdict.Refuse != 0 {
		v.refused.Store(true)
	}
	if first {
		close(r.met)
	}
	return verdict
}

func (v *venue) take(kind hub.OpKind) (r *rule, first bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range v.rules {
		if r.left != 0 && (len(r.kinds) == 0 || slices.Contains(r.kinds, kind)) {
			r.left--
			first = !r.used
			r.used = true
			return r, first
		}
	}
	return nil, false
}

// eventLog is what the hubs of a venue took, each message once more for each time.
type eventLog struct {
	v *venue

	mu     sync.Mutex
	reader *hub.EventReader
	order  []string // bodies
	count  map[string]int
}

func (l *eventLog) follow(h *hub.Hub) {
	r, err := h.Events(context.Background(), nil)
	if err != nil {
		l.v.t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reader = r
	if l.count == nil {
		l.count = map[string]int{}
	}
}

// read takes in what is there.
func (l *eventLog) read() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readLocked()
}

func (l *eventLog) readLocked() {
	for {
		ev, err := l.reader.TryNext(context.Background())
		if err != nil {
			l.v.t.Errorf("events: %v", err)
		}
		if ev == nil {
			return
		}
		l.order = append(l.order, string(ev.Body))
		l.count[string(ev.Body)]++
	}
}

// times returns how often the hub took a message.
func (l *eventLog) times(body string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readLocked()
	return l.count[body]
}

// all returns the bodies of what the hub took, in its order.
func (l *eventLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readLocked()
	return slices.Clone(l.order)
}

// refusing is the answer of a port where nobody listens.
func refusing(context.Context) error { return syscall.ECONNREFUSED }

// hanging is a network that answers nothing.
func hanging(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}
