// Package service is the client of the back end of Azure IoT Hub. Over the hub's
// REST API: the identity registry, twins, queries, direct methods, jobs,
// configurations, digital twins. Over AMQP, or AMQP over WebSockets: messages to devices, feedback on them,
// notifications of files, and events.
//
//	c, err := service.New("HostName=…;SharedAccessKeyName=iothubowner;SharedAccessKey=…", nil)
//	if err != nil { … }
//	defer c.Close()
//	twin, err := c.Twin(ctx, hubwire.Identity{DeviceID: "pump"})
//
// The connection string is that of a shared access policy of the hub; Entra ID goes by
// [NewWithCredentials] and [Bearer]. All there is to do is a method of [Client]:
//
//   - the registry: [Client.CreateDevice], [Client.CreateModule], [Client.Bulk], [Client.RegenerateKeys]
//   - twins, and queries over them: [Client.Twin], [Client.PatchTwin], [Client.Query], [QueryAs]
//   - direct methods, and messages with what became of them: [Client.Invoke], [Client.SendC2D], [Client.Feedback]
//   - what devices send and upload: [Client.Events], [Client.FileNotifications]
//   - jobs on many devices: [Client.ScheduleTwinUpdate], [Client.ScheduleMethod], [Client.WaitJob]
//   - configurations, and Plug and Play: [Client.CreateConfiguration], [Client.PatchDigitalTwin], [Client.InvokeCommand]
//   - import and export of the registry: [Client.CreateImportExport]
//
// Nearly each has an Example, on a hub that runs in the program (package hub).
//
// One Client serves any number of goroutines with one pool of connections for HTTPS, and one for AMQP.
// Every error is a [*hubwire.Error].
//
// # ETags
//
// What changes something that exists takes the ETag that it must have, or [Any]
// to say that it does not matter; empty is refused, because it is what a
// forgotten one looks like. The hub refuses an ETag that is out of date with
// [hubwire.PreconditionFailed].
//
// # What is tried again
//
// A request is tried again, within the call's context, [Options].MaxAttempts and with back-off,
// when it failed for a reason that can pass (throttling, the hub's own trouble, the network) and
// twice is as good as once:
//
//   - reading, queries, and what changes or deletes under an ETag or Any: after each such failure;
//   - what creates, starts or counts something (a device, a job, bulk operations, a
//     purge, new keys): only when it surely did nothing, since it was
//     never sent, or answered with 429 or 503;
//   - direct methods and commands: never.
//
// A lost answer leaves a mark: when a later attempt fails too, the Outcome is
// [hubwire.Unknown] whatever the hub says then, because "not found" or "another
// ETag" may be the work of the first. And whatever the request, a 401 has its
// token replaced, once: the hub looks at it before it does anything.
//
// # AMQP
//
// The connection for AMQP is made when it is first used, and shared by all that goes over it; a Client
// that never uses it has none. It is kept up: its token is renewed in place, and what is lost is brought back with
// back-off. A call waits for that as long as its context lasts. Package amqp/links does it,
// which a program that imports this package links in.
//
// Azure's Event Hubs-compatible endpoint does not take tokens of Entra ID for the service API, as far as is
// known: reading events needs the key of a policy.
package service
