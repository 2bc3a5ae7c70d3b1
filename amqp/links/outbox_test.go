package links

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
)

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestOutcomesAreToldInOrder(t *testing.T) {
	inBubble(t, shortOptions, func(t *testing.T, b *mailbox) {
		if err := b.async("a", "b", "c"); err != nil {
			t.Fatal(err)
		}
		expect(t, "what came", b.arrived(), []string{"a", "b", "c"})
		b.pending[1].Settle(amqp10.Accepted())
		expect(t, "outcomes", b.outcomes(), []string(nil))
		b.pending[0].Settle(amqp10.Rejected(&amqp10.Error{Condition: "amqp:resource-limit-exceeded"}))
		expect(t, "outcomes", b.outcomes(), []string{"a: refused 403002", "b: ok"})
		b.pending[2].Settle(amqp10.Accepted())
		expect(t, "outcomes", b.outcomes(), []string{"c: ok"})
		b.idle()
	})
}

func TestWhatIsUnderWayGoesOutAgainInOrder(t *testing.T) {
	inBubble(t, shortOptions, func(t *testing.T, b *mailbox) {
		if err := b.async("a", "b", "c"); err != nil {
			t.Fatal(err)
		}
		b.arrived()
		b.say(amqp10.Accepted())
		b.cut()
		if err := b.async("d"); err != nil {
			t.Fatal(err)
		}
		expect(t, "outcomes", b.outcomes(), []string{"a: ok"})
		b.answer = accepts
		b.connect()
		expect(t, "what came again", b.arrived(), []string{"b", "c", "d"})
		expect(t, "outcomes", b.outcomes(), []string{"b: ok", "c: ok", "d: ok"})
	})
}

func TestALinkThatIsLostWhileNothingIsPending(t *testing.T) {
	inBubble(t, shortOptions, func(t *testing.T, b *mailbox) {
		b.answer = accepts
		b.async("a")
		b.arrived()
		b.cut()
		b.connect()
		b.async("b")
		expect(t, "what came", b.arrived(), []string{"b"})
		expect(t, "outcomes", b.outcomes(), []string{"a: ok", "b: ok"})
	})
}

func TestTheWindowBlocks(t *testing.T) {
	o := shortOptions
	o.window = 2
	inBubble(t, o, func(t *testing.T, b *mailbox) {
		if err := b.async("a", "b"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := b.accept(ctx, []order{{m: &hubwire.Message{}, size: 1}})
		e, ok := errors.AsType[*hubwire.Error](err)
		if !ok || e.Outcome != hubwire.NotSent || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a send without room: %v", err)
		}
		in := make(chan error)
		go func() { in <- b.async("c", "d", "e") }()
		synctest.Wait()
		for range 5 {
			b.say(amqp10.Accepted())
		}
		if err := <-in; err != nil {
			t.Error(err)
		}
		expect(t, "what came", b.arrived(), []string{"a", "b", "c", "d", "e"})
		expect(t, "outcomes", b.outcomes(), []string{"a: ok", "b: ok", "c: ok", "d: ok", "e: ok"})
	})
}

func TestALargeMessagePassesAlone(t *testing.T) {
	o := shortOptions
	o.windowBytes = 100
	inBubble(t, o, func(t *testing.T, b *mailbox) {
		b.answer = accepts
		large := strings.Repeat("x", 200_000) // more than a frame
		if err := b.async(large, "b", large); err != nil {
			t.Fatal(err)
		}
		expect(t, "what came", b.arrived(), []string{large, "b", large})
		expect(t, "outcomes", len(b.outcomes()), 3)
	})
}

func TestMessagesThatMayShareATransfer(t *testing.T) {
	o := shortOptions
	o.window = 1000
	inBubble(t, o, func(t *testing.T, b *mailbox) {
		b.answer = accepts
		if n, err := b.all("a", "b", "c"); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		expect(t, "what came", b.arrived(), []string{"a+b+c"})
		expect(t, "outcomes", b.outcomes(), []string{"a: ok", "b: ok", "c: ok"})
		large := strings.Repeat("x", 100_000)
		if n, err := b.all(large, large, large); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		expect(t, "what came", b.arrived(), []string{large + "+" + large, large})
	})
}

