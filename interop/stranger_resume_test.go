package interop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/mqtt"
)

// arrival is a PUBLISH as the broker's log has it.
type arrival struct {
	dup   bool
	topic string
}

// arrivals returns what the broker got from a client, from lines such as
//
//	Received PUBLISH from ours-1 (d0, q1, r0, m7, 'topic', ... (5 bytes))
func (r *road) arrivals(id string) (all []arrival) {
	for _, text := range r.log.of(id, "Received PUBLISH from it (") {
		_, topic, _ := strings.Cut(text, "'")
		topic, _, _ = strings.Cut(topic, "'")
		all = append(all, arrival{strings.HasPrefix(text, "d1"), topic})
	}
	return all
}

// resends loses messages, or their acknowledgements, with the connection.
func resends(t *testing.T, r *road) {
	for name, lose := range map[string]func(){"the messages": r.loseUp, "the acknowledgements": r.loseDown} {
		for how, cut := range map[string]func(*relayed){"RST": reset, "FIN": finish} {
			t.Run(name+" are lost, "+how, func(t *testing.T) {
				const n = 50
				root := nextID() + "/"
				s := r.session(t, nextID(), nil)
				s.publish(t, root+"first", "")
				lose()
				done := make(chan error, n)
				for i := range n {
					if err := s.PublishAsync(t.Context(), message(root+strconv.Itoa(i), ""), func(err error) { done <- err }); err != nil {
						t.Fatal(err)
					}
				}
				poll(t, "not all are sent", func() bool { return s.published() == 1+n })
				acknowledged := name == "the acknowledgements"
				if acknowledged {
					r.says(t, s.id, 1+n, "Received PUBLISH from it")
				}
				r.each(cut)
				for range n {
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				want := n
				if acknowledged {
					want = 2 * n
				}
				r.says(t, s.id, 1+want, "Received PUBLISH from it")
				got := r.arrivals(s.id)[1:]
				if len(got) != want {
					t.Fatalf("the broker got %d messages, want %d", len(got), want)
				}
				for i, a := range got {
					if a.topic != root+strconv.Itoa(i%n) || acknowledged && a.dup != (i >= n) {
						t.Errorf("message %d: %+v", i, a)
					}
				}
				if s.connections() != 2 || r.said(s.id, "Sending CONNACK to it (1, 0)") != 1 {
					t.Errorf("%d connections, and the broker's session was not resumed", s.connections())
				}
			})
		}
	}
}

// isRemembered has messages wait at the broker for a session that is away.
func isRemembered(t *testing.T, r *road) {
	root := nextID() + "/"
	o := r.observe(t, root+"up")
	s := r.session(t, nextID(), nil)
	if err := s.Subscribe(within(t), mqtt.AtLeastOnce, root+"down"); err != nil {
		t.Fatal(err)
	}
	r.closed.Store(true)
	r.each(finish)
	r.says(t, s.id, 1, "Client it closed its connection.")
	r.pub(t, lines(3*brokerWindow), "-q", "1", "-t", root+"down", "-l")
	sent := make(chan error, 1)
	if err := s.PublishAsync(t.Context(), message(root+"up", "accepted while away"), func(err error) { sent <- err }); err != nil {
		t.Fatal(err)
	}
	r.closed.Store(false)
	for i := range 3 * brokerWindow {
		d := s.next(t)
		if d.Body != strconv.Itoa(i) || d.Dup {
			t.Fatalf("message %d is %q (DUP %v)", i, d.Body, d.Dup)
		}
		ack(t, d)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if got := o.next(t); got.Body != "accepted while away" {
		t.Errorf("the observer got %v", got)
	}
	if n := r.said(s.id, "Received SUBSCRIBE from it"); n != 1 {
		t.Errorf("the session subscribed %d times, and the broker had its session", n)
	}
}

// getsAgain leaves messages unacknowledged: they come again, with DUP, and the
// receipts of the connection that has gone are good for nothing.
func getsAgain(t *testing.T, r *road) {
	const n = 5
	topic := nextID()
	s := r.session(t, nextID(), nil)
	if err := s.Subscribe(within(t), mqtt.AtLeastOnce, topic); err != nil {
		t.Fatal(err)
	}
	r.pub(t, lines(n), "-q", "1", "-t", topic, "-l")
	var old []delivery
	for range n {
		old = append(old, s.next(t))
	}
	ack(t, old[0])
	r.says(t, s.id, 1, "Received PUBACK from it")
	ack(t, old[2]) // is held back
	r.each(reset)
	s.back(t, 2)
	for _, d := range old[1:] {
		if err := d.receipt.Ack(); !errors.Is(err, hubwire.MessageLockLost) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("a receipt of the connection that has gone: %v", err)
		}
	}
	for _, want := range old[1:] {
		d := s.next(t)
		if d.received != want.received || !d.Dup {
			t.Errorf("got %v (DUP %v), want %v", d.received, d.Dup, want.received)
		}
		ack(t, d)
	}
	r.says(t, s.id, n, "Received PUBACK from it")
	r.each(reset)
	s.back(t, 3)
	r.pub(t, nil, "-q", "1", "-t", topic, "-m", "the last")
	if d := s.next(t); d.Body != "the last" {
		t.Errorf("%q came although it was acknowledged", d.Body)
	}
}

// outlastsAStorm publishes while connections break in every way, and counts:
// all is acknowledged and arrived, in order, and what came twice said so.
func outlastsAStorm(t *testing.T, r *road) {
	const n, breaks = 6000, 12 // of each way three
	root := nextID() + "/"
	o := r.observe(t, root+"#")
	s := r.session(t, nextID(), func(o *mqtt.SessionOptions) { o.Window, o.AckTimeout = 200, 300*time.Millisecond })
	var acknowledged atomic.Int64
	failed := make(chan error, 2*n)
	mayGo := make(chan struct{}, n) // one for each message: the breaks are spread over all
	go func() {
		for i := range n {
			<-mayGo
			err := s.PublishAsync(t.Context(), message(root+strconv.Itoa(i), ""), func(err error) {
				if err != nil {
					failed <- err
				}
				acknowledged.Add(1)
			})
			if err != nil {
				failed <- err
			}
		}
	}()
	ways := []func(){func() { r.each(reset) }, func() { r.each(finish) }, r.loseUp, r.loseDown}
	const share = n / breaks / 2
	goOn := func() {
		for range share {
			mayGo <- struct{}{}
		}
	}
	defer close(mayGo)
	for i := range breaks {
		goOn()
		from, some := acknowledged.Load(), rand.Int64N(share)
		poll(t, "nothing is acknowledged", func() bool { return acknowledged.Load() > from+some })
		ways[i%len(ways)]()
		goOn() // what goes into the void makes it known
		s.back(t, i+2)
	}
	for seen := map[string]bool{}; len(seen) < n; {
		seen[o.next(t).Topic] = true
	}
	poll(t, "not all are acknowledged", func() bool { return acknowledged.Load() == n })
	select {
	case err := <-failed:
		t.Error(err)
	default:
	}
	s.publish(t, root+strconv.Itoa(n), "") // so that the log has all before it
	poll(t, "the broker's log ends early", func() bool { return slices.Contains(r.arrivals(s.id), arrival{topic: root + strconv.Itoa(n)}) })
	next := 0
	for _, a := range r.arrivals(s.id) {
		switch i, err := strconv.Atoi(strings.TrimPrefix(a.topic, root)); {
		case err != nil || i > next:
			t.Fatalf("message %q overtook %d", a.topic, next)
		case i == next:
			next++
		case !a.dup:
			t.Errorf("message %d came again, without DUP", i)
		}
	}
}

// isForgotten restarts the broker, which has no session then.
func isForgotten(t *testing.T, r *road) {
	r = startBroker(t).road(t, r.way)
	s := r.session(t, nextID(), nil)
	filters := make([]string, 20) // more than one SUBSCRIBE restores
	for i := range filters {
		filters[i] = fmt.Sprintf("filter/%d", i)
	}
	if err := s.Subscribe(within(t), mqtt.AtLeastOnce, filters...); err != nil {
		t.Fatal(err)
	}
	r.loseDown()
	sent := make(chan error, 1)
	if err := s.PublishAsync(t.Context(), message(filters[0], "ours"), func(err error) { sent <- err }); err != nil {
		t.Fatal(err)
	}
	r.says(t, s.id, 1, "Received PUBLISH from it")
	r.restart(t)
	s.back(t, 2)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if d := s.next(t); d.Body != "ours" {
		t.Errorf("the session got %q from itself", d.Body)
	}
	r.says(t, s.id, 1, "Sending CONNACK to it (0, 0)")
	r.says(t, s.id, 3, "Sending SUBACK to it")
	r.pub(t, nil, "-q", "1", "-t", filters[19], "-m", "theirs")
	if d := s.next(t); d.Body != "theirs" {
		t.Errorf("the session got %q", d.Body)
	}
}
