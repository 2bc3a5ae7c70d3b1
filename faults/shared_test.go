package faults_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/sas"
)

// This is the theme of devices that share a connection: whatever befalls one of them, the others
// do not notice.

// gateway is many devices on one connection. The first is dev, whom the faults strike.
type gateway struct {
	*venue
	conn    *device.AMQPConnection
	source  *tokens // of the first; nil: its key
	members []*member
}

// member is a device on it.
type member struct {
	g     *gateway
	id    hubwire.Identity
	c     *device.Client
	users []user

	mu     sync.Mutex
	states []device.State
}

func newGateway(v *venue, n int, source giving) *gateway {
	g := &gateway{venue: v}
	if source != nil {
		g.source = &tokens{v: v, ttl: shareTTL, as: source}
	}
	var err error
	g.conn, err = device.NewAMQPConnection(v.theHub().HostName(), v.protocol.transport, v.options(nil))
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() {
		if err := g.conn.Close(); err != nil {
			v.t.Errorf("the shared connection: %v", err)
		}
	})
	for i := range n {
		if i == 0 {
			g.join(dev)
			continue
		}
		id := hubwire.Identity{DeviceID: fmt.Sprint("dev-", i)}
		if _, err := v.theHub().Create(v.t.Context(), &hub.Device{Identity: id}); err != nil {
			v.t.Fatal(err)
		}
		g.join(id)
	}
	return g
}

// join adds a device.
func (g *gateway) join(id hubwire.Identity) {
	g.t.Helper()
	m := &member{g: g, id: id}
	cs, err := g.theHub().ConnectionString(id)
	if err != nil {
		g.t.Fatal(err)
	}
	o := g.options(func(o *device.Options) {
		o.Hooks.State, o.Hooks.Packet = m.state, nil
		o.TokenTTL = shareTTL
	})
	if g.source != nil && id == dev {
		cred := device.Credentials{HostName: g.theHub().HostName(), Identity: id, Tokens: g.source}
		m.c, err = device.DialCredentials(g.deadline(time.Hour), cred, g.conn.Transport(), o)
	} else {
		m.c, err = device.Dial(g.deadline(time.Hour), cs, g.conn.Transport(), o)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { g.close(m.c) })
	for _, f := range features {
		if f.who == dev {
			m.users = append(m.users, user{f, f.open(g.venue, m.c), m.c})
		}
	}
	g.members = append(g.members, m)
}

func (m *member) state(s device.State, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.states = append(m.states, s)
}

// round has members use every feature once, all at the same time.
func (g *gateway) round(n int, members []*member) {
	var all sync.WaitGroup
	for _, m := range members {
		for _, u := range m.users {
			all.Go(func() {
				if err := g.bounded(g.pace.backoff, u.use, n); err != nil {
					g.t.Errorf("%v, %s %d: %v", m.id, u.name, n, err)
				}
			})
		}
	}
	all.Wait()
}

// shareTTL is the life of tokens of those who share.
const shareTTL = 4 * time.Minute

// blow is something that befalls one device of many.
type blow struct {
	name   string
	hit    func(g *gateway)
	source giving // of its tokens; nil: its key
	ends   error  // what its Client ends with; nil: it goes on
}

// onDev lays down what happens to operations of dev's alone.
func (v *venue) onDev(verdict hub.Verdict, kinds ...hub.OpKind) {
	v.on(1_000_000, func(op *hub.Op) hub.Verdict {
		if op.Identity == dev || op.Kind == hub.OpToken && op.Name == sas.Audience(v.theHub().HostName(), dev) {
			return verdict
		}
		return hub.Verdict{}
	}, kinds...)
}

// saying has the hub of the shared connection say something.
func saying(say func(*speaker)) func(*gateway) {
	return func(g *gateway) { g.net.speak(say) }
}

var blows = []blow{
	{name: "its telemetry link is lost", hit: saying(func(s *speaker) { s.detach(linkOf(dev, amqp.Telemetry), forced) })},
	{name: "its telemetry link is lost for good, they say", hit: saying(func(s *speaker) {
		s.detach(linkOf(dev, amqp.Telemetry), &amqp10.Error{Condition: amqp10.NotAllowed})
	})},
	{name: "all its links are lost", hit: saying(func(s *speaker) { s.detach(linkOf(dev), forced) })},
	{name: "its session is lost", hit: saying(func(s *speaker) { s.end(linkOf(dev), forced) })},
	{name: "it is disabled", ends: hubwire.Unauthorized, hit: func(g *gateway) { g.disable(true) }},
	{name: "it is deleted", ends: hubwire.Unauthorized, hit: func(g *gateway) {
		if err := g.theHub().Delete(g.t.Context(), dev); err != nil {
			g.t.Error(err)
		}
	}},
	{name: "its messages are refused", hit: func(g *gateway) { g.onDev(hub.Verdict{Refuse: hubwire.QuotaExceeded}, hub.OpPublish) }},
	{name: "its messages are not acknowledged", hit: func(g *gateway) { g.onDev(hub.Verdict{SwallowAck: true}, hub.OpPublish) }},
	{name: "its links are refused, and lost", ends: hubwire.HubSuspended, hit: func(g *gateway) {
		g.onDev(hub.Verdict{Refuse: hubwire.HubSuspended}, hub.OpConnect, hub.OpSubscribe)
		g.net.speak(func(s *speaker) { s.detach(linkOf(dev), forced) })
	}},
	{name: "its links are refused for now, and lost", hit: func(g *gateway) {
		g.onDev(hub.Verdict{Refuse: hubwire.Throttled}, hub.OpConnect, hub.OpSubscribe)
		g.net.speak(func(s *speaker) { s.detach(linkOf(dev), forced) })
	}},
	{name: "its tokens are refused", ends: hubwire.Unauthorized, hit: func(g *gateway) {
		g.onDev(hub.Verdict{Refuse: hubwire.Unauthorized}, hub.OpToken)
	}},
	{name: "its tokens are refused for now", hit: func(g *gateway) { g.onDev(hub.Verdict{Refuse: hubwire.Throttled}, hub.OpToken) }},
	{name: "its tokens have no answer", hit: func(g *gateway) { g.onDev(hub.Verdict{SwallowAck: true}, hub.OpToken) }},
	{name: "its token source fails", hit: func(*gateway) {}, source: failing},
	{name: "its token source hangs", hit: func(*gateway) {}, source: stuck},
	{name: "its token source panics", hit: func(*gateway) {}, source: panicking},
	{name: "its tokens have expired", hit: func(*gateway) {}, source: outdated, ends: hubwire.Unauthorized},
	{name: "it is taken over by another client, which leaves", hit: func(g *gateway) { g.takeOver() }},
	{name: "it is closed", ends: net.ErrClosed, hit: func(g *gateway) { g.close(g.members[0].c) }},
	{name: "its done functions panic", hit: func(g *gateway) {
		g.audit.willPanic()
		if err := g.members[0].c.SendAsync(g.t.Context(), &hubwire.Message{}, func(error) { panic(onPurpose) }); err != nil {
			g.t.Error(err)
		}
	}},
}

