package hubwire_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
)

func TestIdentities(t *testing.T) {
	long := strings.Repeat("x", hubwire.MaxIDLength)
	for _, c := range []struct {
		id hubwire.Identity
		ok bool
	}{
		{hubwire.Identity{DeviceID: "dev-0001"}, true},
		{hubwire.Identity{DeviceID: "-:.+%_#*?!(),=@;$'"}, true},
		{hubwire.Identity{DeviceID: long, ModuleID: "$edgeHub"}, true},
		{hubwire.Identity{}, false},
		{hubwire.Identity{ModuleID: "m"}, false},
		{hubwire.Identity{DeviceID: long + "x"}, false},
		{hubwire.Identity{DeviceID: "a/b"}, false},
		{hubwire.Identity{DeviceID: "d", ModuleID: "m m"}, false},
		{hubwire.Identity{DeviceID: "é"}, false},
	} {
		err := c.id.Check()
		if (err == nil) != c.ok {
			t.Errorf("Check(%q) = %v", c.id, err)
		}
		var e *hubwire.Error
		if err != nil && (!errors.As(err, &e) || !errors.Is(err, hubwire.ArgumentInvalid) || e.Outcome != hubwire.NotSent) {
			t.Errorf("Check(%q) = %#v, want ArgumentInvalid, not sent", c.id, err)
		}
	}
}

func TestIdentitiesAreLoggedAsText(t *testing.T) {
	for _, c := range []struct {
		id   hubwire.Identity
		want string
	}{
		{hubwire.Identity{DeviceID: "d"}, `{"msg":"x","device":"d"}`},
		{hubwire.Identity{DeviceID: "d", ModuleID: "m"}, `{"msg":"x","device":"d/m"}`},
		{hubwire.Identity{}, `{"msg":"x"}`},
	} {
		var log strings.Builder
		short := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		}
		slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{ReplaceAttr: short})).Info("x", "device", c.id)
		if got := strings.TrimSpace(log.String()); got != c.want {
			t.Errorf("%q is logged as %s, want %s", c.id, got, c.want)
		}
	}
}

func TestNoMessageIsRefused(t *testing.T) {
	var m *hubwire.Message
	for name, err := range map[string]error{"telemetry": m.CheckTelemetry(), "C2D": m.CheckC2D()} {
		var e *hubwire.Error
		if !errors.As(err, &e) || e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.NotSent {
			t.Errorf("%s: %v, want ArgumentInvalid, not sent", name, err)
		}
	}
}

func TestMessagesThatTheHubWouldRefuseAreRefusedHere(t *testing.T) {
	for name, c := range map[string]struct {
		m    hubwire.Message
		code hubwire.Code
	}{
		"empty":              {hubwire.Message{}, 0},
		"just small enough":  {hubwire.Message{Body: make([]byte, hubwire.MaxC2DSize-2), Properties: []hubwire.Property{{Name: "k", Value: "v"}}}, 0},
		"a byte too large":   {hubwire.Message{Body: make([]byte, hubwire.MaxC2DSize-2), Properties: []hubwire.Property{{Name: "k", Value: "vv"}}}, hubwire.MessageTooLarge},
		"a long message id":  {hubwire.Message{ID: strings.Repeat("i", 129)}, hubwire.ArgumentInvalid},
		"a long answer":      {hubwire.Message{CorrelationID: strings.Repeat("i", 129)}, 0},
		"any characters":     {hubwire.Message{ID: "a/ü \x00", Properties: []hubwire.Property{{Name: "a/ü \x00", Value: "\n"}}}, 0},
		"the last time":      {hubwire.Message{Expiry: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)}, 0},
		"a time too late":    {hubwire.Message{Expiry: time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("west", -3600))}, hubwire.ArgumentInvalid},
		"a time too early":   {hubwire.Message{CreationTime: time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC)}, hubwire.ArgumentInvalid},
		"a nameless one":     {hubwire.Message{Properties: []hubwire.Property{{Value: "v"}}}, hubwire.ArgumentInvalid},
		"bad UTF-8":          {hubwire.Message{ContentType: "\xff"}, hubwire.ArgumentInvalid},
		"bad UTF-8 property": {hubwire.Message{Properties: []hubwire.Property{{Name: "k", Value: "\xc3"}}}, hubwire.ArgumentInvalid},
		"unknown ack":        {hubwire.Message{Ack: "maybe"}, hubwire.ArgumentInvalid},
	} {
		err := c.m.CheckC2D()
		if c.code == 0 && err != nil || c.code != 0 && !errors.Is(err, c.code) {
			t.Errorf("%s: %v, want code %d", name, err, c.code)
		}
	}
}

