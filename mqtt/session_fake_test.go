package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/internal/testkit"
)

// fakeServer is the far end of a Session's connections. Each connection runs the
// next of its scripts; the last one serves all that follow.
type fakeServer struct {
	t       testing.TB
	scripts []func(*fakeConn)
	wrap    func(net.Conn) net.Conn // of the client's end

	mu      sync.Mutex
	dialled []time.Time
	got     []publish
	subs    []string // filters of SUBSCRIBE packets, "n:filter"
	logins  int
	states  []string
	reasons []error
	running sync.WaitGroup
}

// publish is what a fakeServer saw.
type publish struct {
	conn    int
	payload string
	id      uint16
	qos     QoS
	dup     bool
}

// fakeConn is the server's end of one connection.
type fakeConn struct {
	*Conn
	f       *fakeServer
	n       int // from 1
	hello   Connect
	present bool
}

func newFake(t testing.TB, scripts ...func(*fakeConn)) *fakeServer {
	return &fakeServer{t: t, scripts: scripts}
}

func (f *fakeServer) dial(context.Context) (net.Conn, error) {
	client, server := testkit.Pipe()
	f.mu.Lock()
	f.dialled = append(f.dialled, time.Now())
	n := len(f.dialled)
	script := f.scripts[min(n, len(f.scripts))-1]
	f.mu.Unlock()
	f.running.Go(func() {
		defer server.Close()
		script(&fakeConn{Conn: NewConn(server, nil), f: f, n: n})
	})
	if f.wrap != nil {
		return f.wrap(client), nil
	}
	return client, nil
}

func (f *fakeServer) login(context.Context) (Login, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logins++
	return Login{ClientID: "dev", UserName: "host/dev", Password: NewSecret(fmt.Appendf(nil, "token %d", f.logins))}, nil
}

// start begins a session that the test's cleanup closes, recording its states.
func (f *fakeServer) start(o SessionOptions) *Session {
	f.t.Helper()
	s, err := f.tryStart(context.Background(), o)
	if err != nil {
		f.t.Fatalf("StartSession: %v", err)
	}
	return s
}

func (f *fakeServer) tryStart(ctx context.Context, o SessionOptions) (*Session, error) {
	onState := o.OnState
	o.OnState = func(state SessionState, reason error) {
		f.mu.Lock()
		f.states = append(f.states, state.String())
		f.reasons = append(f.reasons, reason)
		f.mu.Unlock()
		if onState != nil {
			onState(state, reason)
		}
	}
	s, err := StartSession(ctx, f.dial, f.login, &o)
	if err == nil {
		f.t.Cleanup(func() { s.Close(); f.running.Wait() })
	} else {
		f.running.Wait()
	}
	return s, err
}

// publishes returns what came, connection by connection: two may be read from
// at once, when the client has left one and the server has not seen it yet.
func (f *fakeServer) publishes() []publish {
	f.mu.Lock()
	defer f.mu.Unlock()
	got := slices.Clone(f.got)
	slices.SortStableFunc(got, func(a, b publish) int { return a.conn - b.conn })
	return got
}

func (f *fakeServer) payloads() (all []string) {
	for _, p := range f.publishes() {
		all = append(all, p.payload)
	}
	return all
}

func (f *fakeServer) connections() int { return len(f.dials()) }

// dials returns when each connection was dialled.
func (f *fakeServer) dials() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.dialled)
}

func (f *fakeServer) stateLog() ([]string, []error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.states...), append([]error(nil), f.reasons...)
}

func (f *fakeServer) filters() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.subs...)
}

// accept reads the CONNECT and accepts it.
func (c *fakeConn) accept() bool { return c.answer(Accepted) }

func (c *fakeConn) answer(code ReturnCode) bool {
	p, err := c.ReadPacket()
	if err != nil {
		return false
	}
	hello, err := ParseConnect(append(Packet(nil), p...))
	if err != nil {
		c.f.t.Errorf("connection %d: %v", c.n, err)
		return false
	}
	c.hello = hello
	c.send((&Connack{Code: code, SessionPresent: c.present && code == Accepted}).AppendTo(nil))
	return code == Accepted
}

