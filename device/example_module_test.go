package device_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

func ExampleClient_Invoke() {
	ctx := context.Background()
	h, c := exampleClient() // the device, which has the method
	defer h.Close()
	defer c.Close()
	err := c.HandleMethod(ctx, "open", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		return hubwire.MethodResponse{Status: 200, Payload: r.Payload}, nil
	})
	if err != nil {
		panic(err)
	}

	// Its module "filter" calls it.
	m, err := h.Create(ctx, &hub.Device{Identity: hubwire.Identity{DeviceID: "pump", ModuleID: "filter"}})
	if err != nil {
		panic(err)
	}
	connectionString, err := h.ConnectionString(m.Identity)
	if err != nil {
		panic(err)
	}
	filter, err := device.Dial(ctx, connectionString, device.MQTT(nil), &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()})
	if err != nil {
		panic(err)
	}
	defer filter.Close()
	answer, err := filter.Invoke(ctx, c.Identity(), hubwire.MethodRequest{Name: "open", Payload: json.RawMessage(`{"percent":40}`)}, nil)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%d %s\n", answer.Status, answer.Payload)
	// Output: 200 {"percent":40}
}
