package device_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/mqtt"
)

// refuser is an intercept function that refuses one kind of operation.
type refuser struct {
	kind atomic.Value // hub.OpKind
	code atomic.Int64
	left atomic.Int64 // how many more
}

func (r *refuser) intercept(_ context.Context, op *hub.Op) hub.Verdict {
	if op.Kind != r.kind.Load() || r.left.Add(-1) < 0 {
		return hub.Verdict{}
	}
	return hub.Verdict{Refuse: hubwire.Code(r.code.Load()), RetryAfter: 7 * time.Second}
}

const forever = 1 << 40

func (r *refuser) refuse(kind hub.OpKind, code hubwire.Code, times int64) {
	r.kind.Store(kind)
	r.code.Store(int64(code))
	r.left.Store(times)
}

// What is known of an error, for each condition: the same over every protocol that can say it.
type known struct {
	code       hubwire.Code
	outcome    hubwire.Outcome
	retryable  bool
	retryAfter time.Duration // MQTT has no way to say it
	tracked    bool
	is         []error // beside the code
}

// verify fails the test when err, of a call, does not say what is known, through all its wrapping.
func (k *known) verify(t *testing.T, op string, err error) {
	t.Helper()
	var e *hubwire.Error
	if !errors.As(fmt.Errorf("the program's own: %w", err), &e) {
		t.Errorf("%s: %v is no hubwire.Error", op, err)
		return
	}
	if e.Op != op || e.Code != k.code || e.Outcome != k.outcome || e.Retryable != k.retryable || e.RetryAfter != k.retryAfter {
		t.Errorf("%s: %+v, want %+v", op, e, k)
	}
	if k.code != 0 && !errors.Is(err, k.code) || errors.Is(err, hubwire.Code(404777)) {
		t.Errorf("%s: %v does not match its code alone", op, err)
	}
	for _, is := range k.is {
		if !errors.Is(err, is) {
			t.Errorf("%s: %v does not match %v", op, err, is)
		}
	}
	if k.tracked != (e.TrackingID != "") || !strings.Contains(err.Error(), e.TrackingID) {
		t.Errorf("%s: tracking id %q, in %q", op, e.TrackingID, err)
	}
}

func TestEachCodeOfATwinOperationComesThrough(t *testing.T) {
	var r refuser
	codes := testkit.Codes[hubwire.Code](t, "../testdata/codes.txt")
	overEach(t, hub.Config{Intercept: r.intercept}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		for code := range codes {
			// A time-out of a twin operation is not that of a method, which may have run.
			k := &known{code: code, outcome: hubwire.Refused, retryable: code.Retryable() || code.Status() >= 500, tracked: true}
			r.refuse(hub.OpTwinGet, code, 1)
			_, err := c.Twin(t.Context())
			k.verify(t, "twin get", err)
			r.refuse(hub.OpTwinReport, code, 1)
			_, err = c.Report(t.Context(), struct{}{})
			k.verify(t, "twin report", err)
			if t.Failed() {
				return
			}
		}
	})
}

// MQTT has five words for a refused login, of which the hub uses two.
var loginRefusals = []struct {
	injected hubwire.Code
	want     known
}{
	{hubwire.InvalidOperation, known{code: hubwire.Unauthorized, outcome: hubwire.Refused, is: []error{mqtt.NotAuthorized}}},
	{hubwire.Unauthorized, known{code: hubwire.Unauthorized, outcome: hubwire.Refused, is: []error{mqtt.NotAuthorized}}},
	{hubwire.HubNotFound, known{code: hubwire.Unauthorized, outcome: hubwire.Refused, is: []error{mqtt.NotAuthorized}}},
	{hubwire.HubSuspended, known{code: hubwire.Unauthorized, outcome: hubwire.Refused, is: []error{mqtt.NotAuthorized}}},
	{hubwire.DeviceDisabled, known{code: hubwire.Unauthorized, outcome: hubwire.Refused, is: []error{mqtt.NotAuthorized}}},
	{hubwire.DeviceNotFound, known{code: hubwire.Unauthorized, outcome: hubwire.Refused, is: []error{mqtt.NotAuthorized}}},
	{hubwire.QuotaExceeded, known{code: hubwire.ServiceUnavailable, outcome: hubwire.Refused, retryable: true, is: []error{mqtt.Unavailable}}},
	{hubwire.Throttled, known{code: hubwire.ServiceUnavailable, outcome: hubwire.Refused, retryable: true, is: []error{mqtt.Unavailable}}},
	{hubwire.ThrottlingBacklogTimeout, known{code: hubwire.ServiceUnavailable, outcome: hubwire.Refused, retryable: true, is: []error{mqtt.Unavailable}}},
	{hubwire.ServerError, known{code: hubwire.ServiceUnavailable, outcome: hubwire.Refused, retryable: true, is: []error{mqtt.Unavailable}}},
	{hubwire.ServiceUnavailable, known{code: hubwire.ServiceUnavailable, outcome: hubwire.Refused, retryable: true, is: []error{mqtt.Unavailable}}},
	{hubwire.GatewayTimeout, known{code: hubwire.ServiceUnavailable, outcome: hubwire.Refused, retryable: true, is: []error{mqtt.Unavailable}}},
}

