package faults_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
)

// This is the theme of messages that are lost or doubled, and of calls that do not say which: whatever
// the weather, the books of the sender and of the hub agree.

// ledger is what a sender was told of each message.
type ledger struct {
	v *venue

	mu       sync.Mutex
	outcomes map[string][]error
}

func (l *ledger) enter(body string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.outcomes == nil {
		l.outcomes = map[string][]error{}
	}
	l.outcomes[body] = append(l.outcomes[body], err)
}

// sync sends a message, with so much time.
func (l *ledger) sync(c *device.Client, body string, d time.Duration) {
	ctx, cancel := context.WithTimeout(l.v.t.Context(), d)
	defer cancel()
	l.enter(body, c.Send(ctx, &hubwire.Message{Body: []byte(body)}))
}

// async sends a message, when there is room for it within so much time.
func (l *ledger) async(c *device.Client, body string, d time.Duration) {
	ctx, cancel := context.WithTimeout(l.v.t.Context(), d)
	defer cancel()
	err := c.SendAsync(ctx, &hubwire.Message{Body: []byte(body)}, func(err error) { l.enter(body, err) })
	if err != nil {
		l.enter(body, err)
	}
}

// balance holds the ledger against the network and the hub:
//
//	set(received) == set(acknowledged) ∪ subset(unknown)
//
// What is said not to have been sent was not. What the hub has twice was sent twice (and then with
// DUP, as audit has seen).
func (l *ledger) balance() (acknowledged, unknown, notSent int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, received := l.v.t, 0
	for body, outcome := range l.outcomes {
		sent, got := l.v.audit.times(body), l.v.log.times(body)
		if l.v.protocol.requests { // which no hook sees
			if sent = got; outcome[0] != nil && l.v.typed(body, outcome[0]).Outcome == hubwire.Unknown {
				sent++
			}
		}
		if len(outcome) != 1 {
			t.Errorf("%q has the outcomes %v", body, outcome)
			continue
		}
		if got > 0 {
			received++
		}
		if got > sent {
			t.Errorf("%q was sent %d times, and the hub has it %d times", body, sent, got)
		}
		if outcome[0] == nil {
			acknowledged++
			if got == 0 {
				t.Errorf("%q was acknowledged, and the hub has not got it", body)
			}
			continue
		}
		e := l.v.typed(body, outcome[0])
		if e.Op != "send" {
			t.Errorf("%q: the error is that of %q: %v", body, e.Op, e)
		}
		switch e.Outcome {
		case hubwire.NotSent:
			notSent++
			if sent > 0 {
				t.Errorf("%q was sent %d times, got %d times, and is said not to have been: %v", body, sent, got, e)
			}
		case hubwire.Unknown:
			unknown++
			if sent == 0 {
				t.Errorf("%q was not sent, and is said to be unknown: %v", body, e)
			}
		default:
			t.Errorf("%q: %v", body, e)
		}
		if !errors.Is(e, context.DeadlineExceeded) && !errors.Is(e, hubwire.ConnectionClosedRemotely) && l.v.client.Err() == nil {
			t.Errorf("%q failed for no reason: %v", body, e)
		}
	}
	all := map[string]bool{}
	for _, body := range l.v.log.all() {
		all[body] = true
	}
	if len(all) != received {
		t.Errorf("the hub has %d messages, of which %d were sent", len(all), received)
	}
	return acknowledged, unknown, notSent
}

// TestTheBooksAgree has a device send 1000 messages a second in bad weather, most of them without
// waiting, some with little time, and leave in the midst of it.
func TestTheBooksAgree(t *testing.T) {
	const lasts = 20 * time.Second
	overSeeds(t, everywhere, 3, setting{}, func(t *testing.T, v *venue, w *weather) {
		v.client = v.dial(dev, func(o *device.Options) {
			o.Window, o.MaxBackoff = 500, 500*time.Millisecond
			o.AckTimeout, o.KeepAlive, o.ConnectTimeout = 2*time.Second, 4*time.Second, 2*time.Second
		})
		l := &ledger{v: v}
		var senders sync.WaitGroup
		senders.Go(func() {
			for n := 0; w.rages(); n++ {
				time.Sleep(time.Millisecond) // not a Ticker, whose time would often have come already: golang/go#78156
				l.async(v.client, fmt.Sprintf("stream %06d", n), 5*time.Millisecond)
			}
		})
		for sender := range 3 {
			senders.Go(func() {
				for n := 0; w.rages(); n++ {
					time.Sleep(w.moment(200 * time.Millisecond))
					l.sync(v.client, fmt.Sprintf("sync %d, %06d", sender, n), w.moment(2*time.Second))
				}
			})
		}
		w.blow(lasts, time.Second)
		senders.Wait()
		l.sync(v.client, "the last in good weather", time.Hour) // and so all before it are settled
		v.net.each(swallow)
		for n := range 300 {
			l.async(v.client, fmt.Sprintf("too late %06d", n), time.Millisecond)
		}
		v.settle()
		v.close(v.client)
		v.settle()
		acknowledged, unknown, notSent := l.balance()
		v.inOrder("stream ")
		v.inOrder("too late ")
		t.Logf("%d acknowledged, %d unknown, %d not sent, %d connections", acknowledged, unknown, notSent, v.audit.connections())
		most := 100 // of a window
		if v.protocol.requests {
			most = 1 // what is in one request, or two
		}
		if acknowledged < 1000 || unknown < most || notSent == 0 || v.audit.connections() < 3 {
			t.Error("that was no bad weather")
		}
	})
}

// TestAQueueIsBounded holds that a sender who does not wait is told that there is no room, by an error that
// says that nothing was sent; and that one who waits gets a place when there is one.
func TestAQueueIsBounded(t *testing.T) {
	for name, bound := range map[string]func(*device.Options){
		"by count": func(o *device.Options) { o.Window = 10 },
		"by bytes": func(o *device.Options) { o.WindowBytes = 12_000 },
	} {
		t.Run(name, func(t *testing.T) {
			overAll(t, setting{}, func(t *testing.T, v *venue) {
				c := v.dial(dev, bound)
				v.net.set(func(n *network) { n.refuse = refusing })
				v.net.each(swallow)
				var done sync.WaitGroup
				accepted := 0
				for ; ; accepted++ {
					done.Add(1)
					err := c.SendAsync(v.deadline(time.Second), v.fresh(1000), func(err error) {
						defer done.Done()
						if err != nil {
							t.Errorf("done: %v", err)
						}
					})
					if err != nil {
						done.Done()
						if e := v.typed("one too many", err); e.Outcome != hubwire.NotSent || !e.Retryable || !errors.Is(e, context.DeadlineExceeded) {
							t.Errorf("one too many: %v", err)
						}
						break
					}
				}
				if accepted < 9 || accepted > 11 {
					t.Errorf("%d messages were accepted", accepted)
				}
				sent := make(chan error, 1)
				go func() { sent <- c.Send(t.Context(), v.fresh(1000)) }()
				v.pass(time.Hour)
				v.net.set(func(n *network) { n.refuse = nil })
				if err := <-sent; err != nil {
					t.Errorf("one that waited: %v", err)
				}
				done.Wait()
			})
		})
	}
}
