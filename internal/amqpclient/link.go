package amqpclient

import (
	"context"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// link is what senders and receivers have in common.
type link struct {
	session *Session
	name    string
}

// Name returns the name of the link.
func (l *link) Name() string { return l.name }

// Session returns the session that the link belongs to.
func (l *link) Session() *Session { return l.session }

// Err returns nil while the link lives, then why it ended: an [*Error].
func (l *link) Err() error { panic("to come") }

// Detach ends the link, with a detach that says closed and e, which may be nil, and waits for that of the peer until
// ctx ends: with a ctx that has ended it does not wait. The link is of no use from the first moment on.
//
// The error is that of ctx; nil when the peer has answered, or ended the link, its session or the connection itself.
func (l *link) Detach(ctx context.Context, e *amqp10.Error) error { panic("to come") }
