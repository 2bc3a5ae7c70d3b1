package mqtt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hubwire/hubwire"
)

// subscription is a filter that the server has granted.
type subscription struct {
	filter string
	qos    QoS
}

// request is a SUBSCRIBE or UNSUBSCRIBE that waits for its answer.
type request struct {
	id          uint16 // of the last try
	unsubscribe bool
	restoring   bool // of subscriptions that were granted before
	filters     []subscription
	w           *waiter // who waits; nil when nobody does
	sent        bool    // on this connection
	sentAt      time.Duration
	tries       int
	losses      int // of these, how many ended with a connection that was lost, and not left on purpose
}

// maxTries is how many connections a request may lose: IoT Hub's answer to a
// filter that it does not know is to close the connection.
const maxTries = 3

// maxRequests bounds the requests under way, and maxFilters the filters that are
// granted or asked for. Restoring each by itself, beside so many requests, takes
// fewer packet identifiers than there are above [publishIDs]. IoT Hub has use for five filters.
const (
	maxRequests = 1000
	maxFilters  = 2000
)

func (r *request) op() string {
	if r.unsubscribe {
		return "unsubscribe"
	}
	return "subscribe"
}

// answer tells who waits, if somebody does.
func (r *request) answer(err error) {
	if r.w != nil {
		r.w.tell(err)
		r.w = nil
	}
}

// Subscribe asks for the messages that match the filters, at QoS 0 or 1, and
// returns when the server has granted all of them. From then on the session
// restores them when a connection is lost. While there is no connection it waits for one.
// A session has at most 2000 filters.
//
// The error is a *hubwire.Error. When the server refuses filters (SUBACK 0x80) it
// wraps a [*SubscribeError] that names them; the others are granted. A server that closes
// the connection instead, as IoT Hub does for a filter that it does not know, is asked
// three times; the outcome is then [hubwire.Unknown], and as a bad network looks the same,
// Retryable. When ctx ends first, the
// filters count as granted if the server still says so.
func (s *Session) Subscribe(ctx context.Context, qos QoS, filters ...string) error {
	r := &request{}
	var list Filters
	for _, f := range filters {
		var err error
		if list, err = AppendFilter(list, f, qos); err != nil {
			return badArgument("subscribe", fmt.Sprintf("filter %q", f), err)
		}
		r.filters = append(r.filters, subscription{f, qos})
	}
	if qos == ExactlyOnce {
		return badArgument("subscribe", "QoS 2 is not supported", ErrQoS)
	}
	return s.request(ctx, r, len(list))
}

// Unsubscribe gives filters up and returns when the server has confirmed it. Errors are as
// those of [Session.Subscribe].
func (s *Session) Unsubscribe(ctx context.Context, filters ...string) error {
	r := &request{unsubscribe: true}
	var list FilterNames
	for _, f := range filters {
		var err error
		if list, err = AppendFilterName(list, f); err != nil {
			return badArgument("unsubscribe", fmt.Sprintf("filter %q", f), err)
		}
		r.filters = append(r.filters, subscription{filter: f})
	}
	return s.request(ctx, r, len(list))
}

func (s *Session) request(ctx context.Context, r *request, size int) error {
	switch size += 5 + 2; {
	case !s.usable(ctx):
		return s.unusable(ctx, r.op())
	case len(r.filters) == 0:
		return nil
	case size > s.o.MaxPacket:
		return badArgument(r.op(), fmt.Sprintf("the packet has %d bytes, the limit is %d", size, s.o.MaxPacket), ErrTooLarge)
	case s.ownGoroutine() != 0:
		return gaveUp(r.op(), false, ErrWouldDeadlock)
	case ctx.Err() != nil:
		return gaveUp(r.op(), false, ctx.Err())
	}
	w := newWaiter()
	s.mu.Lock()
	if err := s.addRequest(r, w); err != nil {
		s.mu.Unlock()
		return err
	}
	s.mu.Unlock()
	select {
	case <-w.ch:
		return w.err
	case <-ctx.Done():
	}
	why := ctx.Err() // the context is the caller's: no lock is held
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.w == nil {
		return w.wait()
	}
	r.w = nil
	if r.tries == 0 {
		s.requests = slices.DeleteFunc(s.requests, func(q *request) bool { return q == r })
	}
	return gaveUp(r.op(), r.tries > 0, why)
}

func (s *Session) addRequest(r *request, w *waiter) error {
	if s.cause != nil || s.closing {
		return failed(r.op(), false, s.endedLocked())
	}
	if len(s.requests) >= maxRequests {
		return &hubwire.Error{
			Op: r.op(), Code: hubwire.TooManyRequests, Outcome: hubwire.NotSent, Retryable: true,
			Message: fmt.Sprintf("%d requests are under way, which is the limit", maxRequests),
		}
	}
	if n := s.filters() + len(r.filters) - s.granted(r.filters); n > maxFilters && !r.unsubscribe {
		return badArgument(r.op(), fmt.Sprintf("it would make %d filters, the limit is %d", n, maxFilters), nil)
	}
	r.w = w
	s.requests = append(s.requests, r)
	if l := s.link; l != nil && l.up && l.leaving == staying {
		s.sendRequest(r, s.now())
		s.kickLocked(l)
	}
	return nil
}

// filters returns how many are granted, or asked for.
func (s *Session) filters() int {
	n := len(s.subs)
	for _, r := range s.requests {
		if !r.unsubscribe && !r.restoring {
			n += len(r.filters)
		}
	}
	return n
}

// granted returns how many of these are granted already.
func (s *Session) granted(these []subscription) (n int) {
	for _, f := range these {
		if slices.ContainsFunc(s.subs, func(g subscription) bool { return g.filter == f.filter }) {
			n++
		}
	}
	return n
}

