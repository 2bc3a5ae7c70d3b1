package interop

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// log is what the hub saw each identity do, in order.
type log struct {
	mu   sync.Mutex
	seen map[hubwire.Identity][]string
}

func (l *log) intercept(_ context.Context, op *hub.Op) hub.Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch op.Kind {
	case hub.OpConnect, hub.OpDisconnect, hub.OpSubscribe, hub.OpPing:
		l.seen[op.Identity] = append(l.seen[op.Identity], fmt.Sprintf("%v %s", op.Kind, op.Name))
	}
	return hub.Verdict{}
}

func (l *log) of(id hubwire.Identity) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.seen[id])
}

// TestNodeSession is about what outlives a connection. It watches what the SDK
// does, to be sure that it is that which is tested.
func TestNodeSession(t *testing.T) {
	wanted(t)
	l := &log{seen: map[hubwire.Identity][]string{}}
	s := openSite(t, hub.Config{Intercept: l.intercept})
	j := startJudge(t, s.caFile)
	for _, transport := range []string{"mqtt", "mqtt-ws"} {
		c := &court{s, j, transport}
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			for name, test := range map[string]func(*testing.T, *log){
				"token renewal": c.renewal, "reconnect after a cut": c.reconnect, "keep-alive": c.keepAlive,
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel() // they mostly wait
					test(t, l)
				})
			}
		})
	}
}

// listenToAll turns on all that the hub sends to a device.
func listenToAll(t *testing.T, p *peer) {
	t.Helper()
	p.do(t, "open", nil)
	p.do(t, "messages", nil)
	p.do(t, "method", map[string]any{"name": "echo", "status": 200, "echo": true})
	p.do(t, "twin", nil)
	p.do(t, "desired", map[string]string{})
	p.next(t, "desired") // of what the SDK has already
	p.do(t, "send", sdkMessage{})
}

// hearsAll checks that all that the hub sends arrives, and once.
func (c *court) hearsAll(t *testing.T, id hubwire.Identity, p *peer, what string) {
	t.Helper()
	c.sendC2D(t, id, hubwire.Message{Body: []byte(what)})
	if m := nextInto[sdkMessage](t, p, "message"); string(m.Body) != what {
		t.Errorf("message %q, want %q", m.Body, what)
	}
	p.do(t, "settleLast", nil)
	payload := fmt.Sprintf("%q", what)
	r, err := c.Invoke(within(t), id, hubwire.MethodRequest{Name: "echo", Payload: []byte(payload)}, &hub.InvokeOptions{ConnectTimeout: patience})
	if err != nil || string(r.Payload) != payload {
		t.Errorf("method: %+v, %v", r, err)
	}
	v := c.patchDesired(t, id, fmt.Sprintf(`{"what":%q}`, what))
	e := nextInto[desiredEvent](t, p, "desired")
	sameValue(t, "desired", fmt.Sprintf(`{"what":%q,"$version":%d}`, what, v), e.Value)
	p.do(t, "refreshTwin", nil)
	c.queueIsEmpty(t, id)
	p.silent(t, "message")
	for len(p.queue("desired")) > 0 { // refreshTwin tells it too
		<-p.queue("desired")
	}
}

// renewal: MQTT has no way to renew a token, so the SDK says good-bye, connects
// again with a new one, and relies on the hub for its subscriptions.
func (c *court) renewal(t *testing.T, l *log) {
	id, cs := c.device(t)
	p := c.client(t, setup{ConnectionString: cs, Transport: c.transport})
	p.do(t, "options", map[string]any{"tokenRenewal": map[string]int{"tokenValidTimeInSeconds": 60, "tokenRenewalMarginInSeconds": 58}})
	listenToAll(t, p)
	before := l.of(id)
	for i := range 2 {
		poll(t, "the SDK does not renew its token", func() bool { return countOf(l.of(id), "connect ") >= 2+i })
		c.hearsAll(t, id, p, fmt.Sprint("after renewal ", i+1))
	}
	renewals := l.of(id)[len(before):]
	want := []string{"disconnect ", "connect ", "disconnect ", "connect "}
	if diff := cmp.Diff(want, renewals[:min(len(want), len(renewals))]); diff != "" || countOf(renewals, "subscribe ") > 0 {
		t.Errorf("%q: the SDK renews in another way than is tested here", renewals)
	}
	p.silent(t, "disconnect")
	p.silent(t, "error")
}

// countOf counts the operations of a kind.
func countOf(ops []string, kind string) (n int) {
	for _, op := range ops {
		if strings.HasPrefix(op, kind) {
			n++
		}
	}
	return n
}

// reconnect: after a cut the SDK connects by itself, and subscribes anew.
func (c *court) reconnect(t *testing.T, l *log) {
	id, cs := c.device(t)
	p := c.client(t, setup{ConnectionString: cs, Transport: c.transport, Retry: true})
	listenToAll(t, p)
	c.hearsAll(t, id, p, "before the cut")
	events := c.events(t, id)
	for i := range 2 {
		if !c.Disconnect(id) {
			t.Fatal("there was no connection to cut")
		}
		c.hearsAll(t, id, p, fmt.Sprint("after cut ", i+1))
	}
	p.gives(t, `"MessageEnqueued"`, "send", sdkMessage{Body: []byte("x")})
	arrives(t, events, c.sent(id, hubwire.Message{Body: []byte("x")}))
	if n := countOf(l.of(id), "connect "); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

// keepAlive lets a client be silent for longer than its keep-alive allows.
func (c *court) keepAlive(t *testing.T, l *log) {
	id, cs := c.device(t)
	p := c.client(t, setup{ConnectionString: cs, Transport: c.transport})
	p.do(t, "options", map[string]int{"keepalive": 1})
	p.do(t, "open", nil)
	poll(t, "no third PINGREQ", func() bool { return countOf(l.of(id), "ping ") >= 3 })
	p.silent(t, "disconnect")
	if n := countOf(l.of(id), "connect "); n != 1 {
		t.Errorf("%d connections", n)
	}
}
