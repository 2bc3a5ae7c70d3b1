package faults_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
)

// This is the theme of renewals that end in silence: a token is renewed by a new connection, or where the
// protocol can on the one that stands, which must cost nothing, and meet nothing that the client does not come through.

func TestAHundredRenewals(t *testing.T) {
	overEach(t, setting{hub: hub.Config{Skew: -1}}, func(t *testing.T, v *venue) {
		renewals := 100
		if v.protocol.skips(1) {
			renewals /= 3
		}
		var renewed atomic.Int32
		v.on(1_000_000, func(*hub.Op) hub.Verdict { renewed.Add(1); return hub.Verdict{} }, v.protocol.renewal)
		c := v.dial(dev, func(o *device.Options) { o.TokenTTL = 2 * time.Second })
		ctx, cancel := context.WithCancel(t.Context())
		var busy sync.WaitGroup
		for i, f := range features {
			if f.who != dev {
				continue
			}
			use := f.open(v, c)
			busy.Go(func() {
				failures := 0
				for n := 1; ctx.Err() == nil; n++ {
					err := v.bounded(10*time.Second, use, n)
					switch failures++; {
					case err == nil:
						failures = 0
					case !f.mayFail:
						t.Errorf("%s %d: %v", f.name, n, err)
					case failures > 5:
						t.Errorf("%s has failed %d times in a row: %v", f.name, failures, err)
					}
					time.Sleep(time.Duration(120+20*i) * time.Millisecond)
				}
			})
		}
		v.until(time.Duration(renewals)*2*time.Second, "the token was renewed so often", func() bool { return renewed.Load() > int32(renewals) })
		cancel()
		busy.Wait()
		if n := v.audit.connections(); v.protocol.renewsInPlace() && n != 1 {
			t.Errorf("it took %d connections", n)
		}
		if lost := v.audit.losses(); lost > 0 {
			t.Errorf("%d connections were lost", lost)
		}
	})
}

// deadline returns a context that ends after d, or with the test.
func (v *venue) deadline(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(v.t.Context(), d)
	v.t.Cleanup(cancel)
	return ctx
}

// tokens is a token source for dev, whose tokens the venue's hub takes.
type tokens struct {
	v   *venue
	ttl time.Duration
	as  giving

	mu    sync.Mutex
	asked int
}

// giving is how a source gives a token.
type giving func(context.Context, given) (given, error)

// given is the n-th token, from 0, of a source.
type given struct {
	by      *tokens
	n       int
	token   string
	expires time.Time
}

func (s *tokens) Token(ctx context.Context, _ string) (string, time.Time, error) {
	s.mu.Lock()
	t := given{by: s, n: s.asked, expires: time.Now().Add(s.ttl)}
	s.asked++
	as := s.as
	s.mu.Unlock()
	t.token = s.mint(t.expires)
	t, err := as(ctx, t)
	return t.token, t.expires, err
}

// mint makes a token, as dev's key signs it.
func (s *tokens) mint(expires time.Time) string {
	key, err := sas.NewKey(s.v.keys[dev].PrimaryKey)
	if err != nil {
		s.v.t.Error(err)
	}
	token, err := sas.AppendToken(context.Background(), nil, key, sas.Audience(s.v.theHub().HostName(), dev), "", expires)
	if err != nil {
		s.v.t.Error(err)
	}
	return string(token)
}

// mend has the tokens be as they should be from now on.
func (s *tokens) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.as = sources["as they should be"]
}

func (s *tokens) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// dial opens a client that gets its tokens from s.
func (s *tokens) dial() *device.Client {
	s.v.t.Helper()
	c, err := device.DialCredentials(s.v.deadline(time.Hour), device.Credentials{
		HostName: s.v.theHub().HostName(), Identity: dev, Tokens: s,
	}, s.v.protocol.transport, s.v.options(nil))
	if err != nil {
		s.v.t.Fatal(err)
	}
	s.v.t.Cleanup(func() { s.v.close(c) })
	return c
}

