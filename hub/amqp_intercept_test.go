package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	goamqp "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/testkit"
)

// seenOp is what an intercept function saw, as far as the tests look.
type seenOp struct {
	Kind     hub.OpKind
	Identity hubwire.Identity
	Name     string
	Body     string
}

// witness lets all pass, and remembers.
type witness struct {
	mu   sync.Mutex
	seen []seenOp
}

func (w *witness) intercept(_ context.Context, op *hub.Op) hub.Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := seenOp{op.Kind, op.Identity, op.Name, string(op.Body)}
	if op.Message != nil {
		s.Body = string(op.Message.Body)
	}
	if op.Kind == hub.OpAck {
		s.Name = "" // chance
	}
	if op.Protocol != "amqp" {
		s.Name = "over " + op.Protocol
	}
	w.seen = append(w.seen, s)
	return hub.Verdict{}
}

func TestAMQPInterceptSeesEverything(t *testing.T) {
	w := &witness{}
	bubble(t, &hub.Config{Intercept: w.intercept}, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		s := c.session()
		d2c := sender(t, s, eventsAddress(dev), nil)
		if err := d2c.Send(t.Context(), goamqp.NewMessage([]byte("hi")), nil); err != nil {
			t.Fatal(err)
		}
		if err := d2c.Send(t.Context(), batch(t, goamqp.NewMessage([]byte("a")), goamqp.NewMessage([]byte("b"))), nil); err != nil {
			t.Fatal(err)
		}
		c2d := receiver(t, s, addressOf(dev, "messages/devicebound"), nil)
		sendC2D(t, h, dev, "for you")
		if err := c2d.AcceptMessage(t.Context(), receive(t, c2d)); err != nil {
			t.Fatal(err)
		}
		twin := openTwin(t, s, dev)
		twin.ask("1", "GET", "", "")
		twin.answered("1")
		twin.ask("2", "PATCH", twinReported, `{"a":1}`)
		twin.answered("2")
		twin.ask("3", "PUT", twinNotify, "")
		twin.answered("3")
		if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(`{"b":1}`)}, ""); err != nil {
			t.Fatal(err)
		}
		receive(t, twin.in)
		twin.ask("4", "DELETE", twinNotify, "")
		twin.answered("4")
		methods := openMethods(t, s, dev)
		synctest.Wait()
		done := invoke(t, h, "m", `1`, nil)
		methods.answer(receive(t, methods.in).Properties.CorrelationID, 200, `2`)
		<-done
		for _, r := range []*goamqp.Receiver{c2d, twin.in, methods.in} {
			if err := r.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		c.conn.Close()
		synctest.Wait()
		want := []seenOp{
			{hub.OpToken, hubwire.Identity{}, audience(dev), ""},
			{hub.OpConnect, dev, "", ""},
			{hub.OpPublish, dev, "", "hi"},
			{hub.OpPublish, dev, "", "a"},
			{hub.OpPublish, dev, "", "b"},
			{hub.OpSubscribe, dev, "/devices/dev-1/messages/devicebound", ""},
			{hub.OpC2D, dev, "", "for you"},
			{hub.OpAck, dev, "", ""},
			{hub.OpSubscribe, dev, "/devices/dev-1/twin", ""},
			{hub.OpTwinGet, dev, "", ""},
			{hub.OpTwinReport, dev, "", `{"a":1}`},
			{hub.OpSubscribe, dev, twinNotify, ""},
			{hub.OpTwinDesired, dev, "", `{"b":1,"$version":2}`},
			{hub.OpUnsubscribe, dev, twinNotify, ""},
			{hub.OpSubscribe, dev, "/devices/dev-1/methods/devicebound", ""},
			{hub.OpMethod, dev, "m", "1"},
			{hub.OpMethodResponse, dev, "", "2"},
			{hub.OpUnsubscribe, dev, "/devices/dev-1/messages/devicebound", ""},
			{hub.OpUnsubscribe, dev, "/devices/dev-1/twin", ""},
			{hub.OpUnsubscribe, dev, "/devices/dev-1/methods/devicebound", ""},
			{hub.OpDisconnect, dev, "", ""},
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if diff := cmp.Diff(want, w.seen); diff != "" {
			t.Errorf("seen (-want +got):\n%s", diff)
		}
	})
}

