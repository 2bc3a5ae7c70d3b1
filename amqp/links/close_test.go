package links

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/testkit"
)

// at is a script that calls f at the n-th of something, from 0, and lets it pass unanswered if f says so.
func at(what amqp10.Descriptor, n int32, f func() bool) func(*peerConn, uint16, amqp10.Descriptor, []byte) bool {
	var seen atomic.Int32
	return func(_ *peerConn, _ uint16, got amqp10.Descriptor, _ []byte) bool {
		return got == what && seen.Add(1)-1 == n && f()
	}
}

func TestCloseDuring(t *testing.T) {
	stuck := func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	failing := func(ctx context.Context) (net.Conn, error) { return nil, errors.New("no route") }
	nothing := func() bool { return true }
	for name, tt := range map[string]struct {
		dial   func(context.Context) (net.Conn, error)
		script func(*peerConn, uint16, amqp10.Descriptor, []byte) bool
		greet  func(*peerConn) bool
		tokens sourceFunc
		after  time.Duration
	}{
		"a dial":                   {dial: stuck, after: time.Second},
		"a wait for the next dial": {dial: failing, after: time.Hour},
		"the headers":              {greet: func(*peerConn) bool { return true }, after: time.Second},
		"the open":                 {script: at(amqp10.DescOpen, 0, nothing), after: time.Second},
		"the begin for $cbs":       {script: at(amqp10.DescBegin, 0, nothing), after: time.Second},
		"an attach to $cbs":        {script: at(amqp10.DescAttach, 1, nothing), after: time.Second},
		"a put-token":              {script: at(amqp10.DescTransfer, 0, nothing), after: time.Second},
		"a begin":                  {script: at(amqp10.DescBegin, 1, nothing), after: time.Second},
		"an attach":                {script: at(amqp10.DescAttach, 2, nothing), after: time.Second},
		"the token source": {tokens: func(ctx context.Context) (string, time.Time, error) {
			<-ctx.Done()
			return "", time.Time{}, ctx.Err()
		}, after: time.Second},
		"nothing in particular": {after: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, func(t *testing.T, p *peer) {
				var log, ofConn states
				p.script, p.greet = tt.script, tt.greet
				c := p.conn(func(o *Options) {
					o.OnState = ofConn.on
					if tt.dial != nil {
						o.Dial = tt.dial
					}
				})
				e, s := p.device(c, "d1", func(cfg *entityConfig) {
					cfg.onState = log.on
					if tt.tokens != nil {
						cfg.tokens = tt.tokens
					}
				})
				result := make(chan error, 2)
				go func() { result <- e.open(t.Context()) }()
				go func() { _, _, err := s.link(t.Context(), 0); result <- err }()
				time.Sleep(tt.after)
				begin := time.Now()
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took > c.o.CloseTimeout/2 {
					t.Errorf("Close took %v", took)
				}
				for range 2 {
					if err := <-result; err != nil && (!errors.Is(err, ErrClosed) || !errors.Is(err, net.ErrClosed)) {
						t.Errorf("what waited failed with %v", err)
					}
				}
				<-c.Done()
				<-e.done()
				for _, log := range []*states{&log, &ofConn} {
					seen := log.seen()
					if len(seen) == 0 || seen[len(seen)-1] != "closed" || strings.Count(strings.Join(seen, " "), "closed") != 1 || log.last() != nil {
						t.Errorf("states %v, %v", seen, log.last())
					}
				}
				if _, err := c.add(entityConfig{name: "late", tokens: fixed("t")}); !errors.Is(err, ErrClosed) {
					t.Errorf("add: %v", err)
				}
				if c.Err() != ErrClosed || e.err() != ErrClosed || c.State() != Closed || c.Close() != nil {
					t.Errorf("%v, %v, %v", c.Err(), e.err(), c.State())
				}
			})
		})
	}
}

func TestCloseInsideADoneFunction(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		c := p.conn(nil)
		d, err := c.Device(t.Context(), hubwire.Identity{DeviceID: "d1"}, &DeviceOptions{Tokens: fixed("t")})
		if err != nil {
			t.Fatal(err)
		}
		begin, closed := time.Now(), make(chan error, 1)
		if err := d.SendAsync(t.Context(), &hubwire.Message{}, func(error) { closed <- c.Close() }); err != nil {
			t.Fatal(err)
		}
		if err := <-closed; err != nil || time.Since(begin) > c.o.CloseTimeout/2 {
			t.Errorf("Close: %v, after %v", err, time.Since(begin))
		}
	})
}

