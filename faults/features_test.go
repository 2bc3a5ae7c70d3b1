package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// feature is one row of the table.
type feature struct {
	name string
	who  hubwire.Identity
	ops  []hub.OpKind // what the hub sees of one use, in order

	// mayFail says that a use which meets a lost connection fails at its caller,
	// who is not the device.
	mayFail bool

	// requests says that a protocol without connections has it, too.
	requests bool

	// open sets up what c needs.
	open func(v *venue, c *device.Client) use
}

// use uses a feature once, and returns nil when it did what it is there for. n tells the uses of a
// case apart.
type use func(ctx context.Context, n int) error

var features = []feature{
	{name: "telemetry", who: dev, ops: []hub.OpKind{hub.OpPublish}, open: telemetry, requests: true},
	{name: "telemetry, asynchronous", who: dev, ops: []hub.OpKind{hub.OpPublish}, open: asyncTelemetry, requests: true},
	{name: "messages to the device", who: dev, ops: []hub.OpKind{hub.OpC2D, hub.OpAck}, open: commands, requests: true},
	{name: "methods", who: dev, ops: []hub.OpKind{hub.OpMethod, hub.OpMethodResponse}, open: methods, mayFail: true},
	{name: "desired properties", who: dev, ops: []hub.OpKind{hub.OpTwinDesired}, open: desired},
	{name: "twin", who: dev, ops: []hub.OpKind{hub.OpTwinGet}, open: twin},
	{name: "reported properties", who: dev, ops: []hub.OpKind{hub.OpTwinReport}, open: reported},
	{name: "inputs of a module", who: mod, ops: []hub.OpKind{hub.OpPublish, hub.OpC2D, hub.OpAck}, open: inputs},
}

func telemetry(v *venue, c *device.Client) use {
	return func(ctx context.Context, n int) error {
		body := fmt.Sprintf("telemetry %v %d", c.Identity(), n)
		err := c.Send(ctx, &hubwire.Message{Body: []byte(body)})
		if err == nil && v.log.times(body) == 0 {
			v.t.Errorf("%q was acknowledged, and the hub has not got it", body)
		}
		return err
	}
}

// asyncTelemetry sends a burst, of which each message has one outcome, and the hub has all
// that were acknowledged, in order.
func asyncTelemetry(v *venue, c *device.Client) use {
	const burst = 20
	return func(ctx context.Context, n int) error {
		prefix := fmt.Sprintf("burst %v %d, ", c.Identity(), n)
		var mu sync.Mutex
		outcomes := make([][]error, burst)
		answered := make(chan struct{}, burst)
		for i := range burst {
			body := fmt.Sprintf("%s%02d", prefix, i)
			err := c.SendAsync(ctx, &hubwire.Message{Body: []byte(body)}, func(err error) {
				mu.Lock()
				outcomes[i] = append(outcomes[i], err)
				mu.Unlock()
				answered <- struct{}{}
			})
			if err != nil {
				return err
			}
		}
		for range burst {
			select {
			case <-answered:
			case <-ctx.Done():
				return fmt.Errorf("done functions were not called: %w", ctx.Err()) // no *hubwire.Error: a fault of its own
			}
		}
		mu.Lock()
		defer mu.Unlock()
		var failed error
		for i, o := range outcomes {
			body := fmt.Sprintf("%s%02d", prefix, i)
			if len(o) != 1 {
				v.t.Errorf("%q has the outcomes %v", body, o)
			} else if o[0] != nil {
				failed = o[0]
			} else if v.log.times(body) == 0 {
				v.t.Errorf("%q was acknowledged, and the hub has not got it", body)
			}
		}
		v.inOrder(prefix)
		return failed
	}
}

// inOrder holds that the messages whose bodies begin so were taken in the order of
// their bodies, but for those that came again, and where the protocol lets others pass what the hub did not take.
func (v *venue) inOrder(prefix string) {
	v.t.Helper()
	if v.protocol.overtakes && v.refused.Load() {
		return
	}
	seen, last := map[string]bool{}, ""
	for _, body := range v.log.all() {
		if len(body) < len(prefix) || body[:len(prefix)] != prefix {
			continue
		}
		if !seen[body] && body < last {
			v.t.Errorf("%q came after %q", body, last)
		}
		seen[body], last = true, max(last, body)
	}
}

func commands(v *venue, c *device.Client) use {
	inbox := inbox{v: v, c: c, again: !v.protocol.marks} // when a lock ends, nothing says so
	return func(ctx context.Context, n int) error {
		body := fmt.Sprint("command ", n)
		if err := v.theHub().SendC2D(ctx, c.Identity(), &hubwire.Message{Body: []byte(body)}); err != nil {
			return err
		}
		return inbox.take(ctx, body)
	}
}

func inputs(v *venue, c *device.Client) use {
	inbox := inbox{v: v, c: c, again: true}
	return func(ctx context.Context, n int) error {
		body := fmt.Sprint("input ", n)
		if err := c.Send(ctx, &hubwire.Message{Body: []byte(body), Output: "out"}); err != nil {
			return err
		}
		return inbox.take(ctx, body)
	}
}

// inbox receives and completes.
type inbox struct {
	v     *venue
	c     *device.Client
	again bool // a message may be sent twice, and then come as two
	seen  map[string]bool
}

