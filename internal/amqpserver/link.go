package amqpserver

import "github.com/hubwire/hubwire/internal/amqp10"

// Link is one link of a session. Its methods may be called from any goroutine, and at any time: on a link that has
// ended they do nothing.
type Link struct {
	session *Session
	key     linkKey
	node    Node     // one of the next two; nil when the link was refused
	in      Receiver // the peer sends
	out     Sender   // the peer receives

	// Guarded by the lock of the connection.
	state      linkState
	handle     uint32 // ours
	peerHandle uint32
	refusal    *amqp10.Error // of the node, when it detaches before it is attached
	calls      int           // of the node that have not returned
	why        error         // why it ended, when it has
	told       bool          // the node has been told, or is about to be

	// How many deliveries there have been, by the sender's count, and how many more there may be (part 2 section 2.6.7).
	deliveryCount uint32
	credit        uint32
	unsettled     uint32

	incoming
	outgoing
}

// linkState is how far a link has come. Frames of the peer count for an attached one only.
type linkState uint8

const (
	linkAttaching linkState = iota // the handler has yet to say whether there is a node
	linkAttached
	linkDetaching // our detach is out, the peer's is not in: the handles are taken
	linkGone
)

// Name returns the name that the peer gave the link. It is unique in its session and direction only.
func (l *Link) Name() string { return l.key.name }

// Session returns the session that the link belongs to.
func (l *Link) Session() *Session { return l.session }

// Conn returns the connection that the link belongs to.
func (l *Link) Conn() *Conn { return l.session.conn }

// Detach ends the link, with a detach that says closed and err, which may be nil. Before the link is accepted it refuses it.
func (l *Link) Detach(err *amqp10.Error) {
	c := l.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	l.detach(err)
	c.wakeTeller()
	c.wakeWriter()
}

// detach is Detach for who holds the lock, and sees to it that it is written and the node told.
func (l *Link) detach(err *amqp10.Error) {
	switch l.state {
	case linkAttaching:
		l.refusal = err
		if err == nil {
			l.refusal = &amqp10.Error{Condition: amqp10.DetachForced}
		}
	case linkAttached:
		l.sendDetach(err)
		l.end(linkDetaching, asError(err))
	}
}

func (l *Link) sendDetach(err *amqp10.Error) {
	l.session.append((&amqp10.Detach{Handle: l.handle, Closed: amqp10.Some(true), Error: err}).AppendTo)
}

// end takes a link out of work. Its handles stay taken until it is gone.
func (l *Link) end(s linkState, why error) {
	l.state, l.why = s, why
	l.session.forget(l)
	l.session.conn.farewell(l)
}

// asError returns e as an error, which is nil when e is.
func asError(e *amqp10.Error) error {
	if e == nil {
		return nil
	}
	return e
}
