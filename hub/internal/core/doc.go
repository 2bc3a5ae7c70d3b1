// Package core is IoT Hub without a wire: the identity registry, access
// control, connections and their take-over, twins and queries over them, direct methods,
// cloud-to-device queues with their feedback, and the log of events.
//
// A front speaks a protocol. It calls [Core.Authenticate] with what the peer
// showed, then [Core.Connect] with a [Link], and works on the [Session] that
// it gets until it calls [Session.Disconnect]. Nothing that must outlive the
// connection is kept in the front: a kept session's subscriptions, and what
// is delivered but not settled, live here.
//
// Every error that a peer could have caused is a [*hubwire.Error] with a code and
// outcome [hubwire.Refused]. State is written through to a [store.Store], which the Core
// must own alone. A Core starts no goroutine but the momentary ones of its timers, those
// of jobs that run (imports and exports too) and one that carries configurations out,
// and Close waits for them.
//
// Imitated: IoT Hub developer guide, REST API 2021-04-12. Left out:
// message routing, dead-letter queues that can be read.
package core