func TestABatchThatIsRefusedIsSentMessageByMessage(t *testing.T) {
	inBubble(t, shortOptions, func(t *testing.T, b *mailbox) {
		b.answer = func(body string) (amqp10.State, bool) {
			if strings.Contains(body, "bad") {
				return amqp10.Rejected(&amqp10.Error{Condition: "com.microsoft:argument-error"}), true
			}
			return amqp10.Accepted(), true
		}
		b.all("a", "bad", "c")
		expect(t, "what came", b.arrived(), []string{"a+bad+c", "a", "bad", "c"})
		expect(t, "outcomes", b.outcomes(), []string{"a: ok", "bad: refused 400004", "c: ok"})
	})
}

func TestWhatTheHubGivesBackIsSentAgainLater(t *testing.T) {
	for _, c := range []struct {
		name  string
		state amqp10.State
	}{
		{"released", amqp10.Released()},
		{"rejected for now", amqp10.Rejected(&amqp10.Error{Condition: "com.microsoft:device-container-throttled"})},
		{"modified", amqp10.Modified{DeliveryFailed: amqp10.Some(true)}.State()},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, shortOptions, func(t *testing.T, b *mailbox) {
				b.async("a", "b")
				b.arrived()
				b.say(c.state)
				b.say(amqp10.Accepted())
				expect(t, "what came at once", b.arrived(), []string(nil))
				expect(t, "outcomes", b.outcomes(), []string(nil))
				time.Sleep(shortOptions.maxBackoff)
				expect(t, "what came again", b.arrived(), []string{"a"})
				b.say(amqp10.Accepted())
				expect(t, "outcomes", b.outcomes(), []string{"a: ok", "b: ok"})
			})
		})
	}
}

func TestWhatAThrottledHubDoesNotWantYetComesAgainTogether(t *testing.T) {
	o := shortOptions
	o.maxBackoff = time.Hour
	inBubble(t, o, func(t *testing.T, b *mailbox) {
		from, attempts := time.Now(), 0
		b.answer = func(string) (amqp10.State, bool) {
			if attempts++; time.Since(from) < time.Minute {
				return amqp10.Rejected(&amqp10.Error{Condition: "com.microsoft:device-container-throttled"}), true
			}
			return amqp10.Accepted(), true
		}
		b.async("a", "b", "c", "d")
		time.Sleep(time.Hour)
		expect(t, "outcomes", b.outcomes(), []string{"a: ok", "b: ok", "c: ok", "d: ok"})
		if attempts > 4*20 {
			t.Errorf("%d attempts for 4 messages in a minute", attempts)
		}
	})
}

func TestNoOutcomeInTimeCostsTheSession(t *testing.T) {
	inBubble(t, shortOptions, func(t *testing.T, b *mailbox) {
		b.async("a", "b")
		b.arrived()
		time.Sleep(20 * time.Second)
		b.say(amqp10.Accepted())
		time.Sleep(29 * time.Second)
		if stalls := b.far.stalled(); len(stalls) > 0 {
			t.Errorf("it is told too early: %v", stalls)
		}
		time.Sleep(time.Second)
		if stalls := b.far.stalled(); len(stalls) != 1 || !errors.Is(stalls[0], errAckTimeout) {
			t.Errorf("it is told %v", stalls)
		}
		b.answer = accepts
		b.connect()
		expect(t, "what came again", b.arrived(), []string{"b"})
		expect(t, "outcomes", b.outcomes(), []string{"a: ok", "b: ok"})
	})
}

func TestTheEndFailsWhatIsPending(t *testing.T) {
	inBubble(t, shortOptions, func(t *testing.T, b *mailbox) {
		b.async("a", "b", "c")
		b.arrived()
		b.say(amqp10.Accepted())
		b.cut()
		b.async("d")
		limit, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b.refuse()
		if b.await(limit.Done()) {
			t.Error("it does not wait for what is pending")
		}
		if err := b.async("e"); !errors.Is(err, ErrClosed) {
			t.Errorf("a send after Close: %v", err)
		}
		if !b.end(ErrClosed, nil) {
			t.Error("end")
		}
		expect(t, "outcomes", b.outcomes(), []string{"a: ok", "b: outcome unknown", "c: outcome unknown", "d: not sent"})
	})
}
