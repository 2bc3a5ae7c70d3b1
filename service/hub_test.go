package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/service"
)

// onHub runs a test with a hub in a bubble of its own, and a Client of its policy iothubowner.
func onHub(t *testing.T, cfg hub.Config, test func(t *testing.T, h *hub.Hub, c *service.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		testkit.LeakCheck(t)
		cfg.InMemory = true
		h := hubtest.Start(t, &cfg)
		test(t, h, clientOf(t, h, "iothubowner", nil))
	})
}

// clientOf opens a Client with a policy of the hub.
func clientOf(t *testing.T, h *hub.Hub, policy string, change func(*service.Options)) *service.Client {
	t.Helper()
	cs, err := h.PolicyConnectionString(policy)
	if err != nil {
		t.Fatal(err)
	}
	o := &service.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()}
	if change != nil {
		change(o)
	}
	c, err := service.New(cs, o)
	if err != nil {
		t.Fatal(err)
	}
	closedInTheEnd(t, c)
	return c
}

// online connects a device over MQTT.
func online(t *testing.T, h *hub.Hub, id hubwire.Identity) *device.Client {
	t.Helper()
	cs, err := h.ConnectionString(id)
	if err != nil {
		t.Fatal(err)
	}
	d, err := device.Dial(t.Context(), cs, device.MQTT(nil), &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// TestTheLifeOfADevice is scenario T9f: create, get, update, list, count, delete.
func TestTheLifeOfADevice(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		ctx := t.Context()
		made, err := c.CreateDevice(ctx, &service.Device{DeviceID: "dev-1"})
		if err != nil {
			t.Fatal(err)
		}
		if made.Authentication.SymmetricKey.Primary.IsZero() || made.ETag == "" || !made.Status.Is(service.Enabled) {
			t.Errorf("made %+v", made)
		}
		if _, err := c.CreateDevice(ctx, &service.Device{DeviceID: "dev-1"}); !errors.Is(err, hubwire.DeviceAlreadyExists) {
			t.Errorf("a second time: %v", err)
		}
		got, err := c.Device(ctx, "dev-1")
		if err != nil || got.ETag != made.ETag || !got.Authentication.SymmetricKey.Primary.Equal(made.Authentication.SymmetricKey.Primary) {
			t.Errorf("got %+v, %v", got, err)
		}
		got.Status, got.StatusReason = service.Disabled, "in repair"
		updated, err := c.UpdateDevice(ctx, got, got.ETag)
		if err != nil || !updated.Status.Is(service.Disabled) || !updated.Authentication.SymmetricKey.Primary.Equal(made.Authentication.SymmetricKey.Primary) {
			t.Errorf("updated %+v, %v", updated, err)
		}
		if _, err := c.UpdateDevice(ctx, got, made.ETag); !errors.Is(err, hubwire.PreconditionFailed) {
			t.Errorf("with a stale ETag: %v", err)
		}
		if _, err := c.UpdateDevice(ctx, got, service.Any); err != nil {
			t.Errorf("with any ETag: %v", err)
		}
		if _, err := c.UpdateDevice(ctx, &service.Device{DeviceID: "dev-2"}, service.Any); !errors.Is(err, hubwire.DeviceNotFound) {
			t.Errorf("of what is not there: %v", err)
		}
		hubtest.Device(t, h, "dev-2")
		stats, err := c.DeviceStatistics(ctx)
		if diff := cmp.Diff(&service.DeviceStatistics{Total: 2, Enabled: 1, Disabled: 1}, stats); diff != "" || err != nil {
			t.Errorf("%v, statistics (-want +got):\n%s", err, diff)
		}
		if all, err := c.Devices(ctx, 0); err != nil || len(all) != 2 {
			t.Errorf("%d devices, %v", len(all), err)
		}
		if some, err := c.Devices(ctx, 1); err != nil || len(some) != 1 {
			t.Errorf("%d devices, %v", len(some), err)
		}
		if err := c.DeleteDevice(ctx, "dev-1", made.ETag); !errors.Is(err, hubwire.PreconditionFailed) {
			t.Errorf("delete with a stale ETag: %v", err)
		}
		if err := c.DeleteDevice(ctx, "dev-1", service.Any); err != nil {
			t.Error(err)
		}
		if _, err := c.Device(ctx, "dev-1"); !errors.Is(err, hubwire.DeviceNotFound) {
			t.Errorf("after all: %v", err)
		}
	})
}

