package mqtt

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// oddConn is a net.Conn with ways of its own.
type oddConn struct {
	net.Conn
	read  func() // nil: nothing special
	close func()
}

func (c *oddConn) Read(b []byte) (int, error) {
	if c.read != nil {
		c.read()
	}
	return c.Conn.Read(b)
}

func (c *oddConn) Close() error {
	err := c.Conn.Close()
	if c.close != nil {
		c.close()
	}
	return err
}

// As those of an SSH tunnel.
func (c *oddConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *oddConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *oddConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

func TestAConnectionWithoutDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, silent, well)
		f.wrap = func(nc net.Conn) net.Conn { return &oddConn{Conn: nc} }
		begin := time.Now()
		s := f.start(SessionOptions{ConnectTimeout: 5 * time.Second})
		if took := time.Since(begin); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("the server that says nothing was left, and the next reached, after %v, want ConnectTimeout and a back-off", took)
		}
		if err := s.Publish(t.Context(), message("1")); err != nil {
			t.Errorf("Publish: %v", err)
		}
		if _, reasons := f.stateLog(); !errors.Is(reasons[0], os.ErrDeadlineExceeded) {
			t.Errorf("the first attempt failed with %v, want a deadline that was exceeded", reasons[0])
		}
	})
}

func TestAConnectionThatIsSlowToClose(t *testing.T) {
	start := func(t *testing.T, ctx context.Context, script func(*fakeConn)) (*fakeServer, *Session, error) {
		f := newFake(t, script, well)
		f.wrap = func(nc net.Conn) net.Conn { return &oddConn{Conn: nc, close: func() { time.Sleep(time.Hour) }} }
		t.Cleanup(func() { time.Sleep(time.Hour) })
		s, err := f.tryStart(ctx, SessionOptions{})
		return f, s, err
	}
	took := func(t *testing.T, begin time.Time, want time.Duration) {
		t.Helper()
		if took := time.Since(begin); took != want {
			t.Errorf("it took %v, want %v", took, want)
		}
	}
	for _, tt := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"does not hold up Close", func(t *testing.T) {
			_, s, _ := start(t, t.Context(), hushed)
			_ = s.PublishAsync(t.Context(), message("1"), nil)
			begin := time.Now()
			if err := s.Close(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Close: %v, want that something has not returned", err)
			}
			took(t, begin, 2*time.Second)
			<-s.Done()
		}},
		{"does not hold up StartSession", func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			if _, _, err := start(t, ctx, silent); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("StartSession: %v", err)
			}
			took(t, begin, time.Second+2*time.Second)
		}},
		{"does not hold up the next, though its reads and writes go on until it is closed", func(t *testing.T) {
			f := newFake(t, hushed, well)
			f.wrap = func(nc net.Conn) net.Conn {
				if f.connections() == 1 {
					return lateClose{nc}
				}
				return nc
			}
			t.Cleanup(func() { time.Sleep(time.Hour) })
			s := f.start(SessionOptions{AckTimeout: time.Minute})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Second)
			defer cancel()
			if err := s.Publish(ctx, message("1")); err != nil {
				t.Errorf("Publish: %v", err)
			}
		}},
		{"does not hold up the call whose write fails", func(t *testing.T) {
			f := newFake(t, well)
			f.wrap = func(nc net.Conn) net.Conn {
				return &brokenWrite{oddConn{Conn: nc, close: func() { time.Sleep(time.Hour) }}, f}
			}
			t.Cleanup(func() { time.Sleep(2 * time.Hour) })
			s := f.start(SessionOptions{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := s.Publish(ctx, message("1")); err != nil {
				t.Errorf("Publish: %v", err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { synctest.Test(t, tt.run) })
	}
}

// lateClose waits before it closes, as some do for their peer.
type lateClose struct{ net.Conn }

func (c lateClose) Close() error { time.Sleep(time.Hour); return c.Conn.Close() }

// What is written may wait for ever; who publishes has a context.
func TestAWriteThatWaitsHoldsUpNoPublish(t *testing.T) {
	for _, tt := range []struct {
		name    string
		publish func(s *Session, ctx context.Context) error
		took    time.Duration
		want    error
	}{
		{"Publish", func(s *Session, ctx context.Context) error { return s.Publish(ctx, message("1")) }, time.Second, context.DeadlineExceeded},
		{"Publish with QoS 0", func(s *Session, ctx context.Context) error {
			return s.Publish(ctx, &Publish{Topic: []byte("t")})
		}, time.Second, context.DeadlineExceeded},
		{"PublishAsync", func(s *Session, ctx context.Context) error { return s.PublishAsync(ctx, message("1"), nil) }, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, well)
				f.wrap = func(nc net.Conn) net.Conn {
					if f.connections() == 1 {
						return &unread{Conn: nc, closed: make(chan struct{})}
					}
					return nc
				}
				s := f.start(SessionOptions{})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				begin := time.Now()
				err := tt.publish(s, ctx)
				if took := time.Since(begin); !errors.Is(err, tt.want) || took != tt.took {
					t.Errorf("%v after %v, want %v after %v", err, took, tt.want, tt.took)
				}
				if err := s.Publish(t.Context(), message("2")); err != nil {
					t.Errorf("the next: %v", err)
				}
			})
		})
	}
}

