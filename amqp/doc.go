// Package amqp is Azure IoT Hub's AMQP 1.0 surface as bytes: link addresses, link
// properties, annotations, claims-based security, error conditions, and the mapping of
// every message that goes over a link to the words of package hubwire, for both ends of
// the wire. It opens no connection.
//
//	wire := amqp.AppendTelemetry(nil, &hubwire.Message{Body: []byte("20.5")}) // at the device
//	m, err := amqp.ParseMessage(wire)                                         // at the hub
//	var got hubwire.Message
//	err = amqp.ParseTelemetry(&m, &got)
//
// It is for who has an AMQP library, or writes a server; package amqp/links is a client, and package device
// has it as one of its protocols. For each kind of message there is an Append and a Parse function, and the
// Example of the first shows both.
//
// It follows OASIS AMQP 1.0 part 3 for the form of a message ([ParseMessage],
// [AppendMessage]) and, for what IoT Hub puts into it, the guide "Communicate with your
// IoT hub using the AMQP protocol", the Event Hubs AMQP protocol guide, and what the
// official SDKs write and read; where these leave something open the comment says
// "observed" or names who needs it.
//
// A view ([Message], [Value] and what is parsed from them with a slice of bytes in it)
// aliases the bytes that it was parsed from: it holds while the caller leaves those
// alone. What is appended is appended to the slice given, in the smallest form of each
// type, and nothing is retained.
package amqp
