package httpfront

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// unhurried is a listener whose connections put their deadlines off. net/http sets
// several for each request, nearly all of which are lifted or moved on before they
// come, and each costs the network as much as a small part of the request.
type unhurried struct{ net.Listener }

func (l unhurried) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &deferring{Conn: nc}
	c.read.arm, c.write.arm = nc.SetReadDeadline, nc.SetWriteDeadline
	return c, nil
}

// deferring is a connection of which the one below has deadlines that may come too
// early: then what has timed out there goes on.
type deferring struct {
	net.Conn
	read, write deadline
}

// deadline is what was asked for, and what the connection below has: never later.
type deadline struct {
	arm func(time.Time) error

	mu          sync.Mutex
	want, armed time.Time // zero for none
}

func (d *deadline) set(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.want = t
	if later := t.IsZero() || !t.Before(d.armed); later && !d.armed.IsZero() && time.Now().Before(d.armed) {
		return nil // it is looked at when that comes
	}
	return d.armLocked()
}

func (d *deadline) armLocked() error {
	d.armed = d.want
	return d.arm(d.want)
}

// early reports whether an operation that ended with err timed out before its time, and can go on.
func (d *deadline) early(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.want.IsZero() && !time.Now().Before(d.want) {
		return false
	}
	return d.armLocked() == nil
}

func (c *deferring) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err == nil || n > 0 || !c.read.early(err) {
			return n, err
		}
	}
}

func (c *deferring) Write(b []byte) (n int, err error) {
	for {
		var m int
		m, err = c.Conn.Write(b[n:])
		if n += m; err == nil || !c.write.early(err) {
			return n, err
		}
	}
}

func (c *deferring) SetReadDeadline(t time.Time) error  { return c.read.set(t) }
func (c *deferring) SetWriteDeadline(t time.Time) error { return c.write.set(t) }

func (c *deferring) SetDeadline(t time.Time) error {
	return errors.Join(c.read.set(t), c.write.set(t))
}

// Admit tells the connection below that its peer is no stranger any more, if it wants to know.
func (c *deferring) Admit() {
	if raw, ok := c.Conn.(interface{ Admit() }); ok {
		raw.Admit()
	}
}
