package core

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
)

// entity is everything about one registered device or module. It lives from
// its creation to its deletion, whether connected or not.
type entity struct {
	core *Core
	id   hubwire.Identity

	lastActivity atomic.Int64 // Unix nanoseconds; 0 for never
	dirty        atomic.Bool  // waits for configurations to look at it

	mu      sync.Mutex // guards what follows; see unlock
	deleted bool
	dev     Device // without its live fields
	created time.Time
	version uint64 // of the record of dev

	session     *Session
	connChanged time.Time // when session last began or ended
	changed     notifier  // session or its subscriptions changed

	kept        []Subscription // of the kept session
	hasKept     bool
	keptVersion uint64

	twin        *twin // nil as long as it is fresh
	twinVersion uint64

	configurations map[string]string // Targeted or Applied, by id; a new map for each change
	ruled          []ruled           // the same, as the sweeper has it

	queue   queue
	uploads []*upload // in the order of their beginning
	calls   map[uint64]*call
	held    []*call // those of calls that wait to be sent, in order

	callBytes int // payloads of those that were sent

	stamp     eventStamp // of telemetry without a session, by who has this authentication method
	stampedBy string

	outbox     []func() // for links, in order
	delivering bool
}

// post queues a call of a link. The caller holds the lock.
func (e *entity) post(f func()) { e.outbox = append(e.outbox, f) }

// maxOwnCalls is how many posted calls one unlock makes itself. What a call of the Core posts
// for its own sake is less: a queue has 50 messages.
const maxOwnCalls = 64

// unlock releases the lock and then, with no lock held, makes the calls that
// were posted. While one goroutine does so all others only post: that keeps
// the order, and lets a link call back into its session. When they post as fast as it
// calls, a goroutine of its own goes on: neither a caller nor a connection's reader may
// be held for as long as others are busy.
func (e *entity) unlock() {
	if e.delivering {
		e.mu.Unlock()
		return
	}
	e.delivering = true
	e.makeCalls(maxOwnCalls)
	if len(e.outbox) > 0 && e.core.timers.run(func() {
		e.mu.Lock()
		e.makeAllCalls()
	}) {
		e.mu.Unlock()
		return
	}
	e.makeAllCalls() // of a Core that is closed, where nothing more is posted
}

// makeAllCalls makes calls until there are none, and releases the lock.
func (e *entity) makeAllCalls() {
	e.makeCalls(math.MaxInt)
	e.outbox = nil
	e.delivering = false
	e.mu.Unlock()
}

// makeCalls makes up to max calls. The caller holds the lock, which is released meanwhile.
func (e *entity) makeCalls(max int) {
	for ; len(e.outbox) > 0 && max > 0; max-- {
		f := e.outbox[0]
		e.outbox = e.outbox[1:]
		e.mu.Unlock()
		f()
		e.mu.Lock()
	}
}

// touch notes activity of the peer.
func (e *entity) touch() { e.touched(time.Now()) }

func (e *entity) touched(now time.Time) { e.lastActivity.Store(now.UnixNano()) }

// lastActive returns when the peer was last active, or the zero time.
func (e *entity) lastActive() time.Time {
	if at := e.lastActivity.Load(); at != 0 {
		return time.Unix(0, at).UTC()
	}
	return time.Time{}
}

// snapshot returns the device with its live fields. The caller holds the lock.
func (e *entity) snapshot() *Device {
	d := e.dev.clone()
	d.Connected = e.session != nil
	d.ConnectionUpdated = e.connChanged
	d.LastActivity = e.lastActive()
	e.sweep()
	d.C2DCount = len(e.queue.items)
	return d
}

// entity returns that of a registered identity, or nil.
func (c *Core) entity(id hubwire.Identity) *entity {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entities[id]
}

// lock returns the entity of id, locked, unless the Core is closed; the caller
// calls unlock.
func (c *Core) lock(op string, id hubwire.Identity) (*entity, error) {
	if err := c.Open(op); err != nil {
		return nil, err
	}
	e := c.entity(id)
	if e == nil {
		if id.IsModule() && c.entity(hubwire.Identity{DeviceID: id.DeviceID}) == nil {
			id.ModuleID = ""
		}
		return nil, notFound(op, id)
	}
	e.mu.Lock()
	if e.deleted {
		e.mu.Unlock()
		return nil, notFound(op, id)
	}
	return e, nil
}
