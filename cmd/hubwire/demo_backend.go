package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

// backEnd is the hub's service over AMQP or AMQP-WS, with all events that there are of the demo.
type backEnd struct {
	*service.Client
	group  string // the consumer group
	events *desk[*event]
}

// readBefore is how long before the demo its events begin, for clocks that differ. What others
// have sent meanwhile is passed over.
const readBefore = time.Minute

func (v *venue) openBackEnd(owner string, webSocket bool, group string) (*backEnd, error) {
	c, err := service.New(owner, v.way.serviceOptions(webSocket))
	if err != nil {
		return nil, err
	}
	o := &service.EventOptions{ConsumerGroup: group, Start: service.EventStart{At: service.AtTime, Time: time.Now().Add(-readBefore)}}
	whose := func(ev *event) string { return v.own(ev.Source.DeviceID, ev.Source.String()) }
	return &backEnd{c, group, openDesk(whose, func(ctx context.Context) iter.Seq2[*event, error] { return c.Events(ctx, o) })}, nil
}

// close ends a back end, or does nothing for nil.
func (b *backEnd) close() error {
	if b == nil {
		return nil
	}
	b.events.close()
	return b.Close()
}

// backEndOf is the back end that needs no more of the network than a protocol does.
func (v *venue) backEndOf(protocol string) *backEnd {
	if protocol == overMQTT || protocol == overAMQP {
		return v.amqp
	}
	return v.amqpWS
}

// openQueues begins to read what the hub tells once, over both protocols at the same time.
func (v *venue) openQueues() {
	v.feedback = openDesk(func(r service.FeedbackRecord) string { return v.own(r.DeviceID, r.DeviceID) },
		feedbackOf(v.amqp), feedbackOf(v.amqpWS))
	v.files = openDesk(func(n *service.FileNotification) string { return v.own(n.DeviceID, n.DeviceID) },
		filesOf(v.amqp), filesOf(v.amqpWS))
}

// feedbackOf yields the records of feedback, and takes them off the queue.
func feedbackOf(b *backEnd) func(context.Context) iter.Seq2[service.FeedbackRecord, error] {
	return func(ctx context.Context) iter.Seq2[service.FeedbackRecord, error] {
		return func(yield func(service.FeedbackRecord, error) bool) {
			for batch, err := range b.Feedback(ctx) {
				if err == nil {
					err = completed(ctx, batch)
				}
				if err != nil {
					yield(service.FeedbackRecord{}, err)
					return
				}
				for _, r := range batch.Records {
					if !yield(r, nil) {
						return
					}
				}
			}
		}
	}
}

// completed completes a notice. With a device goes what was to be said of it, also when that is read already.
func completed(ctx context.Context, n notice) error {
	if err := n.Complete(ctx); !errors.Is(err, hubwire.MessageLockLost) {
		return err
	}
	return nil
}

// filesOf yields the notifications of files, and takes them off the queue.
func filesOf(b *backEnd) func(context.Context) iter.Seq2[*service.FileNotification, error] {
	return func(ctx context.Context) iter.Seq2[*service.FileNotification, error] {
		return func(yield func(*service.FileNotification, error) bool) {
			for n, err := range b.FileNotifications(ctx) {
				if err == nil {
					err = completed(ctx, n)
				}
				if !yield(n, err) || err != nil {
					return
				}
			}
		}
	}
}

var backEndFeatures = []feature{
	{name: "service: messages, with what became of each", service: byAMQP, needs: noticeQueues, partly: c2dWay, run: backEndMessages},
	{name: "service: messages that the hub does not take", service: byAMQP, run: backEndRefusals},
	{name: "service: events read again, from a place on", service: byAMQP, run: backEndEvents},
}

// backEndMessages has a device complete messages, and lets one expire before it comes.
func backEndMessages(ctx context.Context, s *stage) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	late := hubwire.Message{Body: []byte("too late"), ID: "late", Ack: hubwire.AckFull, Expiry: time.Now().Add(time.Second)}
	if err := errors.Join(s.sendC2D(ctx, a.id, late), s.heard(ctx, a.id, "late Expired"), s.waiting(ctx, a.id, 0)); err != nil {
		return err
	}
	var ms []hubwire.Message
	for _, ack := range []hubwire.Ack{"", hubwire.AckNone, hubwire.AckPositive, hubwire.AckNegative, hubwire.AckFull} {
		ms = append(ms, hubwire.Message{
			Body: []byte("open \x00\xff"), ID: "with " + string(ack), CorrelationID: "c1", UserID: "u", Ack: ack,
			Properties: []hubwire.Property{{Name: "door", Value: "front"}},
		})
	}
	if err := s.sendC2D(ctx, a.id, ms...); err != nil {
		return err
	}
	c, err := s.connect(ctx, a)
	if err != nil {
		return err
	}
	return errors.Join(c.completes(ctx, ms...), s.heard(ctx, a.id, "late Expired", "with positive Success", "with full Success"))
}

// backEndRefusals sends what is not taken, each followed by what is.
func backEndRefusals(ctx context.Context, s *stage) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	good := hubwire.Message{Body: []byte("x"), ID: "m1"}
	for _, bad := range []struct {
		what string
		to   hubwire.Identity
		m    hubwire.Message
		code hubwire.Code
	}{
		{"a message to nobody", hubwire.Identity{DeviceID: s.newID()}, good, hubwire.DeviceNotFound},
		{"a message to no module", hubwire.Identity{DeviceID: a.id.DeviceID, ModuleID: "no"}, good, hubwire.ModuleNotFound},
		{"a message over the limit", a.id, hubwire.Message{Body: make([]byte, hubwire.MaxC2DSize+1)}, hubwire.MessageTooLarge},
		{"a message with an unknown ack", a.id, hubwire.Message{Ack: "some"}, hubwire.ArgumentInvalid},
	} {
		if err := refusedWith(s.sendC2D(ctx, bad.to, bad.m), bad.what, bad.code); err != nil {
			return err
		}
		if err := s.sendC2D(ctx, a.id, good); err != nil {
			return fmt.Errorf("after %s: %w", bad.what, err)
		}
	}
	return s.waiting(ctx, a.id, 4)
}

// backEndEvents reads a device's events a second time, from behind the first on.
func backEndEvents(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	ms := []hubwire.Message{{Body: []byte("first")}, {Body: []byte("second"), ID: "2"}, {Body: []byte("third"), ID: "3"}}
	for _, m := range ms {
		if err := c.Send(ctx, &m); err != nil {
			return err
		}
	}
	first, err := s.events(c.id).next(ctx)
	if err != nil {
		return err
	}
	o := &service.EventOptions{
		ConsumerGroup: s.back.group, Partitions: []string{first.Partition}, Start: service.EventStart{At: service.AtSequence, Sequence: first.SequenceNumber},
	}
	want := ms[1:]
	for ev, err := range s.back.Events(ctx, o) {
		switch {
		case err != nil:
			return err
		case ev.Source != c.id:
			continue
		}
		if err := sameMessage(ev.Message, want[0]); err != nil {
			return err
		}
		if want = want[1:]; len(want) == 0 {
			break
		}
	}
	return nil
}
