package mqtt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
)

// dice is randomness for many goroutines.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (d *dice) n(n int) int { return int(d.upTo(time.Duration(n))) }

func (d *dice) upTo(t time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Duration(d.r.Int64N(int64(t)))
}

// erratic is the script of a server that answers late, out of order, twice, what
// nobody asked for, or not at all, sends messages, and stops reading or cuts.
func (d *dice) erratic(c *fakeConn) {
	c.present = d.n(2) == 0
	if d.n(5) == 0 {
		c.answer([]ReturnCode{Unavailable, NotAuthorized}[d.n(20)/19])
		return
	}
	if !c.accept() {
		return
	}
	var owed [][]byte
	id := uint16(0)
	for lasts := d.n(200); lasts > 0; lasts-- {
		p, err := c.ReadPacket()
		if err != nil {
			return
		}
		if reply := c.record(p); reply != nil {
			owed = append(owed, reply)
		}
		switch d.n(12) {
		case 0: // the whole debt, in any order
			d.mu.Lock()
			d.r.Shuffle(len(owed), func(i, j int) { owed[i], owed[j] = owed[j], owed[i] })
			d.mu.Unlock()
		case 1:
			time.Sleep(d.upTo(3 * time.Second))
		case 2:
			id++
			c.send((&Publish{Topic: []byte("t"), QoS: QoS(d.n(2)), ID: id % 2 * id, Dup: false}).AppendTo(nil))
		case 3:
			c.send((&Puback{ID: uint16(1 + d.n(65535))}).AppendTo(nil))
		case 4:
			continue // no answer now
		}
		for _, reply := range owed {
			c.send(reply)
			if d.n(30) == 0 {
				c.send(reply)
			}
		}
		owed = owed[:0]
	}
}

// audit holds a session's books against each other.
func audit(t *testing.T, s *Session) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var used, bytes, sent int
	for i := s.out.head; i < s.out.tail; i++ {
		slot := s.out.at(i)
		if slot.free {
			continue
		}
		used, bytes = used+1, bytes+int(slot.n)
		if i < s.out.next && slot.qos != AtMostOnce {
			sent++
		}
		if p := Packet(slot.c.buf[slot.off : slot.off+slot.n]); slot.qos != AtMostOnce {
			if m, err := ParsePublish(p); err != nil || m.ID != publishID(i) {
				t.Errorf("slot %d holds %v, %v", i, m.ID, err)
			}
		}
	}
	if used != s.out.used || bytes != s.out.bytes || sent != s.out.sent {
		t.Errorf("the outbox counts %d of %d bytes, %d sent; there are %d of %d, %d sent", s.out.used, s.out.bytes, s.out.sent, used, bytes, sent)
	}
	if s.queue.granted < 0 || s.queue.grantedBytes < 0 || s.queue.granted == 0 && s.queue.grantedBytes != 0 {
		t.Errorf("%d are let in, with %d bytes", s.queue.granted, s.queue.grantedBytes)
	}
	if n := used + s.queue.granted; n > s.o.Window || n > 1 && bytes+s.queue.grantedBytes > s.o.WindowBytes {
		t.Errorf("the window holds %d of %d bytes", n, bytes+s.queue.grantedBytes)
	}
}

func TestASessionKeepsItsBooksInAStorm(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { storm(t, &dice{r: rand.New(rand.NewPCG(seed, 1))}) })
		})
	}
}

