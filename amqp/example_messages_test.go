package amqp_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// parsed is the view of a message that comes off the wire.
func parsed(wire []byte) *amqp.Message {
	m, err := amqp.ParseMessage(wire)
	if err != nil {
		panic(err)
	}
	return &m
}

var lockToken, _ = amqp.ParseUUID("6f2ed4b4-65fb-4d29-8a5b-5cd2c1f2a4e1")

// Many messages in one transfer, whose format is BatchFormat.
func ExampleAppendToBatch() {
	var transfer []byte
	for _, text := range []string{"20.5", "21.0"} {
		transfer = amqp.AppendToBatch(transfer, &hubwire.Message{Body: []byte(text)})
	}

	m := parsed(transfer)
	sections := 0
	for range m.Sections() { // each is a message
		sections++
	}
	messages, err := amqp.AppendBatch(nil, m)
	fmt.Println(sections, err)
	for _, one := range messages {
		fmt.Printf("%s\n", one.Body)
	}
	// Output:
	// 2 <nil>
	// 20.5
	// 21.0
}

func ExampleAppendData() {
	whole := amqp.AppendTelemetry(nil, &hubwire.Message{Body: []byte("20.5")})
	batch := amqp.AppendData(nil, whole) // as AppendToBatch does it
	messages, err := amqp.AppendBatch(nil, parsed(batch))
	fmt.Println(len(messages), string(messages[0].Body), err)
	// Output: 1 20.5 <nil>
}

// A message on its way to a device. Its lock token is the tag of the delivery.
func ExampleAppendC2D() {
	pump := hubwire.Identity{DeviceID: "pump"}
	wire := amqp.AppendC2D(nil, pump, &hubwire.Received{
		Message: hubwire.Message{ID: "1", Body: []byte("open")}, SequenceNumber: 12, LockToken: lockToken.String(),
	})
	tag := lockToken.AppendTag(nil)

	var r hubwire.Received
	err := amqp.ParseC2D(parsed(wire), tag, &r)
	fmt.Printf("%s: %s, %d, lock %s %v\n", r.ID, r.Body, r.SequenceNumber, r.LockToken, err)
	// Output: 1: open, 12, lock 6f2ed4b4-65fb-4d29-8a5b-5cd2c1f2a4e1 <nil>
}

// A service sends it so.
func ExampleAppendSend() {
	wire := amqp.AppendSend(nil, hubwire.Identity{DeviceID: "pump"}, &hubwire.Message{ID: "1", Body: []byte("open"), Expiry: time.Unix(1767225600, 0)})
	m := parsed(wire)
	fmt.Printf("%s until %v\n", m.To(), m.Expiry().UTC())

	var r hubwire.Message
	to, err := amqp.ParseSend(m, &r)
	fmt.Println(to, string(r.Body), err)
	_, err = amqp.ParseDestination("/somewhere")
	fmt.Println(errors.Is(err, hubwire.ArgumentInvalid))
	// Output:
	// /devices/pump/messages/devicebound until 2026-01-01 00:00:00 +0000 UTC
	// pump open <nil>
	// true
}

// What a service reads of a device's message.
func ExampleAppendEvent() {
	wire := amqp.AppendEvent(nil, &amqp.Event{
		Received: &hubwire.Received{
			Message: hubwire.Message{Body: []byte("20.5"), UserID: "operator", CorrelationID: "7", ContentEncoding: "utf-8"},
			Source:  hubwire.Identity{DeviceID: "pump"}, SequenceNumber: 3,
		},
		Offset: "1024", MessageSource: amqp.SourceTelemetry,
	})
	m := parsed(wire)
	correlation, _ := m.CorrelationID().Text()
	fmt.Printf("user %s, correlation %s, %s\n", m.UserID(), correlation, m.ContentEncoding())
	fmt.Println(m.DeliveryAnnotations().Len(), "delivery annotations,", m.ApplicationProperties().Len(), "application properties")

	e, err := amqp.ParseEvent(m)
	fmt.Println(e.Source, string(e.Body), e.Offset, e.MessageSource, err)
	// Output:
	// user operator, correlation 7, utf-8
	// 0 delivery annotations, 0 application properties
	// pump 20.5 1024 Telemetry <nil>
}

func ExampleAppendNotification() {
	wire := amqp.AppendNotification(nil, &amqp.Notification{
		ContentType: amqp.FeedbackType, Hub: "myhub", EnqueuedTime: time.Unix(1767225600, 0),
		Body: []byte(`[{"originalMessageId":"1","statusCode":"Success"}]`),
	})
	n, err := amqp.ParseNotification(parsed(wire))
	fmt.Printf("%s %s %v\n", n.Hub, n.Body, err)
	// Output: myhub [{"originalMessageId":"1","statusCode":"Success"}] <nil>
}

func ExampleParseSelector() {
	s, err := amqp.ParseSelector("amqp.annotation.x-opt-offset > '1024'")
	fmt.Println(s.At == amqp.AtOffset, s.Offset, err)
	fmt.Printf("%s\n", amqp.Start{At: amqp.AtSequence, Sequence: 7, Inclusive: true}.AppendSelector(nil))
	// Output:
	// true 1024 <nil>
	// amqp.annotation.x-opt-sequence-number >= '7'
}

// The filter of a receiver of events.
func ExampleParseFilter() {
	filter := amqp.Start{At: amqp.Latest}.AppendFilter(nil)
	s, ok, err := amqp.ParseFilter(value(filter))
	fmt.Println(s, ok, err)
	// Output: amqp.annotation.x-opt-offset > '@latest' true <nil>
}
