package links

import (
	"context"
	"errors"
	"net"
)

type attachment struct {
	l      *link
	net    *network
	name   string
	handle handle
	gen    generation
}
type network struct {
	c    *Conn
	tap  *tap
	dead error
}
type tap struct{}

func (t *tap) forget(*attachment)                                   {}
func (e *entity) endLocked(cause error)                             {}
func (e *entity) wakeLocked()                                       {}
func (e *entity) tellConnectingLocked(s State, err error)           {}
func (e *entity) disconnectedLocked(n *network, s State, err error) {}
func (c *Conn) endedLocked(at *attachment, lv level, err error)     {}
func (n *network) open(ctx context.Context, nc net.Conn) error      { return errors.New("not yet") }
func (n *network) serve() (planned bool)                            { return false }
