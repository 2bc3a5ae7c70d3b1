package mqtt

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

	"github.com/google/go-cmp/cmp"
)

func TestPanicsInCallbacksAreContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(c *fakeConn) {
			c.accept()
			c.send((&Publish{Topic: []byte("t"), QoS: AtLeastOnce, ID: 1}).AppendTo(nil))
			c.serve()
		})
		var mu sync.Mutex
		panics := map[any]int{}
		once := map[string]bool{}
		first := func(name string) bool { defer func() { once[name] = true }(); return !once[name] }
		s, err := StartSession(t.Context(),
			func(ctx context.Context) (net.Conn, error) {
				if first("dial") {
					panic("dial")
				}
				return f.dial(ctx)
			},
			func(ctx context.Context) (Login, error) {
				if first("login") {
					panic("login")
				}
				return f.login(ctx)
			},
			&SessionOptions{
				OnDelivery: func(Delivery) { panic("delivery") },
				OnState:    func(SessionState, error) { panic("state") },
				OnPanic: func(v any, stack []byte) {
					mu.Lock() // who publishes may trace
					defer mu.Unlock()
					panics[v] += min(1, len(stack))
					panic("in OnPanic")
				},
				Trace: &Trace{Sent: func(p Packet) { panic(p.Type()) }, Received: func(p Packet) { panic("trace") }},
			})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.PublishAsync(t.Context(), message("x"), func(error) { panic("done") }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := s.Publish(t.Context(), message("y")); err != nil {
			t.Error(err)
		}
		s.Close()
		f.running.Wait()
		// States: two failed attempts, connected, closed.
		if diff := cmp.Diff(map[any]int{
			"dial": 1, "login": 1, "delivery": 1, "state": 4, "done": 1,
			TypeConnect: 1, TypePublish: 2, TypeDisconnect: 1, "trace": 4,
		}, panics); diff != "" {
			t.Errorf("panics (-want +got):\n%s", diff)
		}
	})
}

func TestPublishErrorNamesWhatDoneGets(t *testing.T) {
	named := errors.New("named")
	for how, c := range map[string]struct {
		name func(error) error
		want error
	}{
		"it returns another":    {func(error) error { return named }, named},
		"it returns nil":        {func(error) error { return nil }, ErrSessionClosed},
		"it panics":             {func(error) error { panic("name") }, ErrSessionClosed},
		"it ends its goroutine": {func(error) error { runtime.Goexit(); return nil }, ErrSessionClosed},
		"there is none":         {nil, ErrSessionClosed},
	} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, func(c *fakeConn) {
					c.accept()
					c.step(true)
					c.ReadPacket() // which it leaves without an answer
					c.ReadPacket()
				})
				s := f.start(SessionOptions{PublishError: c.name})
				out := newOutcome()
				for _, name := range []string{"acknowledged", "not", "nor this"} {
					if err := s.PublishAsync(t.Context(), message(name), out.of(name)); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				s.Close()
				synctest.Wait()
				out.check(t, nil, "acknowledged")
				out.check(t, c.want, "not", "nor this")
			})
		})
	}
}

// brittleConn is a net.Conn of which one method panics.
type brittleConn struct {
	net.Conn
	method string
}

func (c brittleConn) Read(b []byte) (int, error)  { c.call("Read"); return c.Conn.Read(b) }
func (c brittleConn) Write(b []byte) (int, error) { c.call("Write"); return c.Conn.Write(b) }
func (c brittleConn) Close() error                { err := c.Conn.Close(); c.call("Close"); return err }

func (c brittleConn) call(method string) {
	if method == c.method {
		panic("brittle")
	}
}

func TestAPanicOfTheConnectionCostsNoMoreThanIt(t *testing.T) {
	for _, method := range []string{"Read", "Write", "Close"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var brittle net.Conn
				f := newFake(t, well)
				s, err := StartSession(t.Context(), func(ctx context.Context) (net.Conn, error) {
					nc, err := f.dial(ctx)
					if brittle == nil && err == nil {
						brittle = brittleConn{nc, method}
						return brittle, nil
					}
					return nc, err
				}, f.login, nil)
				if err != nil {
					t.Fatal(err)
				}
				brittle.(brittleConn).Conn.Close() // if it has not come to that
				if err := s.Publish(t.Context(), message("x")); err != nil {
					t.Error(err)
				}
				if n := f.connections(); n != 2 {
					t.Errorf("%d connections", n)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				f.running.Wait()
			})
		})
	}
}