// amqpLife is what a device does, and where it fails.
func amqpLife(t *testing.T, h *hub.Hub) (at string, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := dialAMQP(t, h, nil)
	c.login(h, dev)
	s := c.session()
	d2c, err := s.NewSender(ctx, eventsAddress(dev), nil)
	if err != nil {
		return "attach", err
	}
	if err := d2c.Send(ctx, goamqp.NewMessage([]byte("hi")), nil); err != nil {
		return "send", err
	}
	second := goamqp.ReceiverSettleModeSecond
	c2d, err := s.NewReceiver(ctx, addressOf(dev, "messages/devicebound"), &goamqp.ReceiverOptions{SettlementMode: &second})
	if err != nil {
		return "subscribe", err
	}
	m, err := c2d.Receive(ctx, nil)
	if err != nil {
		return "receive", err
	}
	if err := c2d.AcceptMessage(ctx, m); err != nil {
		return "settle", err
	}
	return "", nil
}

func TestAMQPInterceptVerdicts(t *testing.T) {
	refuse, before := hub.Verdict{Refuse: hubwire.Throttled}, hub.Verdict{DropBefore: true}
	after, swallow := hub.Verdict{DropAfter: true}, hub.Verdict{SwallowAck: true}
	const throttled = goamqp.ErrCond("com.microsoft:device-container-throttled")
	cut := errors.New("the connection is cut")
	tests := []struct {
		name    string
		kind    hub.OpKind
		verdict hub.Verdict
		at      string
		want    any // a condition, cut, or nil for a time-out
		events  int
		waits   int // in the device's queue
	}{
		{"a refused login", hub.OpConnect, refuse, "attach", throttled, 0, 1},
		{"a login that is cut", hub.OpConnect, before, "attach", cut, 0, 1},
		{"a login that is cut behind", hub.OpConnect, after, "attach", cut, 0, 1},
		{"a login without an answer", hub.OpConnect, swallow, "attach", nil, 0, 1},
		{"a refused message", hub.OpPublish, refuse, "send", throttled, 0, 1},
		{"a message that is cut", hub.OpPublish, before, "send", cut, 0, 1},
		{"a message that is cut behind", hub.OpPublish, after, "send", cut, 1, 1},
		{"a message without an answer", hub.OpPublish, swallow, "send", nil, 1, 1},
		{"a refused link", hub.OpSubscribe, refuse, "subscribe", throttled, 1, 1},
		{"a link that is cut behind", hub.OpSubscribe, after, "subscribe", cut, 1, 1},
		{"a link without an answer", hub.OpSubscribe, swallow, "subscribe", nil, 1, 1},
		{"a message to the device that is not sent", hub.OpC2D, refuse, "receive", nil, 1, 1},
		{"a message to the device that is cut", hub.OpC2D, before, "receive", cut, 1, 1},
		{"a refused settlement", hub.OpAck, refuse, "settle", throttled, 1, 1},
		{"a settlement that is cut", hub.OpAck, before, "settle", cut, 1, 1},
		{"a settlement that is cut behind", hub.OpAck, after, "settle", cut, 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := &once{kind: tt.kind, verdict: tt.verdict}
			bubble(t, &hub.Config{Intercept: o.intercept}, func(t *testing.T, h *hub.Hub) {
				sendC2D(t, h, dev, "for you")
				at, err := amqpLife(t, h)
				if at != tt.at {
					t.Errorf("it failed at %q, not at %q: %v", at, tt.at, err)
				}
				var lost *goamqp.ConnError
				switch want := tt.want.(type) {
				case goamqp.ErrCond:
					wantCondition(t, at, err, want)
				case nil:
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%s: %v, want no answer", at, err)
					}
				default:
					if !errors.As(err, &lost) || lost.RemoteErr != nil {
						t.Errorf("%s: %v, want a connection that is cut", at, err)
					}
				}
				synctest.Wait()
				if evs := events(t, h); len(evs) != tt.events {
					t.Errorf("%d messages are in the log, want %d", len(evs), tt.events)
				}
				if n := queueLength(t, h, dev); n != tt.waits {
					t.Errorf("%d messages wait for the device, want %d", n, tt.waits)
				}
			})
		})
	}
}

