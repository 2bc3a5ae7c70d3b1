package core

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// Config says what kind of hub a [Core] is. The zero Config means the
// defaults of an IoT Hub.
type Config struct {
	// HostName is the hub's own, which tokens must be for. Tokens are compared
	// with it without case.
	HostName string

	// Skew is how long after a token's expiry it is still taken, and how long
	// after that a connection is dropped. 0 means 5 minutes; negative, none.
	Skew time.Duration

	// LockTimeout is how long a delivered cloud-to-device message is invisible
	// until it is delivered again. 0 means 1 minute.
	LockTimeout time.Duration

	// MaxDeliveryCount is how often a message can be abandoned before it is
	// dropped, 1 to 100. 0 means 10.
	MaxDeliveryCount int

	// DefaultTTL is the life of a message that names no expiry. 0 means 1 hour.
	DefaultTTL time.Duration

	// MaxDevices bounds devices and modules together. 0 means 1,000,000.
	MaxDevices int

	// MaxSubscriptions bounds those of one session. 0 means 5, the documented bound.
	MaxSubscriptions int

	// VerifiedCAs are the roots that certificates of [AuthCA] must chain to.
	VerifiedCAs []*x509.Certificate

	// Throttle bounds rates. The zero Throttle bounds nothing.
	Throttle Throttle

	// Storage is the account that devices upload files to. nil means that there is none.
	Storage Storage

	// Containers are where import and export jobs read and write, and Lines is what. Without
	// both there are no such jobs.
	Containers Containers
	Lines      *Lines

	// UploadTTL is how long a device may take for an upload. 0 means 1 hour.
	UploadTTL time.Duration

	// NoFileNotifications keeps uploads from the service, as an IoT Hub does at first.
	NoFileNotifications bool

	// EventSources are those of [EventSources] whose events go to the log. None do by default.
	EventSources []EventSource

	// ConsumerGroups are those of the Event Hubs-compatible endpoint, besides [DefaultGroup].
	ConsumerGroups []string

	// Intercept sees every operation before it happens. It may be called from
	// many goroutines at once. See [Core.Intercept].
	Intercept func(context.Context, *Op) Verdict

	// Log gets, among others, why a login was refused, which the peer is not
	// told. nil means none.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	switch c.Skew = cmp.Or(c.Skew, 5*time.Minute); {
	case c.Skew < 0:
		c.Skew = 0
	}
	c.LockTimeout = cmp.Or(c.LockTimeout, time.Minute)
	c.MaxDeliveryCount = cmp.Or(c.MaxDeliveryCount, 10)
	c.DefaultTTL = cmp.Or(c.DefaultTTL, time.Hour)
	c.MaxDevices = cmp.Or(c.MaxDevices, 1_000_000)
	c.UploadTTL = cmp.Or(c.UploadTTL, time.Hour)
	c.MaxSubscriptions = cmp.Or(c.MaxSubscriptions, 5)
	c.ConsumerGroups = append([]string{DefaultGroup}, c.ConsumerGroups...)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Core is a hub's state and rules. Its methods may be called from any goroutine.
//
// Locks are taken in this order: registry, an entity (never two), then mu or
// a locked queue's. Those of jobs are taken with none of these held, and
// these with none of those; the lock on changes of configurations comes before all.
type Core struct {
	cfg               Config
	created           time.Time
	store             store.Store
	life              context.Context // ends with Close
	end               context.CancelFunc
	requestID         atomic.Uint64 // of method calls
	states            atomic.Uint64 // connection state events
	policies          []*Policy     // never changed
	roots             *x509.CertPool
	arrived           notifier    // events were appended
	consumers         []consumers // by partition
	records           sync.Pool   // of *[]byte, where events are encoded
	pages             sync.Pool   // of *eventPage
	feedback          lockedQueue[FeedbackRecord]
	fileNotifications lockedQueue[FileNotification]
	timers            timers
	throttle          *throttle
	verified          *verified
	jobs              jobs
	transfers         transfers
	configs           configurations
	applying          sync.Map // content to these devices, by id

	queryKey []byte // of continuation tokens

	registry sync.Mutex // serialises what adds or removes identities

	mu       sync.RWMutex // guards what follows
	closed   bool
	entities map[hubwire.Identity]*entity
	devices  ordered
	modules  ordered
}

// errClosing is why things end when the Core is closed.
var errClosing = refuse("connection", hubwire.ServiceUnavailable, "the hub is closed")

// New opens a hub on a store and loads what the store holds; its policies are
// made when there are none. cfg is not kept, nil means the defaults. The
// store stays the caller's, to close after the Core.
func New(ctx context.Context, cfg *Config, s store.Store) (*Core, error) {
	c := &Core{
		created:  time.Now().UTC(),
		store:    s,
		roots:    x509.NewCertPool(),
		entities: map[hubwire.Identity]*entity{},
		verified: &verified{},
		jobs:     jobs{byID: map[string]*job{}},
		configs:  configurations{byID: map[string]*configuration{}},
		queryKey: newQueryKey(),
	}
	if cfg != nil {
		c.cfg = *cfg
	}
	c.cfg = c.cfg.withDefaults()
	c.life, c.end = context.WithCancel(context.Background())
	// Some bits of chance, so that an answer which a device sends again, to the hub that comes after
	// this one, is not taken for that of another call.
	c.requestID.Store(uint64(rand.Uint32()))
	c.consumers = make([]consumers, s.Partitions())
	c.feedback = lockedQueue[FeedbackRecord]{core: c, lockedRules: feedbackRules}
	c.fileNotifications = lockedQueue[FileNotification]{core: c, lockedRules: fileNotificationRules}
	c.throttle = newThrottle(&c.cfg.Throttle)
	for _, ca := range c.cfg.VerifiedCAs {
		c.roots.AddCert(ca)
	}
	if err := c.load(ctx); err != nil {
		c.end()
		return nil, fmt.Errorf("core: loading the store: %w", err)
	}
	return c, nil
}

// Skew returns how long a token is taken after its expiry.
func (c *Core) Skew() time.Duration { return c.cfg.Skew }

// Created returns when New was called.
func (c *Core) Created() time.Time { return c.created }

// Open returns nil until Close, and then the one answer of a closed hub: code
// ServiceUnavailable, which also matches [net.ErrClosed].
func (c *Core) Open(op string) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return ended(op, errClosing)
	}
	return nil
}

// Close ends all sessions with ServiceUnavailable, and all calls and readers
// that wait, and returns when no timer and no job of the Core runs any more. It does
// not wait for fronts to call Disconnect. Links must not call it.
func (c *Core) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.end()
	es := make([]*entity, 0, len(c.entities))
	for _, e := range c.entities {
		es = append(es, e)
	}
	c.mu.Unlock()
	c.timers.close()
	c.stopJobs()
	c.feedback.close()
	c.fileNotifications.close()
	for _, e := range es {
		e.mu.Lock()
		e.endSession(errClosing, true)
		e.queue.timer.stop()
		e.unlock()
	}
	c.timers.wg.Wait()
	return nil
}
