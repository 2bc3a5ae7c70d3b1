package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

var methodFeatures = []feature{
	{name: "method answered", lacks: notHTTPS, run: methodAnswered},
	{name: "methods, 50 at a time", lacks: notHTTPS, run: methodsAtOnce},
	{name: "method unknown to the device: 501", lacks: notHTTPS, run: methodUnknown},
	{name: "method to an offline device: 404103", lacks: notHTTPS, run: methodOffline},
	{name: "method waits for a device to connect", lacks: notHTTPS, run: methodWaits},
	{name: "method not answered in time: 504101", lacks: notHTTPS, run: methodTimeout},
}

func methodAnswered(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	return s.callMethod(ctx, c)
}

// callMethod compares a call and its answer at both ends.
func (s *stage) callMethod(ctx context.Context, c *party) error {
	call := hubwire.MethodRequest{Name: "Reboot-Now_1", Payload: json.RawMessage(`{"delay":5,"text":"ü"}`)}
	answer := hubwire.MethodResponse{Status: 207, Payload: json.RawMessage(`{"Response":"dön€","n":[1,2]}`)}
	calls := make(chan hubwire.MethodRequest, 2)
	err := c.HandleMethod(ctx, call.Name, func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		calls <- r
		return answer, nil
	})
	if err != nil {
		return err
	}
	got, err := s.service.Invoke(ctx, c.id, call, nil)
	if err != nil {
		return err
	}
	if err := same("the number of calls", len(calls), 1); err != nil {
		return err
	}
	return errors.Join(same("the call at the device", <-calls, call), same("the answer at the service", *got, answer))
}

func methodsAtOnce(ctx context.Context, s *stage) error {
	const count = 50
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	var inside sync.WaitGroup
	inside.Add(count)
	err = c.HandleMethod(ctx, "", func(ctx context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		inside.Done()
		inside.Wait() // until all are under way
		return hubwire.MethodResponse{Status: 200, Payload: r.Payload}, nil
	})
	if err != nil {
		return err
	}
	results := make(chan error, count)
	for i := range count {
		go func() {
			payload := fmt.Sprint(i)
			got, err := s.service.Invoke(ctx, c.id, hubwire.MethodRequest{Name: "m" + payload, Payload: json.RawMessage(payload)}, nil)
			if err == nil {
				err = same("answer "+payload, string(got.Payload), payload)
			}
			results <- err
		}()
	}
	var errs []error
	for range count {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

func methodUnknown(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	err = c.HandleMethod(ctx, "known", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		return hubwire.MethodResponse{Status: 200}, nil
	})
	if err != nil {
		return err
	}
	for name, status := range map[string]int{"unknown": 501, "Known": 501, "known": 200} {
		got, err := s.service.Invoke(ctx, c.id, hubwire.MethodRequest{Name: name}, nil)
		if err != nil {
			return err
		}
		if err := same("the status of "+name, got.Status, status); err != nil {
			return err
		}
	}
	return nil
}

func methodOffline(ctx context.Context, s *stage) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	call := hubwire.MethodRequest{Name: "m"}
	_, err = s.service.Invoke(ctx, a.id, call, nil)
	if err := refusedWith(err, "a call to a device that was never there", hubwire.DeviceNotOnline); err != nil {
		return err
	}
	c, err := s.connect(ctx, a)
	if err != nil {
		return err
	}
	if err := s.callMethod(ctx, c); err != nil {
		return err
	}
	if err := c.Close(); err != nil {
		return err
	}
	if err := s.awaitState(ctx, a.id, service.Disconnected); err != nil {
		return err
	}
	_, err = s.service.Invoke(ctx, a.id, call, nil)
	return refusedWith(err, "a call to a device that has left", hubwire.DeviceNotOnline)
}

// awaitState waits until the registry has a device as connected, or not.
func (s *stage) awaitState(ctx context.Context, id hubwire.Identity, want service.ConnectionState) error {
	for {
		d, err := s.service.Device(ctx, id.DeviceID)
		if err != nil || d.ConnectionState == want {
			return err
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("the registry has the device as %s: %w", d.ConnectionState, err)
		}
	}
}

func methodWaits(ctx context.Context, s *stage) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	go func() {
		got, err := s.service.Invoke(ctx, a.id, hubwire.MethodRequest{Name: "m"}, &service.InvokeOptions{ConnectTimeout: s.limit})
		if err == nil {
			err = same("the status", got.Status, 202)
		}
		result <- err
	}()
	c, err := s.connect(ctx, a)
	if err == nil {
		err = c.HandleMethod(ctx, "m", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{Status: 202}, nil
		})
	}
	if err != nil {
		return err
	}
	return <-result
}

func methodTimeout(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	called := make(chan struct{}, 1)
	err = c.HandleMethod(ctx, "slow", func(ctx context.Context, _ hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		called <- struct{}{}
		<-ctx.Done() // the Client's end
		return hubwire.MethodResponse{}, ctx.Err()
	})
	if err != nil {
		return err
	}
	_, err = s.service.Invoke(ctx, c.id, hubwire.MethodRequest{Name: "slow"}, &service.InvokeOptions{ResponseTimeout: 5 * time.Second})
	if err := refusedWith(err, "a call without an answer", hubwire.GatewayTimeout); err != nil {
		return err
	}
	if err := same("the number of calls at the device", len(called), 1); err != nil {
		return err
	}
	// A slow method holds up nothing else.
	return s.callMethod(ctx, c)
}
