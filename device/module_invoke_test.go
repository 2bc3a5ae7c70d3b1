package device_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

var sibling = hubwire.Identity{DeviceID: mod.DeviceID, ModuleID: "sibling"}

// answering connects another identity of the hub, over MQTT, that answers the method "m".
func (b *bench) answering(connectionString string, h device.MethodHandler) *device.Client {
	b.t.Helper()
	c, err := device.Dial(b.t.Context(), connectionString, device.MQTT(nil), b.options(nil))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	if err := c.HandleMethod(b.t.Context(), "m", h); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// never does not answer while its Client lives.
func never(ctx context.Context, _ hubwire.MethodRequest) (hubwire.MethodResponse, error) {
	<-ctx.Done()
	return hubwire.MethodResponse{}, ctx.Err()
}

func TestAModuleCallsOthersOfItsDevice(t *testing.T) {
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.module, nil)
		who := func(name string) device.MethodHandler {
			return func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
				payload, err := json.Marshal(name + " got " + string(r.Payload))
				return hubwire.MethodResponse{Status: 207, Payload: payload}, err
			}
		}
		b.answering(hubtest.Module(t, b.hub, sibling.DeviceID, sibling.ModuleID), who("the sibling"))
		b.answering(b.device, who("the device"))
		for id, want := range map[hubwire.Identity]string{
			sibling: `"the sibling got {\"x\":1}"`,
			dev:     `"the device got {\"x\":1}"`,
		} {
			got, err := c.Invoke(t.Context(), id, hubwire.MethodRequest{Name: "m", Payload: json.RawMessage(`{"x":1}`)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&hubwire.MethodResponse{Status: 207, Payload: json.RawMessage(want)}, got); diff != "" {
				t.Errorf("%v (-want +got):\n%s", id, diff)
			}
		}
	})
}

func TestAMethodMayTakeLongerThanAnythingElse(t *testing.T) {
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		connectionString := hubtest.Module(t, b.hub, sibling.DeviceID, sibling.ModuleID)
		c := b.dial(b.module, nil)
		answers := make(chan error, 1)
		go func() { // it waits for the other to come, and then for its answer
			o := &device.InvokeOptions{ConnectTimeout: 300 * time.Second, ResponseTimeout: 300 * time.Second}
			got, err := c.Invoke(context.Background(), sibling, hubwire.MethodRequest{Name: "m"}, o)
			if err == nil && (got.Status != 200 || got.Payload != nil) {
				t.Errorf("it was answered %+v", got)
			}
			answers <- err
		}()
		time.Sleep(290 * time.Second)
		b.answering(connectionString, func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			time.Sleep(290 * time.Second)
			return hubwire.MethodResponse{Status: 200}, nil
		})
		if err := <-answers; err != nil {
			t.Error(err)
		}
	})
}

