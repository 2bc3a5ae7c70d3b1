package amqp10_test

import (
	"fmt"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// A frame is written into one buffer and read from another's bytes.
func Example() {
	attach := amqp10.Attach{
		Name:   []byte("telemetry"),
		Role:   amqp10.RoleSender,
		Source: amqp10.Some(amqp10.Source{}),
		Target: amqp10.Some(amqp10.Target{Address: amqp10.ValueOf(amqp10.AppendString(nil, "/devices/d1/messages/events"))}),
		// A sender's must not be null.
		InitialDeliveryCount: amqp10.Some(uint32(0)),
	}
	wire := amqp10.OpenFrame(nil, amqp10.FrameAMQP, 1)
	wire = attach.AppendTo(wire)
	wire = amqp10.CloseFrame(wire, 0)

	frame, _, err := amqp10.SplitFrame(wire, 65536)
	if err != nil || frame == nil {
		fmt.Println("not a whole frame:", err)
		return
	}
	var got amqp10.Attach
	if amqp10.PeekDescriptor(frame.Body()) == amqp10.DescAttach {
		err = got.Parse(frame.Body())
	}
	address, _ := got.Target.Value.Address.Text()
	fmt.Printf("%s to %s, %d at most, %v\n", got.Name, address, got.MaxMessageSize.Or(0), err)
	// Output: telemetry to /devices/d1/messages/events, 0 at most, <nil>
}

func ExampleReader() {
	at := 0
	b := amqp10.OpenCompound(nil)
	b = amqp10.AppendInt(amqp10.AppendSymbol(b, "status"), 200)
	b = amqp10.AppendLong(amqp10.AppendSymbol(b, "version"), 2)
	b = amqp10.CloseMap(b, at, 4)

	r := amqp10.NewReader(b)
	for entries := r.Map(); entries.More(); {
		key, n := entries.Text(), entries.OptLong()
		fmt.Println(string(key), n.Value)
	}
	fmt.Println(r.Err())
	// Output:
	// status 200
	// version 2
	// <nil>
}
