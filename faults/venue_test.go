package faults_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

var (
	dev = hubwire.Identity{DeviceID: "dev"}
	mod = hubwire.Identity{DeviceID: "dev", ModuleID: "mod"}
)

// venue is where a case takes place: a hub, and a network that leads to it.
type venue struct {
	t        *testing.T
	protocol protocol
	pace     pace
	cfg      hub.Config
	keys     map[hubwire.Identity]*hub.Device
	net      *network
	audit    audit
	log      eventLog

	messages atomic.Int64   // made by fresh
	refused  atomic.Bool    // the hub has not taken something
	client   *device.Client // whom the faults of the table strike

	mu    sync.Mutex
	hub   *hub.Hub // changes with a restart
	rules []*rule
}

// pace is how fast time passes for a venue. A bubble's clock costs nothing; over sockets a
// fault lasts no longer than it takes to be felt.
type pace struct {
	bubble     bool
	keepAlive  time.Duration
	ackTimeout time.Duration
	backoff    time.Duration // the longest
	connect    time.Duration // the longest attempt
	patience   time.Duration // for one use of a feature, whatever happens
	closing    time.Duration // the longest good-bye; zero: the default of Options
	curves     []tls.CurveID // nil: TLS's own choice
}

var bubble = pace{
	bubble: true, keepAlive: 20 * time.Second, ackTimeout: 10 * time.Second, backoff: 10 * time.Second,
	connect: 10 * time.Second, patience: 10 * time.Minute,
	curves: []tls.CurveID{tls.CurveP256}, // the one that costs least: half of the suite's time is in handshakes
}

// noticed is how long a client may take to see that a link is dead.
func (p pace) noticed() time.Duration { return p.keepAlive * 3 / 2 }

// within is d, where time can be measured.
func (p pace) within(d time.Duration) time.Duration {
	if p.bubble {
		return d
	}
	return p.patience
}

// setting is what a case may ask of its venue.
type setting struct {
	hub      hub.Config
	inspects bool // by the network, of TLS
	restarts bool // of the hub, which then keeps its authority
}

// inBubble runs a test in a venue where waiting takes no time.
func inBubble(t *testing.T, p protocol, s setting, test func(t *testing.T, v *venue)) {
	synctest.Test(t, func(t *testing.T) {
		testkit.LeakCheck(t)
		s.hub.InMemory = true
		test(t, newVenue(t, p, s, bubble, pipePair))
	})
}

func newVenue(t *testing.T, p protocol, s setting, pace pace, pair func() (net.Conn, net.Conn, error)) *venue {
	cases.Add(1)
	v := &venue{t: t, protocol: p, pace: pace, cfg: s.hub, keys: map[hubwire.Identity]*hub.Device{}}
	if s.restarts {
		v.cfg.DataDir = t.TempDir()
	}
	v.cfg.Intercept = v.intercept
	v.cfg.Routes = append(v.cfg.Routes, hub.Route{From: mod, Output: "out", To: mod, Input: "in"})
	v.audit = audit{v: v, sent: map[string]int{}, changed: make(chan struct{})}
	v.log.v = v
	v.start()
	t.Cleanup(func() {
		if err := v.theHub().Close(); err != nil {
			t.Errorf("the hub: %v", err)
		}
	})
	v.net = &network{pair: pair, reach: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return v.reach(ctx, network, addr)
	}}
	if s.inspects {
		v.net.inspects, v.net.knows = v.theHub().CertPool(), p
	}
	t.Cleanup(v.net.close)
	return v
}

// start starts the hub, with everybody whom an earlier one knew.
func (v *venue) start() {
	v.t.Helper()
	h, err := hub.Start(context.Background(), &v.cfg)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, id := range []hubwire.Identity{dev, mod} {
		d := &hub.Device{Identity: id}
		if old := v.keys[id]; old != nil {
			d.PrimaryKey, d.SecondaryKey = old.PrimaryKey, old.SecondaryKey
		}
		if v.keys[id], err = h.Create(context.Background(), d); err != nil {
			v.t.Fatal(err)
		}
	}
	if !v.cfg.InMemory { // the next one opens the same doors
		v.cfg.MQTTAddr, v.cfg.AMQPAddr, v.cfg.HTTPSAddr = h.MQTTAddr(), h.AMQPAddr(), h.HTTPSAddr()
	}
	v.mu.Lock()
	v.hub = h
	v.mu.Unlock()
	v.log.follow(h)
}

// restart ends the hub, and starts one that knows its devices, and nothing else.
func (v *venue) restart() {
	v.net.each((*testkit.Relay).Reset)
	v.net.set(func(n *network) { n.refuse = refusing })
	v.settle()
	v.log.read()
	if err := v.theHub().Close(); err != nil {
		v.t.Errorf("the hub: %v", err)
	}
	v.start()
	v.age()
	v.net.set(func(n *network) { n.refuse = nil })
}

func (v *venue) theHub() *hub.Hub {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.hub
}

