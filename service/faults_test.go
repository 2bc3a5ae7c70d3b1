package service_test

import (
	"context"
	"encoding/json"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/service"
)

// stage is a hub with a device that is connected, and a network between the hub and the client that can fail.
type stage struct {
	*testing.T
	hub   *hub.Hub
	ran   atomic.Int64 // how often the device ran a method
	mu    sync.Mutex
	lines []*testkit.Relay
}

func (s *stage) each(f func(*testkit.Relay)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.lines {
		f(line)
	}
}

// through returns a dial function whose connections are lines of the stage.
func (s *stage) through(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		there, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		client, here := testkit.Pipe()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lines = append(s.lines, testkit.NewRelay(here, there))
		return client, nil
	}
}

// there reports whether what err is about exists.
func there(err error) bool { return err == nil }

// faultyCalls are operations of each kind that change something, and how to see at the hub that they
// have. What they need is on the stage: dev-1, its module mod, its twin, a message in its queue, a job and a configuration.
var faultyCalls = map[string]struct {
	call func(ctx context.Context, c *service.Client) error
	done func(s *stage, c *service.Client) bool
}{
	"create a device": {
		func(ctx context.Context, c *service.Client) error {
			_, err := c.CreateDevice(ctx, &service.Device{DeviceID: "new"})
			return err
		},
		func(s *stage, _ *service.Client) bool {
			_, err := s.hub.Device(hubwire.Identity{DeviceID: "new"})
			return there(err)
		},
	},
	"disable a device": {
		func(ctx context.Context, c *service.Client) error {
			_, err := c.UpdateDevice(ctx, &service.Device{DeviceID: "dev-2", Status: service.Disabled}, service.Any)
			return err
		},
		func(s *stage, _ *service.Client) bool {
			d, err := s.hub.Device(hubwire.Identity{DeviceID: "dev-2"})
			return err == nil && d.Disabled
		},
	},
	"delete a device": {
		func(ctx context.Context, c *service.Client) error { return c.DeleteDevice(ctx, "dev-2", service.Any) },
		func(s *stage, _ *service.Client) bool {
			_, err := s.hub.Device(hubwire.Identity{DeviceID: "dev-2"})
			return !there(err)
		},
	},
	"create a module": {
		func(ctx context.Context, c *service.Client) error {
			_, err := c.CreateModule(ctx, &service.Module{DeviceID: "dev-1", ModuleID: "mod"})
			return err
		},
		func(s *stage, _ *service.Client) bool { _, err := s.hub.Device(mod); return there(err) },
	},
	"a bulk": {
		func(ctx context.Context, c *service.Client) error {
			_, err := c.Bulk(ctx, []service.ImportDevice{{ID: "new", ImportMode: service.ImportCreate}})
			return err
		},
		func(s *stage, _ *service.Client) bool {
			_, err := s.hub.Device(hubwire.Identity{DeviceID: "new"})
			return there(err)
		},
	},
	"patch a twin": {
		func(ctx context.Context, c *service.Client) error {
			_, err := c.PatchTwin(ctx, dev, &service.TwinUpdate{Tags: json.RawMessage(`{"a":1}`)}, service.Any)
			return err
		},
		func(s *stage, _ *service.Client) bool {
			tw, err := s.hub.Twin(s.Context(), dev)
			return err == nil && string(tw.Tags) == `{"a":1}`
		},
	},
	"invoke a method": {
		func(ctx context.Context, c *service.Client) error {
			_, err := c.Invoke(ctx, dev, hubwire.MethodRequest{Name: "m"}, nil)
			return err
		},
		func(s *stage, _ *service.Client) bool { return s.ran.Load() == 1 },
	},
	"schedule a job": {
		func(ctx context.Context, c *service.Client) error {
			_, err := c.ScheduleTwinUpdate(ctx, "new", "*", &service.TwinUpdate{Tags: json.RawMessage(`{"a":1}`)}, &service.JobOptions{Start: time.Now().Add(time.Hour)})
			return err
		},
		func(s *stage, c *service.Client) bool { _, err := c.Job(s.Context(), "new"); return there(err) },
	},
	"create a configuration": {
		func(ctx context.Context, c *service.Client) error {
			_, err := c.CreateConfiguration(ctx, &service.Configuration{ID: "new", TargetCondition: "deviceId = 'x'",
				Content: service.ConfigurationContent{Device: map[string]json.RawMessage{"properties.desired.a": json.RawMessage(`1`)}}})
			return err
		},
		func(s *stage, c *service.Client) bool {
			_, err := c.Configuration(s.Context(), "new")
			return there(err)
		},
	},
	"purge a queue": {
		func(ctx context.Context, c *service.Client) error { _, err := c.PurgeQueue(ctx, "dev-2"); return err },
		func(s *stage, _ *service.Client) bool {
			n, err := s.hub.QueueLength(hubwire.Identity{DeviceID: "dev-2"})
			return err == nil && n == 0
		},
	},
	"patch a digital twin": {
		func(ctx context.Context, c *service.Client) error {
			_, err := c.PatchDigitalTwin(ctx, "dev-1", service.JSONPatch{{Op: "add", Path: "/a", Value: json.RawMessage(`1`)}}, service.Any)
			return err
		},
		func(s *stage, _ *service.Client) bool {
			tw, err := s.hub.Twin(s.Context(), dev)
			return err == nil && string(tw.Desired.JSON) == `{"a":1}`
		},
	},
	"read": { // which changes nothing, and so comes through all that passes
		func(ctx context.Context, c *service.Client) error { _, err := c.Twin(ctx, dev); return err },
		nil,
	},
}

