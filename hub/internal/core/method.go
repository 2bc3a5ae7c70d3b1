package core

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/jsonobject"
)

// Direct methods imitate the developer guide's "Understand and invoke direct
// methods". When the device's connection ends during a call, the call fails
// with ConnectionClosedRemotely; what the service does then is not documented.
// The service's lower bounds of the timeouts are the business of its front.

// Bounds of a call.
const (
	DefaultResponseTimeout = 30 * time.Second
	MaxMethodTimeout       = 300 * time.Second // of either timeout
	maxCallsInFlight       = 4096              // for one identity; the service's own is not documented
	maxMethodName          = 1 << 10           // bytes; the service's own is not documented, MQTT's is that of a topic
	maxCallBytes           = 4 << 20           // of payloads that one identity has been sent and has not answered; own
	maxPayloadDepth        = 60                // own: the REST API has it inside of bodies of 64 levels, also those of other devices' answers
)

// Invocation is a direct method call by a service.
type Invocation struct {
	hubwire.MethodRequest

	// ConnectTimeout is how long to wait for a device that is not connected,
	// or has not subscribed to methods. 0 means not at all.
	ConnectTimeout time.Duration

	// ResponseTimeout is how long to wait for the answer. 0 means 30 seconds.
	ResponseTimeout time.Duration
}

func (v *Invocation) check(op string) error {
	switch {
	case v.Name == "":
		return refuse(op, hubwire.ArgumentInvalid, "the method has no name")
	case len(v.Name) > maxMethodName:
		return refuse(op, hubwire.ArgumentInvalid, "the method's name has %d bytes, the limit is %d", len(v.Name), maxMethodName)
	case !utf8.ValidString(v.Name):
		return refuse(op, hubwire.ArgumentInvalid, "the method's name is not UTF-8")
	}
	for _, d := range []time.Duration{v.ConnectTimeout, v.ResponseTimeout} {
		if d < 0 || d > MaxMethodTimeout {
			return refuse(op, hubwire.ArgumentInvalid, "a timeout of %v is not 0 to %v", d, MaxMethodTimeout)
		}
	}
	return checkPayload(op, v.Payload)
}

func checkPayload(op string, p []byte) error {
	if len(p) > hubwire.MaxMethodPayload {
		return refuse(op, hubwire.MessageTooLarge, "method payload has %d bytes, the limit is %d", len(p), hubwire.MaxMethodPayload)
	}
	switch {
	case len(p) == 0:
	case !utf8.Valid(p) || !json.Valid(p):
		return refuse(op, hubwire.FormatError, "method payload is not JSON in UTF-8")
	case jsonobject.IndexDeeper(p, maxPayloadDepth) >= 0:
		return refuse(op, hubwire.FormatError, "method payload is nested more than %d deep", maxPayloadDepth)
	}
	return nil
}

// call is a method call that waits for its answer.
type call struct {
	MethodCall
	session *Session
	sent    bool         // the link has been told
	done    chan outcome // holds one
}

type outcome struct {
	response *hubwire.MethodResponse
	err      error
}

// Invoke calls a direct method and returns the device's answer, whatever its
// status. Codes: DeviceNotOnline when it was not connected and subscribed
// within the connect timeout, GatewayTimeout when it did not answer in time,
// ConnectionClosedRemotely when its connection ended meanwhile, DeviceNotFound,
// ModuleNotFound, ArgumentInvalid, FormatError, MessageTooLarge, Throttled. While a
// device has 4 MiB of payloads to answer, further calls wait for that. It keeps nothing of v.
func (c *Core) Invoke(ctx context.Context, id hubwire.Identity, v *Invocation) (*hubwire.MethodResponse, error) {
	const op = "invoke method"
	if err := v.check(op); err != nil {
		return nil, err
	}
	if err := c.throttle.methods.admit(op, blocks(len(v.Payload))); err != nil {
		return nil, err
	}
	e, s, err := c.methodSession(ctx, op, id, v.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	if len(e.calls) >= maxCallsInFlight {
		e.unlock()
		return nil, refuse(op, hubwire.MaxInflightMethodExceeded, "%d calls of %q are in flight, which is the limit", maxCallsInFlight, id)
	}
	k := &call{MethodCall: MethodCall{c.requestID.Add(1), v.MethodRequest}, session: s, done: make(chan outcome, 1)}
	k.Payload = bytes.Clone(v.Payload) // links can come to it later
	e.addCall(k)
	e.unlock()

	wait := cmp.Or(v.ResponseTimeout, DefaultResponseTimeout)
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case o := <-k.done:
		return o.response, o.err
	case <-t.C:
		return nil, &hubwire.Error{
			Op: op, Code: hubwire.GatewayTimeout, Outcome: e.withdrawCall(k),
			Message: fmt.Sprintf("%q did not answer %q within %v", id, v.Name, wait),
		}
	case <-ctx.Done():
		return nil, &hubwire.Error{Op: op, Outcome: e.withdrawCall(k), Err: ctx.Err()}
	}
}

