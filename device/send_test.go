package device

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire"
)

func TestWhatTheHubWouldRefuseIsNotSent(t *testing.T) {
	c, f := fake(t, nil)
	for name, tt := range map[string]struct {
		m    *hubwire.Message
		code hubwire.Code
	}{
		"nil":                       {nil, hubwire.ArgumentInvalid},
		"a body over 256 KiB":       {&hubwire.Message{Body: make([]byte, hubwire.MaxTelemetrySize+1)}, hubwire.MessageTooLarge},
		"an id that is too long":    {&hubwire.Message{ID: strings.Repeat("x", 129)}, hubwire.ArgumentInvalid},
		"a property without a name": {&hubwire.Message{Properties: []hubwire.Property{{Value: "v"}}}, hubwire.ArgumentInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			for call, err := range map[string]error{
				"Send":      c.Send(t.Context(), tt.m),
				"SendAsync": c.SendAsync(t.Context(), tt.m, func(error) { t.Error("done was called") }),
				"SendAll":   c.SendAll(t.Context(), []*hubwire.Message{tt.m}),
			} {
				var e *hubwire.Error
				if !errors.As(err, &e) || e.Code != tt.code || e.Outcome != hubwire.NotSent || e.Op != "send" {
					t.Errorf("%s: %v", call, err)
				}
			}
		})
	}
	if len(f.sent) != 0 {
		t.Errorf("%d messages were sent", len(f.sent))
	}
}

func TestSendNamesItself(t *testing.T) {
	c, f := fake(t, nil)
	below := &hubwire.Error{Op: "publish", Outcome: hubwire.Unknown, Err: &hubwire.Error{Code: hubwire.Unauthorized, TrackingID: "t"}}
	f.onSend = func(context.Context, *hubwire.Message) error { return below }
	err := c.Send(t.Context(), &hubwire.Message{})
	var e *hubwire.Error
	if !errors.As(err, &e) || e.Op != "send" || e.Outcome != hubwire.Unknown || e.Code != hubwire.Unauthorized || e.TrackingID != "t" {
		t.Errorf("%#v", e)
	}
	if below.Op != "publish" || below.Code != 0 {
		t.Error("the error from below was changed")
	}
}

func TestSendAsyncCallsDoneOnceWithTheOutcome(t *testing.T) {
	c, f := fake(t, nil)
	var outcomes []error
	for range 3 {
		if err := c.SendAsync(t.Context(), &hubwire.Message{}, func(err error) { outcomes = append(outcomes, err) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SendAsync(t.Context(), &hubwire.Message{}, nil); err != nil {
		t.Fatal(err)
	}
	f.acknowledge(2, nil)
	f.acknowledge(2, errClosed)
	var e *hubwire.Error
	if len(outcomes) != 3 || outcomes[0] != nil || outcomes[1] != nil || !errors.As(outcomes[2], &e) || e.Op != "send" {
		t.Errorf("%v", outcomes)
	}
}

func TestSendAllFailsMessageByMessage(t *testing.T) {
	c, f := fake(t, nil)
	ms := []*hubwire.Message{{ID: "0"}, nil, {ID: "2"}, {ID: "3"}}
	ctx, cancel := context.WithCancel(t.Context())
	life := context.Background()
	f.onSend = func(_ context.Context, m *hubwire.Message) error {
		if m.ID == "3" {
			go func() { f.acknowledge(1, nil); cancel() }() // the first; then time is up
			<-ctx.Done()
			return ended(ctx, life)
		}
		return nil
	}
	err := c.SendAll(ctx, ms)
	got := map[int]hubwire.Outcome{}
	for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
		var s *SendError
		var e *hubwire.Error
		if !errors.As(one, &s) || !errors.As(one, &e) {
			t.Fatalf("%v", one)
		}
		got[s.Index] = e.Outcome
	}
	if len(got) != 3 || got[1] != hubwire.NotSent || got[2] != hubwire.Unknown || got[3] != hubwire.NotSent {
		t.Errorf("%v: %v", got, err)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	f.acknowledge(1, nil) // late, and harmless

}

func TestSendAllWaitsForEachAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fake(t, nil)
		all := make(chan error, 1)
		go func() { all <- c.SendAll(t.Context(), []*hubwire.Message{{}, {}}) }()
		synctest.Wait()
		f.acknowledge(1, nil)
		synctest.Wait()
		select {
		case err := <-all:
			t.Fatalf("it returned early: %v", err)
		default:
		}
		f.acknowledge(1, nil)
		if err := <-all; err != nil {
			t.Error(err)
		}
		if err := c.SendAll(t.Context(), nil); err != nil {
			t.Errorf("no messages: %v", err)
		}
	})
}