func TestCloseInsideACallback(t *testing.T) {
	for name, where := range map[string]func(o *Options, cfg *entityConfig, s *senderConfig, end func()){
		"OnState": func(o *Options, _ *entityConfig, _ *senderConfig, end func()) {
			o.OnState = func(State, error) { end() }
		},
		"onState": func(_ *Options, cfg *entityConfig, _ *senderConfig, end func()) {
			cfg.onState = func(State, error) { end() }
		},
		"up": func(_ *Options, _ *entityConfig, s *senderConfig, end func()) { s.up = func(generation) { end() } },
		"Dial": func(o *Options, _ *entityConfig, _ *senderConfig, end func()) {
			dial := o.Dial
			o.Dial = func(ctx context.Context) (net.Conn, error) { end(); return dial(ctx) }
		},
		"a token source": func(_ *Options, cfg *entityConfig, _ *senderConfig, end func()) {
			cfg.tokens = sourceFunc(func(context.Context) (string, time.Time, error) { end(); return "token", time.Time{}, nil })
		},
	} {
		for what, of := range map[string]func(c *Conn, e *entity) error{
			"the Conn":   func(c *Conn, _ *entity) error { return c.Close() },
			"the entity": func(_ *Conn, e *entity) error { return e.close(context.Background()) },
		} {
			t.Run(what+" in "+name, func(t *testing.T) {
				withPeer(t, func(t *testing.T, p *peer) {
					var c *Conn
					var e *entity
					ended := make(chan error, 100)
					o := &Options{Dial: p.dial, HostName: "h", KeepAlive: -1}
					cfg := entityConfig{name: "d1", audience: "h/devices/d1", tokens: fixed("token")}
					s := senderConfig{linkConfig: telemetry(hubwire.Identity{DeviceID: "d1"})}
					where(o, &cfg, &s, func() { ended <- of(c, e) })
					c = newConn(t, o)
					var err error
					if e, err = c.add(cfg); err != nil {
						t.Fatal(err)
					}
					e.sender(s)
					_ = e.open(t.Context())
					if err := <-ended; err != nil {
						t.Errorf("Close: %v", err)
					}
					<-e.done()
				})
			})
		}
	}
}

