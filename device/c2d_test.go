package device_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// tell queues messages with those bodies for an identity.
func (b *bench) tell(to hubwire.Identity, bodies ...string) {
	b.t.Helper()
	for _, body := range bodies {
		if err := b.hub.SendC2D(b.t.Context(), to, &hubwire.Message{Body: []byte(body)}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// receive returns the next message, which must have that body.
func (b *bench) receive(c *device.Client, body string) *hubwire.Received {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Hour)
	defer cancel()
	m, err := c.Receive(ctx)
	if err != nil {
		b.t.Fatalf("instead of %q: %v", body, err)
	}
	if string(m.Body) != body {
		b.t.Fatalf("received %q, want %q", m.Body, body)
	}
	return m
}

// waiting fails the test when not n messages wait on the hub for an identity.
func (b *bench) waiting(id hubwire.Identity, n int) {
	b.t.Helper()
	synctest.Wait()
	if got, err := b.hub.QueueLength(id); got != n || err != nil {
		b.t.Errorf("%d messages wait for %v, want %d (%v)", got, id, n, err)
	}
}

func TestAMessageIsReceivedAsItWasSentAndCompleted(t *testing.T) {
	expiry := time.Date(2100, 1, 1, 0, 0, 0, 123456700, time.UTC)
	want := hubwire.Message{
		Body: []byte("b"), ID: "id", CorrelationID: "c", UserID: "u", ContentType: "text/plain", ContentEncoding: "utf-8",
		Expiry: expiry, Ack: hubwire.AckFull, Properties: []hubwire.Property{{Name: "a&=", Value: "ü/+ %"}, {Name: "empty"}},
	}
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		go b.hub.SendC2D(t.Context(), dev, &want)
		m := b.receive(c, "b")
		if m.To == "" {
			t.Error("the hub sets To")
		}
		want := want
		if !b.mqtt() {
			want.Expiry = expiry.Truncate(time.Millisecond) // a timestamp of AMQP has no more
		}
		if diff := cmp.Diff(want, m.Message, cmpopts.IgnoreFields(hubwire.Message{}, "To")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if m.Settled() || m.Redelivered || (m.LockToken == "") != b.mqtt() || m.Input != "" {
			t.Errorf("%+v", m)
		}
		b.waiting(dev, 1)
		for range 2 { // twice does no harm
			if err := m.Complete(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		b.waiting(dev, 0)
		feedback, err := b.hub.Feedback(t.Context())
		if err != nil || len(feedback) != 1 || feedback[0].Status != "Success" || feedback[0].MessageID != "id" {
			t.Errorf("%+v, %v", feedback, err)
		}
	})
}

func TestMessagesWaitForADeviceThatIsAway(t *testing.T) {
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		b.tell(dev, "before the first connection")
		c := b.dial(b.device, nil)
		if err := b.receive(c, "before the first connection").Complete(t.Context()); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		b.waiting(dev, 0) // the hub has read the last of the connection
		b.tell(dev, "1", "2")
		c = b.dial(b.device, nil) // they come right after CONNACK
		synctest.Wait()
		b.waiting(dev, 2)
		for _, body := range []string{"1", "2"} {
			if err := b.receive(c, body).Complete(t.Context()); err != nil {
				t.Error(err)
			}
		}
		b.waiting(dev, 0)
	})
}

func TestMQTTCannotRejectOrAbandon(t *testing.T) {
	overMQTT(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		b.tell(dev, "rejected", "abandoned", "completed")
		rejected, abandoned := b.receive(c, "rejected"), b.receive(c, "abandoned")
		for m, settle := range map[*hubwire.Received]func(context.Context) error{rejected: rejected.Reject, abandoned: abandoned.Abandon} {
			err := settle(t.Context())
			var e *hubwire.Error
			if !errors.Is(err, errors.ErrUnsupported) || !errors.As(err, &e) || e.Outcome != hubwire.NotSent || m.Settled() {
				t.Errorf("%q: %v, settled %v", m.Body, err, m.Settled())
			}
		}
		if err := b.receive(c, "completed").Complete(t.Context()); err != nil {
			t.Error(err)
		}
		b.waiting(dev, 3) // the PUBACK waits for those before it

		b.hub.Disconnect(dev)
		for _, body := range []string{"rejected", "abandoned", "completed"} {
			m := b.receive(c, body)
			if !m.Redelivered {
				t.Errorf("%q is not marked as redelivered", body)
			}
			if err := m.Complete(t.Context()); err != nil {
				t.Error(err)
			}
		}
		b.waiting(dev, 0)
		if err := rejected.Complete(t.Context()); !errors.Is(err, hubwire.MessageLockLost) || rejected.Settled() {
			t.Errorf("on a connection that has gone: %v", err)
		}
	})
}