// TestTheLifeOfAModule is scenario T8 on the service's side.
func TestTheLifeOfAModule(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		ctx := t.Context()
		if _, err := c.CreateModule(ctx, &service.Module{DeviceID: "dev-1", ModuleID: "mod"}); !errors.Is(err, hubwire.DeviceNotFound) {
			t.Errorf("without its device: %v", err)
		}
		hubtest.Device(t, h, "dev-1")
		made, err := c.CreateModule(ctx, &service.Module{DeviceID: "dev-1", ModuleID: "mod"})
		if err != nil {
			t.Fatal(err)
		}
		m := online(t, h, mod)
		twin, err := c.PatchTwin(ctx, mod, &service.TwinUpdate{Desired: json.RawMessage(`{"telemetryInterval":122}`)}, service.Any)
		if err != nil || twin.Identity != mod {
			t.Fatalf("%v, %v", twin, err)
		}
		for change, err := range m.Desired(ctx) {
			if err != nil || string(change.JSON) != `{"telemetryInterval":122}` {
				t.Errorf("%s, %v", change.JSON, err)
			}
			break
		}
		if all, err := c.Modules(ctx, "dev-1"); err != nil || len(all) != 1 || all[0].ConnectionState != service.Connected {
			t.Errorf("%v, %v", all, err)
		}
		made.ManagedBy = "me"
		if updated, err := c.UpdateModule(ctx, made, made.ETag); err != nil || updated.ManagedBy != "me" {
			t.Errorf("%v, %v", updated, err)
		}
		if err := c.DeleteModule(ctx, mod, service.Any); err != nil {
			t.Error(err)
		}
		if _, err := c.Module(ctx, mod); !errors.Is(err, hubwire.ModuleNotFound) {
			t.Errorf("after all: %v", err)
		}
	})
}

// TestATwinFromBothEnds is scenario T3.
func TestATwinFromBothEnds(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		ctx := t.Context()
		hubtest.Device(t, h, "dev-1")
		fresh, err := c.Twin(ctx, dev)
		if err != nil {
			t.Fatal(err)
		}
		tagged, err := c.PatchTwin(ctx, dev, &service.TwinUpdate{
			Tags: json.RawMessage(`{"location":{"region":"US","plant":"Redmond43"}}`), Desired: json.RawMessage(`{"power_level":1}`),
		}, fresh.ETag)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.PatchTwin(ctx, dev, &service.TwinUpdate{Tags: json.RawMessage(`{}`)}, fresh.ETag); !errors.Is(err, hubwire.PreconditionFailed) {
			t.Errorf("with a stale ETag: %v", err)
		}
		d := online(t, h, dev)
		if _, err := d.Report(ctx, map[string]string{"connectivity": "cellular"}); err != nil {
			t.Fatal(err)
		}
		both, err := c.Twin(ctx, dev)
		if err != nil || string(both.Reported.JSON) != `{"connectivity":"cellular"}` || both.Desired.Version != tagged.Desired.Version || both.ConnectionState != service.Connected {
			t.Errorf("%+v, %v", both, err)
		}
		replaced, err := c.ReplaceTwin(ctx, dev, &service.TwinUpdate{Desired: json.RawMessage(`{"new":true}`)}, both.ETag)
		if err != nil || string(replaced.Desired.JSON) != `{"new":true}` || string(replaced.Tags) != "{}" {
			t.Errorf("%+v, %v", replaced, err)
		}
		if n, err := c.PurgeQueue(ctx, "dev-1"); err != nil || n != 0 {
			t.Errorf("%d purged, %v", n, err)
		}
	})
}

