// Package hubwire holds the words that both ends of Azure IoT Hub's wire, and
// all of its protocols, have in common: [Message] and [Received], [Property],
// [Identity], [Twin], [MethodRequest], [Disposition], and [Error] with its [Code].
//
// It opens no connection and knows no wire format. Start with
//
//   - package device for a device or module client,
//   - package hub/hubtest for an IoT Hub that runs inside a test,
//   - packages topics, sas, mqtt, amqp, httpsx and ws for the wire itself.
//
// The words follow the IoT Hub developer guide ("Create and read IoT Hub
// messages", "Understand and use device twins", "IoT Hub error codes").
package hubwire