func TestWhatAModuleCannotCall(t *testing.T) {
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		stranger := hubwire.Identity{DeviceID: "stranger"}
		hubtest.Device(t, b.hub, stranger.DeviceID)
		b.answering(b.device, never)
		c := b.dial(b.module, nil)
		m := hubwire.MethodRequest{Name: "m"}
		for name, tt := range map[string]struct {
			c       *device.Client
			id      hubwire.Identity
			m       hubwire.MethodRequest
			o       *device.InvokeOptions
			want    error
			outcome hubwire.Outcome
		}{
			"somebody who is away":     {c, mod, m, nil, hubwire.DeviceNotOnline, hubwire.Refused},
			"a module that is none":    {c, sibling, m, nil, hubwire.ModuleNotFound, hubwire.Refused},
			"another device":           {c, stranger, m, nil, hubwire.UnauthorizedAccess, hubwire.Refused},
			"one that takes too long":  {c, dev, m, &device.InvokeOptions{ResponseTimeout: 5 * time.Second}, hubwire.GatewayTimeout, hubwire.Unknown},
			"nobody":                   {c, hubwire.Identity{}, m, nil, hubwire.ArgumentInvalid, hubwire.NotSent},
			"a method without a name":  {c, dev, hubwire.MethodRequest{}, nil, hubwire.ArgumentInvalid, hubwire.NotSent},
			"with what is no JSON":     {c, dev, hubwire.MethodRequest{Name: "m", Payload: json.RawMessage("x")}, nil, hubwire.ArgumentInvalid, hubwire.NotSent},
			"with too much":            {c, dev, hubwire.MethodRequest{Name: "m", Payload: make(json.RawMessage, hubwire.MaxMethodPayload+1)}, nil, hubwire.MessageTooLarge, hubwire.NotSent},
			"with a time-out too long": {c, dev, m, &device.InvokeOptions{ConnectTimeout: time.Hour}, hubwire.ArgumentInvalid, hubwire.NotSent},
			"when it is a device":      {b.dial(hubtest.Device(t, b.hub, "dev-2"), nil), dev, m, nil, errors.ErrUnsupported, hubwire.NotSent},
		} {
			_, err := tt.c.Invoke(t.Context(), tt.id, tt.m, tt.o)
			e, ok := errors.AsType[*hubwire.Error](err)
			if !errors.Is(err, tt.want) || !ok || e.Outcome != tt.outcome || e.Op != "invoke" {
				t.Errorf("%s: %#v; want %v, outcome %v", name, err, tt.want, tt.outcome)
			}
		}
	})
}

// TestACallIsNotMadeTwice loses the answer: whether the method ran is then not known.
func TestACallIsNotMadeTwice(t *testing.T) {
	var lose atomic.Bool
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		return hub.Verdict{DropAfter: op.Kind == hub.OpRequest && lose.Load()}
	}}
	overAll(t, cfg, func(t *testing.T, b *bench) {
		lose.Store(false)
		ran := 0
		b.answering(b.device, func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			ran++
			return hubwire.MethodResponse{Status: 200}, nil
		})
		c := b.dial(b.module, nil)
		lose.Store(true)
		_, err := c.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "m"}, nil)
		lose.Store(false)
		if e, ok := errors.AsType[*hubwire.Error](err); !ok || e.Outcome != hubwire.Unknown || !errors.Is(err, net.ErrClosed) {
			t.Errorf("it ended with %v", err)
		}
		time.Sleep(time.Hour)
		if ran != 1 {
			t.Errorf("the method ran %d times", ran)
		}
		// The connection of the next call ends while it is not used.
		for range 2 {
			if _, err := c.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "m"}, nil); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Hour)
		}
	})
}

func TestACallWhoseTokenIsRefusedIsMadeWithAnother(t *testing.T) {
	var refuse atomic.Int32
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) (v hub.Verdict) {
		if op.Kind == hub.OpRequest && refuse.Add(-1) >= 0 {
			v.Refuse = hubwire.Unauthorized
		}
		return v
	}}
	over(t, device.MQTT(nil), cfg, func(t *testing.T, b *bench) {
		b.answering(b.device, func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{Status: 200}, nil
		})
		c := b.dial(b.module, nil)
		for refusals, want := range []error{nil, nil, hubwire.Unauthorized} {
			refuse.Store(int32(refusals))
			if _, err := c.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "m"}, nil); !errors.Is(err, want) {
				t.Errorf("after %d refusals: %v, want %v", refusals, err, want)
			}
		}
	})
}

func TestACallEndsWithItsContextAndWithTheClient(t *testing.T) {
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		b.answering(b.device, never)
		c := b.dial(b.module, nil)
		slow := &device.InvokeOptions{ResponseTimeout: 300 * time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Invoke(ctx, dev, hubwire.MethodRequest{Name: "m"}, slow)
		e, ok := errors.AsType[*hubwire.Error](err)
		if !ok || !errors.Is(err, context.DeadlineExceeded) || e.Outcome != hubwire.Unknown || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := c.Invoke(context.Background(), dev, hubwire.MethodRequest{Name: "m"}, slow)
			ended <- err
		}()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("it ended with %v", err)
		}
		if _, err := c.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "m"}, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
