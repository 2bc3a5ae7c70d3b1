package links

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

func TestErrorsOfGoAMQP(t *testing.T) {
	remote := func(c amqp.Condition) *goamqp.Error {
		return &goamqp.Error{Condition: goamqp.ErrCond(c), Info: map[string]any{"com.microsoft:tracking-id": "t-1"}}
	}
	detailed := &goamqp.Error{Condition: "amqp:not-found", Description: `{"errorCode":404010,"trackingId":"t-2","message":"no such module"}`}
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
		"a link that was detached":    {&goamqp.LinkError{RemoteErr: remote(amqp.Stolen)}, hubwire.ConnectionClosedOnNew, hubwire.Unknown, true, true, amqp.Stolen, "t-1"},
		"a link that ended":           {&goamqp.LinkError{}, hubwire.ConnectionClosedRemotely, hubwire.Unknown, true, true, nil, ""},
		"a session that was ended":    {&goamqp.SessionError{RemoteErr: remote(amqp.WindowViolation)}, 0, hubwire.Unknown, true, true, amqp.WindowViolation, "t-1"},
		"a session that ended":        {&goamqp.SessionError{}, hubwire.ConnectionClosedRemotely, hubwire.Unknown, true, true, nil, ""},
		"a connection that was ended": {&goamqp.ConnError{RemoteErr: remote(amqp.ConnectionForced)}, hubwire.ConnectionClosedRemotely, hubwire.Unknown, true, true, amqp.ConnectionForced, "t-1"},
		"a connection that ended":     {&goamqp.ConnError{}, hubwire.ConnectionClosedRemotely, hubwire.Unknown, true, true, nil, ""},
		"a deadline":                  {fmt.Errorf("x: %w", context.DeadlineExceeded), 0, hubwire.Unknown, true, false, context.DeadlineExceeded, ""},
		"a breach":                    {protocolError("oh"), 0, hubwire.Unknown, true, true, ErrProtocol, ""},
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
	for _, port := range []any{uint16(5671), uint32(5671), uint64(5671), int32(5671), int64(5671)} {
		err := asError("attach", amqp.Events, &goamqp.Error{Condition: goamqp.ErrCondLinkRedirect, Info: map[string]any{
			"hostname": want.Hostname, "network-host": want.NetworkHost, "port": port, "address": want.Address,
		}})
		if got, ok := redirectOf(fmt.Errorf("x: %w", err)); !ok || got != want || !errors.Is(err, amqp.LinkRedirect) {
			t.Errorf("%T: %v, %v", port, got, err)
		}
	}
	for _, port := range []any{nil, "5671", int32(-1), uint32(70000), int64(1 << 40)} {
		e := fromGo(&goamqp.Error{Condition: goamqp.ErrCondLinkRedirect, Info: map[string]any{"port": port}})
		if e.Redirect.Port != 0 {
			t.Errorf("%T %v: port %d", port, port, e.Redirect.Port)
		}
	}
	if _, ok := redirectOf(asError("attach", 0, &goamqp.Error{Condition: goamqp.ErrCondNotFound})); ok {
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