// unread has no buffer, and a peer who reads the CONNECT and nothing more.
type unread struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
}

func (c *unread) Write(b []byte) (int, error) {
	if Packet(b).Type() == TypeConnect {
		return c.Conn.Write(b)
	}
	<-c.closed
	return 0, net.ErrClosed
}

func (c *unread) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// A net.Conn that takes less than it is given must say why. One that does not would
// have the server take the next packet for the rest of this one, and acknowledge that.
func TestAWriteThatIsCutShortWithoutAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		f.wrap = func(nc net.Conn) net.Conn {
			if f.connections() == 1 {
				return shortWrite{nc}
			}
			return nc
		}
		s := f.start(SessionOptions{})
		for _, name := range []string{"1", "2", "3"} {
			if err := s.Publish(t.Context(), message(name)); err != nil {
				t.Errorf("Publish: %v", err)
			}
		}
		if diff := cmp.Diff([]string{"1", "2", "3"}, f.payloads()); diff != "" {
			t.Errorf("payloads (-want +got):\n%s", diff)
		}
		if _, reasons := f.stateLog(); len(reasons) < 2 || !errors.Is(reasons[1], io.ErrShortWrite) {
			t.Errorf("the reasons are %v, want %v as the second", reasons, io.ErrShortWrite)
		}
	})
}

// shortWrite loses the end of each PUBLISH.
type shortWrite struct{ net.Conn }

func (c shortWrite) Write(b []byte) (int, error) {
	if Packet(b).Type() == TypePublish {
		b = b[:len(b)-1]
	}
	return c.Conn.Write(b)
}

// A nil pointer that became an error panics when one looks what it wraps.
func TestAnErrorOfTheConnectionThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		f.wrap = func(nc net.Conn) net.Conn {
			if f.connections() == 1 {
				return nilError{nc}
			}
			return nc
		}
		s := f.start(SessionOptions{})
		if err := s.Publish(t.Context(), message("1")); err != nil {
			t.Errorf("Publish: %v", err)
		}
	})
}

// nilError fails with a nil pointer.
type nilError struct{ net.Conn }

func (c nilError) Write(b []byte) (int, error) {
	if Packet(b).Type() == TypePublish {
		return 0, (*net.OpError)(nil)
	}
	return c.Conn.Write(b)
}

// brokenWrite is the first connection, on which only the CONNECT gets through.
type brokenWrite struct {
	oddConn
	f *fakeServer
}

func (c *brokenWrite) Write(b []byte) (int, error) {
	if Packet(b).Type() == TypePublish && c.f.connections() == 1 {
		return 0, errors.New("broken")
	}
	return c.Conn.Write(b)
}

func TestAConnectionThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, panics := newFake(t, well), 0
		f.wrap = func(nc net.Conn) net.Conn {
			c := &oddConn{Conn: nc}
			if f.connections() == 1 {
				reads := 0
				c.read = func() {
					if reads++; reads > 1 {
						panic("read")
					}
				}
				return &hollow{oddConn{Conn: c, close: func() { panic("close") }}}
			}
			return c
		}
		s := f.start(SessionOptions{OnPanic: func(any, []byte) { panics++ }})
		if err := s.Publish(t.Context(), message("1")); err != nil {
			t.Errorf("Publish: %v", err)
		}
		synctest.Wait()
		if panics != 2 || f.connections() != 2 {
			t.Errorf("%d panics were reported of 2, in %d connections", panics, f.connections())
		}
	})
}

// hollow says that it wraps a connection, and has none to show.
type hollow struct{ oddConn }

func (*hollow) NetConn() net.Conn { return nil }

func TestATraceThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, panics := newFake(t, well), make(chan any, 100)
		see := func(Packet) { panic("see") }
		s := f.start(SessionOptions{
			Trace:   &Trace{Sent: see, Received: see},
			OnPanic: func(v any, _ []byte) { panics <- v },
		})
		if err := s.Publish(t.Context(), message("1")); err != nil {
			t.Errorf("Publish: %v", err)
		}
		synctest.Wait()
		if n := len(panics); n != 4 {
			t.Errorf("%d panics were reported, want those of CONNECT, CONNACK, PUBLISH and PUBACK", n)
		}
	})
}

func TestATraceThatEndsTheGoroutineOfAWrite(t *testing.T) {
	for _, tt := range []struct {
		name string
		kind Type
	}{
		{"of who publishes", TypePublish},
		{"of the flusher", TypePuback},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, func(c *fakeConn) {
					c.accept()
					c.send((&Publish{Topic: []byte("t"), QoS: AtLeastOnce, ID: 1}).AppendTo(nil))
					c.serve()
				})
				var once sync.Once
				s := f.start(SessionOptions{Trace: &Trace{Sent: func(p Packet) {
					if p.Type() == tt.kind {
						once.Do(runtime.Goexit) // as t.FailNow does
					}
				}}})
				var first sync.WaitGroup
				first.Go(func() { _ = s.Publish(t.Context(), message("1")) })
				first.Wait()
				if err := s.Publish(t.Context(), message("2")); err != nil {
					t.Errorf("Publish: %v", err)
				}
				if err := s.Close(); err != nil || f.connections() != 2 {
					t.Errorf("Close: %v, after %d connections", err, f.connections())
				}
			})
		})
	}
}

func TestBackoffWithoutBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, refusing(Unavailable))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := f.tryStart(ctx, SessionOptions{MinBackoff: math.MaxInt64, MaxBackoff: math.MaxInt64})
		if !errors.Is(err, context.DeadlineExceeded) || f.connections() != 1 {
			t.Errorf("StartSession: %v, after %d attempts", err, f.connections())
		}
	})
}

func TestCloseDoesNotWaitOnceTheLastAcknowledgementIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(c *fakeConn) {
			c.accept()
			c.send((&Publish{Topic: []byte("t"), QoS: AtLeastOnce, ID: 1}).AppendTo(nil))
			c.serve()
		})
		f.wrap = func(nc net.Conn) net.Conn { return &lateWrite{nc} }
		s := f.start(SessionOptions{})
		synctest.Wait()
		begin := time.Now()
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(begin); took != 100*time.Millisecond {
			t.Errorf("Close took %v, want what the write of the PUBACK took", took)
		}
	})
}

// lateWrite takes PUBACKs at leisure.
type lateWrite struct{ net.Conn }

func (c *lateWrite) Write(b []byte) (int, error) {
	if Packet(b).Type() == TypePuback {
		time.Sleep(100 * time.Millisecond)
	}
	return c.Conn.Write(b)
}