// TestCallsUnderFaults has each fault strike each operation once, on its way to the hub or back. A call
// that says it did what was asked has done it, one that says the hub refused it has not, nothing is done
// twice, and the next call works.
func TestCallsUnderFaults(t *testing.T) {
	for fault, tt := range map[string]struct {
		verdict hub.Verdict
		network func(*testkit.Relay) // when the hub has the request
		passes  bool                 // for every operation: the hub has surely done nothing
	}{
		"cut before the hub acts":         {hub.Verdict{DropBefore: true}, nil, false},
		"cut before it answers":           {hub.Verdict{DropAfter: true}, nil, false},
		"no answer":                       {hub.Verdict{SwallowAck: true}, nil, false},
		"a slow answer":                   {hub.Verdict{Delay: 20 * time.Second}, nil, true},
		"429":                             {hub.Verdict{Refuse: hubwire.Throttled, RetryAfter: 3 * time.Second}, nil, false},
		"503":                             {hub.Verdict{Refuse: hubwire.ServiceUnavailable}, nil, false},
		"401, of a token that got old":    {hub.Verdict{Refuse: hubwire.Unauthorized}, nil, true},
		"404":                             {hub.Verdict{Refuse: hubwire.DeviceNotFound}, nil, false},
		"half an answer":                  {hub.Verdict{}, func(r *testkit.Relay) { r.Down.After(60, r.Reset) }, false},
		"a black hole from the hub":       {hub.Verdict{}, func(r *testkit.Relay) { r.Down.Swallow(true) }, false},
		"a peer that stalls in an answer": {hub.Verdict{}, func(r *testkit.Relay) { r.Down.After(60, func() { r.Down.Stop(true) }) }, false},
	} {
		for op := range faultyCalls {
			t.Run(fault+"/"+op, func(t *testing.T) {
				s := &stage{T: t}
				var armed atomic.Bool
				cfg := hub.Config{Intercept: func(_ context.Context, o *hub.Op) hub.Verdict {
					if o.Kind != hub.OpRequest || !armed.CompareAndSwap(true, false) {
						return hub.Verdict{}
					}
					if tt.network != nil {
						s.each(tt.network)
					}
					return tt.verdict
				}}
				onHub(t, cfg, func(t *testing.T, h *hub.Hub, direct *service.Client) {
					s.T, s.hub = t, h
					s.set()
					c := clientOf(t, h, "iothubowner", func(o *service.Options) { o.Dial = s.through(o.Dial) })
					defer s.each((*testkit.Relay).Close)
					if _, err := c.DeviceStatistics(t.Context()); err != nil {
						t.Fatal(err)
					}
					time.Sleep(10 * time.Second) // another token would be another one
					armed.Store(true)
					start := time.Now()
					err := faultyCalls[op].call(t.Context(), c)
					if took := time.Since(start); took > 5*time.Minute || armed.Load() {
						t.Errorf("it took %v; the fault is still to come: %v", took, armed.Load())
					}
					surelyNot := err != nil && errorOf(t, err).Outcome != hubwire.Unknown
					if done := faultyCalls[op].done; done == nil && err != nil && fault != "404" {
						t.Errorf("reading: %v", err)
					} else if done != nil {
						did := done(s, direct)
						if did && surelyNot || !did && err == nil {
							t.Errorf("done: %v, and the call says %v", did, err)
						}
					}
					if tt.passes && err != nil || s.ran.Load() > 1 {
						t.Errorf("%v; the method ran %d times", err, s.ran.Load())
					}
					if _, err := c.DeviceStatistics(t.Context()); err != nil {
						t.Errorf("the next call: %v", err)
					}
				})
			})
		}
	}
}

// set sets the stage.
func (s *stage) set() {
	hubtest.Device(s, s.hub, "dev-1")
	hubtest.Device(s, s.hub, "dev-2")
	if err := s.hub.SendC2D(s.Context(), hubwire.Identity{DeviceID: "dev-2"}, &hubwire.Message{Body: []byte("x")}); err != nil {
		s.Fatal(err)
	}
	d := online(s.T, s.hub, dev)
	err := d.HandleMethod(s.Context(), "m", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		s.ran.Add(1)
		return hubwire.MethodResponse{Status: 200}, nil
	})
	if err != nil {
		s.Fatal(err)
	}
}
