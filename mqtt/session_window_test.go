package mqtt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestTheWindowBoundsCountAndBytes(t *testing.T) {
	size := message("12345678").Size()
	for _, tt := range []struct {
		name string
		o    SessionOptions
		fit  int
	}{
		{"a window of one", SessionOptions{Window: 1}, 1},
		{"a window of five", SessionOptions{Window: 5}, 5},
		{"a window for the bytes of three", SessionOptions{WindowBytes: 3*size + 1}, 3},
		{"a window smaller than one message", SessionOptions{WindowBytes: 1}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ack := make(chan uint16)
				f := newFake(t, func(c *fakeConn) {
					c.accept()
					c.f.running.Go(func() {
						for id := range ack {
							c.send((&Puback{id}).AppendTo(nil))
						}
					})
					for c.step(false) {
					}
				})
				s := f.start(tt.o)
				defer close(ack)
				for range tt.fit {
					if err := s.PublishAsync(t.Context(), message("12345678"), nil); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				var e *hubwire.Error
				err := s.PublishAsync(ctx, message("12345678"), func(error) { t.Error("done was called") })
				if !errors.As(err, &e) || e.Outcome != hubwire.NotSent || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("one too many: %v", err)
				}
				var order []int
				var waiting sync.WaitGroup
				var mu sync.Mutex
				for i := range 3 {
					waiting.Go(func() {
						if err := s.PublishAsync(t.Context(), message("12345678"), nil); err != nil {
							t.Error(err)
						}
						mu.Lock()
						order = append(order, i)
						mu.Unlock()
					})
					synctest.Wait()
				}
				for i := range 3 {
					ack <- uint16(i + 1)
					synctest.Wait()
				}
				waiting.Wait()
				if diff := cmp.Diff([]int{0, 1, 2}, order); diff != "" {
					t.Errorf("order of those who waited (-want +got):\n%s", diff)
				}
				if s.out.used > tt.fit {
					t.Errorf("%d in a window of %d", s.out.used, tt.fit)
				}
			})
		})
	}
}

func TestAThousandPublishersAtOnce(t *testing.T) {
	testkit.LeakCheck(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(c *fakeConn) {
			if !c.accept() {
				return
			}
			for i := 0; c.n > 20 || i < 97; i++ {
				if !c.step(c.n > 20 || i < 90) {
					return
				}
			}
		})
		s := f.start(SessionOptions{Window: 100, MaxBackoff: time.Second})
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				for j := range 3 {
					if err := s.Publish(t.Context(), message(fmt.Sprintf("%d.%d", i, j))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		seen := map[string]bool{}
		for _, p := range f.publishes() {
			if seen[p.payload] && !p.dup {
				t.Errorf("%v came before, and has no DUP", p)
			}
			seen[p.payload] = true
		}
		if len(seen) != 3000 {
			t.Errorf("%d messages came, want 3000", len(seen))
		}
	})
}

func TestPacketIdentifiersWrapAndStayUnique(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := map[uint16]bool{}
		f := newFake(t, func(c *fakeConn) {
			c.accept()
			var ids []uint16
			for {
				p, err := c.ReadPacket()
				if err != nil {
					return
				}
				m, err := ParsePublish(p)
				if err != nil {
					return // the DISCONNECT
				}
				if open[m.ID] || m.ID > publishIDs {
					t.Errorf("identifier %d, which is in use or out of range", m.ID)
				}
				open[m.ID] = true
				ids = append(ids, m.ID)
				if len(ids) == 10 { // one in ten out of order
					for i := range ids {
						id := ids[(i+5)%10]
						delete(open, id)
						c.send((&Puback{id}).AppendTo(nil))
					}
					ids = ids[:0]
				}
			}
		})
		s := f.start(SessionOptions{Window: 500})
		var count atomic.Int32
		for range 2*publishIDs + 2 {
			if err := s.PublishAsync(t.Context(), message("x"), func(error) { count.Add(1) }); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := count.Load(); n != 2*publishIDs+2 {
			t.Errorf("%d of %d were acknowledged", n, 2*publishIDs+2)
		}
	})
}

// Many that are let in at once take no identifier of one that is under way: its PUBACK would be taken for the other's.
func TestIdentifiersStayUniqueWhenManyWaitForTheRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := newFake(t, func(c *fakeConn) {
			c.accept()
			c.step(false)
			c.step(false)
			go func() { <-release; c.send((&Puback{publishID(0)}).AppendTo(nil)) }()
			for {
				p, err := c.ReadPacket()
				if err != nil {
					return
				}
				m, err := ParsePublish(p)
				if err != nil {
					return // the DISCONNECT
				}
				if m.ID == publishID(1) {
					t.Errorf("identifier %d, which is in use", m.ID)
				}
				c.send((&Puback{m.ID}).AppendTo(nil))
			}
		})
		s := f.start(SessionOptions{Window: maxWindow, AckTimeout: -1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out := newOutcome()
		for i := range maxSpan { // the first two are not acknowledged
			var done func(error)
			if i == 1 {
				done = out.of("second")
			}
			if err := s.PublishAsync(ctx, message("x"), done); err != nil {
				t.Fatal(err)
			}
		}
		var waiting sync.WaitGroup
		for range 2 * (publishIDs - maxSpan) {
			waiting.Go(func() { _ = s.PublishAsync(ctx, message("x"), nil) })
		}
		synctest.Wait()
		close(release)
		waiting.Wait()
		if told := out.told("second"); told != nil {
			t.Errorf("one that was not acknowledged is done: %v", told)
		}
	})
}

