package links

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
)

// policy is the source of the tokens of a policy of the hub.
func (b *bench) policy() *ServiceOptions {
	b.t.Helper()
	text, err := b.hub.PolicyConnectionString("service")
	if err != nil {
		b.t.Fatal(err)
	}
	cs, err := sas.ParseConnectionString(text)
	if err != nil {
		b.t.Fatal(err)
	}
	tokens, err := cs.Tokens(0)
	if err != nil {
		b.t.Fatal(err)
	}
	return &ServiceOptions{Tokens: tokens, ClientVersion: "test"}
}

// TestABackEndOnAConnection has a Service and an EventHub on one, each of which ends alone.
func TestABackEndOnAConnection(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		ctx := t.Context()
		b.tokens(dev)
		c := b.conn(nil)
		s, err := c.Service(ctx, b.policy())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Service(ctx, b.policy()); !errors.Is(err, ErrAlreadyOpen) {
			t.Errorf("a second one: %v", err)
		}
		to, err := s.EventsAt(ctx)
		if want := (amqp.Redirect{Hostname: "localhost", NetworkHost: "localhost", Port: 5671, Address: "amqps://localhost:5671/localhost/$management"}); err != nil || to != want {
			t.Errorf("%+v, %v", to, err)
		}
		h, err := c.EventHub(ctx, "localhost", b.policy())
		if err != nil {
			t.Fatal(err)
		}
		if i, err := h.Info(ctx); err != nil || len(i.Partitions) != 4 {
			t.Errorf("%+v, %v", i, err)
		}
		if i, err := h.Partition(ctx, "3"); err != nil || i.Partition != "3" || !i.Empty {
			t.Errorf("%+v, %v", i, err)
		}
		if _, err := h.Partition(ctx, "4"); !errors.Is(err, hubwire.PartitionNotFound) {
			t.Errorf("a partition that there is not: %v", err)
		}
		if err := h.Close(ctx); err != nil || h.Err() != ErrClosed {
			t.Errorf("%v, %v", err, h.Err())
		}
		if _, err := h.Info(ctx); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := s.SendC2D(ctx, dev, &hubwire.Message{}); err != nil || s.Err() != nil {
			t.Errorf("%v, %v", err, s.Err())
		}
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		if s, err = c.Service(ctx, b.policy()); err != nil {
			t.Fatalf("a new one: %v", err)
		}
		if err := s.SendC2D(ctx, dev, &hubwire.Message{}); err != nil {
			t.Error(err)
		}
		if n := b.dialled(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// TestAReaderGoesOnAnywhere has one that is stopped, and goes on where it was over another connection.
func TestAReaderGoesOnAnywhere(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		ctx := t.Context()
		c := b.conn(nil)
		e, s := b.device(c, dev, nil)
		if err := e.open(ctx); err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for i := range 30 {
			want = append(want, fmt.Sprint(i))
			sent(t, s, want[i])
		}
		r, err := NewEventReader(&EventOptions{Prefetch: 3})
		if err != nil {
			t.Fatal(err)
		}
		for len(got) < len(want) {
			h, err := b.conn(nil).EventHub(ctx, "localhost", b.policy())
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for ev, err := range r.All(ctx, h) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(ev.Body))
				if n++; n == 7 || len(got) == len(want) {
					break
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// TestAPartitionWithoutItsLink ends a range whose patience does.
func TestAPartitionWithoutItsLink(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		ctx := t.Context()
		gone := false
		c := b.conn(func(o *Options) {
			o.Dial = func(ctx context.Context) (net.Conn, error) {
				if gone {
					return nil, errors.New("nobody is there")
				}
				return b.dial(ctx)
			}
		})
		h, err := c.EventHub(ctx, "localhost", b.policy())
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewEventReader(&EventOptions{Patience: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, func() { gone = true; b.cut() })
		start := time.Now()
		for _, err := range r.All(ctx, h) {
			e, ok := err.(*hubwire.Error)
			if took := time.Since(start); !ok || !e.Retryable || e.Outcome != hubwire.NotSent || e.Op != "read events" || took.Round(time.Minute) != 61*time.Minute {
				t.Errorf("%v after %v", err, took)
			}
		}
	})
}

// TestABackEndThatIsNone is refused.
func TestABackEndThatIsNone(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		ctx, c := t.Context(), b.conn(nil)
		var nothing context.Context
		bad := func(err error) {
			t.Helper()
			if e, ok := err.(*hubwire.Error); !ok || e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.NotSent {
				t.Error(err)
			}
		}
		for _, c := range []*Conn{nil, {}} {
			_, err := c.Service(ctx, b.policy())
			bad(err)
			_, err = c.EventHub(ctx, "x", b.policy())
			bad(err)
		}
		for _, o := range []*ServiceOptions{nil, {}} {
			_, err := c.Service(ctx, o)
			bad(err)
		}
		_, err := c.Service(nothing, b.policy())
		bad(err)
		_, err = c.EventHub(ctx, "", b.policy())
		bad(err)
		for _, s := range []*Service{nil, {}} {
			bad(s.SendC2D(ctx, dev, &hubwire.Message{}))
			_, err = s.ReceiveFeedback(ctx)
			bad(err)
			_, err = s.ReceiveFileNotification(ctx)
			bad(err)
			_, err = s.EventsAt(ctx)
			bad(err)
			bad(s.Close(ctx))
			_ = s.Err()
		}
		for _, h := range []*EventHub{nil, {}} {
			_, err = h.Info(ctx)
			bad(err)
			_, err = h.Partition(ctx, "0")
			bad(err)
			bad(h.Close(ctx))
			_ = h.Err()
			for _, r := range []*EventReader{nil, {}} {
				for _, err := range r.All(ctx, h) {
					bad(err)
				}
			}
		}
		for _, o := range []*EventOptions{{Prefetch: -1}, {Prefetch: 5001}, {Partitions: []string{""}}} {
			_, err = NewEventReader(o)
			bad(err)
		}
		var n *Notification
		bad(n.Complete(ctx))
		bad(n.Abandon(ctx))
		if dials := b.dialled(); dials != 0 {
			t.Errorf("%d dials", dials)
		}
	})
}

// TestSendersGiveUpWhileLinksEnd has contexts end in the moment in which their link does.
func TestSendersGiveUpWhileLinksEnd(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		b.tokens(dev)
		s, err := b.conn(nil).Service(t.Context(), b.policy())
		if err != nil {
			t.Fatal(err)
		}
		for range 30 {
			if err := s.SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte("x")}); err != nil && !errors.Is(err, hubwire.QueueDepthExceeded) {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var sending sync.WaitGroup
			for range 50 {
				sending.Go(func() { _ = s.SendC2D(ctx, dev, &hubwire.Message{Body: make([]byte, 1000)}) })
			}
			go cancel()
			b.cut()
			sending.Wait()  // in a bubble, what waits for ever is a failure
			synctest.Wait() // the loss is known now, or the next message would go with it
		}
	})
}
