package hubwire_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hubwire/hubwire"
)

// What to do about an error is data in it.
func ExampleError() {
	attempt := func() error { // c.Send, say
		return &hubwire.Error{
			Op: "send", Code: hubwire.Throttled, Outcome: hubwire.Refused, Retryable: true, RetryAfter: 10 * time.Second,
		}
	}
	err := attempt()
	var e *hubwire.Error
	switch {
	case errors.Is(err, hubwire.DeviceNotFound):
		fmt.Println("there is no such device")
	case errors.As(err, &e) && e.Outcome == hubwire.Unknown:
		fmt.Println("the hub may have it")
	case errors.As(err, &e) && e.Retryable:
		fmt.Println("once more in", e.RetryAfter)
	}
	// Output: once more in 10s
}

func ExampleCode() {
	var err error = hubwire.Throttled // a Code is an error to compare with
	fmt.Println(err)
	fmt.Println(hubwire.Throttled.Name(), hubwire.Throttled.Status(), hubwire.Throttled.Retryable())
	fmt.Println(hubwire.DeviceNotFound.Name(), hubwire.DeviceNotFound.Status(), hubwire.DeviceNotFound.Retryable())
	// Output:
	// hubwire: 429001 ThrottlingException
	// ThrottlingException 429 true
	// DeviceNotFound 404 false
}

func ExampleParseCode() {
	for _, text := range []string{"DeviceNotFound", "404001", "Nonsense"} {
		code, ok := hubwire.ParseCode(text)
		fmt.Println(int(code), ok)
	}
	// Output:
	// 404001 true
	// 404001 true
	// 0 false
}

func ExampleIdentity() {
	pump := hubwire.Identity{DeviceID: "pump"}
	valve := hubwire.Identity{DeviceID: "pump", ModuleID: "valve"}
	seen := map[hubwire.Identity]bool{valve: true} // it is comparable
	fmt.Println(pump, pump.IsModule(), seen[pump])
	fmt.Println(valve, valve.IsModule(), seen[valve])

	bad := hubwire.Identity{DeviceID: "pump/1"}
	fmt.Println(errors.Is(bad.Check(), hubwire.ArgumentInvalid))
	// Output:
	// pump false false
	// pump/valve true true
	// true
}

func ExampleMessage() {
	m := &hubwire.Message{
		Body:        []byte(`{"temperature":21}`),
		ID:          "42",
		ContentType: "application/json",
		Properties:  []hubwire.Property{{Name: "alert", Value: "no"}},
	}
	fmt.Println(m.Property("alert"))
	fmt.Println(m.Size(), "of", hubwire.MaxTelemetrySize, "bytes:", m.CheckTelemetry())

	m.Body = make([]byte, 100<<10)
	fmt.Println("towards a device:", errors.Is(m.CheckC2D(), hubwire.MessageTooLarge))
	// Output:
	// no true
	// 43 of 262144 bytes: <nil>
	// towards a device: true
}

// A message stays the receiver's until it is settled. This one is for a transport
// that writes to the console.
func ExampleReceived() {
	ctx := context.Background()
	m := &hubwire.Received{Message: hubwire.Message{Body: []byte("open")}}
	m.OnSettle(func(_ context.Context, d hubwire.Disposition) error {
		if d == hubwire.Reject {
			return fmt.Errorf("reject: %w", errors.ErrUnsupported)
		}
		fmt.Println("to the hub:", d)
		return nil
	})

	fmt.Println(errors.Is(m.Reject(ctx), errors.ErrUnsupported), m.Settled()) // as over MQTT
	fmt.Println(m.Complete(ctx), m.Settled())
	fmt.Println(m.Abandon(ctx)) // too late, which is no error
	// Output:
	// true false
	// to the hub: complete
	// <nil> true
	// <nil>
}

func ExampleReceived_Settle() {
	m := &hubwire.Received{}
	m.OnSettle(func(_ context.Context, d hubwire.Disposition) error {
		fmt.Println(d)
		return nil
	})
	verdict := hubwire.Abandon // as a handler found
	fmt.Println(m.Settle(context.Background(), verdict))
	// Output:
	// abandon
	// <nil>
}

func ExampleTwinSection_Decode() {
	desired := hubwire.TwinSection{Version: 3, JSON: []byte(`{"interval":60,"unit":"s"}`)}
	var settings struct {
		Interval int
		Unit     string
	}
	if err := desired.Decode(&settings); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%+v\n", settings)
	// Output: {Interval:60 Unit:s}
}
