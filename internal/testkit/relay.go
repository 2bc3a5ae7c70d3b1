package testkit

import (
	"net"
	"sync"
	"time"
)

// Relay is the network between a client and a server: it carries bytes between
// two connections, in both directions, until it is told to do worse. It is made
// of two [Flow]s; what can happen to both at once it does itself.
//
// It owns one goroutine a direction, which end when both connections have, or with Close.
type Relay struct {
	Up, Down *Flow // from the client to the server, and back

	client, server net.Conn
	closed         chan struct{}
	once           sync.Once
	pumps          sync.WaitGroup
}

// NewRelay carries bytes between the ends of two connections that face a client
// and a server. Both are the Relay's from then on. TLS on them makes the Relay
// one of those that look into TLS.
func NewRelay(client, server net.Conn) *Relay {
	r := &Relay{Up: newFlow(), Down: newFlow(), client: client, server: server, closed: make(chan struct{})}
	r.pumps.Go(func() { r.pump(r.Up, server, client) })
	r.pumps.Go(func() { r.pump(r.Down, client, server) })
	return r
}

// Client returns the end that faces the client, for what only its protocol can
// say, such as the good-bye of TLS.
func (r *Relay) Client() net.Conn { return r.client }

// Reset ends both connections as TCP's RST does. It does not wait for anything.
func (r *Relay) Reset() {
	r.stop()
	Reset(r.client)
	Reset(r.server)
}

// Finish ends both connections as TCP's FIN does, without a word of TLS: each
// peer reads what has got through, and then the end.
func (r *Relay) Finish() {
	r.stop()
	bottom(r.client).Close()
	bottom(r.server).Close()
}

// Close is Reset, and returns when the Relay's goroutines have.
func (r *Relay) Close() {
	r.Reset()
	r.pumps.Wait()
}

func (r *Relay) stop() {
	r.once.Do(func() { close(r.closed) })
	r.Up.end()
	r.Down.end()
}

func (r *Relay) pump(f *Flow, dst, src net.Conn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := src.Read(buf)
		if !f.carry(dst, buf[:n], r.closed) {
			bottom(src).Close() // nobody is there to write to
			return
		}
		if err != nil {
			if f.open() {
				closeWrite(dst)
			}
			return
		}
	}
}

// Reset ends a connection as TCP's RST does, where it can: what is below any TLS
// is a socket, or an end of a [Pipe]. Others are closed.
func Reset(nc net.Conn) {
	nc = bottom(nc)
	switch c := nc.(type) {
	case interface{ Reset() }:
		c.Reset()
		return
	case *net.TCPConn:
		_ = c.SetLinger(0) // fails only when it is closed already
	}
	nc.Close()
}

// bottom returns the connection below any TLS.
func bottom(nc net.Conn) net.Conn {
	for {
		over, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nc
		}
		nc = over.NetConn()
	}
}

// closeWrite ends what is sent on nc, with TLS's word for it and TCP's.
func closeWrite(nc net.Conn) {
	for _, c := range []net.Conn{nc, bottom(nc)} {
		if c, ok := c.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite() // fails only when there is nobody to tell
		}
	}
}

// Flow is one direction of a [Relay]. Its methods may be called at any time.
type Flow struct {
	mu      sync.Mutex
	changed *sync.Cond
	ended   bool
	stopped bool
	swallow bool
	left    int    // bytes until then is called
	then    func() // nil: never
	sizes   func() int
	delay   time.Duration
}

func newFlow() *Flow {
	f := &Flow{}
	f.changed = sync.NewCond(&f.mu)
	return f
}

func (f *Flow) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.changed.Broadcast()
}

// Swallow switches whether what comes is lost, the end of the connection included.
func (f *Flow) Swallow(on bool) { f.set(func() { f.swallow = on }) }

// Stop switches whether nothing is taken any more: what comes waits, in the
// buffers of the connection, and then at its sender.
func (f *Flow) Stop(on bool) { f.set(func() { f.stopped = on }) }

// After has f call then once, between two bytes, when n more have passed. then may
// do to the Relay what it likes, but for Close.
func (f *Flow) After(n int, then func()) { f.set(func() { f.left, f.then = n, then }) }

// Chunk cuts what passes into pieces of at most sizes() bytes, each of which
// takes delay. A size below 1 counts as 1; nil is as they come.
func (f *Flow) Chunk(sizes func() int, delay time.Duration) {
	f.set(func() { f.sizes, f.delay = sizes, delay })
}

func (f *Flow) end() { f.set(func() { f.ended = true }) }

// open reports whether the end of a connection passes.
func (f *Flow) open() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.stopped && !f.ended {
		f.changed.Wait()
	}
	return !f.ended && !f.swallow
}

// carry passes b on, and reports whether there is any sense in going on.
func (f *Flow) carry(dst net.Conn, b []byte, closed <-chan struct{}) bool {
	for len(b) > 0 {
		n, delay, swallow := f.next(len(b))
		if n == 0 {
			return false
		}
		if delay > 0 {
			t := time.NewTimer(delay)
			select {
			case <-t.C:
			case <-closed:
				t.Stop()
				return false
			}
		}
		if !swallow {
			if _, err := dst.Write(b[:n]); err != nil {
				return false
			}
		}
		b = b[n:]
		f.count(n)
	}
	return true
}

// next says how many of n bytes pass next, and how; 0 that none will.
func (f *Flow) next(n int) (_ int, delay time.Duration, swallow bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.ended:
			return 0, 0, false
		case f.stopped:
			f.changed.Wait()
			continue
		case f.then != nil && f.left <= 0:
			then := f.then
			f.then = nil
			f.mu.Unlock()
			then()
			f.mu.Lock()
			continue
		case f.then != nil:
			n = min(n, f.left)
		}
		if f.sizes != nil {
			n = min(n, max(1, f.sizes()))
		}
		return n, f.delay, f.swallow
	}
}

func (f *Flow) count(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left -= n
}
