package amqp_test

import (
	"errors"
	"fmt"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// A device sends telemetry; the hub reads it.
func Example() {
	sent := hubwire.Message{
		ID: "m1", ContentType: "application/json", Body: []byte(`{"temperature":21.5}`),
		Properties: []hubwire.Property{{Name: "level", Value: "3"}},
	}
	wire := amqp.AppendTelemetry(nil, &sent)

	view, err := amqp.ParseMessage(wire)
	if err != nil {
		fmt.Println(err)
		return
	}
	var got hubwire.Message
	if err := amqp.ParseTelemetry(&view, &got); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s %s %v\n%s\n", got.ID, got.ContentType, got.Properties, got.Body)
	// Output:
	// m1 application/json [{level 3}]
	// {"temperature":21.5}
}

// The address of a link says what it leads to, whichever SDK wrote it.
func ExampleParseAddress() {
	for _, text := range []string{
		"amqps://myhub.azure-devices.net:5671/devices/dev1/messages/deviceBound",
		"/devices/dev1/modules/%24edgeHub/messages/events",
		"myhub/ConsumerGroups/$Default/Partitions/0",
	} {
		a, err := amqp.ParseAddress(amqp.Receiver, text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%v of %q%s: %v\n", a.Node, a.Identity, a.Partition, a)
	}
	// Output:
	// c2d of "dev1": /devices/dev1/messages/devicebound
	// input of "dev1/$edgeHub": /devices/dev1/modules/$edgeHub/messages/events
	// partition of ""0: myhub/ConsumerGroups/$Default/Partitions/0
}

// What a hub refuses with is the same error at the client.
func ExampleError_Hubwire() {
	refused := &hubwire.Error{Op: "send", Code: hubwire.QueueDepthExceeded, Outcome: hubwire.Refused, Message: "50 messages wait"}
	wire := amqp.NewError(refused)
	fmt.Println(wire.Condition)

	err := wire.Hubwire("send", amqp.C2DSend)
	fmt.Println(err)
	fmt.Println(errors.Is(err, hubwire.QueueDepthExceeded), errors.Is(err, amqp.ResourceLimitExceeded))
	// Output:
	// amqp:resource-limit-exceeded
	// hubwire: send: 403004 DeviceMaximumQueueDepthExceeded, refused: 50 messages wait: amqp:resource-limit-exceeded
	// true true
}

// A message of any kind is looked at by key, with its types.
func ExampleParseMessage() {
	wire := amqp.AppendMessage(nil, &amqp.Draft{
		Annotations: []amqp.Pair{{Key: "iothub-enqueuedtime", Value: amqp.Long(5)}, {Key: "note", Value: amqp.String("é")}},
		Properties:  amqp.Properties{MessageID: amqp.Ulong(7)},
		Body:        amqp.DataBody, Data: []byte("hi"),
	})
	m, err := amqp.ParseMessage(wire)
	if err != nil {
		fmt.Println(err)
		return
	}
	for key, v := range m.Annotations().All() {
		fmt.Printf("%s is a %v\n", key, v.Kind())
	}
	id, ok := m.MessageID().Uint()
	fmt.Println(id, ok, string(m.Data()))
	// Output:
	// iothub-enqueuedtime is a long
	// note is a string
	// 7 true hi
}