// refusal is what is known of a refused login, and of what step: AMQP has a word for each reason.
func (b *bench) refusal(injected hubwire.Code, mqtt known) (want known, op string) {
	if b.mqtt() {
		return mqtt, "connect"
	}
	return known{code: injected, outcome: hubwire.Refused, retryable: mqtt.retryable, tracked: true}, "attach"
}

func TestARefusedLoginThatCannotPassEndsTheFirstDialAndTheClient(t *testing.T) {
	for _, tt := range loginRefusals {
		if tt.want.retryable {
			continue
		}
		t.Run(tt.injected.Name(), func(t *testing.T) {
			var r refuser
			overEach(t, hub.Config{Intercept: r.intercept}, func(t *testing.T, b *bench) {
				want, op := b.refusal(tt.injected, tt.want)
				r.refuse(hub.OpConnect, tt.injected, forever)
				start := time.Now()
				_, err := device.Dial(t.Context(), b.device, b.transport, b.options(nil))
				want.verify(t, "dial", err)
				if d := time.Since(start); d > time.Second {
					t.Errorf("dial took %v", d)
				}
				r.refuse(hub.OpConnect, 0, 0)
				c := b.dial(b.device, nil)
				r.refuse(hub.OpConnect, tt.injected, forever)
				b.hub.Disconnect(dev)
				<-c.Done()
				want.verify(t, op, c.Err())
				k := want // of what is tried now, nothing leaves
				k.outcome, k.is = hubwire.NotSent, append(k.is, net.ErrClosed)
				k.verify(t, "send", c.Send(t.Context(), &hubwire.Message{}))
				_, err = c.Twin(t.Context())
				k.verify(t, "twin get", err)
				_, err = c.Receive(t.Context())
				k.verify(t, "receive", err)
			})
		})
	}
}

func TestARefusedLoginThatCanPassIsTriedAgain(t *testing.T) {
	for _, tt := range loginRefusals {
		if !tt.want.retryable {
			continue
		}
		t.Run(tt.injected.Name(), func(t *testing.T) {
			var r refuser
			overEach(t, hub.Config{Intercept: r.intercept}, func(t *testing.T, b *bench) {
				want, op := b.refusal(tt.injected, tt.want)
				var l stateLog
				r.refuse(hub.OpConnect, tt.injected, 5)
				c := b.dial(b.device, l.watched)
				r.refuse(hub.OpConnect, tt.injected, 5)
				b.hub.Disconnect(dev)
				b.awaitConnected(c)
				refusals := 0
				_, reasons := l.told()
				for _, reason := range reasons {
					if errors.Is(reason, want.code) {
						want.verify(t, op, reason)
						refusals++
					}
				}
				if refusals != 10 {
					t.Errorf("%d refusals were told of, want 10", refusals)
				}

				r.refuse(hub.OpConnect, tt.injected, forever)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := device.Dial(ctx, b.module, b.transport, b.options(nil))
				k := want // what ended it is the context; the last refusal is there too
				k.outcome, k.is = hubwire.NotSent, append(k.is, context.DeadlineExceeded)
				k.verify(t, "dial", err)
				r.refuse(hub.OpConnect, 0, 0)
			})
		})
	}
}

// A hub that refuses a publish has no word for it over MQTT but the end of the connection.
func TestARefusedPublishIsSentAgain(t *testing.T) {
	var r refuser
	overMQTT(t, hub.Config{Intercept: r.intercept}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		for _, code := range []hubwire.Code{hubwire.Throttled, hubwire.QuotaExceeded, hubwire.MessageTooLarge, hubwire.ServerError} {
			r.refuse(hub.OpPublish, code, 3)
			if err := c.Send(t.Context(), &hubwire.Message{ID: code.Name()}); err != nil {
				t.Errorf("%s: %v", code.Name(), err)
			}
			if ev := b.next(); ev.ID != code.Name() {
				t.Errorf("the hub took %q", ev.ID)
			}
		}
		b.noMore()
		r.refuse(hub.OpPublish, hubwire.Throttled, forever)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := c.Send(ctx, &hubwire.Message{})
		(&known{outcome: hubwire.Unknown, retryable: true, is: []error{context.DeadlineExceeded}}).verify(t, "send", err)
		r.refuse(hub.OpPublish, 0, 0)
	})
}

