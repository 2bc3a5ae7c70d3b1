package links

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub"
)

var mod = hubwire.Identity{DeviceID: "dev-1", ModuleID: "mod"}

// guest is a device of a bench, with what it was told of.
type guest struct {
	*Device
	t *testing.T
	b *bench
	c *Conn

	mu         sync.Mutex
	unexpected []error
}

// guest registers an identity, if need be, and opens it on a connection of its own.
func (b *bench) guest(id hubwire.Identity) *guest {
	b.t.Helper()
	g := &guest{t: b.t, b: b, c: b.conn(nil)}
	if id.IsModule() {
		b.tokens(hubwire.Identity{DeviceID: id.DeviceID})
	}
	var err error
	g.Device, err = g.c.Device(g.soon(), id, &DeviceOptions{Tokens: b.tokens(id), OnUnexpected: func(err error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.unexpected = append(g.unexpected, err)
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	return g
}

// soon is a context for what takes no hour.
func (g *guest) soon() context.Context {
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Hour)
	g.t.Cleanup(cancel)
	return ctx
}

// order queues messages for the guest.
func (g *guest) order(bodies ...string) {
	g.t.Helper()
	for _, body := range bodies {
		if err := g.b.hub.SendC2D(g.t.Context(), g.id, &hubwire.Message{ID: body, Body: []byte(body), Ack: hubwire.AckFull}); err != nil {
			g.t.Fatal(err)
		}
	}
}

// gets returns the next message, which must be that.
func (g *guest) gets(body string) *hubwire.Received {
	g.t.Helper()
	m, err := g.Receive(g.soon())
	if err != nil {
		g.t.Fatalf("receive %q: %v", body, err)
	}
	if string(m.Body) != body {
		g.t.Fatalf("received %q, want %q", m.Body, body)
	}
	return m
}

// waiting is how many messages the hub has for the guest.
func (g *guest) waiting() int {
	g.t.Helper()
	synctest.Wait()
	n, err := g.b.hub.QueueLength(g.id)
	if err != nil {
		g.t.Fatal(err)
	}
	return n
}

// steal attaches another link for what r is for, which costs r its attachment, and nothing else.
func (g *guest) steal(r *receiver) {
	g.t.Helper()
	other := g.e.receiver(receiverConfig{linkConfig: linkConfig{node: r.core.cfg.node, address: r.core.cfg.address, lazy: true}})
	if _, _, err := other.link(g.soon(), 0); err != nil {
		g.t.Fatal(err)
	}
}

// losses are the ways in which a guest loses what a receiver of its has.
var losses = map[string]func(*guest, *receiver){
	"a lost link": func(g *guest, r *receiver) { g.steal(r) },
	"a lost session": func(g *guest, _ *receiver) {
		_, gen, _ := g.telemetry.link(g.soon(), 0)
		g.telemetry.stalled(gen, errAckTimeout)
	},
	"a lost connection": func(g *guest, _ *receiver) { g.b.cut() },
	"a hub that sends the device away": func(g *guest, _ *receiver) {
		g.b.hub.Disconnect(g.id)
	},
}

// afterEach runs a test for each loss.
func afterEach(t *testing.T, cfg hub.Config, test func(g *guest, lose func(*receiver))) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			over(t, cfg, func(t *testing.T, b *bench) {
				g := b.guest(dev)
				test(g, func(r *receiver) {
					lose(g, r)
					synctest.Wait()
				})
			})
		})
	}
}

func TestASettlementIsWhatTheHubMakesOfIt(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		g.order("complete", "reject", "abandon")
		complete, reject, abandon := g.gets("complete"), g.gets("reject"), g.gets("abandon")
		if g.waiting() != 3 {
			t.Errorf("%d wait, want 3", g.waiting())
		}
		for range 2 { // the second time does nothing
			for _, err := range []error{abandon.Abandon(g.soon()), reject.Reject(g.soon()), complete.Complete(g.soon())} {
				if err != nil {
					t.Error(err)
				}
			}
		}
		again := g.gets("abandon")
		if again.DeliveryCount != 1 || !again.Redelivered {
			t.Errorf("%d deliveries before, redelivered: %v", again.DeliveryCount, again.Redelivered)
		}
		if err := again.Complete(g.soon()); err != nil {
			t.Error(err)
		}
		if n := g.waiting(); n != 0 {
			t.Errorf("%d wait, want none", n)
		}
	})
}

func TestMessagesAreSettledInAnyOrderAndAnyNumberIsHeld(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		var held []*hubwire.Received
		for i := range 50 {
			g.order(fmt.Sprint(i))
			held = append(held, g.gets(fmt.Sprint(i)))
		}
		for _, i := range []int{49, 0, 7, 30} {
			if err := held[i].Complete(g.soon()); err != nil {
				t.Error(err)
			}
		}
		if n := g.waiting(); n != 46 {
			t.Errorf("%d wait, want 46", n)
		}
	})
}

