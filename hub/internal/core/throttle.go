package core

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
)

// Throttling imitates the developer guide's "IoT Hub quotas and throttling": rates
// for the whole hub, of which telemetry over the rate is first held back (traffic
// shaping) and then refused, and all else is refused at once; and messages a day.
// The guide does not say how much comes in before a rate counts, how long a message
// is held back, and what MQTT shows of it. Here a second's worth comes in at once,
// and what is refused ends as every refusal does: a twin operation with 429, a CONNECT
// with return code 3, telemetry over MQTT with the end of the connection, over AMQP with a rejection. Of the rates that the
// guide gives by the minute, a minute's worth comes in at once. Left out: that a day's
// count outlives the process.

// meterBlock is what messages and methods are metered in, in bytes.
const meterBlock = 4 << 10

// Throttle bounds what a hub takes. A zero member bounds nothing. Rates are
// operations a second.
type Throttle struct {
	Connects     float64
	Telemetry    float64
	MaxDelay     time.Duration // that telemetry is held back; 0 means 10 s, negative not at all
	TwinReads    float64       // by devices and services together
	TwinUpdates  float64       // likewise
	MethodBytes  float64       // of payloads to devices, in blocks of 4 KiB
	MessagesADay int           // of telemetry, in blocks of 4 KiB, from midnight UTC
	ActiveJobs   int           // that run at the same time

	Metered [meters]float64 // requests of services and, over HTTPS, of devices
}

// Meter is a kind of request that has a rate of its own.
type Meter uint8

// The meters. The zero Meter counts nothing.
const (
	Unmetered Meter = iota
	MeterRegistry
	MeterQueries
	MeterC2DSends
	MeterC2DReceives
	MeterUploads
	MeterConfigurations
	meters
)

// throttle is a [Throttle] at work. A nil limiter lets everything pass.
type throttle struct {
	connects, telemetry, twinReads, twinUpdates, methods *limiter

	metered  [meters]*limiter
	maxDelay time.Duration
	quota    quota
}

func newThrottle(t *Throttle) *throttle {
	th := &throttle{
		connects:    newLimiter(t.Connects),
		telemetry:   newLimiter(t.Telemetry),
		twinReads:   newLimiter(t.TwinReads),
		twinUpdates: newLimiter(t.TwinUpdates),
		methods:     newLimiter(t.MethodBytes / meterBlock),
		maxDelay:    max(0, cmp.Or(t.MaxDelay, 10*time.Second)),
		quota:       quota{limit: t.MessagesADay},
	}
	for m, rate := range t.Metered {
		if l := newLimiter(rate); l != nil {
			l.burst = max(time.Minute, l.interval)
			th.metered[m] = l
		}
	}
	return th
}

// blocks returns how many blocks n bytes are metered as: at least one.
func blocks(n int) int { return max(1, (n+meterBlock-1)/meterBlock) }

// limiter spaces operations out (the generic cell rate algorithm): next is when
// the last of them would have its turn, were they to come at the rate exactly.
type limiter struct {
	interval time.Duration // from one turn to the next
	burst    time.Duration // how early an operation may come

	mu   sync.Mutex
	next time.Time
}

// newLimiter returns nil, which lets everything pass, when rate is zero.
func newLimiter(rate float64) *limiter {
	if rate <= 0 {
		return nil
	}
	const longest = 365 * 24 * time.Hour
	interval := max(1, time.Duration(min(float64(time.Second)/rate, float64(longest))))
	return &limiter{interval: interval, burst: max(time.Second, interval)}
}

// take returns how long an operation that counts n times must wait for its turn.
// When that is longer than patience, it gets none, and ok is false.
func (l *limiter) take(n int, patience time.Duration) (wait time.Duration, ok bool) {
	if l == nil {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	next := l.next
	if next.Before(now) {
		next = now
	}
	cost := time.Duration(n) * l.interval
	next = next.Add(cost)
	wait = max(0, next.Sub(now)-max(l.burst, cost))
	if wait > patience {
		return wait, false
	}
	l.next = next
	return wait, true
}

// admit refuses what comes before its turn.
func (l *limiter) admit(op string, n int) error {
	if wait, ok := l.take(n, 0); !ok {
		e := refuse(op, hubwire.Throttled, "the hub is throttled; try again in %v", wait)
		e.RetryAfter = wait
		return e
	}
	return nil
}

// Admit refuses a request that comes before its turn, with code Throttled.
func (c *Core) Admit(op string, m Meter) error { return c.throttle.metered[m].admit(op, 1) }

// quota counts the messages of a day.
type quota struct {
	limit int // 0 means none

	mu   sync.Mutex
	day  time.Time
	used int
}

// admit counts n more, unless the day's count has come to the limit; none are
// asked for when n is 0.
func (q *quota) admit(op string, n int) error {
	if q.limit <= 0 {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if day := time.Now().UTC().Truncate(24 * time.Hour); !day.Equal(q.day) { // also earlier: the clock was put right
		q.day, q.used = day, 0
	}
	if q.used >= q.limit || q.used+n > q.limit {
		e := refuse(op, hubwire.QuotaExceeded, "the hub's quota of %d messages a day is exceeded", q.limit)
		e.RetryAfter = time.Until(q.day.Add(24 * time.Hour))
		return e
	}
	q.used += n
	return nil
}

// Throttles reports whether [Core.TelemetryTurn] has anything to say.
func (c *Core) Throttles() bool {
	return c.throttle.telemetry != nil || c.throttle.quota.limit > 0
}

// TelemetryTurn says how long a front must hold back messages of these sizes
// ([hubwire.Message.Size]), one or a batch, with [Core.Wait], before it calls
// [Session.Telemetry] or its kin. Every front calls it once for each message or batch.
// Codes: ThrottleBacklogLimitExceeded when it would be too long, QuotaExceeded.
func (c *Core) TelemetryTurn(sizes ...int) (time.Duration, error) {
	const op = "send"
	metered := 0
	for _, size := range sizes {
		metered += blocks(size)
	}
	if err := c.throttle.quota.admit(op, 0); err != nil {
		return 0, err
	}
	wait, ok := c.throttle.telemetry.take(len(sizes), c.throttle.maxDelay)
	if !ok {
		e := refuse(op, hubwire.ThrottleBacklogLimitExceeded, "the hub is throttled; a message would be held back for %v", wait)
		e.RetryAfter = wait
		return 0, e
	}
	return wait, c.throttle.quota.admit(op, metered) // what the rate refused does not count
}

// Wait waits, unless the context or the hub ends first, which is an error.
func (c *Core) Wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.life.Done():
		return ErrDrop
	}
}
