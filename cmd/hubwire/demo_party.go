package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
)

// wire opens the network connections of one client, and cuts them as a network would.
type wire struct {
	open dialFunc

	writes atomic.Int64 // to all of them

	mu     sync.Mutex
	conns  []net.Conn
	opened int
}

// counted counts the writes of its wire.
type counted struct {
	net.Conn
	w *wire
}

func (c counted) Write(p []byte) (int, error) {
	c.w.writes.Add(1)
	return c.Conn.Write(p)
}

func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := w.open(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, nc)
	w.opened++
	return counted{nc, w}, nil
}

// count is how many connections there have been.
func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.opened
}

// cut resets all that was opened, without a good-bye.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, nc := range w.conns {
		if tc, ok := nc.(*net.TCPConn); ok {
			_ = tc.SetLinger(0) // an RST in place of a FIN; a FIN cuts as well
		}
		_ = nc.Close() // to break it is the point
	}
	w.conns = nil
}

// stateLog holds the states that a client has been in.
type stateLog struct {
	mu     sync.Mutex
	states []device.State
	more   chan struct{} // closed and made anew
}

func newStateLog() *stateLog { return &stateLog{more: make(chan struct{})} }

func (l *stateLog) add(s device.State, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states = append(l.states, s)
	close(l.more)
	l.more = make(chan struct{})
}

// passed reports whether the client was in these states, in this order, whatever was between.
func (l *stateLog) passed(want ...device.State) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.passedLocked(want)
}

func (l *stateLog) passedLocked(want []device.State) bool {
	for _, s := range l.states {
		if len(want) > 0 && s == want[0] {
			want = want[1:]
		}
	}
	return len(want) == 0
}

// await waits until the client has passed these states.
func (l *stateLog) await(ctx context.Context, want ...device.State) error {
	for {
		l.mu.Lock()
		there, more := l.passedLocked(want), l.more
		l.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the states %v, it was in %v: %w", want, l, ctx.Err())
		}
	}
}

// lost reports whether the client was without a connection that it had not given up itself.
func (l *stateLog) lost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.states, device.Connected)
	return i >= 0 && slices.Contains(l.states[i:], device.Connecting)
}

func (l *stateLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprint(l.states)
}

// same holds what one end has against what the other end gave.
func same(what string, got, want any) error {
	if reflect.DeepEqual(got, want) {
		return nil
	}
	return fmt.Errorf("%s is %s, not %s", what, brief(got), brief(want))
}

// brief shows a value for an error's text, which stays on one line.
func brief(v any) string {
	const most = 200
	var s string
	switch v := v.(type) {
	case []byte:
		s = strconv.Quote(string(v))
	case string:
		s = strconv.Quote(v)
	case fmt.Stringer:
		s = v.String()
	default:
		b, err := json.Marshal(v)
		if err != nil {
			b = fmt.Appendf(nil, "%q", v)
		}
		s = string(b)
	}
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
}

// sameJSON is same for documents: the order of members does not count.
func sameJSON(what string, got []byte, want string) error {
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		return fmt.Errorf("%s is not JSON: %w", what, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		return err
	}
	if !reflect.DeepEqual(g, w) {
		return fmt.Errorf("%s is %.200s, not %.200s", what, got, want)
	}
	return nil
}

// sameMessage compares all that a sender can say, field by field. The order of properties is
// lost where they are an AMQP map.
func sameMessage(got, want hubwire.Message) error {
	got.Properties, want.Properties = sorted(got.Properties), sorted(want.Properties)
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		a, b := g.Field(i), w.Field(i)
		switch a.Kind() {
		case reflect.Slice: // nil and empty are the same on the wire
			if a.Len() == 0 && b.Len() == 0 {
				continue
			}
		case reflect.Struct:
			if a.Interface().(time.Time).Equal(b.Interface().(time.Time)) {
				continue
			}
		}
		if err := same(g.Type().Field(i).Name, a.Interface(), b.Interface()); err != nil {
			return err
		}
	}
	return nil
}

func sorted(ps []hubwire.Property) []hubwire.Property {
	return slices.SortedStableFunc(slices.Values(ps), func(a, b hubwire.Property) int { return strings.Compare(a.Name, b.Name) })
}

// arrived holds an event against what was sent after a time.
func arrived(ev *event, from hubwire.Identity, want hubwire.Message, after time.Time) error {
	if err := sameMessage(ev.Message, want); err != nil {
		return fmt.Errorf("at the hub: %w", err)
	}
	if err := same("the event's source", ev.Source, from); err != nil {
		return err
	}
	const slack = time.Second // the hub's times are cut short
	if t := ev.EnqueuedTime; t.Before(after.Add(-slack)) || t.After(time.Now().Add(slack)) {
		return fmt.Errorf("the hub enqueued it at %v, it was sent at %v", t, after)
	}
	return nil
}

// nothingMore reports an event where there should be none: the next is that of another message, since those of
// one device keep their order.
func (p *party) nothingMore(ctx context.Context, events *events) error {
	const last = "the last message"
	if err := p.Send(ctx, &hubwire.Message{Body: []byte(last)}); err != nil {
		return err
	}
	ev, err := events.next(ctx)
	if err != nil {
		return err
	}
	return same("the body of the next event", string(ev.Body), last)
}

// refusedWith reports an error that is not a refusal with that code.
func refusedWith(err error, what string, codes ...hubwire.Code) error {
	if err == nil {
		return fmt.Errorf("%s was not refused", what)
	}
	if slices.ContainsFunc(codes, func(c hubwire.Code) bool { return errors.Is(err, c) }) {
		return nil
	}
	return fmt.Errorf("%s was refused, but not with %v: %w", what, codes, err)
}
