package amqpclient

import (
	"context"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// SessionOptions are what a session is begun with. The zero value of each field means the default.
type SessionOptions struct {
	// Window is the incoming window, in transfer frames. Default 5000.
	Window uint32
	// OnEnd, if set, is told once why the session ended, after its links, when Begin has succeeded; it may be
	// told before Begin has returned. The reason is an [*Error] of [LevelSession] or [LevelConn].
	OnEnd func(reason error)
}

// Session is one session of a connection. Its methods may be called from any goroutine.
type Session struct {
	conn *Conn
}

// Conn returns the connection that the session belongs to.
func (s *Session) Conn() *Conn { return s.conn }

// Err returns nil while the session lives, then why it ended: an [*Error] of [LevelSession] or [LevelConn].
func (s *Session) Err() error { panic("to come") }

// End ends the session and all its links, with an end that carries e, which may be nil, and waits for that of the peer until
// ctx ends: with a ctx that has ended it does not wait. The session is of no use from the first moment on.
//
// The error is that of ctx; nil when the peer has answered, or ended the session or the connection itself.
func (s *Session) End(ctx context.Context, e *amqp10.Error) error { panic("to come") }
