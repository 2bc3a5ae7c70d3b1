package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
)

// noticeQueues are what a hub has for all who read them together, and tells once.
const noticeQueues = "the hub's feedback and file notifications, which --take-feedback reads"

// c2dWay is what is checked of messages without feedback.
const c2dWay = "the way to the device"

var c2dFeatures = []feature{
	{name: "C2D complete, with feedback", needs: noticeQueues, partly: c2dWay, run: c2dComplete},
	{name: "C2D queued while offline", needs: noticeQueues, partly: c2dWay, run: c2dOffline},
	{name: "C2D reject and abandon", needs: noticeQueues, partly: c2dWay, lacks: notMQTT, run: c2dReject},
	{name: "C2D reject and abandon are refused honestly", needs: noticeQueues, partly: c2dWay, lacks: onlyMQTT, run: c2dRefuse},
	{name: "C2D left unsettled comes again", needs: noticeQueues, partly: c2dWay, run: c2dAgain},
	{name: "C2D, the 51st that waits, is refused", needs: noticeQueues, partly: c2dWay, run: c2dFull},
}

// takes receives a message, compares it, and returns it unsettled.
func (p *party) takes(ctx context.Context, want hubwire.Message) (*hubwire.Received, error) {
	got, err := p.Receive(ctx)
	if err != nil {
		return nil, err
	}
	// The hub sets To, but for what comes to an input: a path, whose fixed words have no case.
	to := "/devices/" + p.id.DeviceID + "/"
	if p.id.IsModule() {
		to += "modules/" + p.id.ModuleID + "/"
	}
	if got.Input == "" && !strings.HasPrefix(strings.ToLower(got.To), strings.ToLower(to)) {
		return nil, fmt.Errorf("at the device: To is %q, which does not begin with %q", got.To, to)
	}
	want.To = got.To
	if err := sameMessage(got.Message, want); err != nil {
		return nil, fmt.Errorf("at the device: %w", err)
	}
	return got, nil
}

// completes receives, compares and completes messages in order.
func (p *party) completes(ctx context.Context, ms ...hubwire.Message) error {
	for _, m := range ms {
		got, err := p.takes(ctx, m)
		if err != nil {
			return err
		}
		if err := got.Complete(ctx); err != nil {
			return err
		}
	}
	return nil
}

// succeeded waits for the hub's word that the device completed messages, and nothing else.
func (s *stage) succeeded(ctx context.Context, id hubwire.Identity, messageIDs ...string) error {
	want := make([]string, len(messageIDs))
	for i, id := range messageIDs {
		want[i] = id + " Success"
	}
	return s.heard(ctx, id, want...)
}

// heard waits for the hub's word of what became of messages, each "id status", and nothing else,
// if the demo may read that.
func (s *stage) heard(ctx context.Context, id hubwire.Identity, want ...string) error {
	if s.feedback == nil {
		return nil
	}
	records, err := s.feedback.await(ctx, id.DeviceID, len(want))
	if err != nil {
		return err
	}
	got := make([]string, len(records))
	for i, r := range records {
		got[i] = r.OriginalMessageID + " " + string(r.Status)
	}
	slices.Sort(got) // two read it, and neither waits for the other
	return same("the feedback", got, slices.Sorted(slices.Values(want)))
}

func numbered(n int) []hubwire.Message {
	ms := make([]hubwire.Message, n)
	for i := range ms {
		ms[i] = hubwire.Message{Body: fmt.Appendf(nil, "message %d", i+1), ID: fmt.Sprint(i + 1), Ack: hubwire.AckFull}
	}
	return ms
}

func (s *stage) sendC2D(ctx context.Context, to hubwire.Identity, ms ...hubwire.Message) error {
	for _, m := range ms {
		if err := s.back.SendC2D(ctx, to, &m); err != nil {
			return err
		}
	}
	return nil
}

// waiting waits until n messages wait for a device.
func (s *stage) waiting(ctx context.Context, id hubwire.Identity, n int) error {
	for {
		d, err := s.service.Device(ctx, id.DeviceID)
		if err != nil || int(d.C2DCount) == n {
			return err
		}
		if err := pause(ctx, everySoOften); err != nil {
			return fmt.Errorf("%d messages wait for the device, not %d: %w", d.C2DCount, n, err)
		}
	}
}

