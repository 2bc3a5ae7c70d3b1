package mqtt

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/dialled"
	"github.com/hubwire/hubwire/internal/goroutine"
)

// spy is a connection that takes note of its writes.
type spy struct {
	net.Conn
	mu     sync.Mutex
	writes [][]byte
	by     []uint64 // goroutines
	how    []string // the ways it was closed in
}

func (c *spy) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.writes = append(c.writes, append([]byte(nil), b...))
	c.by = append(c.by, goroutine.ID())
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// roomy shows a buffer, as a socket does.
type roomy struct{ net.Conn }

func (roomy) SetWriteBuffer(int) error { return nil }

func TestALoneMessageIsWrittenByItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		c := &spy{}
		f.wrap = func(nc net.Conn) net.Conn { c.Conn = nc; return roomy{c} }
		s := f.start(SessionOptions{})
		for _, p := range []*Publish{message("a"), {Topic: []byte("t")}, message("b")} {
			if err := s.Publish(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if by := c.by[len(c.by)-1]; by != goroutine.ID() {
				t.Errorf("%q was written by goroutine %d, not by its caller", p.Payload, by)
			}
		}
	})
}

func TestTheDoneOfQoS0IsNotCalledInsidePublishAsync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		s := f.start(SessionOptions{})
		var mu sync.Mutex
		called := make(chan struct{})
		mu.Lock()
		if err := s.PublishAsync(t.Context(), &Publish{Topic: []byte("t")}, func(error) { mu.Lock(); close(called) }); err != nil {
			t.Fatal(err)
		}
		mu.Unlock()
		<-called
	})
}

func TestABurstGoesOutInFewWritesOfWholePackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		c := &spy{}
		var stall chan struct{}
		f.wrap = func(nc net.Conn) net.Conn {
			c.Conn = &stalling{Conn: nc, stall: &stall}
			return c
		}
		s := f.start(SessionOptions{})
		stall = make(chan struct{})
		var first sync.WaitGroup
		first.Go(func() { // holds the right to write, while the others gather
			if err := s.PublishAsync(t.Context(), message("first"), nil); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		names := []string{"first"}
		for i := range 999 {
			names = append(names, fmt.Sprintf("%0200d", i))
			if err := s.PublishAsync(t.Context(), message(names[i+1]), nil); err != nil {
				t.Fatal(err)
			}
		}
		release := stall
		stall = nil
		close(release)
		first.Wait()
		synctest.Wait()
		if n := len(c.writes); n > 10 { // CONNECT, the first, and 230 kB in chunks of up to 64 KiB
			t.Errorf("1000 messages took %d writes", n)
		}
		for i, b := range c.writes {
			if len(b) > maxWrite {
				t.Errorf("write %d has %d bytes", i, len(b))
			}
			for len(b) > 0 {
				p, rest, err := Split(b, 0)
				if err != nil || p == nil {
					t.Fatalf("write %d ends inside a packet (%v)", i, err)
				}
				b = rest
			}
		}
		if diff := cmp.Diff(names, f.payloads()); diff != "" {
			t.Errorf("payloads (-want +got):\n%s", diff)
		}
	})
}

func TestAnIdleSessionHoldsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		s := f.start(SessionOptions{})
		synctest.Wait()
		s.mu.Lock()
		if s.cancel != nil || s.started != nil || s.out.ring != nil || s.ctl != nil || len(s.link.conn.buf) > idleBuffer {
			t.Errorf("since it connected it holds a context (%v), a ring of %d slots, %d bytes of control buffer or %d of read buffer",
				s.cancel != nil, len(s.out.ring), cap(s.ctl), len(s.link.conn.buf))
		}
		s.mu.Unlock()
		if n := unsafe.Sizeof(*s) + unsafe.Sizeof(*s.link); n > 768+352 {
			t.Errorf("a Session and its link have %d bytes", n)
		}
		for range 1000 {
			if err := s.PublishAsync(t.Context(), message("x"), nil); err != nil {
				t.Fatal(err)
			}
		}
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() {
				if err := s.Publish(t.Context(), message("x")); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		synctest.Wait()
		s.mu.Lock()
		if c := s.out.cur; c != nil && (c.refs > 0 || cap(c.buf) > smallChunk) || s.link.writing || s.helpers != 1 { // the timer's
			t.Errorf("when all is acknowledged: chunk %v, writing %v, %d helpers", s.out.cur, s.link.writing, s.helpers)
		}
		s.mu.Unlock()
		time.Sleep(s.o.KeepAlive + time.Second)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.out.ring != nil || s.out.cur != nil || cap(s.ctl) > 64 || s.waiters.first != nil || s.ackIDs != nil || s.completions != nil || len(s.link.conn.buf) > idleBuffer {
			t.Errorf("after a while: a ring of %d slots, %d bytes of control buffer, waiters (%v), room for %d and %d acknowledgements, %d bytes of read buffer",
				len(s.out.ring), cap(s.ctl), s.waiters.first != nil, cap(s.ackIDs), cap(s.completions), len(s.link.conn.buf))
		}
	})
}

type (
	likeTLS       struct{ *spy }
	likeWebSocket struct {
		net.Conn // nil: nothing else is called
		spy      *spy
	}
)

func (c *spy) Close() error { return c.note("close") }
func (c *spy) SetDeadline(at time.Time) error {
	if !at.Before(time.Now()) {
		return errors.New("it does not end what is under way")
	}
	c.take("deadline")
	return nil
}
func (c *spy) CloseWrite() error        { c.take("close write"); return nil }
func (c likeTLS) NetConn() net.Conn     { return &below{c.spy} }
func (c likeWebSocket) Close() error    { return c.spy.note("close") }
func (c likeWebSocket) CloseNow() error { return c.spy.note("close now") }

func (c *spy) take(how string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.how = append(c.how, how)
}

func (c *spy) note(how string) error {
	c.take(how)
	if c.Conn == nil {
		return nil
	}
	return c.Conn.Close()
}

type below struct{ *spy }

func (c *below) Close() error { c.take("close below"); return nil }

func TestLeavingAConnection(t *testing.T) {
	plain, secure, socket := &spy{}, &spy{}, &spy{}
	for _, tt := range []struct {
		nc              net.Conn
		spy             *spy
		goodbye, aborts []string
	}{
		{plain, plain, []string{"close write"}, []string{"deadline", "close"}},
		{likeTLS{secure}, secure, []string{"close write"}, []string{"deadline", "close below", "close"}},
		{likeWebSocket{spy: socket}, socket, []string{"close"}, []string{"close now", "close"}},
	} {
		new(Session).goodbye(tt.nc)
		if diff := cmp.Diff(tt.goodbye, tt.spy.how); diff != "" {
			t.Errorf("%T: a good-bye (-want +got):\n%s", tt.nc, diff)
		}
		tt.spy.how = nil
		dialled.Abort(tt.nc) // which does not wait for the peer
		if diff := cmp.Diff(tt.aborts, tt.spy.how); diff != "" {
			t.Errorf("%T: aborted (-want +got):\n%s", tt.nc, diff)
		}
	}
}

// A server can acknowledge what is still being written, as far as the writer knows.
func TestAnOutboxDoesNotTrimWhatIsBeingWritten(t *testing.T) {
	var o outbox
	seq := o.add(message("x"), completion{})
	b, c, _, _, _ := o.take(0)
	o.remove(seq)
	o.trim()
	if o.cur != c || &c.buf[0] != &b[0] {
		t.Errorf("the chunk of a write under way is gone: %v", o.cur)
	}
	o.release(c)
	if o.cur != c || len(c.buf) != 0 {
		t.Errorf("the chunk of a lone message is not kept, or not empty: %v", o.cur)
	}
	if o.trim(); o.cur != nil {
		t.Error("an idle outbox has a chunk")
	}
}
