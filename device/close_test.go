package device_test

import (
	"context"
	"crypto/tls"
	"errors"
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
	"github.com/hubwire/hubwire/sas"
)

const closeTimeout = 2 * time.Second // the default

func TestCloseFromTheDoneOfAMessageThatNobodyAcknowledges(t *testing.T) {
	overMQTT(t, hub.Config{}, func(t *testing.T, b *bench) {
		b.adjust(device.MQTTOptions{AtMostOnce: true})
		c := b.dial(b.device, nil)
		closed := make(chan error, 1)
		start := time.Now()
		if err := c.SendAsync(t.Context(), &hubwire.Message{}, func(error) { closed <- c.Close() }); err != nil {
			t.Error(err)
		}
		if err := <-closed; err != nil || time.Since(start) > closeTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		<-c.Done()
	})
}

func TestCloseFromTheStateHook(t *testing.T) {
	for _, when := range []device.State{device.Connecting, device.Connected, device.Closed} {
		t.Run(when.String(), func(t *testing.T) {
			overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
				var c *device.Client
				closed := make(chan error, 1)
				armed := false
				c = b.dial(b.device, func(o *device.Options) {
					o.Hooks = &device.Hooks{State: func(s device.State, _ error) {
						if armed && s == when {
							armed = false
							closed <- c.Close()
						}
					}}
				})
				armed = true // read on another goroutine, but only after what follows
				if when == device.Closed {
					go c.Close()
				} else {
					b.hub.Disconnect(dev)
				}
				if err := <-closed; err != nil {
					t.Error(err)
				}
				<-c.Done()
			})
		})
	}
}

func TestHooksAndDoneFunctionsMayCallTheClient(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		var c *device.Client
		calls := func() map[string]error {
			receive := func() error { _, err := c.Receive(t.Context()); return err }
			twin := func() error { _, err := c.Twin(t.Context()); return err }
			desired := func() (last error) {
				for _, err := range c.Desired(t.Context()) {
					last = err
				}
				return last
			}
			return map[string]error{
				"Send": c.Send(t.Context(), &hubwire.Message{}), "Receive": receive(), "Twin": twin(), "Desired": desired(),
				"SendAll":      c.SendAll(t.Context(), []*hubwire.Message{{}}),
				"Report":       func() error { _, err := c.Report(t.Context(), struct{}{}); return err }(),
				"HandleMethod": c.HandleMethod(t.Context(), "m", echo),
			}
		}
		outcomes := make(chan map[string]error, 1)
		var features atomic.Bool // are in use already
		use := func() {
			b.handle(c, "m", echo)
			for range c.Desired(t.Context()) {
				break
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := c.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			features.Store(true)
		}
		c = b.dial(b.device, func(o *device.Options) {
			o.Hooks = &device.Hooks{State: func(s device.State, _ error) {
				if s == device.Connecting {
					outcomes <- calls()
				}
			}}
		})
		refused := func(where string, got map[string]error) {
			for name, err := range got {
				var e *hubwire.Error
				if features.Load() && name == "HandleMethod" && err == nil {
					continue // it need not wait
				}
				if !errors.As(err, &e) || e.Outcome != hubwire.NotSent {
					t.Errorf("%s in %s: %v", name, where, err)
				}
			}
		}
		b.hub.Disconnect(dev)
		refused("a State hook", <-outcomes)
		b.awaitConnected(c)
		if err := c.SendAsync(t.Context(), &hubwire.Message{}, func(error) { outcomes <- calls() }); err != nil {
			t.Fatal(err)
		}
		refused("a done function", <-outcomes)
		use()
		b.hub.Disconnect(dev)
		refused("a State hook, with features in use", <-outcomes)
		b.awaitConnected(c)
		if err := c.SendAsync(t.Context(), &hubwire.Message{}, func(error) {
			if err := c.SendAsync(t.Context(), &hubwire.Message{ID: "from done"}, nil); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		for b.next().ID != "from done" {
		}
	})
}

// stuckConn is a connection whose peer does not read any more, once told so.
type stuckConn struct {
	net.Conn
	stuck  atomic.Bool
	once   sync.Once
	closed chan struct{}
}

func (c *stuckConn) Write(b []byte) (int, error) {
	if c.stuck.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

func (c *stuckConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func TestCloseKeepsAShortDeadlineWhenNothingCanBeWritten(t *testing.T) {
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		var nc *stuckConn
		const timeout = 100 * time.Millisecond
		c := b.dial(b.device, func(o *device.Options) {
			o.CloseTimeout = timeout
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				raw, err := b.hub.Dial(ctx, network, addr)
				nc = &stuckConn{Conn: raw, closed: make(chan struct{})}
				return nc, err
			}
		})
		synctest.Wait()
		nc.stuck.Store(true)
		var y tally
		for i := range 3 {
			if err := c.SendAsync(t.Context(), &hubwire.Message{Body: make([]byte, 20<<10)}, y.done(i)); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		start := time.Now()
		if err := c.Close(); err != nil || time.Since(start) > timeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		y.once(t, 3, func(err error) bool { return errors.Is(err, net.ErrClosed) })
	})
}

func TestOpeningAndClosingAtAnyMomentLeavesNothing(t *testing.T) {
	rounds := 1000
	if testkit.RaceEnabled {
		rounds = 10_000
	}
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		resume := tls.NewLRUClientSessionCache(1)
		for i := range rounds / len(everywhere()) {
			holes := make(chan *testkit.Hole, 100)
			ctx, cancel := context.WithCancel(t.Context())
			if i%4 == 0 {
				go cancel() // in the middle of it, or not
			}
			c, err := device.Dial(ctx, b.device, b.transport, b.options(func(o *device.Options) {
				b.throughHoles(holes)(o)
				quick(o.TLSConfig, resume)
			}))
			cancel()
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				continue
			}
			var y tally
			for n := range i % 7 {
				if err := c.SendAsync(t.Context(), &hubwire.Message{}, y.done(n)); err != nil {
					t.Error(err)
				}
			}
			switch i % 3 {
			case 0:
				go b.hub.Disconnect(dev)
			case 1:
				(<-holes).Swallow(true)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			y.once(t, i%7, func(err error) bool { return err == nil || errors.Is(err, net.ErrClosed) })
		}
	})
}

