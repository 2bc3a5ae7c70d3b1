package hub_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

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

// A service that is throttled: the function sees every operation before the
// hub acts, and this one refuses requests to the REST API.
func ExampleConfig_intercept() {
	ctx := context.Background()
	h, err := hub.Start(ctx, &hub.Config{
		InMemory: true,
		Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
			if op.Kind == hub.OpRequest {
				return hub.Verdict{Refuse: hubwire.Throttled, RetryAfter: 10 * time.Second}
			}
			return hub.Verdict{}
		},
	})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: h.Dial, TLSClientConfig: h.ClientTLS()}}
	res, err := client.Get("https://localhost/devices?api-version=2021-04-12")
	if err != nil {
		panic(err)
	}
	res.Body.Close()
	fmt.Println(res.StatusCode, res.Header.Get("iothub-errorcode"), res.Header.Get("Retry-After"))
	// Output:
	// 429 ThrottlingException 10
}

func ExampleHub_Feedback() {
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
	if err := h.SendC2D(ctx, id, &hubwire.Message{ID: "m-1", Ack: hubwire.AckFull}); err != nil {
		panic(err)
	}
	purged, err := h.Purge(ctx, id)
	if err != nil {
		panic(err)
	}
	records, err := h.Feedback(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(purged, records[0].MessageID, records[0].Status, records[0].Identity)
	// Output:
	// 1 m-1 Purged dev-1
}

func ExampleHub_Events() {
	ctx := context.Background()
	h, err := hub.Start(ctx, &hub.Config{InMemory: true})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	// Take the reader first: nothing that is sent from now on can be missed.
	r, err := h.Events(ctx, &hub.EventOptions{Latest: true})
	if err != nil {
		panic(err)
	}
	ev, err := r.TryNext(ctx)
	fmt.Println(ev, err)

	soon, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	_, err = r.Next(soon)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// <nil> <nil>
	// true
}

// Whoever reads twins too often is told so.
func ExampleConfig_throttle() {
	ctx := context.Background()
	h, err := hub.Start(ctx, &hub.Config{InMemory: true, Throttle: hub.Throttle{TwinReads: 1.0 / 3600}}) // one an hour
	if err != nil {
		panic(err)
	}
	defer h.Close()
	d, err := h.Create(ctx, &hub.Device{Identity: hubwire.Identity{DeviceID: "pump"}})
	if err != nil {
		panic(err)
	}
	for range 2 {
		_, err = h.Twin(ctx, d.Identity)
		fmt.Println(errors.Is(err, hubwire.Throttled))
	}
	fmt.Println(hub.S1(1).TwinUpdates)
	// Output:
	// false
	// true
	// 50
}