// sources are ways to be given tokens late, wrong or not at all, for a while.
var sources = map[string]giving{
	"as they should be": func(_ context.Context, t given) (given, error) { return t, nil },
	"without a word of their expiry, so that the hub cuts the connection": func(_ context.Context, t given) (given, error) {
		t.expires = time.Time{}
		return t, nil
	},
	"of which each other is expired": func(_ context.Context, t given) (given, error) {
		if t.n%2 == 1 {
			t.token = t.by.mint(time.Now().Add(-time.Second))
		}
		return t, nil
	},
	"that come when they are nearly over": func(ctx context.Context, t given) (given, error) {
		if t.n == 0 {
			return t, nil
		}
		select {
		case <-time.After(9 * time.Second):
		case <-ctx.Done():
		}
		return t, ctx.Err()
	},
	"that come too late, three in four": func(ctx context.Context, t given) (given, error) {
		if t.n%4 != 0 {
			<-ctx.Done()
		}
		return t, ctx.Err()
	},
	"that fail, three in four": func(_ context.Context, t given) (given, error) {
		if t.n%4 != 0 {
			return t, errors.New("no service")
		}
		return t, nil
	},
	"that panic, one in two": func(_ context.Context, t given) (given, error) {
		if t.n%2 != 0 {
			t.by.v.audit.willPanic()
			panic(onPurpose)
		}
		return t, nil
	},
}

// TestTokenSources holds that a client goes on with a fresh token, whatever happened before. The hub takes none that is
// expired, and cuts a connection when its token is.
func TestTokenSources(t *testing.T) {
	for name, as := range sources {
		t.Run(name, func(t *testing.T) {
			overEach(t, setting{hub: hub.Config{Skew: -1}}, func(t *testing.T, v *venue) {
				s := &tokens{v: v, ttl: 20 * time.Second, as: as}
				c := s.dial()
				send := telemetry(v, c)
				for n := range 200 {
					if err := v.bounded(2*time.Minute, send, n); err != nil {
						t.Fatalf("message %d, after %d tokens: %v", n, s.times(), err)
					}
					time.Sleep(3 * time.Second)
				}
				if s.times() < 10 {
					t.Errorf("it asked for %d tokens", s.times())
				}
				v.audit.finish()
			})
		})
	}
}

// TestASleepThatOutlastsTheToken has the network go for longer than a token is good for: the
// next attempt uses a fresh one.
func TestASleepThatOutlastsTheToken(t *testing.T) {
	for _, x := range append([]fault{
		{name: "a black hole", slow: true, hit: func(v *venue) {
			v.net.each(swallow)
			v.net.set(func(n *network) { n.refuse = hanging })
		}, heal: func(v *venue) { v.net.set(func(n *network) { n.refuse = nil }) }},
	}, troubles[:4]...) {
		t.Run(x.name, func(t *testing.T) {
			overEach(t, setting{hub: hub.Config{Skew: -1}}, func(t *testing.T, v *venue) {
				var logins atomic.Int32
				v.on(1000, func(*hub.Op) hub.Verdict { logins.Add(1); return hub.Verdict{} }, hub.OpConnect)
				c := v.dial(dev, func(o *device.Options) { o.TokenTTL = 10 * time.Minute })
				connections := v.audit.connections()
				x.hit(v)
				sent := make(chan error, 1)
				go func() { sent <- c.Send(t.Context(), &hubwire.Message{Body: []byte("asleep")}) }()
				v.pass(time.Hour)
				before := logins.Load()
				x.heal(v)
				v.recovers(c, &x, connections)
				if err := <-sent; err != nil {
					t.Error(err)
				}
				if n := logins.Load() - before; n != 1 {
					t.Errorf("%d logins", n)
				}
				if err := v.bounded(time.Minute, telemetry(v, c), 1); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestATokenThatCannotBeRenewed has a client with one token, and no key: it works as long as
// the hub takes that, and then ends with a word of why.
func TestATokenThatCannotBeRenewed(t *testing.T) {
	overEach(t, setting{hub: hub.Config{Skew: -1}}, func(t *testing.T, v *venue) {
		s := &tokens{v: v}
		expires := time.Now().Add(time.Hour)
		token := s.mint(expires)
		s.as = func(_ context.Context, t given) (given, error) {
			t.token, t.expires = token, expires
			return t, nil
		}
		c := s.dial()
		for n := 0; time.Now().Before(expires.Add(-time.Minute)); n++ {
			if err := v.bounded(time.Minute, telemetry(v, c), n); err != nil {
				t.Fatalf("message %d: %v", n, err)
			}
			time.Sleep(time.Minute)
		}
		select {
		case <-c.Done():
		case <-time.After(10 * time.Minute):
			t.Fatalf("the client lives on, %v", c.State())
		}
		if e := v.typed("the client", c.Err()); !errors.Is(e, hubwire.Unauthorized) || e.Retryable {
			t.Errorf("the client has ended: %v", e)
		}
	})
}