func TestCloseTellsOfAHandlerThatDoesNotReturn(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		release := make(chan struct{})
		b.handle(c, "stuck", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			<-release
			return hubwire.MethodResponse{}, nil
		})
		go b.invoke("stuck", "")
		synctest.Wait()
		start := time.Now()
		if err := c.Close(); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > closeTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		<-c.Done()
		close(release)
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Errorf("once it has returned: %v", err)
		}
	})
}

// stuckTokens waits, once it is told to, for an end that no context brings about.
type stuckTokens struct {
	sas.TokenSource
	stuck atomic.Bool
	end   chan struct{}
}

func (s *stuckTokens) Token(ctx context.Context, audience string) (string, time.Time, error) {
	if s.stuck.Load() {
		<-s.end
	}
	return s.TokenSource.Token(ctx, audience)
}

func TestCloseFailsWhatIsPendingThoughATokenSourceDoesNotReturn(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		cred, err := device.CredentialsFromConnectionString(b.device)
		if err != nil {
			t.Fatal(err)
		}
		tokens := &stuckTokens{TokenSource: cred.Tokens, end: make(chan struct{})}
		cred.Tokens = tokens
		c, err := device.DialCredentials(t.Context(), cred, b.transport, b.options(nil))
		if err != nil {
			t.Fatal(err)
		}
		tokens.stuck.Store(true)
		b.hub.Disconnect(dev)
		time.Sleep(10 * time.Second)
		failed := make(chan error, 3)
		go func() { failed <- c.Send(t.Context(), &hubwire.Message{}) }()
		go func() { _, err := c.Report(t.Context(), map[string]int{"a": 1}); failed <- err }()
		go func() { _, err := c.Receive(t.Context()); failed <- err }()
		synctest.Wait()
		start := time.Now()
		if err := c.Close(); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > closeTimeout {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		synctest.Wait()
		if n := len(failed); n != cap(failed) {
			t.Errorf("%d of %d calls have returned", n, cap(failed))
		}
		close(tokens.end)
		for range cap(failed) {
			if err := <-failed; !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
		<-c.Done()
	})
}

func TestCloseWaitsForAHandlerWhoseSendItCutsOff(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		holes := make(chan *testkit.Hole, 1)
		c := b.dial(b.device, b.throughHoles(holes))
		stalled := make(chan struct{})
		sent := make(chan error, 1)
		b.handle(c, "m", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			<-stalled
			sent <- c.Send(context.Background(), &hubwire.Message{}) // does not heed the handler's context
			return hubwire.MethodResponse{}, nil
		})
		go b.invoke("m", "")
		synctest.Wait()
		(<-holes).Swallow(true)
		close(stalled)
		synctest.Wait()
		start := time.Now()
		if err := c.Close(); err != nil || time.Since(start) > closeTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		select {
		case err := <-sent:
			if !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		default:
			t.Error("the handler is still at work")
		}
	})
}

func TestCloseLetsAHandlersAnswerGoOut(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		b.handle(c, "last", func(ctx context.Context, _ hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			<-ctx.Done()
			return hubwire.MethodResponse{Status: 299}, nil
		})
		answer := make(chan int)
		go func() {
			resp, err := b.invoke("last", "")
			if err != nil {
				t.Errorf("the caller: %v", err)
				resp = &hubwire.MethodResponse{}
			}
			answer <- resp.Status
		}()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if status := <-answer; status != 299 {
			t.Errorf("status %d", status)
		}
	})
}

func TestAClientThatIsNotFromDial(t *testing.T) {
	for name, c := range map[string]*device.Client{"nil": nil, "zero": {}} {
		for call, err := range map[string]error{
			"Send":           c.Send(t.Context(), &hubwire.Message{}),
			"SendAsync":      c.SendAsync(t.Context(), &hubwire.Message{}, nil),
			"SendAll":        c.SendAll(t.Context(), nil),
			"HandleMethod":   c.HandleMethod(t.Context(), "", nil),
			"HandleMessages": c.HandleMessages(t.Context(), nil),
			"Receive":        func() error { _, err := c.Receive(t.Context()); return err }(),
			"Twin":           func() error { _, err := c.Twin(t.Context()); return err }(),
			"Report":         func() error { _, err := c.Report(t.Context(), nil); return err }(),
			"Desired": func() (last error) {
				for _, err := range c.Desired(t.Context()) {
					last = err
				}
				return last
			}(),
		} {
			if !errors.Is(err, hubwire.ArgumentInvalid) {
				t.Errorf("%s of a %s Client: %v", call, name, err)
			}
		}
		if c.Close() != nil || c.Err() != nil || c.Done() != nil || c.State() != device.Closed || c.Identity() != (hubwire.Identity{}) {
			t.Errorf("a %s Client is alive", name)
		}
	}
}
