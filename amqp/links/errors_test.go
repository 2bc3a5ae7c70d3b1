package links

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

func TestErrorsOfLinks(t *testing.T) {
	remote := func(c amqp.Condition) *amqp.Error { return &amqp.Error{Condition: c, TrackingID: "t-1"} }
	detailed := &amqp.Error{Condition: amqp.NotFound, Description: `{"errorCode":404010,"trackingId":"t-2","message":"no such module"}`}
	ended := func(l amqpclient.Level, e *amqp.Error) error { return &amqpclient.Error{Level: l, Remote: e.Wire()} }
	own := func(l amqpclient.Level, err error) error { return &amqpclient.Error{Level: l, Err: err} }
	for name, tt := range map[string]struct {
		err       error
		code      hubwire.Code
		outcome   hubwire.Outcome
		retryable bool
		closed    bool // it matches net.ErrClosed
		also      error
		tracking  string
	}{
		"a rejection":                 {remote(amqp.NotFound), hubwire.DeviceNotFound, hubwire.Refused, false, false, amqp.NotFound, "t-1"},
		"a rejection with details":    {detailed, hubwire.ModuleNotFound, hubwire.Refused, false, false, amqp.NotFound, "t-2"},
		"a full quota":                {remote(amqp.ResourceLimitExceeded), hubwire.QuotaExceeded, hubwire.Refused, true, false, nil, "t-1"},
		"a refused attach":            {ended(amqpclient.LevelAttach, remote(amqp.NotFound)), hubwire.DeviceNotFound, hubwire.Refused, false, false, amqp.NotFound, "t-1"},
		"a link that was detached":    {ended(amqpclient.LevelLink, remote(amqp.Stolen)), hubwire.ConnectionClosedOnNew, hubwire.Unknown, true, true, amqp.Stolen, "t-1"},
		"a link that ended":           {own(amqpclient.LevelLink, amqpclient.ErrPeerClosed), hubwire.ConnectionClosedRemotely, hubwire.Unknown, true, true, ErrPeerEnded, ""},
		"a session that was ended":    {ended(amqpclient.LevelSession, remote(amqp.WindowViolation)), 0, hubwire.Unknown, true, true, amqp.WindowViolation, "t-1"},
		"a session that ended":        {own(amqpclient.LevelSession, amqpclient.ErrClosed), hubwire.ConnectionClosedRemotely, hubwire.Unknown, true, true, amqpclient.ErrClosed, ""},
		"a connection that was ended": {ended(amqpclient.LevelConn, remote(amqp.ConnectionForced)), hubwire.ConnectionClosedRemotely, hubwire.Unknown, true, true, amqp.ConnectionForced, "t-1"},
		"a connection that was lost":  {own(amqpclient.LevelConn, io.EOF), hubwire.ConnectionClosedRemotely, hubwire.Unknown, true, true, io.EOF, ""},
		"a peer that is silent":       {own(amqpclient.LevelConn, amqpclient.ErrSilent), hubwire.ConnectionClosedRemotely, hubwire.Unknown, true, true, ErrSilent, ""},
		"a peer that does not read":   {own(amqpclient.LevelConn, amqpclient.ErrStalled), hubwire.ConnectionClosedRemotely, hubwire.Unknown, true, true, ErrStalled, ""},
		"a breach":                    {own(amqpclient.LevelConn, amqpclient.ErrProtocol), 0, hubwire.Unknown, true, true, ErrProtocol, ""},
		"a deadline":                  {fmt.Errorf("x: %w", context.DeadlineExceeded), 0, hubwire.Unknown, true, false, context.DeadlineExceeded, ""},
		"what is one already":         {&hubwire.Error{Code: hubwire.Throttled, Outcome: hubwire.Refused, Retryable: true}, hubwire.Throttled, hubwire.Refused, true, false, nil, ""},
		"what has one within":         {fmt.Errorf("x: %w", &hubwire.Error{Code: hubwire.DeviceLocked, Outcome: hubwire.NotSent}), hubwire.DeviceLocked, hubwire.NotSent, false, false, nil, ""},
		"something else":              {errors.New("oh"), 0, hubwire.Unknown, true, false, nil, ""},
	} {
		e := asError("send", amqp.Telemetry, tt.err)
		if e.Code != tt.code || e.Outcome != tt.outcome || e.Retryable != tt.retryable || e.TrackingID != tt.tracking ||
			errors.Is(e, net.ErrClosed) != tt.closed || tt.also != nil && !errors.Is(e, tt.also) {
			t.Errorf("%s: %#v", name, e)
		}
	}
	if e := asError("send", amqp.C2DSend, remote(amqp.ResourceLimitExceeded)); e.Code != hubwire.QueueDepthExceeded || e.Retryable {
		t.Errorf("a full queue: %v", e)
	}
}

func TestARedirectIsReachable(t *testing.T) {
	want := amqp.Redirect{Hostname: "h", NetworkHost: "n", Port: 5671, Address: "amqps://h:5671/e"}
	err := asError("attach", amqp.Events, &amqpclient.Error{
		Level: amqpclient.LevelAttach, Remote: (&amqp.Error{Condition: amqp.LinkRedirect, Redirect: want}).Wire(),
	})
	if got, ok := redirectOf(fmt.Errorf("x: %w", err)); !ok || got != want || !errors.Is(err, amqp.LinkRedirect) {
		t.Errorf("%v, %v", got, err)
	}
	if _, ok := redirectOf(asError("attach", 0, &amqp.Error{Condition: amqp.NotFound})); ok {
		t.Error("not-found leads somewhere")
	}
}

func TestOptionsThatDoNotFit(t *testing.T) {
	dial := func(context.Context) (net.Conn, error) { return nil, net.ErrClosed }
	for name, o := range map[string]*Options{
		"none":                   nil,
		"no Dial":                {HostName: "h"},
		"no HostName":            {Dial: dial},
		"KeepAlive":              {Dial: dial, HostName: "h", KeepAlive: 25 * time.Hour},
		"ConnectTimeout":         {Dial: dial, HostName: "h", ConnectTimeout: -1},
		"OperationTimeout":       {Dial: dial, HostName: "h", OperationTimeout: -1},
		"MinBackoff":             {Dial: dial, HostName: "h", MinBackoff: time.Hour},
		"MaxBackoff":             {Dial: dial, HostName: "h", MaxBackoff: -1},
		"CloseTimeout":           {Dial: dial, HostName: "h", CloseTimeout: -1},
		"MinBackoff below 0":     {Dial: dial, HostName: "h", MinBackoff: -1},
		"MinBackoff, MaxBackoff": {Dial: dial, HostName: "h", MinBackoff: 2, MaxBackoff: 1},
	} {
		if _, err := New(o); !errors.Is(err, hubwire.ArgumentInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for s, want := range map[State]string{Connecting: "connecting", Connected: "connected", Renewing: "renewing", Closed: "closed", 9: "state 9"} {
		if s.String() != want {
			t.Errorf("%d is %q", s, s.String())
		}
	}
}
