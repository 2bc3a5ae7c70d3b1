package links

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// send is a Send as Device has it.
func (b *mailbox) send(ctx context.Context, body string) error {
	return b.outbox.send(ctx, &hubwire.Message{Body: []byte(body)})
}

func TestASendThatIsGivenUp(t *testing.T) {
	for _, c := range []struct {
		name    string
		before  func(b *mailbox)
		outcome hubwire.Outcome
		again   []string // what comes on the next link, after the next message
	}{
		{"before there is a link never left", func(b *mailbox) { b.cut() }, hubwire.NotSent, []string{"next"}},
		{"without an outcome has none, and is not sent again", func(b *mailbox) {}, hubwire.Unknown, []string{"next"}},
		{"while the hub does not want it never happened", func(b *mailbox) {
			b.answer = func(string) (amqp10.State, bool) { return amqp10.Released(), true }
			b.o.minBackoff, b.o.maxBackoff = time.Minute, time.Minute
		}, hubwire.NotSent, []string{"next"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, shortOptions, func(t *testing.T, b *mailbox) {
				c.before(b)
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				err := b.send(ctx, "lone")
				e, ok := errors.AsType[*hubwire.Error](err)
				if !ok || e.Outcome != c.outcome || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v, want %v", err, c.outcome)
				}
				b.arrived()
				b.cut()
				b.idle()
				b.answer = accepts
				b.connect()
				if err := b.send(t.Context(), "next"); err != nil {
					t.Error(err)
				}
				expect(t, "what comes on the next link", b.arrived(), c.again)
			})
		})
	}
}

func TestADoneFunctionMaySendButNotWait(t *testing.T) {
	o := shortOptions
	o.window = 1
	inBubble(t, o, func(t *testing.T, b *mailbox) {
		b.answer = accepts
		m := &hubwire.Message{Body: []byte("x")}
		errs := make(chan error, 4)
		done := func(error) {
			errs <- b.sendAsync(t.Context(), m, nil) // has room
			errs <- b.sendAsync(t.Context(), m, nil) // has none
			errs <- b.outbox.send(t.Context(), m)
			errs <- nil
			b.end(ErrClosed, nil)
		}
		if err := b.sendAsync(t.Context(), m, done); err != nil {
			t.Fatal(err)
		}
		if err := <-errs; err != nil {
			t.Errorf("with room: %v", err)
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, ErrWouldDeadlock) {
				t.Errorf("a wait: %v, want %v", err, ErrWouldDeadlock)
			}
		}
		<-errs
	})
}

func TestADoneFunctionThatGoesWrong(t *testing.T) {
	for _, c := range []struct {
		name  string
		wrong func()
		told  int
	}{
		{"by a panic", func() { panic("wrong") }, 1},
		{"by ending its goroutine", func() { runtime.Goexit() }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := shortOptions
			panics := 0
			o.onPanic = func(any, []byte) { panics++ }
			inBubble(t, o, func(t *testing.T, b *mailbox) {
				if err := b.sendAsync(t.Context(), &hubwire.Message{}, func(error) { c.wrong() }); err != nil {
					t.Fatal(err)
				}
				b.async("b", "c")
				b.arrived()
				for range 3 {
					b.say(amqp10.Accepted())
				}
				expect(t, "outcomes", b.outcomes(), []string{"b: ok", "c: ok"})
				expect(t, "panics", panics, c.told)
			})
		})
	}
}

func TestTheEndOfTheDeviceIsTheEndOfSends(t *testing.T) {
	inBubble(t, shortOptions, func(t *testing.T, b *mailbox) {
		b.async("a")
		b.arrived()
		b.cut()
		b.abort(&hubwire.Error{Code: hubwire.DeviceNotFound, Outcome: hubwire.Refused})
		expect(t, "outcomes", b.outcomes(), []string{"a: outcome unknown"})
		err := b.send(t.Context(), "b")
		if !errors.Is(err, hubwire.DeviceNotFound) {
			t.Errorf("a send afterwards: %v", err)
		}
	})
}

func TestADoneFunctionThatTakesItsTimeHoldsUpWhoSends(t *testing.T) {
	o := shortOptions
	o.window = 2
	inBubble(t, o, func(t *testing.T, b *mailbox) {
		b.answer = accepts
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		hold, n := make(chan struct{}), 0
		for b.sendAsync(ctx, &hubwire.Message{}, func(error) { <-hold }) == nil && n < 10 {
			n++
			synctest.Wait()
		}
		if n != 3 {
			t.Errorf("%d messages were accepted, one of which is being told of", n)
		}
		close(hold)
	})
}
