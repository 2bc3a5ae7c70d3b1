// Package links is the client's half of Azure IoT Hub over AMQP 1.0, above
// github.com/Azure/go-amqp: one connection, on which any number of identities have their
// links, that outlives its network connections. Packages device and service are thin over it;
// it is exported for other SDKs to stand on. It never dials: it is given a function that does.
//
// # Model
//
// A [Conn] has one network connection at a time, and a supervisor that makes the next one when
// that is lost. On it lives one pair of links to $cbs, to which tokens are put.
//
// An entity is one identity on it: a device, a module, or a service's policy. It has a token,
// put again over the same two links at 80 % of its life, a session, and links, each attached
// on its first use and from then on kept: what is lost is brought back, and nothing more than
// that. A lost link is attached again alone; a lost session brings back its links; a lost
// connection brings back all entities, at most 30 at a time. What waiting cannot mend ends the
// entity that it is about, and no other.
//
// Of each attachment of a link there is a generation, a number that rises. What was sent or
// received belongs to one, and is void with it.
//
// # What the peer can do
//
// The bytes of the connection pass a tap, which follows the frames of both directions. It
// tells at once when a link, session or connection has ended, which go-amqp says only at the
// next use; it keeps from go-amqp what would make that panic, loop or grow without bound; and
// it ends the connection when the peer has been silent, or has not read, for too long. A peer
// that does not answer costs who asked; when nothing is answered any more it costs the connection.
//
// # Use
//
//	c, err := links.New(&links.Options{HostName: "myhub.azure-devices.net", Dial: dial}) // with TLS
//	if err != nil { … }
//	defer c.Close()
//	d, err := c.Device(ctx, id, &links.DeviceOptions{Tokens: tokens})
//	err = d.Send(ctx, &hubwire.Message{Body: []byte("20.5")})
//
// [Conn.Service] is for back ends, [Conn.EventHub] and [EventReader] are for events. The Examples have each
// of them against a hub in the program.
//
// It follows OASIS AMQP 1.0, the guide "Communicate with your IoT hub using the AMQP
// protocol", and claims-based security as the official SDKs do it.
package links
