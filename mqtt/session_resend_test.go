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
)

func TestUnacknowledgedPublishesAreSentAgainInOrderAheadOfNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		again := make(chan struct{})
		f := newFake(t,
			func(c *fakeConn) { // acknowledges the second of three, and cuts
				c.accept()
				var second uint16
				for i := range 3 {
					p, err := c.ReadPacket()
					if err != nil {
						t.Error(err)
					}
					c.record(p)
					if m, _ := ParsePublish(p); i == 1 {
						second = m.ID
					}
				}
				c.send((&Puback{second}).AppendTo(nil))
			},
			func(c *fakeConn) { <-again; c.present = true; well(c) })
		s := f.start(SessionOptions{})
		out := newOutcome()
		publish := func(name string) {
			if err := s.PublishAsync(t.Context(), message(name), out.of(name)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		publish("a")
		publish("b")
		publish("c")
		publish("d") // while there is no connection
		publish("e")
		close(again)
		comeBack()
		want := []string{"1:a1", "1:b2", "1:c3", "2:a1+dup", "2:c3+dup", "2:d4", "2:e5"}
		var got []string
		for _, p := range f.publishes() {
			line := fmt.Sprintf("%d:%s%d", p.conn, p.payload, p.id)
			if p.dup {
				line += "+dup"
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("publishes (-want +got):\n%s", diff)
		}
		out.check(t, nil, "a", "b", "c", "d", "e")
		states, reasons := f.stateLog()
		if diff := cmp.Diff([]string{"connected", "connecting", "connected"}, states); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		if !errors.Is(reasons[1], net.ErrClosed) || !errors.Is(reasons[1], io.EOF) || !errors.Is(reasons[1], ErrServerClosed) || !errors.Is(reasons[1], hubwire.ConnectionClosedRemotely) {
			t.Errorf("reason of the loss is %v", reasons[1])
		}
	})
}

// cutting is a connection that ends after so many bytes in one direction.
type cutting struct {
	net.Conn
	mu          sync.Mutex
	read, write int // what is left; negative: no limit
}

func (c *cutting) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.read >= 0 && n >= c.read {
		n = c.read
		c.Close()
	}
	c.read -= n
	return n, err
}

func (c *cutting) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.write >= 0 && len(b) >= c.write {
		n, _ := c.Conn.Write(b[:c.write])
		c.Close()
		return n, net.ErrClosed
	}
	c.write -= len(b)
	return c.Conn.Write(b)
}

func TestACutAtEachByteLosesNothing(t *testing.T) {
	// Seventeen publishes and a SUBSCRIBE make about 700 bytes one way and 80 the other.
	for _, way := range []string{"read", "write"} {
		for at := 0; at < 720; at++ {
			if way == "read" && at > 90 {
				break
			}
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, well)
				first := true
				f.wrap = func(nc net.Conn) net.Conn {
					c := &cutting{Conn: nc, read: -1, write: -1}
					if first && way == "read" {
						c.read = at
					} else if first {
						c.write = at
					}
					first = false
					return c
				}
				s := f.start(SessionOptions{})
				out := newOutcome()
				var names []string
				for i := range 16 {
					name := fmt.Sprintf("m%02d", i)
					names = append(names, name)
					if err := s.PublishAsync(t.Context(), message(name), out.of(name)); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Subscribe(t.Context(), AtLeastOnce, "a/#"); err != nil {
					t.Fatal(err)
				}
				if err := s.Publish(t.Context(), message("last")); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				out.check(t, nil, names...)
				checkOrder(t, f.publishes(), append(names, "last"))
			})
			if t.Failed() {
				t.Fatalf("cut at byte %d of %s", at, way)
			}
		}
	}
}

// checkOrder fails t unless the first sight of each name is in order, and each
// further one is flagged as such.
func checkOrder(t testing.TB, got []publish, names []string) {
	t.Helper()
	seen := map[string]bool{}
	var order []string
	for _, p := range got {
		if seen[p.payload] && !p.dup {
			t.Errorf("%v came before, and has no DUP", p)
		}
		if !seen[p.payload] {
			order = append(order, p.payload)
		}
		seen[p.payload] = true
	}
	if diff := cmp.Diff(names, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestOrderHoldsOverAHundredDisconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(c *fakeConn) {
			c.present = c.n%2 == 0
			if !c.accept() {
				return
			}
			for i := 0; c.n > 100 || i < 1+c.n%7; i++ { // cut after some packets, the last one not acknowledged
				if !c.step(c.n > 100 || i < c.n%7) {
					return
				}
			}
		})
		s := f.start(SessionOptions{Window: 20, MaxBackoff: time.Second})
		out := newOutcome()
		var names []string
		for i := range 600 {
			name := fmt.Sprintf("%04d", i)
			names = append(names, name)
			if err := s.PublishAsync(t.Context(), message(name), out.of(name)); err != nil {
				t.Fatal(err)
			}
		}
		for range 200 { // until each has come through
			time.Sleep(time.Second)
		}
		out.check(t, nil, names...)
		checkOrder(t, f.publishes(), names)
		if f.connections() < 100 {
			t.Errorf("only %d connections", f.connections())
		}
	})
}

func TestACancelledPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := newFake(t,
			func(c *fakeConn) { c.accept(); c.step(false); <-release },
			func(c *fakeConn) { <-release; well(c) })
		s := f.start(SessionOptions{})
		expect := func(err error, want hubwire.Outcome) {
			t.Helper()
			var e *hubwire.Error
			if !errors.As(err, &e) || e.Outcome != want || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want %v", err, want)
			}
		}
		timeout := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			t.Cleanup(cancel)
			return ctx
		}
		expect(s.Publish(timeout(), message("sent")), hubwire.Unknown)
		if s.out.used != 1 {
			t.Errorf("a publish that was sent has %d slots, want 1: its identifier is in use", s.out.used)
		}
		s.link.nc.Close() // and no other connection for now
		synctest.Wait()
		ctx := timeout()
		var pending sync.WaitGroup
		pending.Go(func() { expect(s.Publish(ctx, message("not sent")), hubwire.NotSent) })
		synctest.Wait()
		if err := s.PublishAsync(t.Context(), message("behind"), nil); err != nil {
			t.Fatal(err)
		}
		pending.Wait()
		close(release)
		synctest.Wait()
		if diff := cmp.Diff([]string{"sent", "sent", "behind"}, f.payloads()); diff != "" {
			t.Errorf("payloads (-want +got):\n%s", diff)
		}
		if s.out.used != 0 || s.out.bytes != 0 {
			t.Errorf("%d slots and %d bytes are left", s.out.used, s.out.bytes)
		}
	})
}

func TestPublishesWithQoS0ThatALostConnectionCutOffAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		var stall chan struct{}
		f.wrap = func(nc net.Conn) net.Conn { return &stalling{Conn: nc, stall: &stall} }
		s := f.start(SessionOptions{})
		stall = make(chan struct{})
		out := newOutcome()
		p := &Publish{Topic: []byte("t"), Payload: []byte("x")}
		var writer sync.WaitGroup
		writer.Go(func() {
			if err := s.PublishAsync(t.Context(), p, out.of("in the write")); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if err := s.PublishAsync(t.Context(), p, out.of("waiting")); err != nil {
			t.Fatal(err)
		}
		s.link.nc.(*stalling).Conn.Close()
		release := stall
		stall = nil
		close(release)
		writer.Wait()
		comeBack()
		out.check(t, net.ErrClosed, "in the write")
		out.check(t, nil, "waiting")
		var e *hubwire.Error
		if err := out.told("in the write")[0]; !errors.As(err, &e) || e.Outcome != hubwire.Unknown {
			t.Errorf("error %v", err)
		}
	})
}

// stalling is a connection whose writes wait for *stall, if there is one.
type stalling struct {
	net.Conn
	stall *chan struct{}
}

func (c *stalling) Write(b []byte) (int, error) {
	if ch := *c.stall; ch != nil {
		<-ch
	}
	return c.Conn.Write(b)
}

func TestAcknowledgementsOutOfOrderAndOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ready := make(chan struct{})
		f := newFake(t, func(c *fakeConn) {
			c.accept()
			for range 3 {
				c.step(false)
			}
			var b []byte
			for _, id := range []uint16{3, 3, 77, 0xf000, 65535, 1, 4} { // 3 twice, others not under way
				b = (&Puback{id}).AppendTo(b)
			}
			c.send(b)
			<-ready
			c.send((&Puback{2}).AppendTo(nil))
			c.serve()
		})
		s := f.start(SessionOptions{})
		out := newOutcome()
		for _, name := range []string{"a", "b", "c"} {
			if err := s.PublishAsync(t.Context(), message(name), out.of(name)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		out.check(t, nil, "a", "c")
		if n := len(out.told("b")); n != 0 {
			t.Errorf("b was completed %d times before its acknowledgement", n)
		}
		close(ready)
		synctest.Wait()
		out.check(t, nil, "a", "b", "c")
		if err := s.Publish(t.Context(), message("d")); err != nil {
			t.Error(err)
		}
	})
}

func TestAServerThatBreaksTheProtocolIsLeft(t *testing.T) {
	for name, packet := range map[string][]byte{
		"a message with QoS 2":         (&Publish{Topic: []byte("t"), QoS: ExactlyOnce, ID: 1}).AppendTo(nil),
		"a message with a bad topic":   {0x30, 0x03, 0x00, 0x01, '#'},
		"a packet of a client":         {0xc0, 0x00},
		"a second CONNACK":             {0x20, 0x02, 0x00, 0x00},
		"a PUBACK of three bytes":      {0x40, 0x03, 0x00, 0x01, 0x00},
		"a SUBACK with a bad code":     {0x90, 0x03, 0xf0, 0x01, 0x55},
		"an UNSUBACK without an id":    {0xb0, 0x02, 0x00, 0x00},
		"a PINGRESP with a body":       {0xd0, 0x01, 0x00},
		"a packet over the size limit": {0x30, 0xff, 0xff, 0xff, 0x7f},
		"a reserved packet type":       {0xf0, 0x00},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, func(c *fakeConn) {
					if c.accept() {
						c.send(packet)
						c.serve()
					}
				}, well)
				s := f.start(SessionOptions{})
				if err := s.Publish(t.Context(), message("x")); err != nil {
					t.Error(err)
				}
				_, reasons := f.stateLog()
				var pe *PacketError
				if err := reasons[1]; !errors.Is(err, ErrProtocol) && !errors.As(err, &pe) || !errors.Is(err, net.ErrClosed) {
					t.Errorf("reason is %v", err)
				}
			})
		})
	}
}
