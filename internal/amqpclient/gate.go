package amqpclient

import "context"

// gate is what calls wait at for something to change. It is guarded by the lock of the connection.
type gate struct{ changed chan struct{} }

// open lets all pass that wait.
func (g *gate) open() {
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}

// wait waits at a gate until it opens or ctx ends. The caller holds the lock, which is let go meanwhile.
func (c *Conn) wait(ctx context.Context, g *gate) error {
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	changed := g.changed
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
