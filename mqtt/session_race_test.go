package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPublishThatIsCancelledAsTheSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, hushed)
		s := f.start(SessionOptions{})
		// What Publish does, stopped between the end of its context and its look at
		// what became of the publish.
		w := s.waiters.get()
		seq, err := s.accept(t.Context(), message("x"), completion{wait: w})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.withdraw(ctx, seq, w); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, want %v", err, ErrSessionClosed)
		}
	})
}

func TestAThousandPublishesThatAreCancelledAsTheSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, hushed)
		s := f.start(SessionOptions{CloseTimeout: 1})
		ctx, cancel := context.WithCancel(t.Context())
		var publishers sync.WaitGroup
		for range 1000 {
			publishers.Go(func() {
				if err := s.Publish(ctx, message("x")); !errors.Is(err, context.Canceled) && !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		s.Close()
		publishers.Wait()
	})
}

func TestTheEndOfASessionCountsAlsoWhenItIsSeenLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		s := f.start(SessionOptions{})
		s.Close()
		for range 100 { // a select would choose at random
			if !s.awaitDone(-time.Second) {
				t.Fatal("it has ended, and that is not seen")
			}
		}
	})
}

func TestACallbackThatEndsItsGoroutineEndsTheSessionAtMost(t *testing.T) {
	for _, which := range []string{"done", "done of QoS 0", "delivery", "Connecting", "Closed", "login", "dial"} {
		t.Run(which, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var armed atomic.Bool
				exit := func(in string) {
					if armed.Load() && in == which {
						runtime.Goexit() // as t.FailNow does
					}
				}
				f := newFake(t, func(c *fakeConn) {
					c.accept()
					time.Sleep(time.Second)
					c.send((&Publish{Topic: []byte("t"), QoS: AtLeastOnce, ID: 1}).AppendTo(nil))
					c.serve()
				})
				s, err := StartSession(t.Context(),
					func(ctx context.Context) (net.Conn, error) { exit("dial"); return f.dial(ctx) },
					func(ctx context.Context) (Login, error) { exit("login"); return f.login(ctx) },
					&SessionOptions{
						OnDelivery: func(Delivery) { exit("delivery") },
						OnState: func(s SessionState, _ error) {
							exit(map[SessionState]string{Connecting: "Connecting", Closed: "Closed"}[s])
						},
					})
				if err != nil {
					t.Fatal(err)
				}
				armed.Store(true)
				out := newOutcome()
				for i, qos := range []QoS{AtLeastOnce, AtMostOnce, AtMostOnce, AtLeastOnce} {
					name := "done"
					if qos == AtMostOnce {
						name = "done of QoS 0"
					}
					m := message("x")
					m.QoS = qos
					note := out.of(fmt.Sprint(i))
					if err := s.PublishAsync(t.Context(), m, func(err error) { note(err); exit(name) }); err != nil {
						t.Fatal(err)
					}
				}
				var waiting sync.WaitGroup
				waiting.Go(func() {
					if err := s.Publish(t.Context(), message("y")); err != nil && !errors.Is(err, net.ErrClosed) {
						t.Error(err)
					}
				})
				time.Sleep(2 * time.Second)
				if which == "login" || which == "dial" || which == "Connecting" {
					s.mu.Lock()
					l := s.link
					s.mu.Unlock()
					l.nc.Close()
				}
				begin := time.Now()
				if err := s.Close(); err != nil || time.Since(begin) != 0 {
					t.Errorf("Close: %v after %v", err, time.Since(begin))
				}
				<-s.Done()
				waiting.Wait()
				f.running.Wait()
				for i := range 4 {
					if n := len(out.told(fmt.Sprint(i))); n != 1 {
						t.Errorf("done %d was called %d times", i, n)
					}
				}
			})
		})
	}
}

// What is told at the end may end its goroutine, too: the rest is told all the same.
func TestADoneThatEndsItsGoroutineAtTheEnd(t *testing.T) {
	for _, qos := range []QoS{AtLeastOnce, AtMostOnce} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, hushed)
				var stuck atomic.Bool
				over := make(chan struct{})
				f.wrap = func(nc net.Conn) net.Conn {
					return writeHook{nc, func() {
						if stuck.Load() {
							<-over
						}
					}}
				}
				s := f.start(SessionOptions{})
				stuck.Store(true)
				time.AfterFunc(1700*time.Millisecond, func() { close(over) }) // when Close has cut the connection
				out := newOutcome()
				for _, name := range []string{"a", "b", "c"} {
					m, note := message(name), out.of(name)
					m.QoS = qos
					if err := s.PublishAsync(t.Context(), m, func(err error) { note(err); runtime.Goexit() }); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				out.check(t, net.ErrClosed, "a", "b", "c")
				if states, _ := f.stateLog(); s.State() != Closed || !slices.Equal(states, []string{"connected", "closed"}) {
					t.Errorf("it is %v, and told of %v", s.State(), states)
				}
			})
		})
	}
}

// TestAPublishKeepsItsContextBehindASlowDone has PUBACKs that come together, or the end of the session, decide on a Publish
// and on another one whose done function takes its time, as a Close there may. The call has its outcome within its context.
func TestAPublishKeepsItsContextBehindASlowDone(t *testing.T) {
	for name, end := range map[string]bool{"PUBACKs": false, "the end": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, func(c *fakeConn) {
					if !c.accept() {
						return
					}
					var replies []byte
					for i := 0; ; i++ {
						p, err := c.ReadPacket()
						if err != nil {
							return
						}
						if replies = append(replies, c.record(p)...); i > 0 && !end {
							c.send(replies)
							replies = nil
						}
					}
				})
				s := f.start(SessionOptions{})
				if err := s.PublishAsync(t.Context(), message("slow"), func(error) { time.Sleep(time.Minute) }); err != nil {
					t.Fatal(err)
				}
				if end {
					time.AfterFunc(time.Second, func() { s.Close() })
				}
				const limit = 5 * time.Second
				publish := func(what string) {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					start := time.Now()
					err := s.Publish(ctx, message(what))
					if d := time.Since(start); d > limit || end != errors.Is(err, net.ErrClosed) || !end && err != nil {
						t.Errorf("%s: %v after %v", what, err, d)
					}
				}
				publish("behind it")
				time.Sleep(time.Minute)
				publish("after it")
			})
		})
	}
}