// TestETagsKeepWritersApart has twenty writers count in one twin, each from what it read.
func TestETagsKeepWritersApart(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		hubtest.Device(t, h, "dev-1")
		count := func(tw *service.Twin) (n int) {
			var tags struct{ N int }
			if err := json.Unmarshal(tw.Tags, &tags); err != nil {
				t.Error(err)
			}
			return tags.N
		}
		var writers sync.WaitGroup
		const each, all = 5, 20
		for range all {
			writers.Go(func() {
				for done := 0; done < each; {
					tw, err := c.Twin(t.Context(), dev)
					if err != nil {
						t.Error(err)
						return
					}
					more := &service.TwinUpdate{Tags: json.RawMessage(fmt.Sprintf(`{"N":%d}`, count(tw)+1))}
					switch _, err = c.PatchTwin(t.Context(), dev, more, tw.ETag); {
					case err == nil:
						done++
					case !errors.Is(err, hubwire.PreconditionFailed):
						t.Error(err)
						return
					}
				}
			})
		}
		writers.Wait()
		if tw, err := c.Twin(t.Context(), dev); err != nil || count(tw) != each*all {
			t.Errorf("%s, %v", tw.Tags, err)
		}
	})
}

// TestDirectMethods is scenario T4, and what becomes of a method that nobody answers.
func TestDirectMethods(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		ctx := t.Context()
		hubtest.Device(t, h, "dev-1")
		call := hubwire.MethodRequest{Name: "DeviceMethod", Payload: json.RawMessage(`{"method_number":"42"}`)}
		start := time.Now()
		if _, err := c.Invoke(ctx, dev, call, nil); !errors.Is(err, hubwire.DeviceNotOnline) || time.Since(start) > time.Second {
			t.Errorf("offline: %v after %v", err, time.Since(start))
		}
		if _, err := c.Invoke(ctx, dev, call, &service.InvokeOptions{ConnectTimeout: 5 * time.Minute}); !errors.Is(err, hubwire.DeviceNotOnline) || time.Since(start) < 5*time.Minute {
			t.Errorf("offline for five minutes: %v after %v", err, time.Since(start))
		}
		d := online(t, h, dev)
		if err := d.HandleMethod(ctx, "DeviceMethod", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{Status: 200, Payload: r.Payload}, nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := d.HandleMethod(ctx, "slow", func(ctx context.Context, _ hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			<-ctx.Done()
			return hubwire.MethodResponse{}, ctx.Err()
		}); err != nil {
			t.Fatal(err)
		}
		if r, err := c.Invoke(ctx, dev, call, nil); err != nil || r.Status != 200 || string(r.Payload) != `{"method_number":"42"}` {
			t.Errorf("%v, %v", r, err)
		}
		start = time.Now()
		_, err := c.Invoke(ctx, dev, hubwire.MethodRequest{Name: "slow"}, &service.InvokeOptions{ResponseTimeout: 5 * time.Minute})
		if e := errorOf(t, err); e.Code != hubwire.GatewayTimeout || e.Outcome != hubwire.Unknown || e.Retryable || time.Since(start) != 5*time.Minute {
			t.Errorf("slow: %v after %v", err, time.Since(start))
		}
	})
}

// TestAThousandMethodsAtOnce has each answer get to its caller, over a pool of connections, whatever
// order they come in.
func TestAThousandMethodsAtOnce(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, _ *service.Client) {
		const calls, conns = 1000, 20
		var dials atomic.Int64
		c := clientOf(t, h, "service", func(o *service.Options) {
			o.MaxConns = conns
			o.Dial = counting(o.Dial, &dials)
		})
		hubtest.Device(t, h, "dev-1")
		d := online(t, h, dev)
		if err := d.HandleMethod(t.Context(), "echo", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			time.Sleep(rand.N(2 * time.Second))
			return hubwire.MethodResponse{Status: 200, Payload: r.Payload}, nil
		}); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range calls {
			all.Go(func() {
				r, err := c.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "echo", Payload: json.RawMessage(fmt.Sprint(i))}, nil)
				if err != nil || string(r.Payload) != fmt.Sprint(i) {
					t.Errorf("call %d: %v, %v", i, r, err)
				}
			})
		}
		all.Wait()
		if n := dials.Load(); n > conns {
			t.Errorf("%d connections", n)
		}
	})
}

