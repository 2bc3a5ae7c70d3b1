package core

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// Subscriptions imitate the service's sessions: a handful for each identity, of
// which each stands for a feature, kept for who asked for that. Matching topics
// is the front's business; there is no broker behind it.

// Feature is a set of things that a session asked to get.
type Feature uint8

// The features.
const (
	FeatureC2D     Feature = 1 << iota // cloud-to-device messages
	FeatureInputs                      // messages to a module's inputs
	FeatureMethods                     // direct methods
	FeatureDesired                     // changes of desired properties
)

func (f Feature) has(want Feature) bool { return f&want != 0 }

// Subscription is one thing that a front subscribed for its peer. Filter and
// QoS are the front's own words, which are kept; Feature is what it means.
type Subscription struct {
	Filter  string  `json:"filter"`
	QoS     byte    `json:"qos"`
	Feature Feature `json:"feature"` // may be several, or 0, as for twin responses
}

// restore gives a new session the kept subscriptions, or forgets those, or leaves them to the
// session that comes next. The caller holds the lock.
func (s *Session) restore(ctx context.Context, op string) error {
	e := s.entity
	if s.opts.Apart {
		return nil
	}
	if s.opts.Clean {
		if err := e.forgetKept(ctx); err != nil {
			return broken(op, err)
		}
		return nil
	}
	s.present = e.hasKept
	s.setSubs(slices.Clone(e.kept))
	if !e.hasKept {
		return s.keep(ctx, op)
	}
	return nil
}

func (e *entity) forgetKept(ctx context.Context) error {
	if !e.hasKept {
		return nil
	}
	if err := e.core.store.Delete(ctx, store.Key{Kind: store.Subscriptions, ID: e.id}); err != nil {
		return err
	}
	e.kept, e.hasKept, e.keptVersion = nil, false, 0
	return nil
}

func (s *Session) setSubs(subs []Subscription) {
	var f Feature
	for _, sub := range subs {
		f |= sub.Feature
	}
	s.subs = subs
	s.mask.Store(uint32(f))
}

// keep stores the subscriptions when the session is one to keep. The caller
// holds the lock.
func (s *Session) keep(ctx context.Context, op string) error {
	if s.opts.Clean || s.opts.Apart {
		return nil
	}
	e := s.entity
	b, err := json.Marshal(s.subs)
	if err != nil {
		return broken(op, err)
	}
	v, err := e.core.store.Put(ctx, store.Key{Kind: store.Subscriptions, ID: e.id}, b, e.keptVersion)
	if err != nil {
		return broken(op, err)
	}
	e.kept, e.hasKept, e.keptVersion = s.subs, true, v
	return nil
}

// Subscribe adds subscriptions; one of the same filter is replaced in its
// place. All are taken or none. The code is InvalidOperation when they would
// be more than Config.MaxSubscriptions. Call NextC2D or NextOf afterwards.
func (s *Session) Subscribe(ctx context.Context, subs ...Subscription) error {
	const op = "subscribe"
	return s.change(ctx, op, func(have []Subscription) ([]Subscription, error) {
		for _, sub := range subs {
			if i := slices.IndexFunc(have, func(h Subscription) bool { return h.Filter == sub.Filter }); i >= 0 {
				have[i] = sub
			} else {
				have = append(have, sub)
			}
		}
		if limit := s.entity.core.cfg.MaxSubscriptions; len(have) > limit {
			return nil, refuse(op, hubwire.InvalidOperation, "%d subscriptions, the limit is %d", len(have), limit)
		}
		return have, nil
	})
}

// Unsubscribe removes the subscriptions of these filters, where there are any.
func (s *Session) Unsubscribe(ctx context.Context, filters ...string) error {
	return s.change(ctx, "unsubscribe", func(have []Subscription) ([]Subscription, error) {
		return slices.DeleteFunc(have, func(h Subscription) bool { return slices.Contains(filters, h.Filter) }), nil
	})
}

func (s *Session) change(ctx context.Context, op string, edit func([]Subscription) ([]Subscription, error)) error {
	e, err := s.lock(op)
	if err != nil {
		return err
	}
	defer e.unlock()
	before := s.subs
	after, err := edit(slices.Clone(before))
	if err != nil {
		return err
	}
	s.setSubs(after)
	if err := s.keep(ctx, op); err != nil {
		s.setSubs(before)
		return err
	}
	e.changed.broadcast()
	return s.purgeUnwanted(ctx, op)
}

// Subscribed reports whether the session has a subscription of this filter, a kept one included.
func (s *Session) Subscribed(filter string) bool {
	s.entity.mu.Lock()
	defer s.entity.unlock()
	return slices.ContainsFunc(s.subs, func(sub Subscription) bool { return sub.Filter == filter })
}

// qos returns the highest QoS that was granted for a feature. The caller holds the lock.
func (s *Session) qos(f Feature) (qos byte) {
	for i := range s.subs {
		if sub := &s.subs[i]; sub.Feature.has(f) {
			qos = max(qos, sub.QoS)
		}
	}
	return qos
}