func TestWhatWasGivenUpComesAgainWhenItsLockRunsOut(t *testing.T) {
	overMQTT(t, hub.Config{LockTimeout: time.Minute}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		b.tell(dev, "a", "b")
		held := b.receive(c, "a")
		if err := b.receive(c, "b").Abandon(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
		time.Sleep(10*time.Minute + 30*time.Second)        // its lock ran out ten times
		if err := held.Complete(t.Context()); err != nil { // it is still at work, and was not received twice
			t.Error(err)
		}
		start := time.Now()
		if err := b.receive(c, "b").Complete(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d > 0 {
			t.Errorf("it came only after another %v", d) // by the next connection
		}
		b.waiting(dev, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if m, err := c.Receive(ctx); err == nil {
			t.Errorf("%q came once more", m.Body)
		}
	})
}

func TestSettlingInAnyOrder(t *testing.T) {
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		const n = 40 // more than the hub sends ahead
		for i := range n {
			b.tell(dev, fmt.Sprint(i))
		}
		for i := 0; i < n; {
			var ms []*hubwire.Received
			for range min(n-i, 1+rand.IntN(16)) {
				ms = append(ms, b.receive(c, fmt.Sprint(i)))
				i++
			}
			rand.Shuffle(len(ms), func(i, j int) { ms[i], ms[j] = ms[j], ms[i] })
			for _, m := range ms {
				if err := m.Complete(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.waiting(dev, 0)
	})
}

func TestHandleMessagesCompletesWhatItsHandlerTook(t *testing.T) {
	overMQTT(t, hub.Config{}, func(t *testing.T, b *bench) {
		var panics []any
		c := b.dial(b.device, func(o *device.Options) {
			o.Hooks = &device.Hooks{HandlerPanic: func(v any, stack []byte) {
				if len(stack) == 0 {
					t.Error("no stack")
				}
				panics = append(panics, v)
			}}
		})
		b.tell(dev, "fine", "panics", "fails")
		ctx, cancel := context.WithCancelCause(t.Context())
		var got []string
		err := c.HandleMessages(ctx, func(ctx context.Context, m *hubwire.Received) error {
			if m.Redelivered {
				got = append(got, "again")
			}
			got = append(got, string(m.Body))
			switch {
			case len(got) > 4:
				cancel(errors.New("enough"))
			case string(m.Body) == "panics":
				panic("oh")
			case string(m.Body) == "fails":
				synctest.Wait() // the hub has the PUBACK of the first
				b.hub.Disconnect(dev)
				return errors.New("not now")
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it returned %v", err)
		}
		if diff := cmp.Diff([]string{"fine", "panics", "fails", "again", "panics"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]any{"oh"}, panics); diff != "" {
			t.Errorf("panics (-want +got):\n%s", diff)
		}
		b.waiting(dev, 1) // "fails"
	})
}

func TestReceiveEndsWithItsContextAndWithTheClient(t *testing.T) {
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		failed := make(chan error)
		for range 2 {
			go func() { _, err := c.Receive(t.Context()); failed <- err }()
		}
		go func() {
			failed <- c.HandleMessages(t.Context(), func(context.Context, *hubwire.Received) error { return nil })
		}()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for range 3 {
			if err := <-failed; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%v", err)
			}
		}
		if _, err := c.Receive(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestSeveralReceiversShareTheMessages(t *testing.T) {
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		bodies := make(chan string)
		for range 4 {
			go func() {
				for {
					m, err := c.Receive(t.Context())
					if err != nil {
						return
					}
					if err := m.Complete(t.Context()); err != nil {
						t.Error(err)
					}
					bodies <- string(m.Body)
				}
			}()
		}
		synctest.Wait()
		b.tell(dev, "0", "1", "2", "3", "4", "5", "6", "7")
		var got []string
		for range 8 {
			got = append(got, <-bodies)
		}
		slices.Sort(got)
		if diff := cmp.Diff([]string{"0", "1", "2", "3", "4", "5", "6", "7"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		b.waiting(dev, 0)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
