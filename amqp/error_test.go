package amqp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/testkit"
)

// What a hub refuses with arrives at the client as it was, whatever its code.
func TestEveryCodeComesBack(t *testing.T) {
	for code := range testkit.Codes[hubwire.Code](t, "../testdata/codes.txt") {
		sent := &hubwire.Error{
			Op: "send", Code: code, Outcome: hubwire.Refused, Retryable: code.Retryable(), TrackingID: "abc-1", Message: `no "way"; not <here>`,
		}
		e := wire(t, NewError(sent))
		got := e.Hubwire("send", Telemetry)
		sent.Err = ConditionOf(code)
		if diff := cmp.Diff(*sent, *got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", code, diff)
		}
		if !errors.Is(got, code) || !errors.Is(got, e.Condition) {
			t.Errorf("%v does not match itself, or its condition", got)
		}
	}
}

// wire sends an error over the wire, in a rejected delivery.
func wire(t *testing.T, e *Error) *Error {
	t.Helper()
	r := amqp10.NewReader(amqp10.Rejected(e.Wire()).AppendTo(nil))
	got, err := r.State().Error()
	if err != nil || got == nil {
		t.Fatal(err)
	}
	return FromWire(got)
}

func TestErrorsOfPeers(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Error
		at   Node
		want hubwire.Error
	}{
		{"a condition alone", Error{Condition: NotFound}, 0, hubwire.Error{Code: hubwire.DeviceNotFound}},
		{"JSON, and an id in the info", Error{Condition: NotFound, TrackingID: "info", Description: `{"errorCode":404010,"trackingId":"body","message":"gone"}`}, 0,
			hubwire.Error{Code: hubwire.ModuleNotFound, Message: "gone", TrackingID: "info"}},
		{"JSON with its code in quotes", Error{Condition: InternalError, Description: `{"errorCode":"429001","message":"slow"}`}, 0,
			hubwire.Error{Code: hubwire.Throttled, Retryable: true, Message: "slow"}},
		{"JSON in a text", Error{Condition: UnauthorizedAccess, Description: `Unauthorized: {"errorCode":401002,"message":"no"} (x)`}, 0,
			hubwire.Error{Code: hubwire.UnauthorizedAccess, Message: "no"}},
		{"a string of JSON", Error{Condition: NotAllowed, Description: `"{\"errorCode\":400003,\"message\":\"no\"}"`}, 0,
			hubwire.Error{Code: hubwire.InvalidOperation, Message: "no"}},
		{"a text with a code and an id", Error{Condition: InternalError, Description: "ErrorCode:IotHubQuotaExceeded; Tracking ID:abc-G:1-TimeStamp:now, over"}, 0,
			hubwire.Error{Code: hubwire.QuotaExceeded, Retryable: true, Message: "ErrorCode:IotHubQuotaExceeded; Tracking ID:abc-G:1-TimeStamp:now, over", TrackingID: "abc-G:1-TimeStamp:now"}},
		{"a text with an unknown code", Error{Condition: Timeout, Description: "error code: nonsense"}, 0,
			hubwire.Error{Code: hubwire.GenericTimeout, Retryable: true, Message: "error code: nonsense"}},
		{"JSON that says nothing", Error{Condition: Stolen, Description: `{"a":{}}`}, 0,
			hubwire.Error{Code: hubwire.ConnectionClosedOnNew, Retryable: true, Message: `{"a":{}}`}},
		{"half of a JSON", Error{Condition: Stolen, Description: `{"errorCode":40`}, 0,
			hubwire.Error{Code: hubwire.ConnectionClosedOnNew, Retryable: true, Message: `{"errorCode":40`}},
		{"a full queue, to its sender", Error{Condition: ResourceLimitExceeded}, C2DSend, hubwire.Error{Code: hubwire.QueueDepthExceeded}},
		{"the quota, to a device", Error{Condition: ResourceLimitExceeded}, Telemetry, hubwire.Error{Code: hubwire.QuotaExceeded, Retryable: true}},
		{"the protocol's own", Error{Condition: HandleInUse}, 0, hubwire.Error{Retryable: true}},
		{"a condition that nobody knows", Error{Condition: "com.example:odd"}, 0, hubwire.Error{}},
		{"a secret", Error{Condition: UnauthorizedAccess, Description: "bad token sig=hush&se=1\r\nmore"}, 0,
			hubwire.Error{Code: hubwire.Unauthorized, Message: "bad token sig=(secret)&se=1  more"}},
	} {
		c.want.Op, c.want.Outcome, c.want.Err = "op", hubwire.Refused, c.in.Condition
		if diff := cmp.Diff(c.want, *c.in.Hubwire("op", c.at)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	if e := (&Error{Condition: NotFound, Description: strings.Repeat("x", 1<<20)}).Hubwire("op", 0); len(e.Message) > 2000 {
		t.Errorf("%d bytes of the message are kept", len(e.Message))
	}
}

func TestErrorsOfOurOwn(t *testing.T) {
	for _, c := range []struct {
		name string
		in   error
		want Condition
		say  string
	}{
		{"none", nil, InternalError, "internal error"},
		{"one that is not a hub's", fmt.Errorf("secret: %w", io.EOF), InternalError, "internal error"},
		{"one without a code", &hubwire.Error{Message: "secret"}, InternalError, "internal error"},
		{"one that is wrapped", fmt.Errorf("x: %w", &hubwire.Error{Code: hubwire.QueueDepthExceeded, Message: "full"}), ResourceLimitExceeded, "full"},
		{"an AMQP error", fmt.Errorf("x: %w", &Error{Condition: Stolen, Description: "taken"}), Stolen, "taken"},
		{"a context", context.Canceled, InternalError, "internal error"},
	} {
		e := NewError(c.in)
		if e.Condition != c.want || !strings.Contains(e.Description, c.say) || strings.Contains(e.Description, "secret") {
			t.Errorf("%s: %v", c.name, e)
		}
		if s := e.Error(); !strings.Contains(s, string(c.want)) || !errors.Is(e, c.want) {
			t.Errorf("%s: %s", c.name, s)
		}
	}
}

func TestErrorBodies(t *testing.T) {
	b := AppendErrorBody([]byte("x"), &hubwire.Error{Code: hubwire.FormatError, Message: "a \"b\"\n", TrackingID: "t"}, at)
	var got map[string]any
	if err := json.Unmarshal(b[1:], &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"errorCode": 400006.0, "trackingId": "t", "message": "a \"b\"\n", "timestampUtc": "2026-01-02T03:04:05.6789000Z"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, e := range []*hubwire.Error{nil, {}, {Message: "secret"}} {
		if got := string(AppendErrorBody(nil, e, time.Time{})); got != `{"errorCode":500001,"trackingId":"","message":"internal error"}` {
			t.Error(got)
		}
	}
}

func TestResponsesOfErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		in     error
		status int
		say    string
		code   hubwire.Code
	}{
		{"a success", nil, 200, "OK", 0},
		{"no right", &hubwire.Error{Code: hubwire.Unauthorized, Message: "expired"}, 401, "expired", hubwire.Unauthorized},
		{"no text", &hubwire.Error{Code: hubwire.Unauthorized}, 401, "Unauthorized", hubwire.Unauthorized},
		{"too many tokens", &hubwire.Error{Code: hubwire.MaxCBSTokenExceeded}, 403, "Forbidden", hubwire.MaxCBSTokenExceeded},
		{"what is not a hub's", io.EOF, 500, "Internal Server Error", hubwire.ServerError},
		{"no such partition", &hubwire.Error{Code: hubwire.PartitionNotFound, Message: "none"}, 503, "none", hubwire.ServiceUnavailable},
		{"a conflict", &hubwire.Error{Code: hubwire.DeviceLocked}, 409, "Conflict", hubwire.Conflict},
	} {
		r := NewResponse(String("1").Value(), c.in)
		got, err := ParseResponse(parsed(t, AppendResponse(nil, &r)))
		if err != nil || got.Status != c.status || got.Description != c.say {
			t.Errorf("%s: %d %s, %v", c.name, got.Status, got.Description, err)
		}
		switch err := got.Err("put-token"); {
		case c.code == 0 && err != nil, c.code != 0 && !errors.Is(err, c.code):
			t.Errorf("%s: %v", c.name, err)
		}
	}
	other := Draft{ApplicationProperties: []Pair{{nameStatusOther, Long(404)}, {nameDescriptionOther, String(`{"errorCode":404001}`)}}}
	if r, err := ParseResponse(parsed(t, AppendMessage(nil, &other))); err != nil || !errors.Is(r.Err("read"), hubwire.DeviceNotFound) {
		t.Errorf("the other spelling: %+v, %v", r, err)
	}
}

func TestRetryClasses(t *testing.T) {
	retryable := []Condition{
		ConnectionForced, FramingError, DetachForced, Stolen, LinkRedirect, TransferLimitExceeded, ResourceLocked, WindowViolation, ErrantLink, HandleInUse,
		UnattachedHandle, InternalError, Timeout, DeviceContainerThrottled, ServerBusy, LinkCreationConflict,
	}
	fatal := []Condition{
		UnauthorizedAccess, NotFound, NotAllowed, MessageSizeExceeded, DecodeError, InvalidField, NotImplemented, PreconditionFailed, HubPreconditionFailed,
		ArgumentError, ArgumentOutOfRange, HubSuspended, MessageLockLost, HubNotFound, DeviceAlreadyExists, "com.example:odd",
	}
	for _, c := range retryable {
		if !c.Retryable() {
			t.Errorf("%s is not to be tried again", c)
		}
	}
	for _, c := range fatal {
		if c.Retryable() {
			t.Errorf("%s is to be tried again", c)
		}
	}
}
