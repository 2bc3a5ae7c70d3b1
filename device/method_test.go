package device_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// invoke calls a direct method of the device.
func (b *bench) invoke(name, payload string) (*hubwire.MethodResponse, error) {
	return b.hub.Invoke(b.t.Context(), dev, hubwire.MethodRequest{Name: name, Payload: []byte(payload)}, nil)
}

func (b *bench) handle(c *device.Client, name string, h device.MethodHandler) {
	b.t.Helper()
	if err := c.HandleMethod(b.t.Context(), name, h); err != nil {
		b.t.Fatal(err)
	}
}

func echo(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
	return hubwire.MethodResponse{Status: 200, Payload: r.Payload}, nil
}

func TestMethodsAreAnswered(t *testing.T) {
	large := `"` + strings.Repeat("x", hubwire.MaxMethodPayload-2) + `"`
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		var panics []any
		c := b.dial(b.device, func(o *device.Options) {
			o.Hooks = &device.Hooks{HandlerPanic: func(v any, _ []byte) { panics = append(panics, v) }}
		})
		b.handle(c, "echo", echo)
		b.handle(c, "größe / 100%", echo)
		b.handle(c, "large", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{Status: 200, Payload: []byte(large)}, nil
		})
		b.handle(c, "own status", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{Status: 12345}, nil
		})
		b.handle(c, "panics", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) { panic("oh") })
		b.handle(c, "fails", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{}, errors.New("no paper")
		})
		b.handle(c, "ends its goroutine", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			runtime.Goexit() // as t.FailNow does
			return hubwire.MethodResponse{}, nil
		})
		b.handle(c, "fails badly", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{}, (*fragile)(nil)
		})
		b.handle(c, "too much", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{Payload: []byte(large + " ")}, nil
		})
		b.handle(c, "no JSON", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{Payload: []byte("{")}, nil
		})
		b.handle(c, "negative", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{Status: -1}, nil
		})
		for _, tt := range []struct {
			method, payload string
			status          int
			want            string // of the payload
		}{
			{"echo", `{"a":[1,2]}`, 200, `{"a":[1,2]}`},
			{"echo", "", 200, ""},
			{"echo", large, 200, large},
			{"größe / 100%", `1`, 200, "1"},
			{"large", "", 200, large},
			{"own status", "", 12345, ""},
			{"panics", "", 500, `"device: the handler panicked"`},
			{"fails", "", 500, `"no paper"`},
			{"ends its goroutine", "", 500, `"device: the handler ended its goroutine"`},
			{"fails badly", "", 500, `"device: the handler panicked"`},
			{"too much", "", 500, `"the handler's answer has 131073 bytes, the limit is 131072"`},
			{"no JSON", "", 500, `"the handler's answer is not JSON"`},
			{"negative", "", 500, `"the handler's status is -1"`},
			{"unknown", "", 501, `"the device has no method \"unknown\""`},
		} {
			resp, err := b.invoke(tt.method, tt.payload)
			if err != nil {
				t.Errorf("%s: %v", tt.method, err)
			} else if resp.Status != tt.status || string(resp.Payload) != tt.want && !(tt.want == "" && string(resp.Payload) == "null") {
				t.Errorf("%s: %d %.100s", tt.method, resp.Status, resp.Payload)
			}
		}
		if len(panics) != 2 || panics[0] != "oh" {
			t.Errorf("panics %v", panics)
		}
		b.handle(c, "", echo)
		if resp, err := b.invoke("unknown", "1"); err != nil || resp.Status != 200 {
			t.Errorf("with a handler for all: %+v, %v", resp, err)
		}
		b.handle(c, "", nil)
		if resp, err := b.invoke("unknown", "1"); err != nil || resp.Status != 501 {
			t.Errorf("without it again: %+v, %v", resp, err)
		}
	})
}

// fragile is an error as programs return it by mistake, as a nil pointer.
type fragile struct{ text string }

func (f *fragile) Error() string { return f.text }

