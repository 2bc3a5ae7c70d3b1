package amqpclient

import (
	"context"
	"net"
)

// Conn is a connection. Its methods may be called from any goroutine.
type Conn struct {
	done chan struct{}
}

// Open opens AMQP on nc, which is the Conn's from here on, and is closed also when there is an error: protocol
// headers, SASL, open. The Conn keeps a copy of o, which may be nil.
//
// nc is not given deadlines. One that is not waited for is closed by its method CloseNow, if it has one, or by closing what its
// method NetConn returns, as that of a [crypto/tls.Conn] does; and then by Close.
//
// The error is that of ctx, or an [*Error] of [LevelConn].
func Open(ctx context.Context, nc net.Conn, o *Options) (*Conn, error) { panic("to come") }

// Close ends the connection with a close, behind all that was sent before, and waits for that of the peer until ctx ends.
// All is over from the first moment on: links and sessions are told. It returns when the connection is over,
// with nil if the peer has answered, or when ctx has ended, with its error: the connection is then aborted.
func (c *Conn) Close(ctx context.Context) error { panic("to come") }

// Abort ends the connection at once, without a word to the peer, and does not wait.
func (c *Conn) Abort() { panic("to come") }

// Done is closed when the connection is over and nothing of it runs any more: all have been told.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns nil while the connection lives, then why it ended: an [*Error] of [LevelConn].
func (c *Conn) Err() error { panic("to come") }

// Heard returns how many frames have come from the peer, but for those that only show that it lives.
func (c *Conn) Heard() uint64 { panic("to come") }

// Begin begins a session, and waits for the peer's answer. When ctx ends first, the session is ended when the peer
// does answer, and its channel is taken until then. o may be nil.
//
// The error is that of ctx, [ErrLimit], or an [*Error] of [LevelSession] or [LevelConn].
func (c *Conn) Begin(ctx context.Context, o *SessionOptions) (*Session, error) { panic("to come") }