// take receives until the message with that body came and was completed. What comes besides
// is what came before, and whose completion was lost.
func (b *inbox) take(ctx context.Context, body string) error {
	for {
		m, err := b.c.Receive(ctx)
		if err != nil {
			return err
		}
		got := string(m.Body)
		if b.seen[got] && !m.Redelivered && !b.again {
			b.v.t.Errorf("%q comes again without a word", got)
		}
		if got != body && !b.seen[got] {
			b.v.t.Errorf("%q came when %q was due", got, body)
		}
		if b.seen == nil {
			b.seen = map[string]bool{}
		}
		b.seen[got] = true
		err = m.Complete(ctx)
		if b.v.protocol.settles && (errors.Is(err, hubwire.MessageLockLost) || errors.Is(err, hubwire.Throttled)) {
			if b.v.typed("complete", err).Outcome == hubwire.Unknown {
				err = nil // the attempt whose answer was lost may have completed it
			} else {
				continue
			}
		}
		if err != nil {
			lost := errors.Is(err, hubwire.MessageLockLost) && errors.Is(err, net.ErrClosed)
			expired := b.v.protocol.amqp && errors.Is(err, hubwire.Unauthorized) // in that very moment
			if !lost && !expired {
				b.v.t.Errorf("complete %q: %v", got, err)
			}
			if b.c.Err() != nil {
				return err
			}
			continue // the hub delivers it again
		}
		if got == body {
			return nil
		}
	}
}

func methods(v *venue, c *device.Client) use {
	echo := func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		return hubwire.MethodResponse{Status: 200, Payload: r.Payload}, nil
	}
	if err := c.HandleMethod(v.t.Context(), "echo", echo); err != nil {
		v.t.Error(err)
	}
	return func(ctx context.Context, n int) error {
		want := fmt.Sprintf(`{"n":%d}`, n)
		resp, err := v.theHub().Invoke(ctx, c.Identity(), hubwire.MethodRequest{Name: "echo", Payload: []byte(want)},
			&hub.InvokeOptions{ConnectTimeout: v.pace.within(v.pace.backoff)})
		if err == nil && (resp.Status != 200 || string(resp.Payload) != want) {
			v.t.Errorf("%s is answered by %d %s", want, resp.Status, resp.Payload)
		}
		return err
	}
}

// desired follows the desired properties from the beginning of the case to its end.
func desired(v *venue, c *device.Client) use {
	f := &follower{v: v, came: make(chan struct{})}
	ctx, cancel := context.WithCancel(v.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for d, err := range c.Desired(ctx) {
			f.apply(d, err)
		}
	}()
	v.t.Cleanup(func() { cancel(); <-ended })
	return func(ctx context.Context, n int) error {
		_, err := v.theHub().PatchTwin(ctx, c.Identity(), hub.TwinUpdate{Desired: fmt.Appendf(nil, `{"followed":%d}`, n)}, "")
		if err != nil {
			return err
		}
		return f.until(ctx, n)
	}
}

// follower knows the desired properties as far as they have come.
type follower struct {
	v *venue

	mu      sync.Mutex
	state   map[string]int
	version int64
	err     error
	came    chan struct{} // closed and made anew with each change
}

func (f *follower) apply(d hubwire.DesiredChange, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err = err; err == nil {
		if d.Full {
			f.state = map[string]int{}
		} else if d.Version != f.version+1 {
			f.v.t.Errorf("version %d came after %d", d.Version, f.version)
		}
		f.version = d.Version
		if err := json.Unmarshal(d.JSON, &f.state); err != nil {
			f.v.t.Error(err)
		}
	}
	close(f.came)
	f.came = make(chan struct{})
}

// until waits for a value of the member followed.
func (f *follower) until(ctx context.Context, n int) error {
	for {
		f.mu.Lock()
		got, err, came := f.state["followed"], f.err, f.came
		f.mu.Unlock()
		if err != nil || got == n {
			return err
		}
		select {
		case <-came:
		case <-ctx.Done():
			return fmt.Errorf("%d has come, and %d is due: %w", got, n, ctx.Err())
		}
	}
}

func twin(v *venue, c *device.Client) use {
	return func(ctx context.Context, n int) error {
		want := fmt.Sprintf(`{"read":%d}`, n)
		if _, err := v.theHub().PatchTwin(ctx, c.Identity(), hub.TwinUpdate{Desired: []byte(want)}, ""); err != nil {
			return err
		}
		t, err := c.Twin(ctx)
		if err != nil {
			return err
		}
		var got struct{ Read int }
		if err := t.Desired.Decode(&got); err != nil || got.Read != n {
			v.t.Errorf("the twin says %s, want %s, %v", t.Desired.JSON, want, err)
		}
		return nil
	}
}

func reported(v *venue, c *device.Client) use {
	return func(ctx context.Context, n int) error {
		if _, err := c.Report(ctx, map[string]int{"n": n}); err != nil {
			return err
		}
		t, err := v.theHub().Twin(ctx, c.Identity())
		if want := fmt.Sprintf(`{"n":%d}`, n); err == nil && string(t.Reported.JSON) != want {
			v.t.Errorf("%s was reported, and the hub has %s", want, t.Reported.JSON)
		}
		return err
	}
}
