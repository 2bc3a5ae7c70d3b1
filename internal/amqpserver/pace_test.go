package amqpserver_test

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/internal/testkit"
)

// lulling is a connection that knows when it has to wait: always.
type lulling struct {
	net.Conn
	lull  func()        // set before known is closed
	known chan struct{} // nothing is read before that
	reads atomic.Int64  // begun
}

func (l *lulling) Read(b []byte) (int, error) {
	<-l.known
	l.lull()
	l.reads.Add(1)
	return l.Conn.Read(b)
}

// stream sends n messages, each in a write of its own, and returns when they have been sent.
func (p *peer) stream(id *uint32, n int) {
	for range n {
		p.send(message(0, *id, "x"))
		*id++
		synctest.Wait()
	}
}

// A peer that streams is read once a millisecond; one that does not fill it is read at once again, and
// in the end each message has its outcome.
func TestReadingRestsInAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := testkit.Pipe()
		slow := &lulling{Conn: far, known: make(chan struct{})}
		s := &space{sinks: map[string]*sink{"sink": {settle: accept}}}
		cfg := &amqpserver.Config{Credit: 100_000, Window: 100_000, MaxUnsettled: 100_000}
		p, c := connectOver(t, near, slow, cfg, s.handler())
		slow.lull = c.Lull
		close(slow.known)
		p.begin()
		p.send(sender("a", "sink", 0))
		p.frames()
		id := uint32(0)
		reads := func(n int) int64 {
			before := slow.reads.Load()
			p.stream(&id, n)
			return slow.reads.Load() - before
		}
		if got := reads(128 + 2*32 - 1); got != 128+2*32-1 {
			t.Errorf("%d reads before it is known for a stream, want one for each message", got)
		}
		if got := reads(100); got != 0 {
			t.Errorf("%d more reads of a stream within no time, want none", got)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := reads(100); got > 1 {
			t.Errorf("%d reads after a rest that was worth it, want one at most", got)
		}
		time.Sleep(2 * time.Millisecond) // it brought nothing more
		synctest.Wait()
		if got := reads(10); got != 10 {
			t.Errorf("%d reads after a rest that was not worth it, want 10", got)
		}
		time.Sleep(2 * time.Millisecond)
		p.frames()
		p.send(message(0, id-1, "x"))
		p.want("end invalid-field") // so the last one was taken
	})
}
