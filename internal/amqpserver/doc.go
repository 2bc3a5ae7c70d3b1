// Package amqpserver is the server half of AMQP 1.0 (OASIS AMQP 1.0, part 2 "transport", and the SASL layer
// of part 5): connections, sessions, links, flow control and settlement. It knows nothing of who stands behind
// it: any address space can be served with it, which is a [Handler] that is asked for each link that a
// peer attaches. Transactions (part 4) and the resumption of links are left out.
//
// # Nodes
//
// What a link leads to is a node. A [Receiver] is handed whole messages, one at a time, and settles them when it
// likes. A [Sender] is asked for its next message when the peer has given credit, its session window is open and
// there is room to write; so a peer that does not read is not asked for, and nothing queues up here. [Link.Wake]
// says that there is something again.
//
// No lock is held while a node is called, and a node may call anything here.
//
// # Goroutines
//
// The goroutine that calls [Conn.Serve] reads, and writes when it would have to wait for more to read. Another one
// lives while somebody else has something to write. Sessions and links have none.
//
// # Errors
//
// What a peer does wrong ends no more than it must: a link by detach, a session by end, a connection by close, with
// a condition of the standard. A peer that does not answer those is waited for only where its channel or handle would
// have to be used again, and after close for [Config].CloseTimeout.
package amqpserver
