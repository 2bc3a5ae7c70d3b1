package links

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqpclient"
	"github.com/hubwire/hubwire/internal/goroutine"
)

// outbox holds telemetry that has no outcome yet, in the order in which it was accepted. What is on its
// way when a link is lost goes out again on the next one, first and in the same order.
//
// What is due is sent by whoever finds that it can be (outbox_write.go): a call that brings it, or the connection,
// which tells that there is room again. Messages are encoded then, from the caller's own, so that
// nothing is copied that only waits. The connection tells of outcomes (outbox_settle.go). There is a goroutine
// while done functions are to be called.
type outbox struct {
	o    outboxOptions
	life chan struct{} // closed when the outbox has ended

	caller atomic.Uint64 // the goroutine that calls done functions, 0 while none does

	turn  chan struct{} // whose holder may wait for room, so that nobody overtakes
	freed chan struct{} // has one when there may be room for who holds the turn

	mu      sync.Mutex
	ring    []slot // a power of two long
	head    uint64 // the oldest slot that is not free
	next    uint64 // no slot before it is due
	tail    uint64
	used    int                // slots that are not free: what the window counts
	bytes   int                // the size of their messages
	waiting int                // calls that wait for room
	wanted  bool               // one of them waits for freed
	link    *amqpclient.Sender // nil while there is none
	gen     generation         // of link
	full    bool               // link takes nothing, and will tell when it is ready
	under   int                // messages that are under way
	since   time.Time          // when the oldest of those became the oldest
	returns int                // how often in a row the hub wanted no message yet

	telling  bool          // there is a goroutine that calls done functions
	closing  bool          // nothing new is accepted
	detached bool          // by a done function
	paused   bool          // nothing is written
	landing  chan struct{} // closed when nothing is under way; nil if nobody waits
	cause    error
	quiet    chan struct{} // closed when nothing is pending and no goroutine left; nil if nobody waits
	timer    *time.Timer
	timing   bool // timer runs
	release  *time.Timer
	holding  bool // release runs
}

type outboxOptions struct {
	window, windowBytes    int
	ackTimeout             time.Duration // 0: none
	minBackoff, maxBackoff time.Duration // between attempts for a message that the hub gives back
	onPanic                func(value any, stack []byte)
	inCallback             func() bool                     // whether the caller holds up the connection itself
	stalled                func(gen generation, err error) // is told that the peer does not answer
}

// order is a message, and who wants to know what became of it: at most one of wait, done and each.
type order struct {
	m     *hubwire.Message
	size  int
	wait  chan error // has room for one
	done  func(error)
	each  func(i int, err error)
	i     int
	share bool // a transfer with others
}

// slot is the place of a message in an outbox.
type slot struct {
	order
	free    bool
	dropped bool // nobody wants to know any more, and it is not sent again
	doubt   bool // was under way when a link was lost
	held    bool // the hub gave it back, and it is not sent again yet
	known   bool // err is its outcome
	err     error
	under   bool // it is under way: the connection has it, and there is no outcome yet
	span    int  // how many slots share its transfer, if it is the first of them
}

func (b *outbox) init(o outboxOptions) {
	b.o = o
	b.life, b.turn, b.freed = make(chan struct{}), make(chan struct{}, 1), make(chan struct{}, 1)
}

func (b *outbox) at(seq uint64) *slot { return &b.ring[seq&uint64(len(b.ring)-1)] }

// messageRoom is what a message takes beside what [hubwire.Message.Size] counts, about.
const messageRoom = 128

// accept takes orders in, in their order and ahead of all later calls, as the window has room
// for them. It returns how many it took, and why not all. seq is the place of the first.
func (b *outbox) accept(ctx context.Context, orders []order) (n int, seq uint64, err error) {
	if ctx.Err() != nil {
		return 0, 0, cutShort(false, ctx.Err())
	}
	b.mu.Lock()
	if err = b.refusesLocked(); err == nil && b.waiting == 0 {
		n, seq = b.take(orders)
	}
	if err != nil || n == len(orders) {
		b.mu.Unlock()
		return n, seq, err
	}
	b.waiting++
	b.mu.Unlock()
	defer func() { b.mu.Lock(); b.waiting--; b.mu.Unlock() }()
	if err = b.mayWait(); err != nil {
		return n, seq, err
	}
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return n, seq, cutShort(false, ctx.Err())
	case <-b.life:
		return n, seq, b.ended()
	}
	for {
		b.mu.Lock()
		if err = b.refusesLocked(); err == nil {
			got, at := b.take(orders[n:])
			if n == 0 {
				seq = at
			}
			n += got
			b.wanted = n < len(orders)
		}
		b.mu.Unlock()
		if err != nil || n == len(orders) {
			return n, seq, err
		}
		select {
		case <-b.freed:
		case <-ctx.Done():
			return n, seq, cutShort(false, ctx.Err())
		case <-b.life:
			return n, seq, b.ended()
		}
	}
}

// refusesLocked is why nothing is accepted.
func (b *outbox) refusesLocked() error {
	switch {
	case b.cause != nil:
		return endedBy(false, b.cause)
	case b.closing:
		return endedBy(false, ErrClosed)
	}
	return nil
}

func (b *outbox) ended() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusesLocked()
}

