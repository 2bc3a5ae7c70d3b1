// Package links is the client's half of Azure IoT Hub over AMQP 1.0: one connection, on which any number of
// identities have their links, that outlives its network connections. Packages device and service are thin over it;
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
// Frames, windows, credit and settlement are internal/amqpclient's, which tells of what comes by callbacks. They run on the goroutine that
// reads the connection, so they take what came to a place that is bounded, by credit or by a window, and wake who
// waits for it. There is no goroutine for a link or an entity, nor for a call of the caller's but the caller's
// own.
//
// # What the peer can do
//
// What a peer does wrong ends no more than it must, and is brought back. One that is silent, or does not read, for too
// long loses the connection; one that does not answer costs who asked, and the connection when nothing is answered any more.
// Of an attachment that has ended it is certain what became of all that was sent by it: outcomes are told first.
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
