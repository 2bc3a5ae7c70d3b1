package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
)

// closeCase is a situation to call Close in. prepare brings it about and
// returns how long Close may take.
type closeCase struct {
	name    string
	scripts []func(*fakeConn)
	prepare func(t *testing.T, f *fakeServer, s *Session)
	within  time.Duration
}

var closeCases = []closeCase{
	{"idle", []func(*fakeConn){well}, func(*testing.T, *fakeServer, *Session) {}, 0},
	{"with a thousand publishes that are never acknowledged", []func(*fakeConn){hushed}, func(t *testing.T, f *fakeServer, s *Session) {
		for range 1000 {
			if err := s.PublishAsync(t.Context(), message("x"), nil); err != nil {
				t.Fatal(err)
			}
		}
	}, time.Second},
	{"while the server has stopped reading in the middle of a packet", []func(*fakeConn){stopped}, func(t *testing.T, f *fakeServer, s *Session) {
		m := message("x")
		m.Payload = make([]byte, 100<<10)
		for range 3 {
			if err := s.PublishAsync(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
	}, 1500 * time.Millisecond},
	{"while half a packet has come", []func(*fakeConn){halfway}, func(*testing.T, *fakeServer, *Session) {
		synctest.Wait()
	}, time.Second},
	{"while a reconnect waits for its CONNACK", []func(*fakeConn){takes(1), silent}, func(t *testing.T, f *fakeServer, s *Session) {
		_ = s.PublishAsync(t.Context(), message("x"), nil)
		synctest.Wait()
	}, 0},
	{"while it waits for the next attempt", []func(*fakeConn){takes(1), refusing(Unavailable)}, func(t *testing.T, f *fakeServer, s *Session) {
		_ = s.PublishAsync(t.Context(), message("x"), nil)
		synctest.Wait()
	}, 0},
}

// stopped is the script of a server that accepts and then reads nothing more.
func stopped(c *fakeConn) {
	c.accept()
	for { // until the client has gone, which a write tells
		time.Sleep(time.Second)
		if c.Write((*Pingresp)(nil).AppendTo(nil)) != nil {
			return
		}
	}
}

// halfway is the script of a server that stops in the middle of a packet.
func halfway(c *fakeConn) {
	c.accept()
	p := (&Publish{Topic: []byte("t"), Payload: make([]byte, 1000)}).AppendTo(nil)
	c.send(p[:len(p)/2])
	for c.step(false) {
	}
}

// TestAnEndedSessionDoesNotLogIn: its place may be another's by the time that a DialFunc returns.
func TestAnEndedSessionDoesNotLogIn(t *testing.T) {
	for name, end := range map[string]func(context.Context, DialFunc, LoginFunc){
		"given up": func(ctx context.Context, dial DialFunc, login LoginFunc) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if _, err := StartSession(ctx, dial, login, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		},
		"closed": func(ctx context.Context, dial DialFunc, login LoginFunc) {
			first, f := true, newFake(t, takes(0))
			s, err := StartSession(ctx, func(ctx context.Context) (net.Conn, error) {
				if first {
					first = false
					return f.dial(ctx)
				}
				return dial(ctx)
			}, login, nil)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second) // the second dial is under way
			if err := s.Close(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			f.running.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				late := make(chan net.Conn, 1)
				end(t.Context(), func(context.Context) (net.Conn, error) {
					time.Sleep(time.Minute) // whatever its context says
					client, server := testkit.Pipe()
					late <- server
					return client, nil
				}, newFake(t).login)
				server := <-late
				defer server.Close()
				if got, err := io.ReadAll(server); len(got) > 0 || err != nil {
					t.Errorf("got %q, %v", got, err)
				}
			})
		})
	}
}

