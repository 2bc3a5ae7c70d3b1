package faults_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

// This is the theme of Close that deadlocks: it returns in time, from everywhere and in every
// state, ends every call, and leaves nothing behind.

// state is what a client is in when it is closed.
type state struct {
	name   string
	bring  func(s *scene)
	change func(*device.Options)
	inside bool // bring calls s.close by itself
	only   func(protocol) bool
}

// scene is a client that is about to be closed.
type scene struct {
	*venue
	c       *device.Client
	pending sync.WaitGroup
	closed  chan error
}

var states = []state{
	{name: "idle", bring: func(*scene) {}},
	{name: "with every call under way", bring: (*scene).everyCall},
	{name: "while dialling hangs", bring: func(s *scene) { s.lose(func(n *network) { n.refuse = hanging }); s.everyCall() }},
	{name: "while TLS hangs", bring: func(s *scene) { s.lose(func(n *network) { n.prepare = swallow }); s.everyCall() }},
	{name: "in a back-off", bring: func(s *scene) { s.lose(func(n *network) { n.refuse = refusing }); s.pass(time.Minute); s.everyCall() }},
	{name: "while the hub does not answer the login", only: connects, bring: func(s *scene) {
		s.on(1, always(hub.Verdict{SwallowAck: true}), hub.OpConnect)
		s.lose(func(*network) {})
		s.everyCall()
	}},
	{name: "while a subscription has no answer", only: connects, bring: func(s *scene) {
		s.on(1, always(hub.Verdict{SwallowAck: true}), hub.OpSubscribe)
		s.everyCall()
	}},
	{name: "during a renewal", only: connects, change: func(o *device.Options) { o.TokenTTL = time.Hour }, bring: func(s *scene) {
		met := s.on(1, always(hub.Verdict{Delay: time.Minute}), s.protocol.renewal)
		<-met
		s.everyCall()
	}},
	{name: "during a renewal that does not get through", only: connects, change: func(o *device.Options) { o.TokenTTL = time.Hour }, bring: func(s *scene) {
		s.net.set(func(n *network) { n.refuse = hanging })
		s.on(1_000_000, always(hub.Verdict{SwallowAck: true}), hub.OpToken) // which goes by the connection that stands
		s.pass(50 * time.Minute)
		s.everyCall()
	}},
	{name: "before a renewal that waits for an acknowledgement", only: connects, change: func(o *device.Options) { o.TokenTTL = 10 * time.Second }, bring: func(s *scene) {
		s.pass(7 * time.Second)
		s.on(3, always(hub.Verdict{SwallowAck: true}), hub.OpPublish)
		s.sends(3)
		s.pass(1300 * time.Millisecond)
	}},
	{name: "in a black hole", bring: func(s *scene) { s.net.each(swallow); s.everyCall() }},
	{name: "with 1000 messages unacknowledged", bring: func(s *scene) { s.net.each(swallow); s.sends(1000) }},
	{name: "with 1000 messages unacknowledged, and more that wait", bring: func(s *scene) {
		s.net.each(swallow)
		s.sends(1000)
		s.everyCall()
	}},
	{name: "with 1000 messages on their way to a hub that is well", bring: func(s *scene) { s.sends(1000) }},
	{name: "with a peer that reads nothing", bring: func(s *scene) {
		s.net.each(func(r *testkit.Relay) { r.Up.Stop(true) })
		s.large(10)
		s.everyCall()
	}},
	{name: "with a peer that stalls inside a frame", bring: func(s *scene) {
		s.net.each(func(r *testkit.Relay) { r.Down.After(11, func() { r.Down.Stop(true) }) })
		s.sends(10)
		s.everyCall()
	}},
	{name: "with a slow hub", bring: func(s *scene) {
		s.on(1000, always(hub.Verdict{Delay: time.Minute}))
		s.everyCall()
	}},
	{name: "just when the connection is lost", bring: func(s *scene) { s.everyCall(); s.net.each((*testkit.Relay).Reset) }},
	{name: "when the client has ended", only: connects, bring: func(s *scene) {
		s.disable(true)
		s.net.each((*testkit.Relay).Reset)
		<-s.c.Done()
		s.everyCall()
	}},
	{name: "inside a method handler", only: connects, inside: true, bring: func(s *scene) {
		s.method("close", func() { s.close() })
	}},
	{name: "inside two method handlers", only: connects, inside: true, bring: func(s *scene) {
		var both sync.WaitGroup
		both.Add(2)
		for range 2 {
			s.method("close", func() { both.Done(); both.Wait(); s.close() })
		}
	}},
	{name: "inside a message handler", inside: true, bring: func(s *scene) {
		s.call("HandleMessages", func(ctx context.Context) error {
			return s.c.HandleMessages(ctx, func(context.Context, *hubwire.Received) error { s.close(); return nil })
		})
		if err := s.hub.SendC2D(s.t.Context(), dev, &hubwire.Message{}); err != nil {
			s.t.Error(err)
		}
	}},
	{name: "inside a done function", inside: true, bring: func(s *scene) {
		s.everyCall()
		if err := s.c.SendAsync(s.t.Context(), s.fresh(0), func(error) { s.close() }); err != nil {
			s.t.Error(err)
		}
	}},
	{name: "inside a done function of a lost connection", inside: true, bring: func(s *scene) {
		s.net.each(swallow)
		if err := s.c.SendAsync(s.t.Context(), s.fresh(0), func(error) { s.close() }); err != nil {
			s.t.Error(err)
		}
		s.sends(100)
	}},
	{name: "inside a loop over Desired", only: connects, inside: true, bring: func(s *scene) {
		s.call("Desired", func(ctx context.Context) (last error) {
			for _, err := range s.c.Desired(ctx) {
				if last = err; err == nil {
					s.close()
				}
			}
			return last
		})
	}},
}

