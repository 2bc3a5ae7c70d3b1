package device_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/mqtt"
)

// storm is a hub and a network that misbehave at random, as long as it lasts.
type storm struct {
	mu   sync.Mutex
	rand *rand.Rand
	over bool
	nc   *testkit.Hole // the newest connection
	dups map[string]int
	t    *testing.T
}

// one reports, while the storm lasts, true in one of n cases.
func (s *storm) one(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.over && s.rand.IntN(n) == 0
}

// upTo is a random time below d.
func (s *storm) upTo(d time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(s.rand.Int64N(int64(d)))
}

func (s *storm) pass() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.nc.Swallow(false)
	s.nc.Close()
}

func (s *storm) raging() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.over
}

// intercept is the hub's part.
func (s *storm) intercept(_ context.Context, op *hub.Op) hub.Verdict {
	switch {
	case op.Kind == hub.OpConnect && s.one(6):
		return hub.Verdict{Refuse: hubwire.ServiceUnavailable}
	case op.Kind == hub.OpTwinGet && s.one(6), op.Kind == hub.OpTwinReport && s.one(6):
		return hub.Verdict{Refuse: hubwire.Throttled}
	case s.one(60):
		return hub.Verdict{DropBefore: true}
	case s.one(60):
		return hub.Verdict{DropAfter: true}
	case s.one(100):
		return hub.Verdict{SwallowAck: true}
	case s.one(20):
		return hub.Verdict{Delay: s.upTo(300 * time.Millisecond)}
	}
	return hub.Verdict{}
}

// options make a Client that feels the storm.
func (s *storm) options(o *device.Options) {
	reach := o.Dial
	o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if s.one(6) {
			return nil, errors.New("no route")
		}
		nc, err := reach(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.nc = testkit.BlackHole(nc)
		return s.nc, nil
	}
	o.TokenTTL, o.KeepAlive, o.AckTimeout = 20*time.Second, 5*time.Second, 3*time.Second
	o.ConnectTimeout, o.MaxBackoff, o.Window = 3*time.Second, 2*time.Second, 16
	o.Hooks = &device.Hooks{
		Packet:       s.packet,
		HandlerPanic: func(v any, stack []byte) { s.t.Errorf("panic: %v\n%s", v, stack) },
		Unexpected:   func(err error) { s.t.Error(err) },
	}
}

// packet holds that what is sent again has DUP, and nothing else.
func (s *storm) packet(sent bool, b []byte) {
	if p, err := mqtt.ParsePublish(mqtt.Packet(b)); err == nil && sent && bytes.Contains(p.Topic, []byte("/messages/events/")) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if before := s.dups[string(p.Payload)]; p.Dup != (before > 0) {
			s.t.Errorf("%s is sent for the %d. time, DUP is %v", p.Payload, before+1, p.Dup)
		}
		s.dups[string(p.Payload)]++
	}
}

// blow cuts, mutes and ends connections, and passes at last.
func (s *storm) blow(b *bench, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(s.upTo(4 * time.Second))
		s.mu.Lock()
		switch nc := s.nc; s.rand.IntN(6) {
		case 0:
			nc.Close()
		case 1:
			nc.SwallowReads(true)
		case 2:
			nc.SwallowWrites(true)
		case 3:
			nc.Swallow(true)
		case 4:
			go b.hub.Disconnect(dev)
		}
		s.mu.Unlock()
	}
	s.pass()
}

func TestEverythingOutlastsAStorm(t *testing.T) {
	const lasts = 40 * time.Second // by the bubble's clock
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			for _, tr := range transports() {
				t.Run(tr.String(), func(t *testing.T) {
					s := &storm{rand: rand.New(rand.NewPCG(seed, 0)), dups: map[string]int{}, over: true, t: t}
					over(t, tr, hub.Config{Intercept: s.intercept}, func(t *testing.T, b *bench) {
						c := b.dial(b.device, s.options)
						b.handle(c, "echo", echo)
						var traffic sync.WaitGroup
						for _, part := range []func(*bench, *storm, *device.Client){
							asyncSends, sendsWithDeadlines, commands, calls, reports, wishes,
						} {
							traffic.Go(func() { part(b, s, c) })
						}
						synctest.Wait()
						s.mu.Lock()
						s.over = false
						s.mu.Unlock()
						s.blow(b, lasts)
						traffic.Wait()
						if err := c.Err(); err != nil {
							t.Error(err)
						}
					})
				})
			}
		})
	}
}

