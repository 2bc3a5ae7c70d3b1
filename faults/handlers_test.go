package faults_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

// handlers are functions of the program that do it no good, and must do the Client no harm.
var handlers = []fault{
	{name: "a method handler that does not return", only: connects, keeps: true, lasts: 5 * time.Minute,
		hit: func(v *venue) {
			v.handle("stuck", func(ctx context.Context, _ hubwire.MethodRequest) (hubwire.MethodResponse, error) {
				<-ctx.Done()
				return hubwire.MethodResponse{}, nil
			})
			_, err := v.invoke("stuck", hub.InvokeOptions{ResponseTimeout: 5 * time.Second})
			if !errors.Is(err, hubwire.GatewayTimeout) {
				v.t.Errorf("its caller: %v", err)
			}
		},
	},
	{name: "method handlers that take nearly all there may be", only: connects, keeps: true, lasts: time.Minute,
		hit: func(v *venue) {
			v.handle("slow", func(ctx context.Context, _ hubwire.MethodRequest) (hubwire.MethodResponse, error) {
				time.Sleep(30 * time.Second)
				return hubwire.MethodResponse{Status: 200}, nil
			})
			for range 999 {
				go v.invoke("slow", hub.InvokeOptions{ResponseTimeout: time.Minute})
			}
			v.settle()
		},
	},
	{name: "a method handler that panics", only: connects, keeps: true, hit: func(v *venue) {
		v.handle("panic", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) { panic(onPurpose) })
		v.audit.willPanic()
		resp, err := v.invoke("panic", hub.InvokeOptions{})
		if err != nil || resp.Status != http.StatusInternalServerError {
			v.t.Errorf("its caller: %v, %v", resp, err)
		}
	}},
	{name: "a done function that panics", keeps: true, hit: func(v *venue) {
		v.audit.willPanic()
		if err := v.client.SendAsync(v.t.Context(), &hubwire.Message{}, func(error) { panic(onPurpose) }); err != nil {
			v.t.Error(err)
		}
	}},
	{name: "a slow method handler whose connection is cut", only: connects, lasts: time.Minute, hit: func(v *venue) {
		v.handle("slow", func(ctx context.Context, _ hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			time.Sleep(20 * time.Second)
			return hubwire.MethodResponse{Status: 200}, nil
		})
		called := make(chan error, 1)
		go func() { _, err := v.invoke("slow", hub.InvokeOptions{ResponseTimeout: time.Minute}); called <- err }()
		v.settle()
		v.net.each((*testkit.Relay).Reset)
		if err := <-called; !errors.Is(err, hubwire.ConnectionClosedRemotely) {
			v.t.Errorf("its caller: %v", err)
		}
	}},
}

func (v *venue) handle(name string, h device.MethodHandler) {
	if err := v.client.HandleMethod(v.t.Context(), name, h); err != nil {
		v.t.Errorf("HandleMethod: %v", err)
	}
}

func (v *venue) invoke(name string, o hub.InvokeOptions) (*hubwire.MethodResponse, error) {
	return v.theHub().Invoke(v.t.Context(), v.client.Identity(), hubwire.MethodRequest{Name: name}, &o)
}

// TestMessageHandlers holds that messages whose handler fails, panics or takes longer than the hub waits come
// again until they are dealt with, while everything else goes on.
func TestMessageHandlers(t *testing.T) {
	const n = 20
	overAll(t, setting{hub: hub.Config{LockTimeout: time.Minute}}, func(t *testing.T, v *venue) {
		c := v.dial(dev, nil)
		start := time.Now()
		send := telemetry(v, c)
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		tries := map[string]int{}
		handled := make(chan error, 1)
		go func() {
			handled <- c.HandleMessages(ctx, func(_ context.Context, m *hubwire.Received) error {
				mu.Lock()
				tries[string(m.Body)]++
				first := tries[string(m.Body)] == 1
				mu.Unlock()
				switch kind := m.Body[len(m.Body)-1] % 4; {
				case !first:
				case kind == 0:
					return errors.New("not now")
				case kind == 1:
					v.audit.willPanic()
					panic(onPurpose)
				case kind == 2:
					time.Sleep(90 * time.Second) // longer than the lock
				}
				return nil
			})
		}()
		for i := range n {
			if err := v.theHub().SendC2D(t.Context(), dev, &hubwire.Message{Body: fmt.Appendf(nil, "%02d", i)}); err != nil {
				t.Fatal(err)
			}
			if err := v.bounded(time.Second, send, i); err != nil {
				t.Errorf("telemetry meanwhile: %v", err)
			}
		}
		v.until(time.Hour, "all messages are completed", func() bool {
			left, err := v.theHub().QueueLength(dev)
			return left == 0 && err == nil
		})
		cancel()
		if err := <-handled; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		v.audit.finish()
		if got := v.audit.connections(); got != 1 {
			t.Errorf("%d connections in %v", got, time.Since(start))
		}
		for i := range n {
			if body := fmt.Sprintf("%02d", i); tries[body] == 0 || body[1]%4 < 2 && tries[body] < 2 {
				t.Errorf("message %s was handled %d times", body, tries[body])
			}
		}
	})
}