func TestAMethodThatTakesTooLongTimesOutAtTheCaller(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		if _, err := b.invoke("slow", ""); !errors.Is(err, hubwire.DeviceNotOnline) {
			t.Errorf("before anybody handles methods: %v", err)
		}
		ended := make(chan error, 1)
		b.handle(c, "slow", func(ctx context.Context, _ hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return hubwire.MethodResponse{}, nil
		})
		b.handle(c, "echo", echo)
		if _, err := b.invoke("slow", ""); !errors.Is(err, hubwire.GatewayTimeout) {
			t.Errorf("%v", err)
		}
		if resp, err := b.invoke("echo", "1"); err != nil || resp.Status != 200 {
			t.Errorf("beside it: %+v, %v", resp, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err == nil {
			t.Error("the handler's context has no cause")
		}
	})
}

func TestMethodsOutliveTheConnection(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		b.handle(c, "echo", echo)
		for i := range 5 {
			b.hub.Disconnect(dev)
			b.awaitConnected(c)
			resp, err := b.invoke("echo", fmt.Sprint(i))
			if err != nil || !bytes.Equal(resp.Payload, json.RawMessage(fmt.Sprint(i))) {
				t.Errorf("after cut %d: %+v, %v", i, resp, err)
			}
		}
	})
}

func TestHandleMethodAfterTheEndSaysWhy(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		for _, end := range []struct {
			by  func(*device.Client) error
			why error
		}{
			{(*device.Client).Close, net.ErrClosed},
			{func(*device.Client) error { return b.hub.Delete(t.Context(), dev) }, hubwire.Unauthorized},
		} {
			c := b.dial(b.device, nil)
			b.handle(c, "m", echo)
			if err := end.by(c); err != nil {
				t.Error(err)
			}
			<-c.Done()
			for _, h := range []device.MethodHandler{echo, nil} {
				if err := c.HandleMethod(t.Context(), "m", h); !errors.Is(err, net.ErrClosed) || !errors.Is(err, end.why) {
					t.Errorf("ended by %v: %v", end.why, err)
				}
			}
		}
	})
}

func TestHandleMethodThatCannotSubscribeLeavesNoHandler(t *testing.T) {
	cfg := hub.Config{RefuseFilters: true, Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		if op.Kind == hub.OpSubscribe && strings.HasPrefix(op.Name, "$iothub/methods/") {
			return hub.Verdict{Refuse: hubwire.QuotaExceeded}
		}
		return hub.Verdict{}
	}}
	overMQTT(t, cfg, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		err := c.HandleMethod(t.Context(), "m", echo)
		var e *hubwire.Error
		if !errors.As(err, &e) || e.Outcome != hubwire.Refused || e.Op != "handle method" {
			t.Errorf("%v", err)
		}
		if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
			t.Errorf("the connection is gone: %v", err)
		}
	})
}

func TestAHandlerWhoseSubscriptionFailsLeavesLaterOnesAlone(t *testing.T) {
	var silent atomic.Bool
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		return hub.Verdict{SwallowAck: op.Kind == hub.OpSubscribe && silent.Load()}
	}}
	status := func(n int) device.MethodHandler {
		return func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{Status: n}, nil
		}
	}
	for _, tt := range []struct {
		name   string
		limits []time.Duration // of one call of HandleMethod after another; the hub answers after 10 s
		want   int             // the number of the handler that is in place, from 1
	}{
		{"the first fails", []time.Duration{time.Second, time.Hour}, 2},
		{"the last fails", []time.Duration{time.Hour, time.Second}, 1},
		{"two fail, the older one first", []time.Duration{time.Hour, time.Second, 2 * time.Second}, 1},
		{"two fail, the newer one first", []time.Duration{time.Hour, 2 * time.Second, time.Second}, 1},
		{"all fail", []time.Duration{time.Second, time.Second}, 501},
	} {
		t.Run(tt.name, func(t *testing.T) {
			over(t, device.MQTT(nil), cfg, func(t *testing.T, b *bench) {
				c := b.dial(b.device, nil)
				silent.Store(true)
				var calls sync.WaitGroup
				for i, limit := range tt.limits {
					calls.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), limit)
						defer cancel()
						if err := c.HandleMethod(ctx, "m", status(i+1)); (err == nil) != (limit == time.Hour) {
							t.Errorf("HandleMethod %d: %v", i+1, err)
						}
					})
					synctest.Wait()
				}
				time.Sleep(10 * time.Second)
				silent.Store(false)
				calls.Wait()
				b.handle(c, "other", echo)
				if r, err := b.invoke("m", "null"); err != nil || r.Status != tt.want {
					t.Errorf("the method was answered by %v, %v, want handler %d", r, err, tt.want)
				}
			})
		})
	}
}