func TestAPublishThatIsNeverAcknowledgedDoesNotLetTheRingGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(c *fakeConn) {
			c.accept()
			c.step(false)
			c.serve()
		})
		s := f.start(SessionOptions{AckTimeout: -1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := 0
		for s.PublishAsync(ctx, message("x"), nil) == nil {
			n++
		}
		if n != maxSpan || len(s.out.ring) > 1<<16 {
			t.Errorf("%d publishes in a ring of %d, want %d", n, len(s.out.ring), maxSpan)
		}
	})
}

func TestSteadyPublishingDoesNotAllocate(t *testing.T) {
	f := newFake(t, func(c *fakeConn) {
		c.accept()
		var b []byte
		for {
			p, err := c.ReadPacket()
			if err != nil || p.Type() != TypePublish {
				return
			}
			m, _ := ParsePublish(p)
			if m.QoS == AtLeastOnce {
				b = (&Puback{m.ID}).AppendTo(b)
			}
			if c.Buffered() == 0 {
				c.send(b)
				b = b[:0]
			}
		}
	})
	s := f.start(SessionOptions{})
	p := message("0123456789")
	settled := make(chan struct{}, 1)
	done := func(err error) {
		if err != nil {
			t.Error(err)
		}
		settled <- struct{}{}
	}
	nothing := func(error) {}
	testkit.NoAllocs(t, "one at a time, asynchronously", func() {
		if err := s.PublishAsync(context.Background(), p, done); err != nil {
			t.Fatal(err)
		}
		<-settled
	})
	testkit.NoAllocs(t, "blocking", func() {
		if err := s.Publish(context.Background(), p); err != nil {
			t.Fatal(err)
		}
	})
	large := message(strings.Repeat("x", 3<<10))
	testkit.NoAllocs(t, "small and large in turn", func() {
		for _, m := range []*Publish{p, large} {
			if err := s.Publish(context.Background(), m); err != nil {
				t.Fatal(err)
			}
		}
	})
	testkit.NoAllocs(t, "a hundred under way", func() {
		for range 100 {
			if err := s.PublishAsync(context.Background(), p, nothing); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.PublishAsync(context.Background(), p, done); err != nil {
			t.Fatal(err)
		}
		<-settled
	})
	loose := &Publish{Topic: p.Topic, Payload: p.Payload}
	testkit.NoAllocs(t, "QoS 0", func() {
		if err := s.PublishAsync(context.Background(), loose, done); err != nil {
			t.Fatal(err)
		}
		<-settled
	})
}

func TestALinkThatIsSlowIsNotDead(t *testing.T) {
	for _, tt := range []struct {
		name        string
		answers     [][]int // which publishes are acknowledged after each half minute
		connections int
	}{
		{"one after another", [][]int{{0}, {1}, {2}, {3}, {4}}, 1},
		{"the oldest is not", [][]int{{1}, {2}, {3}, {4}, {0}}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, func(c *fakeConn) {
					c.accept()
					var ids []uint16
					for range 5 {
						p, err := c.ReadPacket()
						if err != nil {
							return
						}
						m, _ := ParsePublish(p)
						ids = append(ids, m.ID)
					}
					for _, half := range tt.answers {
						time.Sleep(30 * time.Second)
						for _, i := range half {
							c.send((&Puback{ID: ids[i]}).AppendTo(nil))
						}
					}
					c.serve()
				}, well)
				s := f.start(SessionOptions{AckTimeout: time.Minute})
				out := newOutcome()
				for i := range 5 {
					if err := s.PublishAsync(t.Context(), message("x"), out.of(fmt.Sprint(i))); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(10 * time.Minute)
				out.check(t, nil, "0", "1", "2", "3", "4")
				if n := f.connections(); n != tt.connections {
					t.Errorf("%d connections, want %d", n, tt.connections)
				}
			})
		})
	}
}

// curious is a context that has a look at a session when it is asked why it ended.
type curious struct {
	context.Context
	s *Session
}

func (c curious) Err() error {
	c.s.State()
	return c.Context.Err()
}

func TestAContextThatLooksAtTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, hushed)
		s := f.start(SessionOptions{Window: 1})
		for _, call := range []func(context.Context) error{
			func(ctx context.Context) error { return s.Publish(ctx, message("in the window")) },
			func(ctx context.Context) error { return s.PublishAsync(ctx, message("waits for it"), nil) },
			func(ctx context.Context) error { return s.Subscribe(ctx, AtMostOnce, "a") },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := call(curious{ctx, s}); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
		}
	})
}