func TestWhoIsSlowLosesNoLockAheadOfHisMessages(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		g.order("a", "b", "c", "d", "e")
		for _, body := range []string{"a", "b", "c", "d", "e"} {
			m := g.gets(body)
			time.Sleep(50 * time.Second) // and all of them together are more than a lock lasts
			if err := m.Complete(g.soon()); err != nil {
				t.Errorf("%s: %v", body, err)
			}
		}
		if n := g.waiting(); n != 0 {
			t.Errorf("%d wait, want none", n)
		}
	})
}

func TestALockThatTheHubHasGivenUpIsLost(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		g.order("a")
		m := g.gets("a")
		time.Sleep(2 * time.Minute)
		var e *hubwire.Error
		err := m.Complete(g.soon())
		if !errors.As(err, &e) || e.Code != hubwire.MessageLockLost || e.Outcome != hubwire.Refused || e.Op != "complete" || errors.Is(err, net.ErrClosed) {
			t.Errorf("%+v", err)
		}
		if m.Settled() {
			t.Error("it counts as settled")
		}
		if err := g.gets("a").Complete(g.soon()); err != nil {
			t.Error(err)
		}
	})
}

func TestALockEndsWithItsLinkAndTheMessageComesAgain(t *testing.T) {
	afterEach(t, hub.Config{}, func(g *guest, lose func(*receiver)) {
		g.order("a")
		m := g.gets("a")
		lose(g.inbox().sources[0].in)
		for range 2 {
			err := m.Complete(g.soon())
			var e *hubwire.Error
			if !errors.As(err, &e) || e.Code != hubwire.MessageLockLost || e.Outcome != hubwire.NotSent || e.Retryable ||
				e.Op != "complete" || !errors.Is(err, net.ErrClosed) {
				g.t.Errorf("%+v", err)
			}
		}
		if err := g.gets("a").Complete(g.soon()); err != nil {
			g.t.Error(err)
		}
		if n := g.waiting(); n != 0 {
			g.t.Errorf("%d wait, want none", n)
		}
	})
}

func TestACallThatWaitsGetsItsMessageByTheNextLink(t *testing.T) {
	afterEach(t, hub.Config{}, func(g *guest, lose func(*receiver)) {
		got := make(chan *hubwire.Received, 1)
		go func() {
			m, err := g.Receive(g.soon())
			if err != nil {
				g.t.Error(err)
			}
			got <- m
		}()
		synctest.Wait()
		lose(g.inbox().sources[0].in)
		g.order("a")
		if m := <-got; m == nil || string(m.Body) != "a" {
			g.t.Errorf("%+v", m)
		} else if err := m.Complete(g.soon()); err != nil {
			g.t.Error(err)
		}
	})
}

func TestCreditThatIsOutStaysForTheNextCall(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := g.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			cancel()
		}
		if in := g.inbox(); in.sources[0].credit != 1 || len(in.calls) != 0 {
			t.Errorf("%d credits are out, and %d calls wait", in.sources[0].credit, len(in.calls))
		}
		g.order("a")
		if err := g.gets("a").Complete(g.soon()); err != nil {
			t.Error(err)
		}
	})
}

func TestManyCallsWaitTogether(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		var all sync.WaitGroup
		got := make(chan string, 40)
		for range 40 {
			all.Go(func() {
				m, err := g.Receive(g.soon())
				if err != nil {
					t.Error(err)
					return
				}
				got <- string(m.Body)
				if err := m.Complete(g.soon()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		var want []string
		for i := range 40 {
			want = append(want, fmt.Sprint(100+i))
			g.order(want[i])
		}
		all.Wait()
		close(got)
		var have []string
		for body := range got {
			have = append(have, body)
		}
		slices.Sort(have)
		if !slices.Equal(have, want) {
			t.Errorf("%v", have)
		}
		if n := g.waiting(); n != 0 {
			t.Errorf("%d wait, want none", n)
		}
	})
}

func TestAModuleGetsItsInputsAndItsMessages(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(mod)
		got := make(map[string]string)
		receive := func() {
			m, err := g.Receive(g.soon())
			if err != nil {
				t.Fatal(err)
			}
			got[string(m.Body)] = m.Input
			if err := m.Complete(g.soon()); err != nil {
				t.Errorf("%s: %v", m.Body, err)
			}
		}
		for i := range 10 {
			input := fmt.Sprint("in", i)
			if err := b.hub.SendInput(t.Context(), mod, input, &hubwire.Message{Body: []byte(input)}); err != nil {
				t.Fatal(err)
			}
			g.order(fmt.Sprint("c2d", i))
			receive()
			receive()
		}
		if len(got) != 20 || got["in7"] != "in7" || got["c2d7"] != "" {
			t.Errorf("%v", got)
		}
		if n := g.waiting(); n != 0 {
			t.Errorf("%d wait, want none", n)
		}
	})
}

