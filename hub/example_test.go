package hub_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

func ExampleStart() {
	ctx := context.Background()
	h, err := hub.Start(ctx, &hub.Config{InMemory: true})
	if err != nil {
		panic(err)
	}
	defer h.Close()

	d, err := h.Create(ctx, &hub.Device{Identity: hubwire.Identity{DeviceID: "dev-1"}})
	if err != nil {
		panic(err)
	}
	if err := h.SendC2D(ctx, d.Identity, &hubwire.Message{Body: []byte("hello")}); err != nil {
		panic(err)
	}
	waiting, err := h.QueueLength(d.Identity)
	fmt.Println(d.Identity, waiting, err)

	_, err = h.Invoke(ctx, d.Identity, hubwire.MethodRequest{Name: "reboot"}, nil)
	fmt.Println(errors.Is(err, hubwire.DeviceNotOnline))
	// Output:
	// dev-1 1 <nil>
	// true
}

func ExampleHub_Dial() {
	ctx := context.Background()
	h, err := hub.Start(ctx, &hub.Config{InMemory: true})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	nc, err := h.Dial(ctx, "tcp", "localhost:8883")
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	fmt.Println(nc.RemoteAddr())

	_, err = h.Dial(ctx, "tcp", "localhost:1883")
	fmt.Println(err)
	// Output:
	// localhost:8883
	// dial tcp localhost:1883: connection refused
}

func ExampleHub_PatchTwin() {
	ctx := context.Background()
	h, err := hub.Start(ctx, &hub.Config{InMemory: true})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	id := hubwire.Identity{DeviceID: "dev-1"}
	if _, err := h.Create(ctx, &hub.Device{Identity: id}); err != nil {
		panic(err)
	}
	twin, err := h.PatchTwin(ctx, id, hub.TwinUpdate{
		Tags:    []byte(`{"floor":3}`),
		Desired: []byte(`{"interval":10,"old":null}`),
	}, "")
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s %s, version %d\n", twin.Tags, twin.Desired.JSON, twin.Desired.Version)
	// Output:
	// {"floor":3} {"interval":10}, version 2
}