func TestCloseInEachState(t *testing.T) {
	testkit.LeakCheck(t)
	for _, tt := range closeCases {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, tt.scripts...)
				s := f.start(SessionOptions{})
				tt.prepare(t, f, s)
				var waiting sync.WaitGroup
				for range 3 { // calls that are blocked at the time
					waiting.Go(func() {
						if err := s.Publish(t.Context(), message("blocked")); err != nil && !errors.Is(err, ErrSessionClosed) {
							t.Errorf("Publish: %v", err)
						}
					})
					waiting.Go(func() {
						if err := s.Subscribe(t.Context(), AtMostOnce, "f"); err != nil && !errors.Is(err, net.ErrClosed) {
							t.Errorf("Subscribe: %v", err)
						}
					})
				}
				synctest.Wait()
				begin := time.Now()
				for range 2 { // at once
					waiting.Go(func() {
						if err := s.Close(); err != nil {
							t.Errorf("Close: %v", err)
						}
					})
				}
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				waiting.Wait()
				if took := time.Since(begin); took > tt.within {
					t.Errorf("Close took %v, want %v", took, tt.within)
				}
				if s.helpers != 0 || s.State() != Closed {
					t.Errorf("%d goroutines are left, state %v", s.helpers, s.State())
				}
				select {
				case <-s.Done():
				default:
					t.Error("Done is open")
				}
			})
		})
	}
}

func TestCloseDuringTheFirstConnect(t *testing.T) {
	testkit.LeakCheck(t)
	for name, script := range map[string]func(*fakeConn){"no CONNACK": silent, "refused for now": refusing(Unavailable)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, script)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(10*time.Second, cancel)
				begin := time.Now()
				_, err := f.tryStart(ctx, SessionOptions{})
				if !errors.Is(err, context.Canceled) || time.Since(begin) != 10*time.Second {
					t.Errorf("%v after %v", err, time.Since(begin))
				}
			})
		})
	}
}

func TestStartIsNotHeldUpByFunctionsThatDoNotHeedTheirContext(t *testing.T) {
	for _, which := range []string{"login", "dial"} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t, well)
			release := make(chan struct{})
			stuck := func(name string) {
				if name == which {
					<-release
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			begin := time.Now()
			_, err := StartSession(ctx,
				func(ctx context.Context) (net.Conn, error) { stuck("dial"); return f.dial(ctx) },
				func(ctx context.Context) (Login, error) { stuck("login"); return f.login(ctx) },
				&SessionOptions{CloseTimeout: time.Second})
			if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took != time.Minute+time.Second {
				t.Errorf("%s: %v after %v", which, err, took)
			}
			close(release) // whereupon the bubble ends only when nothing is left
			f.running.Wait()
		})
	}
}

func TestCloseLetsWhatIsUnderWayBeAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last []byte
		f := newFake(t, func(c *fakeConn) {
			c.accept()
			for {
				time.Sleep(50 * time.Millisecond)
				p, err := c.ReadPacket()
				if err != nil {
					return
				}
				last = append(last[:0], p...)
				if reply := c.record(p); reply != nil {
					c.send(reply)
				}
			}
		})
		s := f.start(SessionOptions{})
		out := newOutcome()
		var names []string
		for i := range 10 {
			names = append(names, fmt.Sprint(i))
			if err := s.PublishAsync(t.Context(), message(names[i]), out.of(names[i])); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		f.running.Wait()
		out.check(t, nil, names...)
		if Packet(last).Type() != TypeDisconnect {
			t.Errorf("the last packet was %v", Packet(last).Type())
		}
	})
}

func TestEveryDoneIsCalledWhenTheSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, takes(2), silent)
		s := f.start(SessionOptions{})
		out := newOutcome()
		for _, name := range []string{"sent", "sent too", "not sent", "not sent either"} {
			if err := s.PublishAsync(t.Context(), message(name), out.of(name)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for name, want := range map[string]hubwire.Outcome{
			"sent": hubwire.Unknown, "sent too": hubwire.Unknown, "not sent": hubwire.NotSent, "not sent either": hubwire.NotSent,
		} {
			out.check(t, ErrSessionClosed, name)
			var e *hubwire.Error
			if err := out.told(name)[0]; !errors.As(err, &e) || e.Outcome != want || !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
	})
}