// TestAMQPInterceptCutsBehindAMessage has a device settle a message at once behind which the connection is cut: it was cut
// before that. go-amqp would not always show the message.
func TestAMQPInterceptCutsBehindAMessage(t *testing.T) {
	o := &once{kind: hub.OpC2D, verdict: hub.Verdict{DropAfter: true}}
	bubble(t, &hub.Config{Intercept: o.intercept}, func(t *testing.T, h *hub.Hub) {
		sendC2D(t, h, dev, "for you")
		f := openFrames(t, h)
		f.putToken(h, amqp.Ulong(0))
		f.attach(2, amqp10.RoleReceiver, addressOf(dev, "messages/devicebound"), 1)
		got, _ := f.received()
		word := amqp10.Disposition{Role: amqp10.RoleReceiver, First: got.DeliveryID.Value, Settled: amqp10.Some(true), State: amqp10.Accepted()}
		f.nc.Write(amqp10.CloseFrame(word.AppendTo(amqp10.OpenFrame(nil, amqp10.FrameAMQP, 0)), 0)) // which may fail
		start := time.Now()
		if n, err := f.nc.Read(make([]byte, 1)); err == nil || time.Since(start) > time.Second {
			t.Errorf("%d more bytes, %v", n, err)
		}
		synctest.Wait()
		if n := queueLength(t, h, dev); n != 1 {
			t.Errorf("%d messages wait for the device, want the one", n)
		}
	})
}

