package links

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/testkit"
)

// Whatever happens to the link, each message has one outcome, in order; what was accepted arrived, and first arrives in
// order but for what the peer did not want at once.
func TestAnyWeather(t *testing.T) {
	rounds := 200
	if testkit.RaceEnabled || testing.Short() {
		rounds = 40
	}
	for seed := range rounds {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			o := shortOptions
			o.ackTimeout = 10 * time.Second
			inBubble(t, o, func(t *testing.T, b *mailbox) { storm(t, b, rand.New(rand.NewPCG(uint64(seed), 1))) })
		})
	}
}

func storm(t *testing.T, b *mailbox, dice *rand.Rand) {
	const n = 60
	var mu sync.Mutex
	refusing := dice.IntN(3) == 0
	b.answer = func(string) (amqp10.State, bool) {
		mu.Lock()
		defer mu.Unlock()
		switch k := dice.IntN(20); {
		case k == 0:
			return amqp10.State{}, false // for ever
		case k == 1 && refusing:
			return amqp10.Released(), true
		}
		return amqp10.Accepted(), true
	}
	roll := func(n int) int { mu.Lock(); defer mu.Unlock(); return dice.IntN(n) }
	var all sync.WaitGroup
	var finished atomic.Bool
	all.Go(func() {
		defer finished.Store(true)
		for i := 0; i < n; {
			bodies := make([]string, 1+roll(4))
			for k := range bodies {
				bodies[k] = fmt.Sprintf("%03d", i)
				i++
			}
			var err error
			if len(bodies) == 1 {
				err = b.async(bodies...)
			} else {
				_, err = b.all(bodies...)
			}
			if err != nil {
				t.Error(err)
			}
			time.Sleep(time.Duration(roll(2)*roll(2000)) * time.Millisecond)
		}
	})
	for range 5 {
		time.Sleep(time.Duration(roll(5000)) * time.Millisecond)
		b.cut()
		time.Sleep(time.Duration(roll(1000)) * time.Millisecond)
		b.connect()
	}
	for pending := true; pending; { // what is not answered costs the link
		time.Sleep(time.Minute)
		b.connect()
		b.outbox.mu.Lock()
		pending = b.used > 0 || !finished.Load()
		b.outbox.mu.Unlock()
	}
	all.Wait()
	b.verify(n, refusing)
}

// verify holds what came and what was told against the n messages that were sent.
func (b *mailbox) verify(sent int, refusing bool) {
	b.t.Helper()
	first := map[string]bool{}
	var order []string
	for _, transfer := range b.arrived() {
		for body := range strings.SplitSeq(transfer, "+") {
			if !first[body] {
				first[body] = true
				order = append(order, body)
			}
		}
	}
	told := b.outcomes()
	if len(told) < sent {
		b.t.Errorf("%d outcomes", len(told))
	}
	for i, what := range told {
		if want := fmt.Sprintf("%03d: ok", i); what != want {
			b.t.Errorf("outcome %d is %q, want %q", i, what, want)
		}
	}
	for i, body := range order {
		if want := fmt.Sprintf("%03d", i); body != want && !refusing {
			b.t.Errorf("message %d to arrive is %q, want %q", i, body, want)
		}
	}
	if len(order) < sent {
		b.t.Errorf("%d messages came", len(order))
	}
}