// reach connects to the door of the hub that a protocol's port leads to.
func (v *venue) reach(ctx context.Context, network, addr string) (net.Conn, error) {
	h := v.theHub()
	if v.cfg.InMemory {
		return h.Dial(ctx, network, addr)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	door := map[string]string{"8883": h.MQTTAddr(), "5671": h.AMQPAddr(), "443": h.HTTPSAddr()}[port]
	var d net.Dialer
	return d.DialContext(ctx, network, door)
}

// options returns what a client of the venue needs, with changes.
func (v *venue) options(change func(*device.Options)) *device.Options {
	roots := v.theHub().CertPool()
	if v.net.inspects != nil {
		roots = x509.NewCertPool()
		roots.AddCert(inspector().Leaf)
	}
	o := &device.Options{
		Dial: v.net.dial, TLSConfig: &tls.Config{RootCAs: roots, CurvePreferences: v.pace.curves},
		KeepAlive: v.pace.keepAlive, AckTimeout: v.pace.ackTimeout, ConnectTimeout: v.pace.connect, CloseTimeout: v.pace.closing,
		MinBackoff: v.pace.backoff / 100, MaxBackoff: v.pace.backoff,
		Hooks: &device.Hooks{
			State: v.audit.state, Packet: v.audit.packet,
			HandlerPanic: v.audit.panicked,
			Unexpected:   func(err error) { v.t.Errorf("unexpected: %v", err) },
		},
	}
	if change != nil {
		change(o)
	}
	return o
}

// dial opens a Client, which the test's cleanup closes.
func (v *venue) dial(id hubwire.Identity, change func(*device.Options)) *device.Client {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), v.pace.patience)
	defer cancel()
	c, err := v.tryDial(ctx, id, change)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { v.close(c) })
	return c
}

func (v *venue) tryDial(ctx context.Context, id hubwire.Identity, change func(*device.Options)) (*device.Client, error) {
	cs, err := v.theHub().ConnectionString(id)
	if err != nil {
		v.t.Fatal(err)
	}
	return device.Dial(ctx, cs, v.protocol.transport, v.options(change))
}

// closeTimeout is that of Options, by default.
const closeTimeout = 2 * time.Second

// close closes a Client, in time.
func (v *venue) close(c *device.Client) {
	v.t.Helper()
	start := time.Now()
	if err := c.Close(); err != nil {
		v.t.Errorf("close: %v", err)
	}
	if d := time.Since(start); v.pace.bubble && d > closeTimeout {
		v.t.Errorf("close took %v", d)
	}
}

// settle lets everything happen that happens by itself.
func (v *venue) settle() {
	if v.pace.bubble {
		synctest.Wait()
	}
}

// pass lets time pass.
func (v *venue) pass(d time.Duration) {
	if v.pace.bubble {
		time.Sleep(d)
		synctest.Wait()
	}
}

// fresh returns a message with a body of its own, of so many bytes or a few more.
func (v *venue) fresh(size int) *hubwire.Message {
	return &hubwire.Message{Body: fmt.Appendf(make([]byte, size), "message %d", v.messages.Add(1))}
}

// typed fails the test when err is not an error as all of package device's are.
func (v *venue) typed(what string, err error) *hubwire.Error {
	v.t.Helper()
	var e *hubwire.Error
	if !errors.As(err, &e) {
		v.t.Errorf("%s: %v is a %T, and no *hubwire.Error", what, err, err)
		return &hubwire.Error{}
	}
	return e
}

// audit watches the clients of a venue for what must never happen.
type audit struct {
	v *venue

	mu       sync.Mutex
	sent     map[string]int // how often each telemetry went out
	changed  chan struct{}  // closed and made anew with each state
	connects int
	lost     int
	panics   int // due, since the case lets functions panic
	now      device.State
}

func (a *audit) state(s device.State, _ error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch s {
	case device.Connected:
		a.connects++
	case device.Connecting:
		a.lost++
	}
	a.now = s
	close(a.changed)
	a.changed = make(chan struct{})
}

// panicked holds that nothing panics but what is meant to.
func (a *audit) panicked(value any, stack []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.panics--; a.panics < 0 || value != onPurpose {
		a.v.t.Errorf("panic: %v\n%s", value, stack)
	}
}

// onPurpose is what functions panic with that are meant to.
const onPurpose = "on purpose"

// willPanic says that a function is about to panic.
func (a *audit) willPanic() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.panics++
}

// finish holds that every panic was told of.
func (a *audit) finish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.panics > 0 {
		a.v.t.Errorf("nobody was told of %d panics", a.panics)
	}
}

// connections returns how many connections there have been.
func (a *audit) connections() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.connects
}

// losses returns how many connections were lost, and attempts failed.
func (a *audit) losses() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lost
}

// await waits until the State hook has told of more than n connections, and the last one stands.
func (a *audit) await(ctx context.Context, n int) error {
	for {
		a.mu.Lock()
		ok, now, changed := a.connects > n && a.now == device.Connected, a.now, a.changed
		a.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("no connection, the state is %v: %w", now, ctx.Err())
		}
	}
}

// packet counts the telemetry that goes out, and holds that the protocol's mark is on what is sent
// again, if it has one, and on nothing else.
func (a *audit) packet(sent bool, b []byte) {
	if !sent {
		return
	}
	p := &a.v.protocol
	bodies, again := p.telemetry(b)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, body := range bodies {
		if before := a.sent[body]; p.marks && again != (before > 0) {
			a.v.t.Errorf("%.40q is sent for the %d. time, and is marked as sent before: %v", body, before+1, again)
		}
		a.sent[body]++
	}
}

// overEach runs a test in a bubble of its own for each protocol.
func overEach(t *testing.T, s setting, test func(t *testing.T, v *venue)) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) { inBubble(t, p, s, test) })
	}
}

// overAll is overEach for all columns of the table.
func overAll(t *testing.T, s setting, test func(t *testing.T, v *venue)) {
	for _, p := range everywhere {
		t.Run(p.name, func(t *testing.T) { inBubble(t, p, s, test) })
	}
}

// until waits, by a bubble's clock, for what nothing tells of.
func (v *venue) until(limit time.Duration, what string, ok func() bool) {
	v.t.Helper()
	for end := time.Now().Add(limit); ; v.pass(time.Second) {
		v.settle()
		if ok() {
			return
		}
		if time.Now().After(end) {
			v.t.Fatalf("%v have passed before %s", limit, what)
		}
	}
}

// times returns how often a message was sent.
func (a *audit) times(body string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sent[body]
}