// TestAMQPInterceptCutsWhatIsLost has a connection cut that nothing could be written to any more: what came together with the
// message that was cut off has not come either, or it would be in the log ahead of that one, when the device sends both again.
func TestAMQPInterceptCutsWhatIsLost(t *testing.T) {
	verdicts := map[string]hub.Verdict{"1": {Delay: time.Second}, "2": {Delay: time.Second}, "3": {DropBefore: true}}
	intercept := func(_ context.Context, op *hub.Op) hub.Verdict {
		if op.Kind != hub.OpPublish {
			return hub.Verdict{}
		}
		return verdicts[string(op.Message.Body)]
	}
	bubble(t, &hub.Config{Intercept: intercept}, func(t *testing.T, h *hub.Hub) {
		f := openFrames(t, h)
		f.putToken(h, amqp.Ulong(0))
		f.attach(2, amqp10.RoleSender, eventsAddress(dev), 0)
		var all []byte // in one write
		for i, body := range []string{"1", "2", "3", "4"} {
			all = appendTransfer(all, 2, f.ids+uint32(i), amqp.AppendTelemetry(nil, &hubwire.Message{Body: []byte(body)}))
		}
		f.write(all)
		time.Sleep(time.Second / 2)
		testkit.Reset(f.nc)
		time.Sleep(time.Minute)
		var got []string
		for _, ev := range events(t, h) {
			got = append(got, string(ev.Body))
		}
		if diff := cmp.Diff([]string{"1", "2"}, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// TestAMQPInterceptDelay has messages to one device wait: what the device itself sends does not.
func TestAMQPInterceptDelay(t *testing.T) {
	o := &once{kind: hub.OpC2D, verdict: hub.Verdict{Delay: time.Minute}}
	bubble(t, &hub.Config{Intercept: o.intercept}, func(t *testing.T, h *hub.Hub) {
		d := openAMQPDevice(t, h, dev)
		sendC2D(t, h, dev, "hi")
		synctest.Wait()
		start := time.Now()
		d.works()
		if took := time.Since(start); took > time.Second {
			t.Errorf("telemetry took %v", took)
		}
		receive(t, d.c2d)
		if took := time.Since(start); took < time.Minute || took > 2*time.Minute {
			t.Errorf("the message took %v", took)
		}
	})
}

func TestAMQPInterceptToken(t *testing.T) {
	for name, tt := range map[string]struct {
		verdict hub.Verdict
		status  int32
	}{
		"refused":             {hub.Verdict{Refuse: hubwire.Unauthorized}, 401},
		"refused as too busy": {hub.Verdict{Refuse: hubwire.Throttled}, 429},
		"delayed":             {hub.Verdict{Delay: 30 * time.Second}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			o := &once{kind: hub.OpToken, verdict: tt.verdict}
			bubble(t, &hub.Config{Intercept: o.intercept}, func(t *testing.T, h *hub.Hub) {
				d, err := h.Device(dev)
				if err != nil {
					t.Fatal(err)
				}
				c, start := dialAMQP(t, h, nil), time.Now()
				if got := c.put(audience(dev), token(d.PrimaryKey, audience(dev), "", time.Now().Add(time.Hour))); got != tt.status {
					t.Errorf("status %d, want %d", got, tt.status)
				}
				if took := time.Since(start); took.Round(time.Second) != tt.verdict.Delay {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestAMQPInterceptOfALinkThatIsGone has the function look at a message for a link that ends meanwhile: the next link gets what waits.
func TestAMQPInterceptOfALinkThatIsGone(t *testing.T) {
	o := &once{kind: hub.OpC2D, verdict: hub.Verdict{Delay: 10 * time.Second, Refuse: hubwire.Throttled}}
	bubble(t, &hub.Config{Intercept: o.intercept}, func(t *testing.T, h *hub.Hub) {
		d := openAMQPDevice(t, h, dev)
		sendC2D(t, h, dev, "1", "2")
		synctest.Wait()
		if err := d.c2d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		again := receiver(t, d.session(), addressOf(dev, "messages/devicebound"), &goamqp.ReceiverOptions{Credit: -1})
		time.Sleep(20 * time.Second)
		start := time.Now()
		if err := again.IssueCredit(10); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"1", "2"} {
			if m := receive(t, again); string(m.GetData()) != want {
				t.Errorf("received %q, want %q", m.GetData(), want)
			}
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestAMQPInterceptOfACallThatIsOver has the function see a call that goes out when who called has given up, and uses the
// payload's memory for something else.
func TestAMQPInterceptOfACallThatIsOver(t *testing.T) {
	w := &witness{}
	bubble(t, &hub.Config{Intercept: w.intercept}, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		s, address := c.session(), addressOf(dev, "methods/devicebound")
		in := receiver(t, s, address, &goamqp.ReceiverOptions{Credit: -1})
		sender(t, s, address, nil)
		payload := []byte(`"ours"`)
		_, err := h.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "m", Payload: payload}, &hub.InvokeOptions{ResponseTimeout: time.Second})
		if !errors.Is(err, hubwire.GatewayTimeout) {
			t.Fatal(err)
		}
		copy(payload, `"hers"`)
		if err := in.IssueCredit(1); err != nil {
			t.Fatal(err)
		}
		receive(t, in)
		w.mu.Lock()
		defer w.mu.Unlock()
		if last := w.seen[len(w.seen)-1]; last.Kind != hub.OpMethod || last.Body != `"ours"` {
			t.Errorf("the function saw %+v", last)
		}
	})
}

// TestAMQPChangesBeginBehindTheAnswer has a twin change as soon as the device knows that it is told of that, or that it is
// not any more. With an intercept function what the hub says goes out while the device's request is being acted on.
func TestAMQPChangesBeginBehindTheAnswer(t *testing.T) {
	w := &witness{}
	bubble(t, &hub.Config{Intercept: w.intercept}, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		twin := openTwin(t, c.session(), dev)
		change := func() {
			if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(`{"b":1}`)}, ""); err != nil {
				t.Fatal(err)
			}
		}
		for range 30 { // for which there is credit
			twin.ask("on", "PUT", twinNotify, "")
			twin.answered("on")
			change()
			receive(t, twin.in)
			twin.ask("off", "DELETE", twinNotify, "")
			twin.answered("off")
			change()
		}
		nothing(t, twin.in, time.Second)
	})
}