// Token sources that give the first token, and then
var (
	failing giving = func(_ context.Context, t given) (given, error) {
		if t.n > 0 {
			return t, errors.New("no service")
		}
		return t, nil
	}
	stuck giving = func(ctx context.Context, t given) (given, error) {
		if t.n > 0 {
			<-ctx.Done()
		}
		return t, ctx.Err()
	}
	panicking giving = func(_ context.Context, t given) (given, error) {
		if t.n > 0 {
			t.by.v.audit.willPanic()
			panic(onPurpose)
		}
		return t, nil
	}
	outdated giving = func(_ context.Context, t given) (given, error) {
		if t.n > 0 {
			t.expires = time.Now().Add(-time.Second)
			t.token = t.by.mint(t.expires)
		}
		return t, nil
	}
)

// TestWhatBefallsOneOfManyIsItsOwn has all devices of a connection use every feature, over and over, for longer than
// their tokens last, while something befalls one of them.
func TestWhatBefallsOneOfManyIsItsOwn(t *testing.T) {
	const members, rounds = 3, 6
	for _, p := range protocols {
		if !p.amqp {
			continue
		}
		for i, x := range blows {
			if p.skips(i) {
				continue
			}
			t.Run(p.name+"/"+x.name, func(t *testing.T) {
				inBubble(t, p, setting{inspects: true, hub: hub.Config{Skew: -1}}, func(t *testing.T, v *venue) {
					g := newGateway(v, members, x.source)
					others := g.members[1:]
					g.round(0, g.members)
					stop := g.goesOn(g.members[0])
					for n := range rounds {
						if n == 2 {
							x.hit(g)
						}
						g.round(n+1, others)
						v.pass(time.Minute)
					}
					last := stop()
					for _, m := range others {
						m.calm(rounds + 1)
					}
					if n := v.net.dials(); n != 1 {
						t.Errorf("%d connections", n)
					}
					g.outcome(x, last)
				})
			})
		}
	}
}

// goesOn has m use every feature over and over, whatever comes of it. stop ends what befalls it, and returns
// what the last uses then came to.
func (g *gateway) goesOn(m *member) (stop func() []error) {
	over := make(chan struct{})
	last := make([]error, len(m.users))
	var busy sync.WaitGroup
	for i, u := range m.users {
		busy.Go(func() {
			for n := 1_000; ; n++ {
				if last[i] = g.bounded(g.pace.patience, u.use, n); last[i] != nil && !errors.Is(last[i], context.DeadlineExceeded) {
					g.typed(u.name, last[i])
				}
				select {
				case <-over:
					if last[i] == nil || m.c.Err() != nil || n > 10_000 {
						return
					}
					n = max(n, 10_000-3) // so often more
				default:
				}
				time.Sleep(10 * time.Second)
			}
		})
	}
	return func() []error {
		g.noRules()
		if g.source != nil {
			g.source.mend()
		}
		close(over)
		busy.Wait()
		return last
	}
}

// outcome holds that who was struck has ended with a word of why, or is well again.
func (g *gateway) outcome(x blow, last []error) {
	m := g.members[0]
	if x.ends != nil {
		if err := m.c.Err(); !errors.Is(err, x.ends) {
			g.t.Errorf("it has ended with %v, want %v", err, x.ends)
		}
		return
	}
	for i, err := range last {
		if err != nil {
			g.t.Errorf("%s, when it is over: %v; %v", m.users[i].name, err, m.c.Err())
		}
	}
}

// calm holds that nothing has befallen m since it was let in: its state has not changed, and the hub has each message once.
func (m *member) calm(rounds int) {
	m.g.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if diff := cmp.Diff([]device.State{device.Connected}, m.states); diff != "" {
		m.g.t.Errorf("the states of %v (-want +got):\n%s", m.id, diff)
	}
	for n := range rounds {
		if got := m.g.log.times(fmt.Sprintf("telemetry %v %d", m.id, n)); got != 1 {
			m.g.t.Errorf("the hub has telemetry %d of %v %d times", n, m.id, got)
		}
	}
}
