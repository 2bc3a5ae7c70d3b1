package amqp_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// value is the view of a value that comes off the wire.
func value(wire []byte) amqp.Value {
	r := amqp10.NewReader(wire)
	return r.Value()
}

// Values that are written have a type.
func ExampleTyped() {
	for _, t := range []amqp.Typed{
		{}, amqp.Bool(true), amqp.Ubyte(1), amqp.Int(-2), amqp.Long(3), amqp.Uint(4), amqp.Ulong(5),
		amqp.String("six"), amqp.Symbol("seven"), amqp.Binary([]byte{8}), amqp.Timestamp(time.UnixMilli(9)), amqp.ID(lockToken),
	} {
		fmt.Printf("% x is a %v, null: %v\n", t.AppendTo(nil), t.Value().Kind(), t.IsNull())
	}
	// Output:
	// 40 is a null, null: true
	// 41 is a boolean, null: false
	// 50 01 is a ubyte, null: false
	// 54 fe is a int, null: false
	// 55 03 is a long, null: false
	// 52 04 is a uint, null: false
	// 53 05 is a ulong, null: false
	// a1 03 73 69 78 is a string, null: false
	// a3 05 73 65 76 65 6e is a symbol, null: false
	// a0 01 08 is a binary, null: false
	// 83 00 00 00 00 00 00 00 09 is a timestamp, null: false
	// 98 6f 2e d4 b4 65 fb 4d 29 8a 5b 5c d2 c1 f2 a4 e1 is a uuid, null: false
}

// An answer has the id of its request, in the type that it came in.
func ExampleEcho() {
	request := parsed(amqp.AppendMessage(nil, &amqp.Draft{Properties: amqp.Properties{MessageID: amqp.Ulong(7)}}))
	answer := parsed(amqp.AppendMessage(nil, &amqp.Draft{Properties: amqp.Properties{CorrelationID: amqp.Echo(request.MessageID())}}))
	fmt.Println(answer.CorrelationID().Kind())
	fmt.Println(answer.CorrelationID().Uint())
	// Output:
	// ulong
	// 7 true
}

// The tag of a delivery is its lock token, as .NET orders bytes.
func ExampleUUID() {
	u, ok := amqp.ParseUUID("6f2ed4b4-65fb-4d29-8a5b-5cd2c1f2a4e1")
	tag := u.AppendTag(nil)
	fmt.Printf("%s %v\n% x\n", u.AppendTo(nil), ok, tag)
	again, ok := amqp.ParseTag(tag)
	fmt.Println(again == u, ok)
	// Output:
	// 6f2ed4b4-65fb-4d29-8a5b-5cd2c1f2a4e1 true
	// b4 d4 2e 6f fb 65 29 4d 8a 5b 5c d2 c1 f2 a4 e1
	// true true
}

func ExampleMap_Lookup() {
	m := parsed(amqp.AppendMessage(nil, &amqp.Draft{
		ApplicationProperties: []amqp.Pair{{Key: "operation", Value: amqp.String("READ")}},
		Body:                  amqp.ValueBody, Value: amqp.String("hi"),
	}))
	operation, ok := m.ApplicationProperties().Lookup("operation")
	fmt.Println(operation.Kind(), ok, m.ApplicationProperties().Len())
	fmt.Println(m.Body() == amqp.ValueBody, m.Value().Kind())
	// Output:
	// string true 1
	// true string
}

func ExampleAddress_AppendTo() {
	a := amqp.Address{Node: amqp.C2D, Identity: hubwire.Identity{DeviceID: "pump%1"}}
	fmt.Printf("%s\n", a.AppendTo(nil))
	// Output: /devices/pump%251/messages/devicebound
}

func ExampleParseLinkProperties() {
	wire := (&amqp.LinkProperties{ClientVersion: "hubwire", APIVersion: "2021-04-12", Channel: "twin:7"}).AppendTo(nil)
	p, err := amqp.ParseLinkProperties(value(wire))
	fmt.Println(p.ClientVersion, p.APIVersion, p.Pair(), err)
	// Output: hubwire 2021-04-12 7 <nil>
}

// A code of the hub, as AMQP says it.
func ExampleConditionOf() {
	c := amqp.ConditionOf(hubwire.DeviceNotFound)
	fmt.Println(c, c.Code().Name(), c.Retryable())
	fmt.Println(amqp.ConditionOf(hubwire.ServerBusy).Retryable())
	// Output:
	// amqp:not-found DeviceNotFound false
	// true
}

// An error goes over the wire and comes back.
func ExampleNewError() {
	e := amqp.NewError(&hubwire.Error{Code: hubwire.DeviceNotFound, Message: "no pump", TrackingID: "06e0"})
	fmt.Println(e.Condition, len(e.AppendInfo(nil)) > 0)
	got := amqp.FromWire(e.Wire())
	fmt.Println(got.TrackingID, errors.Is(got, amqp.NotFound))
	// Output:
	// amqp:not-found true
	// 06e0 true
}

// Where the events of a hub are.
func ExampleNewRedirect() {
	events, err := amqp.ParseAddress(amqp.Receiver, "/messages/events")
	if err != nil {
		fmt.Println(err)
		return
	}
	e := amqp.NewRedirect(events, "ns.servicebus.windows.net", 5671, "myhub")
	fmt.Println(e.Condition, e.Redirect.Address)
	// Output: amqp:link:redirect amqps://ns.servicebus.windows.net:5671/myhub
}

func ExampleAppendErrorBody() {
	refused := &hubwire.Error{Code: hubwire.Throttled, TrackingID: "06e0", Message: "slow down"}
	body := amqp.AppendErrorBody(nil, refused, time.Time{})
	fmt.Printf("%s\n", body)

	var e hubwire.Error
	amqp.ParseErrorBody(&e, body)
	fmt.Println(e.Code.Name(), e.TrackingID, e.Message)
	// Output:
	// {"errorCode":429001,"trackingId":"06e0","message":"slow down"}
	// ThrottlingException 06e0 slow down
}