// OnPanic may end its goroutine, as t.Fatal does: that is not the one of a caller whose publish found the net.Conn to panic.
func TestAnOnPanicThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		var breaks atomic.Bool
		f.wrap = func(nc net.Conn) net.Conn {
			return roomy{writeHook{nc, func() {
				if breaks.CompareAndSwap(true, false) {
					panic("brittle")
				}
			}}}
		}
		s := f.start(SessionOptions{OnPanic: func(any, []byte) { runtime.Goexit() }})
		breaks.Store(true)
		if err := s.Publish(t.Context(), message("x")); err != nil {
			t.Error(err)
		}
		if n := f.connections(); n != 2 || s.State() != Connected {
			t.Errorf("%d connections, %v", n, s.State())
		}
		if err := s.Publish(t.Context(), message("y")); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// OnPanic is a callback too, though no other one may be under way when it is called.
func TestACallInOnPanicThatWouldWait(t *testing.T) {
	for _, where := range []string{"reading", "writing", "writing in Publish"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, well)
				var reads, writes atomic.Bool
				f.wrap = func(nc net.Conn) net.Conn {
					nc = readHook{writeHook{nc, func() {
						if writes.CompareAndSwap(true, false) {
							panic("brittle")
						}
					}}, func() {
						if reads.CompareAndSwap(true, false) {
							panic("brittle")
						}
					}}
					if where == "writing in Publish" {
						return roomy{nc}
					}
					return nc
				}
				var s *Session
				told := make(chan error, 1)
				s = f.start(SessionOptions{OnPanic: func(any, []byte) { told <- s.Publish(context.Background(), message("in OnPanic")) }})
				if where == "reading" {
					reads.Store(true)
				} else {
					writes.Store(true)
				}
				if err := s.Publish(t.Context(), message("x")); err != nil {
					t.Error(err)
				}
				if err := <-told; !errors.Is(err, ErrWouldDeadlock) {
					t.Errorf("Publish in OnPanic: %v", err)
				}
				if err := s.Publish(t.Context(), message("y")); err != nil || s.InCallback() {
					t.Errorf("afterwards: %v, in a callback: %v", err, s.InCallback())
				}
			})
		})
	}
}

// readHook is a net.Conn with a function that is called after each Read.
type readHook struct {
	net.Conn
	after func()
}

func (c readHook) Read(b []byte) (int, error) {
	defer c.after()
	return c.Conn.Read(b)
}

// writeHook is a net.Conn with a function that is called before each Write.
type writeHook struct {
	net.Conn
	before func()
}

func (c writeHook) Write(b []byte) (int, error) { c.before(); return c.Conn.Write(b) }

// Nobody who reads or writes is held up by OnPanic, nor waited for by a Close in it.
func TestCloseInOnPanic(t *testing.T) {
	for _, where := range []string{"reading", "writing", "writing in Publish", "closing", "Sent", "Received"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, well)
				var armed atomic.Bool
				panics := func(in string) {
					if strings.HasPrefix(where, in) && armed.CompareAndSwap(true, false) {
						panic("brittle")
					}
				}
				f.wrap = func(nc net.Conn) net.Conn {
					nc = closeHook{readHook{writeHook{nc, func() { panics("writing") }}, func() { panics("reading") }}, func() { panics("closing") }}
					if where == "writing in Publish" {
						return roomy{nc}
					}
					return nc
				}
				var s *Session
				closed := make(chan error, 1)
				s = f.start(SessionOptions{
					OnPanic: func(any, []byte) { closed <- s.Close() },
					Trace:   &Trace{Sent: func(Packet) { panics("Sent") }, Received: func(Packet) { panics("Received") }},
				})
				armed.Store(true)
				begin := time.Now()
				if where == "closing" {
					s.mu.Lock()
					l := s.link
					s.mu.Unlock()
					s.kill(l, ErrServerClosed)
				} else if err := s.Publish(t.Context(), message("x")); err != nil && !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				if err := <-closed; err != nil || time.Since(begin) != 0 {
					t.Errorf("Close: %v after %v", err, time.Since(begin))
				}
				<-s.Done()
			})
		})
	}
}

// closeHook is a net.Conn with a function that is called after Close.
type closeHook struct {
	net.Conn
	after func()
}

func (c closeHook) Close() error { defer c.after(); return c.Conn.Close() }