func (c *fakeConn) send(b []byte) { _ = c.Write(b) } // the client may have gone

// serve does what a server does until the client goes.
func (c *fakeConn) serve() {
	for c.step(true) {
	}
}

// step reads one packet, records it, and answers it if it may. It reports
// whether the connection goes on.
func (c *fakeConn) step(answer bool) bool {
	p, err := c.ReadPacket()
	if err != nil {
		return false
	}
	reply := c.record(p)
	if answer && reply != nil {
		c.send(reply)
	}
	return p.Type() != TypeDisconnect
}

// record takes note of p and returns what a server answers.
func (c *fakeConn) record(p Packet) []byte {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	switch p.Type() {
	case TypePublish:
		m, err := ParsePublish(p)
		if err != nil {
			c.f.t.Errorf("connection %d: %v", c.n, err)
			return nil
		}
		c.f.got = append(c.f.got, publish{c.n, string(m.Payload), m.ID, m.QoS, m.Dup})
		if m.QoS == AtLeastOnce {
			return (&Puback{m.ID}).AppendTo(nil)
		}
	case TypeSubscribe:
		m, err := ParseSubscribe(p)
		if err != nil {
			c.f.t.Errorf("connection %d: %v", c.n, err)
			return nil
		}
		var codes []byte
		for filter, qos := range m.Filters.All() {
			c.f.subs = append(c.f.subs, fmt.Sprintf("%d:%s", c.n, filter))
			codes = append(codes, byte(qos))
		}
		return (&Suback{ID: m.ID, Codes: codes}).AppendTo(nil)
	case TypeUnsubscribe:
		m, err := ParseUnsubscribe(p)
		if err != nil {
			c.f.t.Errorf("connection %d: %v", c.n, err)
			return nil
		}
		for filter := range m.Filters.All() {
			c.f.subs = append(c.f.subs, fmt.Sprintf("%d:-%s", c.n, filter))
		}
		return (&Unsuback{m.ID}).AppendTo(nil)
	case TypePingreq:
		c.f.subs = append(c.f.subs, fmt.Sprintf("%d:ping", c.n))
		return (*Pingresp)(nil).AppendTo(nil)
	}
	return nil
}

// well is the script of a server that does everything right.
func well(c *fakeConn) {
	if c.accept() {
		c.serve()
	}
}

// refusing is the script of a server that refuses.
func refusing(code ReturnCode) func(*fakeConn) {
	return func(c *fakeConn) { c.answer(code) }
}

// hushed is the script of a server that accepts and never says another word.
func hushed(c *fakeConn) {
	if c.accept() {
		for c.step(false) {
		}
	}
}

// silent is the script of a server that says nothing at all.
func silent(c *fakeConn) {
	for c.step(false) {
	}
}

// takes is the script of a server that reads n packets without an answer and then cuts.
func takes(n int) func(*fakeConn) {
	return func(c *fakeConn) {
		if c.accept() {
			for range n {
				if !c.step(false) {
					return
				}
			}
		}
	}
}

// comeBack waits until a session that lost a stable connection has tried again: for
// the first wait of the back-off, at most.
func comeBack() {
	time.Sleep(time.Second)
	synctest.Wait()
}

func message(payload string) *Publish {
	return &Publish{Topic: []byte("devices/dev/messages/events/"), Payload: []byte(payload), QoS: AtLeastOnce}
}

// outcome collects what done functions are told.
type outcome struct {
	mu   sync.Mutex
	errs map[string][]error
}

func newOutcome() *outcome { return &outcome{errs: map[string][]error{}} }

func (o *outcome) of(name string) func(error) {
	return func(err error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.errs[name] = append(o.errs[name], err)
	}
}

// told returns what done of name was called with.
func (o *outcome) told(name string) []error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.errs[name])
}

// check fails t unless each of names was told once, with an error that matches want (nil: none).
func (o *outcome) check(t testing.TB, want error, names ...string) {
	t.Helper()
	for _, name := range names {
		if got := o.told(name); len(got) != 1 || !errors.Is(got[0], want) {
			t.Errorf("done of %s was called with %v, want once with %v", name, got, want)
		}
	}
}