// AMQP has: what can pass is sent again, and what cannot fails with its reason.
func TestARefusedSendOverAMQP(t *testing.T) {
	var r refuser
	overAMQP(t, hub.Config{Intercept: r.intercept}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		for _, code := range []hubwire.Code{hubwire.Throttled, hubwire.ServerError, hubwire.ServiceUnavailable} {
			r.refuse(hub.OpPublish, code, 3)
			if err := c.Send(t.Context(), &hubwire.Message{ID: code.Name()}); err != nil {
				t.Errorf("%s: %v", code.Name(), err)
			}
			if ev := b.next(); ev.ID != code.Name() {
				t.Errorf("the hub took %q", ev.ID)
			}
		}
		for code, retryable := range map[hubwire.Code]bool{hubwire.QuotaExceeded: true, hubwire.MessageTooLarge: false, hubwire.ArgumentInvalid: false} {
			r.refuse(hub.OpPublish, code, 1)
			err := c.Send(t.Context(), &hubwire.Message{ID: "refused"})
			(&known{code: code, outcome: hubwire.Refused, retryable: retryable, tracked: true}).verify(t, "send", err)
		}
		b.noMore()
		r.refuse(hub.OpPublish, hubwire.Throttled, forever)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := c.Send(ctx, &hubwire.Message{})
		if e, ok := errors.AsType[*hubwire.Error](err); !ok || e.Op != "send" || !e.Retryable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v", err)
		}
		r.refuse(hub.OpPublish, 0, 0)
	})
}

// subscribers are the calls that subscribe on first use.
func subscribers(ctx context.Context, c *device.Client) map[string]func() error {
	return map[string]func() error{
		"handle method": func() error { return c.HandleMethod(ctx, "m", echo) },
		"twin get":      func() error { _, err := c.Twin(ctx); return err },
		"twin report":   func() error { _, err := c.Report(ctx, struct{}{}); return err },
		"receive":       func() error { _, err := c.Receive(ctx); return err },
		"desired": func() (last error) {
			for _, err := range c.Desired(ctx) {
				last = err
			}
			return last
		},
	}
}

func TestARefusedSubscription(t *testing.T) {
	t.Run("in SUBACK", func(t *testing.T) {
		var r refuser
		r.refuse(hub.OpSubscribe, hubwire.QuotaExceeded, forever)
		overMQTT(t, hub.Config{RefuseFilters: true, Intercept: r.intercept}, func(t *testing.T, b *bench) {
			c := b.dial(b.device, nil)
			for op, call := range subscribers(t.Context(), c) {
				err := call()
				(&known{outcome: hubwire.Refused}).verify(t, op, err)
				var s *mqtt.SubscribeError
				if !errors.As(err, &s) || len(s.Filters) != 1 {
					t.Errorf("%s: %v does not name the filter", op, err)
				}
			}
			if s := c.State(); s != device.Connected {
				t.Errorf("the state is %v", s)
			}
		})
	})
	t.Run("by the end of the connection", func(t *testing.T) {
		var r refuser
		r.refuse(hub.OpSubscribe, hubwire.QuotaExceeded, forever)
		cut := func(ctx context.Context, op *hub.Op) hub.Verdict {
			return hub.Verdict{DropBefore: r.intercept(ctx, op).Refuse != 0}
		}
		overMQTT(t, hub.Config{Intercept: cut}, func(t *testing.T, b *bench) {
			c := b.dial(b.device, nil)
			lost := known{code: hubwire.ConnectionClosedRemotely, outcome: hubwire.NotSent, retryable: true, is: []error{net.ErrClosed}}
			for op := range subscribers(t.Context(), c) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				k := lost
				switch op {
				case "handle method": // there is nothing else that could have been sent
					k.outcome = hubwire.Unknown
				case "receive", "desired": // these wait, whatever it takes
					k = known{outcome: hubwire.NotSent, retryable: true, is: []error{context.DeadlineExceeded}}
				}
				k.verify(t, op, subscribers(ctx, c)[op]())
			}
		})
	})
}

func TestARefusedMethodResponseCostsNoMoreThanItsCall(t *testing.T) {
	var r refuser
	overMQTT(t, hub.Config{Intercept: r.intercept}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		b.handle(c, "echo", echo)
		for _, code := range []hubwire.Code{hubwire.ServerError, hubwire.ArgumentInvalid, hubwire.Throttled} {
			r.refuse(hub.OpMethodResponse, code, 3) // also what is sent again is refused
			if _, err := b.invoke("echo", "1"); !errors.Is(err, hubwire.ConnectionClosedRemotely) {
				t.Errorf("%s: the caller got %v", code.Name(), err)
			}
			synctest.Wait()
			b.awaitConnected(c)
			time.Sleep(time.Minute)
			b.awaitConnected(c)
			if resp, err := b.invoke("echo", "2"); err != nil || string(resp.Payload) != "2" {
				t.Errorf("%s: afterwards %+v, %v", code.Name(), resp, err)
			}
		}
	})
}
