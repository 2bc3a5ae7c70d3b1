// Package hub is an IoT Hub that runs inside a program: devices, modules and
// services connect to it as they do to Azure's, over MQTT and AMQP, both
// also over WebSockets, and HTTPS, always with TLS.
//
//	h, err := hub.Start(ctx, nil)
//	if err != nil { … }
//	defer h.Close()
//	d, err := h.Create(ctx, &hub.Device{Identity: hubwire.Identity{DeviceID: "dev-1"}})
//	cs, err := h.ConnectionString(d.Identity)
//	c, err := device.Dial(ctx, cs, device.MQTT(nil), &device.Options{
//		Dial:      h.Dial,
//		TLSConfig: h.ClientTLS(),
//	})
//
// Tests have it shorter with package hubtest, and programs in other languages with the command
// hubwire hub. [Config] says what kind of hub it is and what trouble it makes, the methods of [Hub]
// are the service's side; their Examples show them with clients.
//
// It is made for development and tests: state is in memory, and one process is all there is of it. Of
// the service it has no management plane, no device streams and no routing to other endpoints.
//
// # Doors
//
// A hub listens on loopback ([Config]), and is there in memory at the same
// time: [Hub.Dial] has the form of [net.Dialer.DialContext] and leads to the
// door that the port in the address names (8883 MQTT, 5671 AMQP, 443 HTTPS and
// WebSockets). With [Config.InMemory] there are no sockets at all; such a hub
// lives inside a testing/synctest bubble, where hours pass at once.
//
// Certificates come from an authority of the hub's own: [Hub.CAPEM], [Hub.CertPool].
//
// # AMQP
//
// An AMQP connection takes any number of tokens, by claims-based security (put-token to $cbs)
// or one by SASL PLAIN, or the certificate that TLS showed; MSSBCBS, ANONYMOUS, EXTERNAL and no SASL at all
// leave it to what comes later. A link is accepted when one of them covers its address. A token
// can be replaced at any time, and when it has expired (and [Config.Skew] passed) the links that it was
// for are detached with amqp:unauthorized-access, and the connection is closed when nobody is left. So
// it is when another connection takes over (amqp:link:stolen), and when a device is disabled or deleted.
//
// # The service's side
//
// The methods of [Hub] are what a service does: register identities, read
// events, send cloud-to-device messages, call methods, write twins. What the
// hub refuses is a [*hubwire.Error] with the service's code, outcome
// [hubwire.Refused].
//
// Services in other languages and processes have all of it over REST, as the service has it:
// identities, bulk operations, statistics, twins, queries, direct methods, jobs, import and
// export, configurations, digital twins, feedback, and what IoT Edge asks for. Over AMQP they
// send cloud-to-device messages, get feedback and file notifications, and read events, see below. One
// thing is an extension of this hub, since the service takes cloud-to-device messages over AMQP alone:
//
//	POST /devices/{id}[/modules/{mid}]/messages/deviceBound?api-version=…
//
// The body is the message's. Properties are headers: iothub-app-{name}, and iothub-messageid,
// -correlationid, -userid, -to, -contenttype, -contentencoding, -expiry (ISO 8601) and -ack, as
// for devices that send over HTTPS. The right is ServiceConnect, the answer 204.
//
// # Reading events
//
// [Hub.Events] reads what devices send inside of the process. For others the hub is an Event
// Hubs-compatible endpoint, behind the door of AMQP: [Hub.EventHubConnectionString] is for clients
// of Event Hubs. They read a partition ([Config.Partitions]) for a consumer group
// ([Config.ConsumerGroups]) from an offset, a sequence number, a time or either end, with owner levels;
// a reader whose place the log has dropped goes on with the oldest event that is left, and one that
// starts behind the end of the log is refused. The address messages/events redirects there, to the
// hub's own host name and port 5671. Events of other sources than telemetry come with
// [Config.EventSources].
//
// # File upload
//
// Devices upload files to storage of the hub's own, a small blob endpoint behind the HTTPS
// door, or to a storage account ([Upload]). [Hub.FileNotification] tells of what they have
// uploaded; [Hub.ContainerURL] leads to it, and to containers for other purposes.
//
// # Provisioning
//
// The hub is a Device Provisioning Service (DPS) as well, behind the same doors. Devices
// that [Hub.Enroll] has named register over MQTT or MQTT over WebSockets, with the id
// scope of [Hub.IDScope], and are then devices of this hub:
//
//	e, err := h.Enroll(&hub.Enrollment{ID: "line-1", Group: true})
//
// # What is imitated
//
// The rules are those of the IoT Hub developer guide (api-version 2021-04-12)
// and of MQTT 3.1.1. Where the service is stricter or looser than the
// documents say, the hub does what the official SDKs rely on; the fields of
// [Config] switch what they disagree on. Throttling and the quota of
// messages are off by default ([Config.Throttle]); [Config.Intercept] can play any other trouble.
//
// # Limits
//
// Everything is bounded, by the service's own limits where they are documented: a packet or
// message of 256 KiB, 64 KiB towards a device, 50 messages that wait for one, 32 KiB for each
// half of a twin and 8 KiB of tags, each no more than 120 KiB as JSON text, 128 KiB for a method,
// five subscriptions, 50 modules of a device, a million identities. The log of events takes memory as it fills, and holds 100,000
// entries or 64 MiB in each of its partitions ([Config.Partitions]), the feedback queue 10,000 records; the
// oldest make room. So do file notifications; a device has ten uploads under way, and what it
// uploads takes 16 GiB of the disk at most. A peer that does not read is dropped after 30 s
// or 8 MiB, whichever is first.
package hub