// counting counts the dials of a function.
func counting(dial dialFunc, n *atomic.Int64) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		n.Add(1)
		return dial(ctx, network, addr)
	}
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// TestAPolicyThatLacksTheRight has the policies refused what they may not do.
func TestAPolicyThatLacksTheRight(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, _ *service.Client) {
		hubtest.Device(t, h, "dev-1")
		for policy, may := range map[string]map[string]bool{
			"service":           {"twin": true},
			"registryRead":      {"get": true},
			"registryReadWrite": {"get": true, "delete": true},
			"device":            {},
		} {
			c := clientOf(t, h, policy, nil)
			for name, call := range map[string]func() error{
				"twin":   func() error { _, err := c.Twin(t.Context(), dev); return err },
				"get":    func() error { _, err := c.Device(t.Context(), "dev-1"); return err },
				"delete": func() error { return c.DeleteDevice(t.Context(), "dev-1", `"nonsense"`) },
			} {
				err := call()
				if refused := err != nil && errorOf(t, err).Code.Status() == 401; refused == may[name] {
					t.Errorf("%s with %s: %v", name, policy, err)
				}
			}
		}
	})
}

// TestFaultsOfTheHub has the hub misbehave, as its intercept function can.
func TestFaultsOfTheHub(t *testing.T) {
	for name, tt := range map[string]struct {
		first   hub.Verdict
		code    hubwire.Code // of the create; 0: it went well
		outcome hubwire.Outcome
		waited  time.Duration
	}{
		"throttled":                  {hub.Verdict{Refuse: hubwire.Throttled, RetryAfter: 7 * time.Second}, 0, 0, 7 * time.Second},
		"cut before it acts":         {hub.Verdict{DropBefore: true}, -1, hubwire.Unknown, 0},
		"cut after it acted":         {hub.Verdict{DropAfter: true}, -1, hubwire.Unknown, 0},
		"an answer that takes long":  {hub.Verdict{Delay: 30 * time.Second}, 0, 0, 30 * time.Second},
		"an answer that is too late": {hub.Verdict{Delay: 2 * time.Minute}, -1, hubwire.Unknown, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
				if op.Kind != hub.OpRequest || asked.Add(1) > 1 {
					return hub.Verdict{}
				}
				return tt.first
			}}
			onHub(t, cfg, func(t *testing.T, h *hub.Hub, c *service.Client) {
				start := time.Now()
				_, err := c.CreateDevice(t.Context(), &service.Device{DeviceID: "dev-1"})
				if (err != nil) != (tt.code != 0) || err != nil && errorOf(t, err).Outcome != tt.outcome || time.Since(start) < tt.waited {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				_, err = h.Device(dev)
				if there := err == nil; there != (tt.code == 0 || tt.first.DropAfter) {
					t.Errorf("the device: %v", err)
				}
				if _, err := c.DeviceStatistics(t.Context()); err != nil {
					t.Errorf("the next call: %v", err)
				}
			})
		})
	}
}

// TestTheHubThroughAProxy is theme 15 for the service's side.
func TestTheHubThroughAProxy(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, _ *service.Client) {
		p := &testkit.Proxy{Up: h.Dial}
		c := clientOf(t, h, "registryRead", func(o *service.Options) {
			o.Dial, o.Proxy = p.Dial, testkit.ProxyURL(testkit.ProxyUser())
		})
		if _, err := c.DeviceStatistics(t.Context()); err != nil {
			t.Error(err)
		}
		c.Close()
		p.End(t)
		if asked := p.Asked(); len(asked) != 1 {
			t.Errorf("asked %q", asked)
		}
	})
}
