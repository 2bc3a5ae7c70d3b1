package core

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// anyC2D is what a session that takes all messages asks for.
const anyC2D = FeatureC2D | FeatureInputs

var (
	ctx = context.Background()
	dev = hubwire.Identity{DeviceID: "dev"}
	mod = hubwire.Identity{DeviceID: "dev", ModuleID: "mod"}
)

// newCore returns a Core with the device dev and the module mod, closed by the
// test's cleanup.
func newCore(t testing.TB, cfg *Config) *Core {
	t.Helper()
	return newCoreOn(t, cfg, store.NewMemory(nil))
}

func newCoreOn(t testing.TB, cfg *Config, s store.Store) *Core {
	t.Helper()
	c, err := New(ctx, cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for _, id := range []hubwire.Identity{dev, mod} {
		if c.entity(id) == nil {
			create(t, c, &Device{ID: id})
		}
	}
	return c
}

func create(t testing.TB, c *Core, d *Device) *Device {
	t.Helper()
	got, err := c.Create(ctx, d)
	if err != nil {
		t.Fatalf("Create(%v): %v", d.ID, err)
	}
	return got
}

// grant returns what a login with the identity's primary key gives.
func grant(t testing.TB, c *Core, id hubwire.Identity) *Grant {
	t.Helper()
	d, err := c.Device(id)
	if err != nil {
		t.Fatal(err)
	}
	return &Grant{
		Identity: id, generation: d.GenerationID, method: authMethod(scopeOf(id), "sas"),
		by: credential{byKey, d.Auth.Primary},
	}
}

// connect begins a session with all features.
func connect(t testing.TB, c *Core, id hubwire.Identity) (*Session, *fakeLink) {
	t.Helper()
	s, l := connectWith(t, c, grant(t, c, id), nil)
	all := FeatureC2D | FeatureInputs | FeatureMethods | FeatureDesired
	if err := s.Subscribe(ctx, Subscription{Filter: "all", QoS: 1, Feature: all}); err != nil {
		t.Fatal(err)
	}
	return s, l
}

func connectWith(t testing.TB, c *Core, g *Grant, o *ConnectOptions) (*Session, *fakeLink) {
	t.Helper()
	l := &fakeLink{}
	s, err := c.Connect(ctx, g, o, l)
	if err != nil {
		t.Fatalf("Connect: %v", err)
	}
	return s, l
}

// fakeLink remembers what it was told.
type fakeLink struct {
	mu        sync.Mutex
	methods   []MethodCall
	changes   []hubwire.DesiredChange
	ready     int
	reasons   []*hubwire.Error
	onMethod  func(MethodCall)
	onDesired func()
}

func (l *fakeLink) Method(m MethodCall) {
	l.mu.Lock()
	l.methods = append(l.methods, m)
	f := l.onMethod
	l.mu.Unlock()
	if f != nil {
		f(m)
	}
}

func (l *fakeLink) Desired(d hubwire.DesiredChange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes = append(l.changes, d)
	if l.onDesired != nil {
		l.onDesired()
	}
}

func (l *fakeLink) C2DReady() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready++
}

func (l *fakeLink) Close(reason *hubwire.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reasons = append(l.reasons, reason)
}

// closed returns the code it was closed with, or 0.
func (l *fakeLink) closed() hubwire.Code {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.reasons) == 0 {
		return 0
	}
	return l.reasons[0].Code
}

// takeReady returns how often C2DReady came since the last time.
func (l *fakeLink) takeReady() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.ready
	l.ready = 0
	return n
}

// wantCode checks that err is a typed refusal with this code.
func wantCode(t testing.TB, what string, err error, code hubwire.Code) {
	t.Helper()
	var e *hubwire.Error
	if !errors.As(err, &e) || e.Code != code || e.Outcome != hubwire.Refused || e.Op == "" {
		t.Errorf("%s: %v, want code %d, refused", what, err, int(code))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func send(t testing.TB, c *Core, id hubwire.Identity, m hubwire.Message) {
	t.Helper()
	if err := c.SendC2D(ctx, id, &m); err != nil {
		t.Fatalf("SendC2D(%q): %v", m.ID, err)
	}
}

// brokenStore fails writes while broken is set.
type brokenStore struct {
	store.Store
	broken bool
}

var errDisk = errors.New("disk on fire")

func (s *brokenStore) Put(ctx context.Context, k store.Key, v []byte, prev uint64) (uint64, error) {
	if s.broken {
		return 0, errDisk
	}
	return s.Store.Put(ctx, k, v, prev)
}

func (s *brokenStore) Delete(ctx context.Context, k store.Key) error {
	if s.broken {
		return errDisk
	}
	return s.Store.Delete(ctx, k)
}

func (s *brokenStore) Append(ctx context.Context, p int, at time.Time, v []byte) (store.Entry, error) {
	if s.broken {
		return store.Entry{}, errDisk
	}
	return s.Store.Append(ctx, p, at, v)
}

// Subscriptions returns the session's subscriptions, the kept ones included, in
// the order in which they were made.
func (s *Session) Subscriptions() []Subscription {
	s.entity.mu.Lock()
	defer s.entity.unlock()
	return slices.Clone(s.subs)
}