func TestACallbackThatEndsItsGoroutine(t *testing.T) {
	for name, where := range map[string]func(o *Options, cfg *entityConfig){
		"OnState": func(o *Options, _ *entityConfig) { o.OnState = func(State, error) { runtime.Goexit() } },
		"onState": func(_ *Options, cfg *entityConfig) { cfg.onState = func(State, error) { runtime.Goexit() } },
		"Dial": func(o *Options, _ *entityConfig) {
			o.Dial = func(context.Context) (net.Conn, error) { runtime.Goexit(); return nil, nil }
		},
		"a token source": func(_ *Options, cfg *entityConfig) {
			cfg.tokens = sourceFunc(func(context.Context) (string, time.Time, error) { runtime.Goexit(); return "", time.Time{}, nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, func(t *testing.T, p *peer) {
				o := &Options{Dial: p.dial, HostName: "h", KeepAlive: -1}
				cfg := entityConfig{name: "d1", audience: "h/devices/d1", tokens: fixed("token")}
				where(o, &cfg)
				c := newConn(t, o)
				e, err := c.add(cfg)
				if err != nil {
					t.Fatal(err)
				}
				_ = e.open(t.Context())
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestPanicsAreContained(t *testing.T) {
	for name, where := range map[string]func(o *Options, cfg *entityConfig){
		"OnState": func(o *Options, _ *entityConfig) { o.OnState = func(State, error) { panic("oh") } },
		"onState": func(_ *Options, cfg *entityConfig) { cfg.onState = func(State, error) { panic("oh") } },
		"Trace":   func(o *Options, _ *entityConfig) { o.Trace = func(bool, []byte) { panic("oh") } },
		"Dial":    func(o *Options, _ *entityConfig) { once(&o.Dial, func(net.Conn) net.Conn { panic("oh") }) },
		"Expires": func(o *Options, _ *entityConfig) { o.Expires = func() time.Time { panic("oh") } },
		"Read": func(o *Options, _ *entityConfig) {
			once(&o.Dial, func(nc net.Conn) net.Conn { return &oddConn{Conn: nc, read: true} })
		},
		"Write": func(o *Options, _ *entityConfig) {
			once(&o.Dial, func(nc net.Conn) net.Conn { return &oddConn{Conn: nc, write: true} })
		},
		"Close": func(o *Options, _ *entityConfig) {
			once(&o.Dial, func(nc net.Conn) net.Conn { return &oddConn{Conn: nc, close: true} })
		},
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, func(t *testing.T, p *peer) {
				var panics atomic.Int32
				o := &Options{Dial: p.dial, HostName: "h", KeepAlive: -1, OnPanic: func(v any, stack []byte) {
					if v != "oh" || len(stack) == 0 {
						t.Errorf("%v, %d bytes of stack", v, len(stack))
					}
					panics.Add(1)
					panic("once more")
				}}
				cfg := entityConfig{name: "d1", audience: "h/devices/d1", tokens: fixed("token")}
				where(o, &cfg)
				c := newConn(t, o)
				e, err := c.add(cfg)
				if err != nil {
					t.Fatal(err)
				}
				s := newPost(e, telemetry(hubwire.Identity{DeviceID: "d1"}))
				opened(t, e)
				sent(t, s, "one")
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if panics.Load() == 0 {
					t.Error("OnPanic was not told")
				}
			})
		})
	}
}

// once changes what dial gives the first time.
func once(dial *func(context.Context) (net.Conn, error), change func(net.Conn) net.Conn) {
	inner := *dial
	var first sync.Once
	*dial = func(ctx context.Context) (net.Conn, error) {
		nc, err := inner(ctx)
		first.Do(func() { nc = change(nc) })
		return nc, err
	}
}

// oddConn is a net.Conn that panics.
type oddConn struct {
	net.Conn
	read, write, close bool
}

func (c *oddConn) Read(b []byte) (int, error) {
	if c.read {
		panic("oh")
	}
	return c.Conn.Read(b)
}

func (c *oddConn) Write(b []byte) (int, error) {
	if c.write {
		panic("oh")
	}
	return c.Conn.Write(b)
}

func (c *oddConn) Close() error {
	c.Conn.Close()
	if c.close {
		panic("oh")
	}
	return nil
}

func TestCloseDoesNotWaitForWhatDoesNotReturn(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		hold := make(chan struct{})
		o := &Options{HostName: "h", Dial: func(context.Context) (net.Conn, error) { <-hold; return nil, net.ErrClosed }}
		c, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		e, _ := b.device(c, dev, nil)
		go e.open(t.Context())
		synctest.Wait()
		begin := time.Now()
		if err := c.Close(); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != c.o.CloseTimeout {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		close(hold)
		<-c.Done()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// lateConn is a net.Conn that takes an hour to close, and from which nothing comes any more.
type lateConn struct{ net.Conn }

func (c lateConn) Close() error { time.Sleep(time.Hour); return c.Conn.Close() }

func TestAConnectionThatIsSlowToCloseHoldsUpNothing(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		var hole *testkit.Hole
		o := &Options{HostName: "h", Dial: b.dial, KeepAlive: 10 * time.Second}
		once(&o.Dial, func(nc net.Conn) net.Conn {
			hole = testkit.BlackHole(nc)
			return lateConn{hole}
		})
		c, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		e, s := b.device(c, dev, nil)
		opened(t, e)
		hole.Swallow(true)
		if err := send(t.Context(), s, "one"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Send: %v, want that the connection was lost", err)
		}
		begin := time.Now()
		sent(t, s, "two")
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("the next connection took %v", took)
		}
		begin = time.Now()
		if err := c.Close(); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != c.o.CloseTimeout {
			t.Errorf("Close: %v after %v", err, time.Since(begin))
		}
		<-c.Done()
		if took := time.Since(begin); took > time.Hour {
			t.Errorf("it ended after %v", took)
		}
	})
}

func TestAnErrorOfTheConnectionThatPanics(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		o := &Options{HostName: "h", Dial: b.dial}
		once(&o.Dial, func(nc net.Conn) net.Conn { return panickingError{nc} })
		dials := 0
		inner := o.Dial
		o.Dial = func(ctx context.Context) (net.Conn, error) {
			if dials++; dials == 1 {
				return nil, (*net.OpError)(nil)
			}
			return inner(ctx)
		}
		c := newConn(t, o)
		e, s := b.device(c, dev, nil)
		opened(t, e)
		sent(t, s, "one")
		if dials != 3 {
			t.Errorf("%d dials, want one more after each error", dials)
		}
	})
}

// panickingError is a net.Conn whose errors are nil pointers.
type panickingError struct{ net.Conn }

func (panickingError) Write([]byte) (int, error) { return 0, (*net.OpError)(nil) }