func TestCloseInsideEachCallback(t *testing.T) {
	testkit.LeakCheck(t)
	delivering := func(c *fakeConn) {
		c.accept()
		c.step(true)
		c.send((&Publish{Topic: []byte("t"), QoS: AtLeastOnce, ID: 1}).AppendTo(nil))
		c.serve()
	}
	for _, callback := range []string{"done", "done of QoS 0", "delivery", "state", "panic", "login", "dial"} {
		t.Run(callback, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, delivering)
				var s *Session
				closed := make(chan time.Duration, 1)
				closing := func(in string) {
					if in == callback && s != nil {
						begin := time.Now()
						if err := s.Close(); err != nil {
							t.Errorf("Close: %v", err)
						}
						s.mu.Lock()
						if own := int32(len(s.callers)); s.helpers > own { // own: a flusher that calls back
							t.Errorf("%d goroutines are left, and %d that call back", s.helpers-own, own)
						}
						s.mu.Unlock()
						select {
						case closed <- time.Since(begin):
						default:
						}
					}
				}
				var err error
				s, err = StartSession(t.Context(),
					func(ctx context.Context) (net.Conn, error) { closing("dial"); return f.dial(ctx) },
					func(ctx context.Context) (Login, error) { closing("login"); return f.login(ctx) },
					&SessionOptions{
						OnDelivery: func(d Delivery) {
							closing("delivery")
							if callback == "panic" {
								panic("on purpose")
							}
						},
						OnState: func(SessionState, error) { closing("state") },
						OnPanic: func(any, []byte) { closing("panic") },
					})
				if err != nil {
					t.Fatal(err)
				}
				m := message("x")
				if callback == "done of QoS 0" {
					m.QoS = AtMostOnce
				}
				if err := s.PublishAsync(t.Context(), m, func(error) { closing("done"); closing("done of QoS 0") }); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if callback == "state" || callback == "login" || callback == "dial" {
					s.mu.Lock()
					l := s.link
					s.mu.Unlock()
					l.nc.Close()
				}
				<-s.Done()
				f.running.Wait()
				if took := <-closed; took != 0 {
					t.Errorf("Close took %v", took)
				}
				if !errors.Is(s.Err(), ErrSessionClosed) {
					t.Errorf("Err is %v", s.Err())
				}
			})
		})
	}
}

func TestCloseInTheDoneOfAQoS0PublishThatTheFlusherWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, hushed)
		s := f.start(SessionOptions{})
		if err := s.PublishAsync(t.Context(), message("open"), nil); err != nil { // so that the next is not alone
			t.Fatal(err)
		}
		done := make(chan error, 1)
		if err := s.PublishAsync(t.Context(), &Publish{Topic: []byte("t")}, func(error) { done <- s.Close() }); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := <-done; err != nil || time.Since(begin) > s.o.CloseTimeout {
			t.Errorf("Close: %v after %v", err, time.Since(begin))
		}
	})
}

func TestCloseReportsACallbackThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		s := f.start(SessionOptions{CloseTimeout: 5 * time.Second})
		stuck := make(chan struct{})
		if err := s.PublishAsync(t.Context(), message("x"), func(error) { <-stuck }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		blocked := make(chan error, 1)
		go func() { blocked <- s.Publish(t.Context(), message("y")) }()
		begin := time.Now()
		err := s.Close()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if err := <-blocked; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Publish: %v", err)
		}
		close(stuck)
		<-s.Done()
	})
}

func TestCallsThatWouldWaitForThemselvesSaySo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		s := f.start(SessionOptions{Window: 1})
		got := map[string]error{}
		called := make(chan struct{})
		if err := s.PublishAsync(t.Context(), message("x"), func(error) {
			defer close(called)
			got["blocking publish"] = s.Publish(t.Context(), message("p"))
			got["subscribe"] = s.Subscribe(t.Context(), AtMostOnce, "f")
			got["unsubscribe"] = s.Unsubscribe(t.Context(), "f")
			if err := s.PublishAsync(t.Context(), message("fits"), nil); err != nil {
				t.Errorf("a publish that fits: %v", err)
			}
			got["window"] = s.PublishAsync(t.Context(), message("does not fit"), nil)
		}); err != nil {
			t.Fatal(err)
		}
		<-called
		for name, err := range got {
			var e *hubwire.Error
			if !errors.Is(err, ErrWouldDeadlock) || !errors.As(err, &e) || e.Outcome != hubwire.NotSent {
				t.Errorf("%s: %v", name, err)
			}
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"x", "fits"}, f.payloads()); diff != "" {
			t.Errorf("payloads (-want +got):\n%s", diff)
		}
	})
}