// asyncSends holds that each message is acknowledged once, and that the hub has all, in order.
func asyncSends(b *bench, s *storm, c *device.Client) {
	var y tally
	n := 0
	for ; n == 0 || s.raging(); n++ {
		if err := c.SendAsync(b.t.Context(), &hubwire.Message{Body: fmt.Append(nil, "async ", n)}, y.done(n)); err != nil {
			b.t.Errorf("async %d: %v", n, err)
		}
		time.Sleep(s.upTo(200 * time.Millisecond))
	}
	if err := c.Send(b.t.Context(), &hubwire.Message{Body: fmt.Append(nil, "async ", n)}); err != nil {
		b.t.Error(err)
	}
	y.once(b.t, n, func(err error) bool { return err == nil })
	inOrder(b, "async", n+1, func(int) bool { return true })
}

// inOrder reads what the hub took and fails the test unless the n messages of that
// name are there, as far as needed says so, the first of each in order.
func inOrder(b *bench, name string, n int, needed func(int) bool) {
	r, err := b.hub.Events(b.t.Context(), nil)
	if err != nil {
		b.t.Error(err)
		return
	}
	seen, last := map[int]bool{}, -1
	for {
		ev, err := r.TryNext(b.t.Context())
		if ev == nil || err != nil {
			break
		}
		var i int
		if k, _ := fmt.Sscanf(string(ev.Body), name+" %d", &i); k == 0 {
			continue
		}
		if !seen[i] && i < last {
			b.t.Errorf("%s %d came after %d", name, i, last)
		}
		seen[i], last = true, max(last, i)
	}
	for i := range n {
		if needed(i) && !seen[i] {
			b.t.Errorf("%s %d of %d is lost", name, i, n)
		}
	}
}

// sendsWithDeadlines holds that the outcomes tell the truth.
func sendsWithDeadlines(b *bench, s *storm, c *device.Client) {
	outcome := map[int]error{}
	for i := 0; s.raging() || i == 0; i++ {
		ctx, cancel := context.WithTimeout(b.t.Context(), s.upTo(2*time.Second))
		outcome[i] = c.Send(ctx, &hubwire.Message{Body: fmt.Append(nil, "sync ", i)})
		cancel()
		time.Sleep(s.upTo(300 * time.Millisecond))
	}
	if err := c.Send(b.t.Context(), &hubwire.Message{Body: []byte("last")}); err != nil {
		b.t.Error(err)
	}
	for i, err := range outcome {
		var e *hubwire.Error
		switch sent := s.sent(fmt.Sprint("sync ", i)); {
		case err == nil:
		case !errors.As(err, &e) || !errors.Is(err, context.DeadlineExceeded):
			b.t.Errorf("sync %d: %v", i, err)
		case sent == (e.Outcome == hubwire.NotSent):
			b.t.Errorf("sync %d, sent: %v, %v", i, sent, err)
		}
	}
	inOrder(b, "sync", len(outcome), func(i int) bool { return outcome[i] == nil })
}

func (s *storm) sent(body string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dups[body] > 0
}