// take puts in what the window has room for, and sees to its being written.
func (b *outbox) take(orders []order) (n int, seq uint64) {
	seq = b.tail
	for n < len(orders) && b.fits(orders[n].size) {
		if int(b.tail-b.head) == len(b.ring) {
			b.grow(len(orders) - n)
		}
		*b.at(b.tail) = slot{order: orders[n]}
		b.tail++
		b.used++
		b.bytes += orders[n].size
		n++
	}
	b.flush()
	return n, seq
}

// fits reports whether the window has room. A message larger than the window passes alone. Slots that are free
// behind one that is not count too, or one that waits for ever would let the ring grow for ever.
func (b *outbox) fits(size int) bool {
	if b.used == 0 {
		return true
	}
	return b.used < b.o.window && b.bytes+size <= b.o.windowBytes && b.tail-b.head < 2*uint64(b.o.window)
}

// grow makes the ring twice as long, and longer when as many more are to come as the window may have room for.
func (b *outbox) grow(more int) {
	old := b.ring
	n := max(keptRing, 2*len(old))
	for n < min(len(old)+more, b.o.window) {
		n *= 2
	}
	b.ring = make([]slot, n)
	for i := b.head; i < b.tail; i++ {
		*b.at(i) = old[i&uint64(len(old)-1)]
	}
}

// remove frees a slot, and lets in who waits for room.
func (b *outbox) remove(seq uint64) {
	s := b.at(seq)
	b.used--
	b.bytes -= s.size
	b.landed(s)
	*s = slot{free: true}
	for b.head < b.tail && b.at(b.head).free {
		b.head++
	}
	b.next = max(b.next, b.head)
	if b.used == 0 && len(b.ring) > keptRing {
		b.ring = nil // head is at tail: nothing is looked up
	}
	if b.wanted {
		b.wanted = false
		select {
		case b.freed <- struct{}{}:
		default: // it has been told
		}
	}
}

// landed takes note that a message is not under way any more, if it was.
func (b *outbox) landed(s *slot) {
	if s.under {
		s.under = false
		b.under--
		b.touchDown()
	}
}

// keptRing is how many slots an outbox keeps while nothing is pending.
const keptRing = 8

// settleAll writes nothing more, until resume, and returns when nothing is under way, or when ctx ends.
func (b *outbox) settleAll(ctx context.Context) (resume func()) {
	b.mu.Lock()
	b.paused, b.landing = true, make(chan struct{})
	landed := b.landing
	b.touchDown()
	b.mu.Unlock()
	select {
	case <-landed:
	case <-ctx.Done():
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.paused, b.landing = false, nil
		b.flush()
	}
}

// touchDown tells who waits for it that nothing is under way.
func (b *outbox) touchDown() {
	if b.under == 0 && b.landing != nil {
		close(b.landing)
		b.landing = nil
	}
}

// withdraw ends a wait for an outcome: the message at seq is not to be sent, or not again.
func (b *outbox) withdraw(seq uint64, wait chan error, cause error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq < b.head || b.at(seq).wait != wait {
		return <-wait // which has it
	}
	s := b.at(seq)
	switch {
	case s.known:
		s.wait = nil
		return s.err
	case s.under:
		s.wait, s.dropped = nil, true
		return cutShort(true, cause)
	}
	doubt := s.doubt
	if s.held {
		cause = fmt.Errorf("%w; the last attempt: %w", cause, s.err)
	}
	b.remove(seq)
	return cutShort(doubt, cause)
}

// calledBack reports whether the caller is a done function.
func (b *outbox) calledBack() bool {
	id := b.caller.Load()
	return id != 0 && id == goroutine.ID()
}

// mayWait refuses a wait for what only the caller's return lets happen.
func (b *outbox) mayWait() error {
	if b.calledBack() || b.o.inCallback != nil && b.o.inCallback() {
		return cutShort(false, ErrWouldDeadlock)
	}
	return nil
}

// refuse accepts nothing more. When the caller is a done function, nobody will wait for its goroutine.
func (b *outbox) refuse() {
	inside := b.calledBack()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closing, b.detached = true, b.detached || inside
}

// end fails what is pending, and reports whether all have been told before limit. The first cause stays.
func (b *outbox) end(cause error, limit <-chan struct{}) (gone bool) {
	b.refuse()
	b.abort(cause)
	return b.await(limit)
}

// abort is end without the wait.
func (b *outbox) abort(cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cause != nil {
		return
	}
	b.cause = cause
	for _, t := range []*time.Timer{b.timer, b.release} {
		if t != nil {
			t.Stop()
		}
	}
	close(b.life)
	b.finish()
	b.link, b.gen = nil, 0
}

// await waits until nothing is pending and all have been told, unless that waits for the caller.
func (b *outbox) await(limit <-chan struct{}) (gone bool) {
	b.mu.Lock()
	if b.detached {
		b.mu.Unlock()
		return true
	}
	if b.quiet == nil {
		b.quiet = make(chan struct{})
	}
	quiet := b.quiet
	b.hush()
	b.mu.Unlock()
	select {
	case <-quiet:
		return true
	case <-limit:
		return false
	}
}

// hush tells who waits for it that nothing is going on.
func (b *outbox) hush() {
	if b.quiet != nil && b.used == 0 && !b.telling {
		close(b.quiet)
		b.quiet = nil
	}
}