func TestTheFirstSettlementThatSucceedsDecides(t *testing.T) {
	var said []hubwire.Disposition
	var r hubwire.Received
	r.OnSettle(func(_ context.Context, d hubwire.Disposition) error {
		if d == hubwire.Reject {
			return errors.ErrUnsupported
		}
		said = append(said, d)
		return nil
	})
	ctx := context.Background()
	if err := r.Reject(ctx); !errors.Is(err, errors.ErrUnsupported) || r.Settled() {
		t.Fatalf("Reject: %v, settled %v", err, r.Settled())
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if err := r.Complete(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := r.Abandon(ctx); err != nil {
		t.Errorf("Abandon after Complete: %v", err)
	}
	if len(said) != 1 || said[0] != hubwire.Complete {
		t.Errorf("the hub was told %v, want complete, once", said)
	}
}

func TestASettlementThatTakesLongHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan error)
		var r hubwire.Received
		r.OnSettle(func(context.Context, hubwire.Disposition) error { return <-answer })
		got := make(chan error, 3)
		go func() { got <- r.Complete(t.Context()) }()
		synctest.Wait()
		if r.Settled() {
			t.Error("it is settled before the hub has answered")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var e *hubwire.Error
		if err := r.Complete(ctx); !errors.As(err, &e) || e.Outcome != hubwire.NotSent || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a settlement that waits for another: %v", err)
		}
		for range 2 {
			go func() { got <- r.Abandon(t.Context()) }()
		}
		synctest.Wait()
		answer <- net.ErrClosed // so one of those that wait tries itself
		if err := <-got; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the first: %v", err)
		}
		answer <- nil // and the last has nothing left to do
		for range 2 {
			if err := <-got; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestOnlyADispositionSettles(t *testing.T) {
	for _, d := range []hubwire.Disposition{0, hubwire.Abandon + 1} {
		var r hubwire.Received
		if err := r.Settle(t.Context(), d); !errors.Is(err, hubwire.ArgumentInvalid) || r.Settled() {
			t.Errorf("%d: %v, settled %v", d, err, r.Settled())
		}
	}
}

func TestASettlementThatPanicsIsNone(t *testing.T) {
	var r hubwire.Received
	r.OnSettle(func(context.Context, hubwire.Disposition) error { panic("oops") })
	func() {
		defer func() { _ = recover() }()
		_ = r.Complete(t.Context())
	}()
	r.OnSettle(nil)
	if r.Settled() || r.Complete(t.Context()) != nil || !r.Settled() {
		t.Error("it cannot be settled any more, or already was")
	}
}

func TestAnErrorMatchesItsCodeAndItsCause(t *testing.T) {
	err := fmt.Errorf("outer: %w", &hubwire.Error{Op: "send", Code: hubwire.Throttled, Err: net.ErrClosed, TrackingID: "t1"})
	for _, target := range []error{hubwire.Throttled, net.ErrClosed} {
		if !errors.Is(err, target) {
			t.Errorf("%v does not match %v", err, target)
		}
	}
	if errors.Is(err, hubwire.DeviceNotFound) || errors.Is(&hubwire.Error{}, hubwire.Code(0)) {
		t.Error("an error matches a code that it does not have")
	}
	for _, part := range []string{"send", "429001", "ThrottlingException", "outcome unknown", "t1"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if s := hubwire.DeviceNotOnline.Status(); s != 404 {
		t.Errorf("status %d", s)
	}
	if hubwire.DeviceDisabled.Retryable() || !hubwire.ServiceUnavailable.Retryable() {
		t.Error("a disabled device is no passing trouble, an unavailable service is")
	}
}