func c2dComplete(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	m := hubwire.Message{
		Body: []byte("Grüße \x00\xff"), ID: "m 1/é", CorrelationID: "c=1", UserID: "u", Ack: hubwire.AckFull,
		ContentType: "text/plain", ContentEncoding: "utf-8",
		Properties: []hubwire.Property{{Name: "awkward", Value: "a b&c=d%20/+#🌍"}, {Name: "empty"}},
	}
	if err := s.sendC2D(ctx, c.id, m); err != nil {
		return err
	}
	if err := c.completes(ctx, m); err != nil {
		return err
	}
	return errors.Join(s.succeeded(ctx, c.id, m.ID), s.waiting(ctx, c.id, 0))
}

func c2dOffline(ctx context.Context, s *stage) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	// MQTT keeps a subscription, once made, for who is away.
	c, err := s.connect(ctx, a)
	if err != nil {
		return err
	}
	ms := numbered(4)
	if err := s.sendC2D(ctx, a.id, ms[0]); err != nil {
		return err
	}
	if err := c.completes(ctx, ms[0]); err != nil {
		return err
	}
	// A completion that the hub has not read when the next connection takes over is lost.
	if err := s.succeeded(ctx, a.id, ms[0].ID); err != nil {
		return err
	}
	if err := c.Close(); err != nil {
		return err
	}
	if err := s.sendC2D(ctx, a.id, ms[1:]...); err != nil {
		return err
	}
	if c, err = s.connect(ctx, a); err != nil {
		return err
	}
	if err := c.completes(ctx, ms[1:]...); err != nil {
		return err
	}
	return s.succeeded(ctx, a.id, "1", "2", "3", "4")
}

// c2dReject rejects a message, and abandons another, which then comes again.
func c2dReject(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	ms := numbered(2)
	if err := s.sendC2D(ctx, c.id, ms...); err != nil {
		return err
	}
	for i, d := range []hubwire.Disposition{hubwire.Reject, hubwire.Abandon} {
		got, err := c.takes(ctx, ms[i])
		if err != nil {
			return err
		}
		if err := got.Settle(ctx, d); err != nil {
			return err
		}
	}
	again, err := c.takes(ctx, ms[1])
	if err != nil {
		return err
	}
	if err := errors.Join(same("the delivery count of what was abandoned", again.DeliveryCount, 1), again.Complete(ctx)); err != nil {
		return err
	}
	return errors.Join(s.waiting(ctx, c.id, 0), s.heard(ctx, c.id, "1 Rejected", "2 Success"))
}

func c2dRefuse(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	m := numbered(1)[0]
	if err := s.sendC2D(ctx, c.id, m); err != nil {
		return err
	}
	got, err := c.takes(ctx, m)
	if err != nil {
		return err
	}
	for _, d := range []hubwire.Disposition{hubwire.Reject, hubwire.Abandon} {
		if err := got.Settle(ctx, d); !errors.Is(err, errors.ErrUnsupported) {
			return fmt.Errorf("%v ended with %v, not with errors.ErrUnsupported", d, err)
		}
	}
	if err := errors.Join(s.waiting(ctx, c.id, 1), same("settled", got.Settled(), false)); err != nil {
		return err
	}
	if err := got.Complete(ctx); err != nil {
		return err
	}
	return s.succeeded(ctx, c.id, m.ID)
}

func c2dAgain(ctx context.Context, s *stage) error {
	s.lock = 5 * time.Second // the shortest: over HTTPS what is left comes again after that
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	c, err := s.connect(ctx, a)
	if err != nil {
		return err
	}
	m := numbered(1)[0]
	if err := s.sendC2D(ctx, a.id, m); err != nil {
		return err
	}
	if _, err := c.takes(ctx, m); err != nil {
		return err
	}
	if err := c.Close(); err != nil {
		return err
	}
	if c, err = s.connect(ctx, a); err != nil {
		return err
	}
	if err := c.completes(ctx, m); err != nil {
		return err
	}
	return s.succeeded(ctx, a.id, m.ID)
}

func c2dFull(ctx context.Context, s *stage) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	ms := numbered(hubwire.MaxC2DQueue)
	if err := s.sendC2D(ctx, a.id, ms...); err != nil {
		return err
	}
	err = s.sendC2D(ctx, a.id, hubwire.Message{ID: "one too many"})
	if err := refusedWith(err, "the 51st message", hubwire.QueueDepthExceeded); err != nil {
		return err
	}
	c, err := s.connect(ctx, a)
	if err != nil {
		return err
	}
	if err := c.completes(ctx, ms...); err != nil {
		return err
	}
	ids := make([]string, len(ms))
	for i, m := range ms {
		ids[i] = m.ID
	}
	return s.succeeded(ctx, a.id, ids...)
}
