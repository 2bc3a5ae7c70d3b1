// Command t4-direct-methods is the tutorial "Use direct methods", both sides, over MQTT and over MQTT in a
// WebSocket: the back end calls DeviceMethod, and the device answers.
//
//	go run ./examples/t4-direct-methods
//
// It prints each call as the device gets it, and the status and payload that the back end is answered.
//
// The tutorial answered 200 to whatever it was called with. Here a name that the device does not know is 501, a
// device that is away is an error that says so, and a call can wait for it to come.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/service"
)

func main() { site.Main(play) }

func play(ctx context.Context, out io.Writer, s *site.Site) error {
	for _, p := range []struct {
		name, deviceID string
		transport      device.Transport
	}{{"MQTT", "t4-device", device.MQTT(nil)}, {"MQTT over WebSockets", "t4-device-ws", device.MQTTWebSocket(nil)}} {
		fmt.Fprintf(out, "over %s\n", p.name)
		if err := tutorial(ctx, out, s, hubwire.Identity{DeviceID: p.deviceID}, p.transport); err != nil {
			return err
		}
	}
	return nil
}

func tutorial(ctx context.Context, out io.Writer, s *site.Site, id hubwire.Identity, t device.Transport) (err error) {
	connectionString, err := s.Device(ctx, id.DeviceID)
	if err != nil {
		return err
	}
	defer s.Remove(ctx, id.DeviceID, &err)
	if err := callOffline(ctx, out, s.Service, id); err != nil {
		return err
	}
	// The call begins before the device is there, and waits for it.
	answers := make(chan error, 1)
	go func() { answers <- call(ctx, out, s.Service, id) }()
	c, err := device.Dial(ctx, connectionString, t, s.Options())
	if err != nil {
		return err
	}
	err = c.HandleMethod(ctx, "DeviceMethod", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		fmt.Fprintf(out, "device: direct method %s called with %s\n", r.Name, r.Payload)
		return hubwire.MethodResponse{Status: 200, Payload: json.RawMessage(`{"Response":"This is the response from the device"}`)}, nil
	})
	if err == nil {
		err = <-answers
	}
	return errors.Join(err, c.Close())
}

func call(ctx context.Context, out io.Writer, c *service.Client, id hubwire.Identity) error {
	wait := &service.InvokeOptions{ConnectTimeout: time.Minute, ResponseTimeout: time.Minute}
	for _, name := range []string{"DeviceMethod", "UnknownMethod"} {
		answer, err := c.Invoke(ctx, id, hubwire.MethodRequest{Name: name, Payload: json.RawMessage(`{"method_number":"42"}`)}, wait)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "service: %s: response status %d, payload %s\n", name, answer.Status, answer.Payload)
	}
	return nil
}

// callOffline calls a device that is away, and does not wait for it.
func callOffline(ctx context.Context, out io.Writer, c *service.Client, id hubwire.Identity) error {
	_, err := c.Invoke(ctx, id, hubwire.MethodRequest{Name: "DeviceMethod"}, nil)
	refusal, ok := errors.AsType[*hubwire.Error](err)
	if !ok || refusal.Code != hubwire.DeviceNotOnline {
		return fmt.Errorf("a call to a device that is away ended with %v", err)
	}
	fmt.Fprintf(out, "service: the device is away: %s, HTTP status %d\n", refusal.Code.Name(), refusal.Code.Status())
	return nil
}
