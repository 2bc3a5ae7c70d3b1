// Package device is the client of a device or module on Azure IoT Hub: it
// sends telemetry, receives cloud-to-device messages, answers direct methods,
// keeps a twin and uploads files, over MQTT, AMQP, either over WebSockets, or HTTPS.
//
//	c, err := device.Dial(ctx, "HostName=…;DeviceId=…;SharedAccessKey=…", device.MQTT(nil), nil)
//	if err != nil { … }
//	defer c.Close()
//	err = c.Send(ctx, &hubwire.Message{Body: []byte(`{"temperature":21}`)})
//
// What else a device does are methods of [Client] too, and each has an Example:
//
//	m, err := c.Receive(ctx)                                // a cloud-to-device message; then m.Complete(ctx)
//	err = c.HandleMethod(ctx, "reboot", handler)            // answers a direct method
//	twin, err := c.Twin(ctx)                                // reads the desired and reported properties
//	_, err = c.Report(ctx, map[string]any{"firmware": "2"}) // patches the reported ones
//	for change, err := range c.Desired(ctx) { … }           // follows the desired ones
//
// The connection string is that of a device or module, from the hub's registry; X.509 and tokens of
// one's own go by [DialCredentials]. No hub is needed to try it: package hub runs one in the program,
// as the Example of [Dial] does, and package hub/hubtest in a test.
//
// # Connections come and go
//
// A Client outlives its connections. When one is lost it dials again, with
// exponential back-off and full jitter, with a fresh token each time; it
// restores what was subscribed and sends again what was not acknowledged.
// [Hooks] tell of each change. Only what waiting cannot mend (a wrong key, a
// disabled device) ends the Client; every call then returns the reason.
//
// # Delivery
//
// nil from a send means that the hub has the message. A message that a lost
// connection cut off is sent again (at least once, in order), or, when its
// context or the Client ends first, reported as an [hubwire.Error] whose
// Outcome says whether it never left or the hub may have it. No message is
// reported twice, none silently dropped.
//
// # Files
//
// [Client.InitiateUpload] and what goes with it upload files, over HTTPS beside whatever
// protocol the Client speaks. Module github.com/hubwire/hubwire/upload makes one call of it.
//
// # Modules
//
// A Client of a module sends by its outputs ([hubwire.Message].Output), receives by its inputs
// ([hubwire.Received].Input), and calls methods of its siblings with [Client.Invoke]. One that IoT Edge runs gets
// its credentials from [CredentialsFromEdge]. A device below an IoT Edge
// gateway has the gateway's name as GatewayHostName in its connection string.
//
// # Protocols
//
// A [Transport] is chosen at Dial, by the program or by [Auto]: [MQTT], [MQTTWebSocket], [AMQP], [AMQPWebSocket]
// or [HTTPS]; a program links only those it names. [Probe] finds out which of them reach the hub. An
// [AMQPConnection] is one connection for many Clients. What a protocol cannot do (MQTT reject and abandon, HTTPS
// twins and direct methods) returns an error that is [errors.ErrUnsupported] and names the protocol.
//
// # What is not here
//
// The back end's side is package service. The Device Provisioning Service has its messages in package
// topics and its server in package hub, but no client here yet. There are no device streams, and no MQTT 5.
package device