func TestAMessageThatCannotBeReadIsRejected(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		in := g.inbox()
		g.order("a", "b")
		d, err := in.next(g.soon())
		if err != nil {
			t.Fatal(err)
		}
		d.message = amqp.AppendMessage(nil, &amqp.Draft{Body: amqp.ValueBody, Value: amqp.Int(1)})
		in.spare = append(in.spare, d)
		if err := g.gets("b").Complete(g.soon()); err != nil {
			t.Error(err)
		}
		if n := g.waiting(); n != 0 || len(g.unexpected) != 1 || !errors.Is(g.unexpected[0], hubwire.FormatError) {
			t.Errorf("%d wait; told of %v", n, g.unexpected)
		}
	})
}

func TestAnAnswerToASettlementThatIsLost(t *testing.T) {
	var cut bool
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) (v hub.Verdict) {
		if op.Kind == hub.OpAck && !cut {
			cut, v.DropAfter = true, true
		}
		return v
	}}
	over(t, cfg, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		g.order("a")
		m := g.gets("a")
		var e *hubwire.Error
		if err := m.Complete(g.soon()); !errors.As(err, &e) || e.Code != hubwire.MessageLockLost || e.Outcome != hubwire.Unknown || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%+v", err)
		}
		if n := g.waiting(); n != 0 {
			t.Errorf("%d wait: it counted", n)
		}
	})
}

func TestASettlementEndsWithItsContext(t *testing.T) {
	settlesAgain(t, 0)
}

func TestASettlementMayBeAskedAboutWhenItsAnswerHasCome(t *testing.T) {
	settlesAgain(t, time.Minute)
}

// settlesAgain settles a message without the time to wait for the answer, and again, when late has passed.
func settlesAgain(t *testing.T, late time.Duration) {
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) (v hub.Verdict) {
		if op.Kind == hub.OpAck {
			v.Delay = 10 * time.Second
		}
		return v
	}}
	over(t, cfg, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		g.order("a")
		m := g.gets("a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var e *hubwire.Error
		err := m.Complete(ctx)
		if !errors.As(err, &e) || e.Outcome != hubwire.Unknown || !e.Retryable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v", err)
		}
		if err := m.Complete(ctx); !errors.As(err, &e) || e.Outcome != hubwire.NotSent {
			t.Errorf("with a context that was over: %+v", err)
		}
		if err := m.Abandon(t.Context()); !errors.As(err, &e) || e.Outcome != hubwire.NotSent || e.Retryable {
			t.Errorf("with another disposition: %+v", err)
		}
		time.Sleep(late)
		if err := m.Complete(t.Context()); err != nil { // the answer is to both
			t.Error(err)
		}
		if n := g.waiting(); n != 0 {
			t.Errorf("%d wait, want none", n)
		}
	})
}

func TestReceiveEndsWithTheDevice(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		failed := make(chan error)
		go func() { _, err := g.Receive(t.Context()); failed <- err }()
		synctest.Wait()
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if err := <-failed; !errors.Is(err, ErrClosed) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

func TestALinkThatIsRefusedIsAnError(t *testing.T) {
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) (v hub.Verdict) {
		if op.Kind == hub.OpSubscribe {
			v.Refuse = hubwire.InvalidOperation
		}
		return v
	}}
	over(t, cfg, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		_, receive := g.Receive(g.soon())
		_, twin := g.Twin(g.soon())
		_, desired := g.WatchDesired(g.soon(), func(int64, []byte) {}, func() {})
		methods := g.ServeMethods(g.soon(), func(hubwire.MethodRequest, MethodReply) {})
		for _, err := range []error{receive, twin, desired, methods} {
			var e *hubwire.Error
			if !errors.As(err, &e) || e.Code != hubwire.InvalidOperation || e.Outcome != hubwire.Refused {
				t.Errorf("%+v", err)
			}
		}
		if g.State() != Connected {
			t.Errorf("the device is %v", g.State())
		}
	})
}

func TestADeviceThatIsNotLetInAgainSaysSoToAllThatWait(t *testing.T) {
	refuse := false
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) (v hub.Verdict) {
		if op.Kind == hub.OpConnect && refuse {
			v.Refuse = hubwire.Unauthorized
		}
		return v
	}}
	over(t, cfg, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		failed := make(chan error, 2)
		wait := func(f func(context.Context) error) {
			go func() { failed <- f(g.soon()) }()
			synctest.Wait()
		}
		wait(func(ctx context.Context) error { _, err := g.Receive(ctx); return err })
		refuse = true
		b.cut()
		synctest.Wait()
		wait(func(ctx context.Context) error { _, err := g.Twin(ctx); return err })
		for range 2 {
			var e *hubwire.Error
			if err := <-failed; !errors.As(err, &e) || e.Code != hubwire.Unauthorized || e.Outcome != hubwire.NotSent || !errors.Is(err, net.ErrClosed) {
				t.Errorf("%+v", err)
			}
		}
	})
}
