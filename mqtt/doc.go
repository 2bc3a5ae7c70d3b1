// Package mqtt speaks MQTT 3.1.1, both ends of it: the packets, a framed
// connection, the mapping between topics and hubwire messages, and the session
// of a device.
//
// Three layers, each usable without the one above:
//
//   - Packets: [Connect], [Publish], [Subscribe] and the other eleven, each with
//     AppendTo to write, Check to refuse what cannot be written, and a Parse
//     function that gives a view into the bytes of one whole packet. [Split]
//     finds where a packet ends.
//   - [Conn]: whole packets over a [net.Conn], with buffered reads.
//   - [Session]: a client that outlives its connections.
//
// Package device makes a client for IoT Hub of it. By itself it is for other brokers, and for servers:
//
//	s, err := mqtt.StartSession(ctx, dial, login, nil) // dial brings TLS, login the names and the password
//	if err != nil { … }
//	defer s.Close()
//	err = s.Publish(ctx, &mqtt.Publish{Topic: []byte("a/b"), Payload: []byte("hi"), QoS: mqtt.AtLeastOnce})
//
// A nil pointer to a packet or message stands for the zero value. A nil context is refused
// with [hubwire.ArgumentInvalid].
//
// Message mapping ([AppendTelemetryTopic], [AppendTelemetryBag], [AppendC2DTopic],
// [AppendInputTopic], [ParseMessage]) is between the first two: device clients
// and hub fronts use the same functions.
//
// Source: MQTT Version 3.1.1, OASIS Standard, 29 October 2014. Where a rule of
// it is enforced, the code and the error carry its tag, such as [MQTT-2.3.1-1].
// The IoT Hub specifics are those of the IoT Hub developer guide,
// "Communicate with your IoT hub using the MQTT protocol". MQTT 5 is not here.
package mqtt