// sendRequest puts r among what is to be written.
func (s *Session) sendRequest(r *request, now time.Duration) {
	r.id = s.requestID()
	r.sent, r.sentAt = true, now
	r.tries++
	if r.unsubscribe {
		var list FilterNames
		for _, f := range r.filters {
			list, _ = AppendFilterName(list, f.filter) // passed where it entered
		}
		s.ctl = (&Unsubscribe{ID: r.id, Filters: list}).AppendTo(s.ctl)
	} else {
		var list Filters
		for _, f := range r.filters {
			list, _ = AppendFilter(list, f.filter, f.qos) // passed where it entered
		}
		s.ctl = (&Subscribe{ID: r.id, Filters: list}).AppendTo(s.ctl)
	}
	s.wakeAt(s.ackLimit(now))
}

// asking returns how many bytes of ctl may be requests.
func (s *Session) asking() (n int) {
	for _, r := range s.requests {
		if !r.sent {
			continue
		}
		n += 5 + 2
		for _, f := range r.filters {
			n += 2 + len(f.filter) + 1
		}
	}
	return n
}

// requestID returns a packet identifier that neither a publish nor another
// request has. There are more of them than requests: see maxFilters.
func (s *Session) requestID() uint16 {
	for {
		s.lastReq = max(s.lastReq+1, publishIDs+1) // wraps from 65535 to 0, and so past it
		if !slices.ContainsFunc(s.requests, func(r *request) bool { return r.sent && r.id == s.lastReq }) {
			return s.lastReq
		}
	}
}

// restore asks again, on a new connection, for what the server no longer knows:
// the granted filters where it has no session, and the requests it did not answer.
//
// A restoration that a lost connection cut short is owed: the session that the
// server has by the next one may be that of the lost one, without the filters. So it
// is after a connection that was lost before its CONNACK. A server that was asked for a
// clean session has none, whatever it says [MQTT-3.2.2-1].
func (s *Session) restore(now time.Duration, present bool) {
	pending := s.requests
	s.owed = len(s.subs) > 0 && (s.owed || !present || s.o.CleanSession || s.o.RestoreAlways)
	if s.owed {
		s.requests = nil
		for rest := s.subs; len(rest) > 0; {
			n := s.batch(rest)
			r := &request{restoring: true, filters: slices.Clone(rest[:n])}
			s.sendRequest(r, now)
			s.requests, rest = append(s.requests, r), rest[n:]
		}
		s.requests = append(s.requests, pending...)
	}
	for _, r := range pending {
		s.sendRequest(r, now)
	}
}

// batch returns how many of subs go into one SUBSCRIBE.
func (s *Session) batch(subs []subscription) int {
	size := 5 + 2
	for i, f := range subs {
		size += 2 + len(f.filter) + 1
		if i == s.o.SubscribeBatch || i > 0 && size > s.o.MaxPacket {
			return i
		}
	}
	return len(subs)
}

// dropRequests is what the end of a connection means for requests: those that were sent on too many
// that were lost fail. One that was left for a renewal says nothing about them.
func (s *Session) dropRequests(why error) {
	planned := errors.Is(why, ErrRenewal)
	s.requests = slices.DeleteFunc(s.requests, func(r *request) bool {
		if r.sent && !planned {
			r.losses++
		}
		r.sent = false
		if r.restoring {
			return true // made anew by restore
		}
		if r.losses < maxTries {
			return r.w == nil && r.tries > 0 // nobody waits: no need to insist
		}
		e := failed(r.op(), true, why).(*hubwire.Error)
		e.Retryable = true // the network may have done it
		e.Message = fmt.Sprintf("the connection was lost %d times before the answer; IoT Hub does that for a filter it does not know", r.losses)
		r.answer(e)
		return true
	})
}

// answered takes the request that id belongs to, or returns nil.
func (s *Session) answered(id uint16, unsubscribe bool) *request {
	for i, r := range s.requests {
		if r.sent && r.id == id && r.unsubscribe == unsubscribe {
			s.requests = slices.Delete(s.requests, i, i+1)
			return r
		}
	}
	return nil
}

func (s *Session) suback(ack Suback) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.answered(ack.ID, false)
	if r == nil {
		return nil // of a request that was given up
	}
	if len(ack.Codes) != len(r.filters) {
		err := protocolError("SUBACK has %d return codes for %d filters", len(ack.Codes), len(r.filters))
		r.answer(failed("subscribe", true, err))
		return err
	}
	var refused []string
	for i, f := range r.filters {
		if ack.Codes[i] == SubackFailure {
			refused = append(refused, f.filter)
			continue
		}
		s.forget(f.filter)
		s.subs = append(s.subs, f)
	}
	if refused == nil {
		if r.restoring {
			s.owed = slices.ContainsFunc(s.requests, func(r *request) bool { return r.restoring })
		}
		r.answer(nil)
		return nil
	}
	err := &hubwire.Error{Op: "subscribe", Outcome: hubwire.Refused, Err: &SubscribeError{refused}}
	if r.restoring {
		// Going on would mean being deaf without a word. The next connection
		// tries again, after the back-off, and OnState tells why.
		return fmt.Errorf("mqtt: subscriptions are not restored: %w", err)
	}
	r.answer(err)
	return nil
}

func (s *Session) unsuback(id uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.answered(id, true)
	if r == nil {
		return // of a request that was given up
	}
	for _, f := range r.filters {
		s.forget(f.filter)
	}
	r.answer(nil)
}

func (s *Session) forget(filter string) {
	s.subs = slices.DeleteFunc(s.subs, func(f subscription) bool { return f.filter == filter })
}
