// Package amqpclient is the client half of AMQP 1.0 (OASIS AMQP 1.0, part 2 "transport", and the SASL layer
// of part 5): connections, sessions, links, flow control and settlement, on a [net.Conn] that it is given. It is the
// counterpart of package amqpserver. Transactions (part 4) and the resumption of links are left out.
//
// # Calls and callbacks
//
// Calls that take a context wait for the peer, or for room, and no longer than the context lasts. All others return at once.
// Methods may be called from any goroutine.
//
// What the peer does is told by callbacks. No lock is held while one runs, and it may call all that does not
// wait. It must return soon: most run on the goroutine that reads the connection. Views that it is given end with
// the call. Those of one link come one at a time, its end the last.
//
// # Ends
//
// A link, a session and a connection each end once, whoever ends them, and OnEnd of each is told once: of links
// before their session, of sessions before their connection. The reason is an [*Error], which says what has ended and has
// what the peer said. What is ended is of no use from then on; its number is used again when the peer has
// confirmed the end.
//
// # Writing
//
// Frames are gathered, and written by a goroutine that lives while there is something to write: what comes up while it
// writes goes out with its next write. So a call that sends returns when the connection has taken a copy of the
// message, not when it is written. Only who sends one message after the outcome of the other, with Send or
// [Sender.Flush], writes it itself. What waits to be written is bounded: who sends waits, or is told to wait.
//
// # Goroutines
//
// One reads the connection, one writes while there is something to write, one tells of ends while there is
// somebody to tell. Sessions and links have none. All have returned when [Conn.Done] is closed.
//
// # Peers
//
// What a peer does wrong ends no more than it must: a link by detach, a session by end, a connection by close, with
// a condition of the standard and an [*Error] that matches [ErrProtocol].
package amqpclient
