// Package hubwire holds the words that both ends of Azure IoT Hub's wire, and
// all of its protocols, have in common: [Message] and [Received], [Property],
// [Identity], [Twin], [MethodRequest], [Disposition], and [Error] with its [Code].
//
// It opens no connection and knows no wire format. Start with
//
//   - package device for a device or module client,
//   - package service for the back end,
//   - package hub for an IoT Hub inside of a program, hub/hubtest for one inside of a test, and the
//     command hubwire hub for one in a process of its own,
//   - module github.com/hubwire/hubwire/upload to upload files of a device in one call,
//   - packages topics, sas, mqtt, amqp, amqp/links, httpsx and ws for the wire itself.
//
// A device that sends a message, where connectionString is the hub's for it:
//
//	c, err := device.Dial(ctx, connectionString, device.MQTT(nil), nil)
//	if err != nil { … }
//	defer c.Close()
//	err = c.Send(ctx, &hubwire.Message{Body: []byte(`{"temperature":21}`)})
//
// Every error of a client is an [*Error]: match its Code with [errors.Is], and look at its Outcome to see
// whether the hub may have acted.
//
// The words follow the IoT Hub developer guide ("Create and read IoT Hub
// messages", "Understand and use device twins", "IoT Hub error codes").
package hubwire
