package hubwire

import (
	"context"
	"sync"
	"time"
)

// Received is a message with what the hub added on its way. It owns its bytes.
//
// A message for a device stays the receiver's until it is settled: Complete,
// Reject or Abandon, at any time, in any order, from any goroutine. The first
// that succeeds decides; any later one returns nil and does nothing. A
// settlement that fails leaves the message unsettled, so another may be tried. One
// that is under way is waited for, until the context ends.
type Received struct {
	Message

	SequenceNumber int64     // of the hub, per queue or partition; 0 when the protocol does not carry it
	EnqueuedTime   time.Time // when the hub took it; zero when the protocol does not carry it
	DeliveryCount  int       // how often it was delivered before
	LockToken      string    // names the delivery; empty where the protocol has none (MQTT)

	// Input is the module input that it came in by; empty for C2D.
	Input string

	// Source is who sent it, where the hub says so: telemetry at the service,
	// and messages routed to a module input ($.cdid, $.cmid).
	Source Identity

	// Redelivered reports that the protocol marked it as perhaps delivered
	// before (MQTT's DUP).
	Redelivered bool

	settle SettleFunc

	mu      sync.Mutex
	settled bool
	busy    bool          // a settlement is under way
	over    chan struct{} // closed when that is over; nil while nobody waits for it
}

// SettleFunc carries a disposition to the hub and returns when it is sent.
type SettleFunc func(context.Context, Disposition) error

// OnSettle gives r the way to its hub. It is for transports: call it once,
// before r is handed out. Without it every settlement succeeds at once.
// On a nil r it does nothing.
func (r *Received) OnSettle(f SettleFunc) {
	if r != nil {
		r.settle = f
	}
}

// Complete tells the hub that the message is dealt with. What can go wrong is the
// transport's: an [*Error] such as [MessageLockLost], and the message stays unsettled.
func (r *Received) Complete(ctx context.Context) error { return r.Settle(ctx, Complete) }

// Reject tells the hub to dead-letter the message. Over MQTT, which cannot say
// so, the error is [errors.ErrUnsupported] and the message stays unsettled.
func (r *Received) Reject(ctx context.Context) error { return r.Settle(ctx, Reject) }

// Abandon gives the message back to the hub, which delivers it again. Over
// MQTT, which cannot say so, the error is [errors.ErrUnsupported] and the message
// stays unsettled: the hub delivers it again on the next connection.
func (r *Received) Abandon(ctx context.Context) error { return r.Settle(ctx, Abandon) }

// Settle is Complete, Reject or Abandon by value. Any other value is an [*Error]
// with code [ArgumentInvalid], and so are a nil context and a nil r.
func (r *Received) Settle(ctx context.Context, d Disposition) error {
	switch {
	case d < Complete || d > Abandon:
		return invalid("%d is not a disposition", uint8(d))
	case ctx == nil:
		return invalid("the context is nil")
	case r == nil:
		return noMessage()
	}
	for {
		r.mu.Lock()
		switch {
		case r.settled:
			r.mu.Unlock()
			return nil
		case !r.busy:
			r.busy = true
			r.mu.Unlock()
			return r.settleNow(ctx, d)
		case r.over == nil:
			r.over = make(chan struct{})
		}
		over := r.over
		r.mu.Unlock()
		select {
		case <-over:
		case <-ctx.Done():
			return &Error{Op: d.String(), Outcome: NotSent, Retryable: true, Err: ctx.Err()}
		}
	}
}

// settleNow is called with busy set, and without the lock: it may take its time.
func (r *Received) settleNow(ctx context.Context, d Disposition) error {
	settled := false // also when settle panics
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.busy, r.settled = false, settled
		if r.over != nil {
			close(r.over)
			r.over = nil
		}
	}()
	if r.settle != nil {
		if err := r.settle(ctx, d); err != nil {
			return err
		}
	}
	settled = true
	return nil
}

// Settled reports whether a settlement has succeeded. That of nil has not.
func (r *Received) Settled() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settled
}

// Disposition is what becomes of a cloud-to-device message.
type Disposition uint8

// The dispositions. The zero Disposition is not valid.
const (
	Complete Disposition = iota + 1 // dealt with; feedback "Success"
	Reject                          // dead-lettered; feedback "Rejected"
	Abandon                         // back to the queue, delivery count + 1
)

// String returns "complete", "reject" or "abandon".
func (d Disposition) String() string {
	switch d {
	case Complete:
		return "complete"
	case Reject:
		return "reject"
	case Abandon:
		return "abandon"
	}
	return "invalid disposition"
}