// commands holds that each message for the device gets there, whoever settles it, late, out of order
// and twice; and that only what the hub has not yet heard of comes again.
func commands(b *bench, s *storm, c *device.Client) {
	ctx, cancel := context.WithCancel(b.t.Context())
	var mu sync.Mutex
	got := map[string]int{}
	var receivers sync.WaitGroup
	for range 3 {
		receivers.Go(func() {
			for {
				m, err := c.Receive(ctx)
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						b.t.Error(err)
					}
					return
				}
				mu.Lock()
				got[string(m.Body)]++
				if again := got[string(m.Body)] > 1; again && !m.Redelivered {
					b.t.Errorf("command %s comes again without a word", m.Body)
				}
				mu.Unlock()
				time.Sleep(s.upTo(2 * time.Second))
				for range 2 { // from two goroutines, and one after the other
					receivers.Go(func() {
						err := m.Complete(context.Background())
						if err != nil && (!errors.Is(err, hubwire.MessageLockLost) || !errors.Is(err, net.ErrClosed)) {
							b.t.Errorf("complete %s: %v", m.Body, err)
						}
					})
				}
			}
		})
	}
	told := 0
	for ; s.raging() || told == 0; told++ {
		if err := b.hub.SendC2D(ctx, dev, &hubwire.Message{Body: fmt.Append(nil, told)}); err != nil {
			if !errors.Is(err, hubwire.QueueDepthExceeded) {
				b.t.Error(err)
			}
			told--
		}
		time.Sleep(s.upTo(time.Second))
	}
	for range 600 {
		if n, _ := b.hub.QueueLength(dev); n == 0 {
			break
		}
		time.Sleep(time.Second)
	}
	b.waiting(dev, 0)
	cancel()
	receivers.Wait()
	for i := range told {
		if got[fmt.Sprint(i)] == 0 {
			b.t.Errorf("command %d of %d is lost", i, told)
		}
	}
}

// calls holds that each call gets its own answer, or an error.
func calls(b *bench, s *storm, _ *device.Client) {
	answered := 0
	for i := 0; s.raging() || answered == 0; i++ {
		want := fmt.Sprintf(`{"n":%d}`, i)
		resp, err := b.hub.Invoke(b.t.Context(), dev, hubwire.MethodRequest{Name: "echo", Payload: []byte(want)}, &hub.InvokeOptions{ResponseTimeout: 5 * time.Second})
		if err == nil {
			answered++
			if resp.Status != 200 || string(resp.Payload) != want {
				b.t.Errorf("call %d: %d %s", i, resp.Status, resp.Payload)
			}
		}
		time.Sleep(s.upTo(500 * time.Millisecond))
	}
}

// reports holds that a report that succeeded is there, and reading follows it.
func reports(b *bench, s *storm, c *device.Client) {
	for i := 0; s.raging() || i == 0; i++ {
		_, err := c.Report(b.t.Context(), map[string]int{"n": i})
		if errors.Is(err, hubwire.Throttled) {
			continue
		}
		if err != nil {
			b.t.Errorf("report %d: %v", i, err)
		}
		twin, err := c.Twin(b.t.Context())
		if err == nil && string(twin.Reported.JSON) != fmt.Sprintf(`{"n":%d}`, i) {
			b.t.Errorf("report %d reads as %s", i, twin.Reported.JSON)
		} else if err != nil && !errors.Is(err, hubwire.Throttled) {
			b.t.Errorf("twin %d: %v", i, err)
		}
		time.Sleep(s.upTo(500 * time.Millisecond))
	}
}

// wishes holds that who follows the desired properties ends where the hub does.
func wishes(b *bench, s *storm, c *device.Client) {
	last := make(chan int64, 1)
	go func() {
		for i := 0; s.raging() || i == 0; i++ {
			b.wish(fmt.Sprintf(`{"k%d":%d,"k%d":null}`, i%5, i, (i+2)%5))
			time.Sleep(s.upTo(500 * time.Millisecond))
		}
		last <- b.wish(`{"end":true}`)
	}()
	got, _ := follow(b.t, c, 0, "end")
	twin, err := b.hub.Twin(b.t.Context(), dev)
	if err != nil {
		b.t.Error(err)
		return
	}
	<-last
	want := map[string]any{}
	if err := twin.Desired.Decode(&want); err != nil {
		b.t.Error(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("desired (-want +got):\n%s", diff)
	}
}