func storm(t *testing.T, d *dice) {
	testkit.LeakCheck(t)
	f := newFake(t, well, d.erratic)
	var s *Session
	o := SessionOptions{
		Window: 1 + d.n(20), WindowBytes: 1000 + d.n(5000), KeepAlive: 5 * time.Second, AckTimeout: 4 * time.Second, ConnectTimeout: 2 * time.Second,
		MaxBackoff: time.Second, CloseTimeout: time.Second,
		OnPanic: func(v any, stack []byte) { t.Errorf("panic: %v\n%s", v, stack) },
	}
	o.OnDelivery = func(m Delivery) {
		if d.n(2) == 0 {
			go func() { time.Sleep(d.upTo(2 * time.Second)); m.Receipt.Ack(); m.Receipt.Ack() }()
		} else {
			m.Receipt.Ack()
		}
	}
	closed := make(chan error, 10)
	closing := func() {
		begin := time.Now()
		err := s.Close()
		if took := time.Since(begin); took > o.CloseTimeout {
			err = errors.Join(err, fmt.Errorf("it took %v", took))
		}
		closed <- err
	}
	s, err := StartSession(t.Context(), f.dial, func(context.Context) (Login, error) {
		return Login{ClientID: "dev", Expires: time.Now().Add(time.Second + d.upTo(20*time.Second))}, nil
	}, &o)
	if err != nil {
		t.Fatal(err)
	}
	ended := func(err error) bool { return errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) }
	var busy sync.WaitGroup
	work := func(every time.Duration, step func(context.Context, int) error) {
		busy.Go(func() {
			for i := 0; s.Err() == nil; i++ {
				ctx, cancel := context.WithTimeout(t.Context(), d.upTo(5*time.Second))
				if err := step(ctx, i); err != nil && !ended(err) && !errors.Is(err, hubwire.TooManyRequests) {
					t.Error(err)
				}
				cancel()
				time.Sleep(d.upTo(every))
				audit(t, s)
			}
		})
	}
	publish := func() *Publish {
		return &Publish{Topic: []byte("t"), QoS: QoS(d.n(2)), Payload: make([]byte, d.n(1000)*(1+d.n(30)/29*20))}
	}
	out, async := newOutcome(), 0
	work(100*time.Millisecond, func(ctx context.Context, i int) error {
		err := s.PublishAsync(ctx, publish(), out.of(fmt.Sprint(async)))
		if err == nil {
			async++
		}
		return err
	})
	for range 3 {
		work(500*time.Millisecond, func(ctx context.Context, _ int) error { return s.Publish(ctx, publish()) })
	}
	work(2*time.Second, func(ctx context.Context, i int) error { return s.Subscribe(ctx, AtLeastOnce, fmt.Sprint(i%5)) })
	work(2*time.Second, func(ctx context.Context, i int) error { return s.Unsubscribe(ctx, fmt.Sprint(i%7)) })
	time.Sleep(d.upTo(time.Minute))
	switch d.n(3) {
	case 0:
		go closing()
		closing()
	case 1: // in a callback, if there is to be one
		if err := s.PublishAsync(t.Context(), publish(), func(error) { closing() }); err != nil {
			go closing()
		}
	case 2:
		go closing()
	}
	<-s.Done()
	busy.Wait()
	f.running.Wait()
	synctest.Wait()
	close(closed)
	for err := range closed {
		if err != nil {
			t.Errorf("close: %v", err)
		}
	}
	for i := range async {
		if got := out.told(fmt.Sprint(i)); len(got) != 1 || got[0] != nil && !ended(got[0]) {
			t.Errorf("done %d of %d was called with %v", i, async, got)
		}
	}
	audit(t, s)
	if s.helpers != 0 || s.out.used != 0 || len(s.requests) != 0 || !s.queue.empty() || s.queue.granted != 0 {
		t.Errorf("left: %d goroutines, %d publishes, %d requests, %d let in", s.helpers, s.out.used, len(s.requests), s.queue.granted)
	}
}

func TestThousandsOfSessionsComeAndGo(t *testing.T) {
	testkit.LeakCheck(t)
	n := testkit.Fewer(10000)
	if testing.Short() {
		n = 500
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		for i := range n {
			s, err := StartSession(t.Context(), f.dial, f.login, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.PublishAsync(t.Context(), message("x"), nil); err != nil {
				t.Fatal(err)
			}
			if i%3 == 0 {
				go s.Close()
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		f.running.Wait()
	})
}