func swallow(r *testkit.Relay) {
	r.Up.Swallow(true)
	r.Down.Swallow(true)
}

// lose cuts the connection, with the network changed.
func (s *scene) lose(change func(*network)) {
	s.net.set(change)
	s.net.each((*testkit.Relay).Reset)
	s.settle()
}

// call has a call under way that is to end with the client, and say so.
func (s *scene) call(what string, f func(context.Context) error) {
	s.pending.Go(func() {
		err := f(s.t.Context())
		if err == nil || s.protocol.requests && errors.Is(err, errors.ErrUnsupported) {
			return // it was quicker
		}
		if s.typed(what, err); !errors.Is(err, net.ErrClosed) && !errors.Is(err, hubwire.ConnectionClosedRemotely) {
			s.t.Errorf("%s: %v", what, err)
		}
	})
}

// everyCall has one of each under way.
func (s *scene) everyCall() {
	for what, f := range map[string]func(context.Context) error{
		"Send":    func(ctx context.Context) error { return s.c.Send(ctx, s.fresh(0)) },
		"SendAll": func(ctx context.Context) error { return s.c.SendAll(ctx, []*hubwire.Message{s.fresh(0), s.fresh(0)}) },
		"Receive": func(ctx context.Context) error { _, err := s.c.Receive(ctx); return err },
		"Twin":    func(ctx context.Context) error { _, err := s.c.Twin(ctx); return err },
		"Report":  func(ctx context.Context) error { _, err := s.c.Report(ctx, struct{}{}); return err },
		"Desired": func(ctx context.Context) (last error) {
			for _, err := range s.c.Desired(ctx) {
				last = err
			}
			return last
		},
		"HandleMethod": func(ctx context.Context) error {
			return s.c.HandleMethod(ctx, "m", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
				return hubwire.MethodResponse{}, nil
			})
		},
	} {
		s.call(what, f)
	}
	s.settle()
}

// sends has n messages under way, each of which is to have one outcome.
func (s *scene) sends(n int) {
	for range n {
		s.async(s.fresh(50))
	}
}

// large does so with messages that fill every buffer there is.
func (s *scene) large(n int) {
	for range n {
		s.async(s.fresh(200_000))
	}
}

func (s *scene) async(m *hubwire.Message) {
	s.pending.Add(1)
	err := s.c.SendAsync(s.t.Context(), m, func(err error) {
		defer s.pending.Done() // which panics, the second time
		if err != nil && !errors.Is(s.typed("done", err), net.ErrClosed) {
			s.t.Errorf("done: %v", err)
		}
	})
	if err != nil {
		s.t.Error(err)
		s.pending.Done()
	}
}

// method has a method called that does f.
func (s *scene) method(name string, f func()) {
	err := s.c.HandleMethod(s.t.Context(), name, func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		f()
		return hubwire.MethodResponse{}, nil
	})
	if err != nil {
		s.t.Error(err)
	}
	s.call("the caller", func(ctx context.Context) error {
		_, err := s.hub.Invoke(ctx, dev, hubwire.MethodRequest{Name: name}, nil)
		return err
	})
}

// close closes the client, and looks at how long that takes.
func (s *scene) close() {
	start := time.Now()
	err := s.c.Close()
	if d := time.Since(start); d > closeTimeout {
		err = errors.Join(err, fmt.Errorf("it took %v", d))
	}
	s.closed <- err
}

func TestClose(t *testing.T) {
	for _, p := range everywhere {
		for _, x := range states {
			if x.only != nil && !x.only(p) {
				continue
			}
			t.Run(p.name+"/"+x.name, func(t *testing.T) {
				inBubble(t, p, setting{}, func(t *testing.T, v *venue) { v.closes(x) })
			})
		}
	}
}

func (v *venue) closes(x state) {
	s := &scene{venue: v, c: v.dial(dev, x.change), closed: make(chan error, 10)}
	x.bring(s)
	if !x.inside {
		for range 2 { // two at once
			go s.close()
		}
	}
	if err := <-s.closed; err != nil {
		v.t.Error(err)
	}
	select {
	case <-s.c.Done():
	case <-time.After(closeTimeout):
		v.t.Error("the client goes on")
	}
	ended := make(chan struct{})
	go func() { s.pending.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(closeTimeout):
		v.t.Error("something is still pending")
		return
	}
	s.everyCall() // and so does what is asked of a closed client
	s.pending.Wait()
	if s.c.Err() == nil || s.c.State() != device.Closed {
		v.t.Errorf("%v, %v", s.c.State(), s.c.Err())
	}
}

// TestCloseAtEachByte has the network stall after each so many bytes from the hub, in TLS,
// the upgrade to a WebSocket, the login, the subscriptions or an answer.
func TestCloseAtEachByte(t *testing.T) {
	const most, step = 6000, 31
	overAll(t, setting{}, func(t *testing.T, v *venue) {
		for n := 0; n < most; n += step {
			v.net.set(func(net *network) {
				net.prepare = func(r *testkit.Relay) { r.Down.After(n, func() { r.Down.Stop(true) }) }
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second) // which ends a Dial, here
			c, err := v.tryDial(ctx, dev, nil)
			cancel()
			if err != nil {
				if v.typed("dial", err); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%d bytes: %v", n, err)
				}
				continue
			}
			s := &scene{venue: v, c: c, closed: make(chan error, 1)}
			s.everyCall()
			s.close()
			if err := <-s.closed; err != nil {
				t.Errorf("%d bytes: %v", n, err)
			}
			s.pending.Wait()
		}
	})
}