// addCall has the link told of k, after those that wait already. The caller holds the lock.
func (e *entity) addCall(k *call) {
	if e.calls == nil {
		e.calls = map[uint64]*call{}
	}
	e.calls[k.RequestID] = k
	e.held = append(e.held, k)
	e.sendCalls()
}

// sendCalls has the link told of calls that wait, as far as there is room: a peer that
// takes them as fast as it can must not be flooded until it is dropped. The caller holds the lock.
func (e *entity) sendCalls() {
	for len(e.held) > 0 && e.callBytes+len(e.held[0].Payload) <= maxCallBytes {
		k := e.held[0]
		e.held = slices.Delete(e.held, 0, 1)
		e.callBytes += len(k.Payload)
		k.sent = true
		e.post(func() { k.session.link.Method(k.MethodCall) })
	}
}

// removeCall forgets k, which makes room for others. The caller holds the lock.
func (e *entity) removeCall(k *call) {
	delete(e.calls, k.RequestID)
	if k.sent {
		e.callBytes -= len(k.Payload)
	} else {
		e.held = slices.DeleteFunc(e.held, func(h *call) bool { return h == k })
	}
}

// withdrawCall gives k up, if it is not answered in this moment, and returns what is known of it.
func (e *entity) withdrawCall(k *call) hubwire.Outcome {
	e.mu.Lock()
	defer e.unlock()
	if e.calls[k.RequestID] == k {
		e.removeCall(k)
		e.sendCalls()
	}
	return k.fate()
}

// fate is what is known of a call without an answer.
func (k *call) fate() hubwire.Outcome {
	if !k.sent {
		return hubwire.NotSent
	}
	return hubwire.Unknown // the device may have run it
}

// methodSession waits until id has a session with methods, and returns its
// entity locked.
func (c *Core) methodSession(ctx context.Context, op string, id hubwire.Identity, patience time.Duration) (*entity, *Session, error) {
	var deadline <-chan time.Time
	for {
		e, err := c.lock(op, id)
		if err != nil {
			return nil, nil, err
		}
		changed := e.changed.wait()
		if s := e.session; s != nil && s.features().has(FeatureMethods) {
			return e, s, nil
		}
		e.unlock()
		offline := refuse(op, hubwire.DeviceNotOnline, "%q is not connected with methods", id)
		if patience == 0 {
			return nil, nil, offline
		}
		if deadline == nil {
			t := time.NewTimer(patience)
			defer t.Stop()
			deadline = t.C
		}
		select {
		case <-changed:
		case <-deadline:
			return nil, nil, offline
		case <-ctx.Done():
			return nil, nil, &hubwire.Error{Op: op, Outcome: hubwire.NotSent, Err: ctx.Err()}
		case <-c.life.Done():
			return nil, nil, ended(op, errClosing)
		}
	}
}

// MethodResponse answers a [MethodCall]. An answer that comes too late, twice
// or for an unknown id is ignored. One that cannot be passed on fails the call
// with code 502000, and returns why. It keeps nothing of r.
func (s *Session) MethodResponse(requestID uint64, r *hubwire.MethodResponse) error {
	const op = "method response"
	bad := checkPayload(op, r.Payload)
	if bad == nil && (r.Status < math.MinInt32 || r.Status > math.MaxInt32) {
		bad = refuse(op, hubwire.ArgumentInvalid, "status %d does not fit 32 bits", r.Status)
	}
	e, err := s.lock(op)
	if err != nil {
		return err
	}
	defer e.unlock()
	k := e.calls[requestID]
	if k == nil || k.session != s {
		return nil
	}
	e.removeCall(k)
	e.sendCalls()
	if bad != nil {
		k.done <- outcome{err: &hubwire.Error{Op: "invoke method", Code: hubwire.BadGateway, Outcome: hubwire.Unknown, Message: "the device's answer cannot be passed on", Err: bad}}
		return bad
	}
	own := hubwire.MethodResponse{Status: r.Status}
	if len(r.Payload) > 0 {
		own.Payload = append(own.Payload, r.Payload...)
	}
	k.done <- outcome{response: &own}
	return nil
}

// failCalls ends the calls that wait for s. The caller holds the lock.
func (e *entity) failCalls(s *Session) {
	for _, k := range e.calls {
		if k.session != s {
			continue
		}
		e.removeCall(k)
		k.done <- outcome{err: &hubwire.Error{
			Op: "invoke method", Code: hubwire.ConnectionClosedRemotely, Outcome: k.fate(), Retryable: true,
			Message: "the connection of " + e.id.String() + " ended before it answered", Err: net.ErrClosed,
		}}
	}
}
