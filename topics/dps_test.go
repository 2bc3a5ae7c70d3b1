package topics_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/topics"
)

func TestDPSUserName(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     topics.DPSUserName
	}{
		{"Embedded C, as it is", "0ne/registrations/r/api-version=2019-03-31&ClientVersion=c/1.2.3", topics.DPSUserName{"0ne", "r", "2019-03-31", "c/1.2.3"}},
		{"C", "0ne/registrations/r/api-version=2021-06-01&ClientVersion=1.15.0", topics.DPSUserName{"0ne", "r", "2021-06-01", "1.15.0"}},
		{"Node, Python and .NET, escaped", "0ne/registrations/r/api-version=2019-03-31&ClientVersion=a%2F1%20%28x%29", topics.DPSUserName{"0ne", "r", "2019-03-31", "a%2F1%20%28x%29"}},
		{"Java", "0ne/registrations/r/api-version=2019-03-31&ClientVersion=2019-03-31", topics.DPSUserName{"0ne", "r", "2019-03-31", "2019-03-31"}},
		{"without a version of the client", "0ne/registrations/my.reg-1:x/api-version=2019-03-31", topics.DPSUserName{"0ne", "my.reg-1:x", "2019-03-31", ""}},
		{"with all else", "0ne/registrations/r/?x=y&ClientVersion=c&&api-version=1&api-version=2&z", topics.DPSUserName{"0ne", "r", "1", "c"}},
	} {
		got, err := topics.ParseDPSUserName(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		sameDiff(t, c.name, got, c.want)
		if ours := string(topics.AppendDPSUserName(nil, &c.want)); !strings.Contains(c.in, "x=y") {
			same(t, c.name, ours, c.in)
		}
	}
	for _, c := range []struct {
		in   string
		want topics.SyntaxError
	}{
		{"", topics.SyntaxError{Part: "registration id", Err: topics.ErrMissing}},
		{"0ne", topics.SyntaxError{Part: "registration id", Offset: 3, Err: topics.ErrMissing}},
		{"0ne/registrations/", topics.SyntaxError{Part: "registration id", Offset: 18, Err: topics.ErrEmpty}},
		{"0ne/registrations//api-version=1", topics.SyntaxError{Part: "registration id", Offset: 18, Err: topics.ErrEmpty}},
		{"/registrations/r/api-version=1", topics.SyntaxError{Part: "id scope", Err: topics.ErrEmpty}},
		{"a/b/registrations/r/api-version=1", topics.SyntaxError{Part: "id scope", Offset: 1, Err: topics.ErrSegment}},
		{"0ne/registrations/r", topics.SyntaxError{Part: "api-version", Offset: 19, Err: topics.ErrMissing}},
		{"0ne/registrations/r/api-version=", topics.SyntaxError{Part: "api-version", Offset: 20, Err: topics.ErrMissing}},
		{"0ne/registrations/\x00/api-version=1", topics.SyntaxError{Part: "user name", Offset: 18, Err: topics.ErrNUL}},
		{"0ne/registrations/\xed\xa0\x80/api-version=1", topics.SyntaxError{Part: "user name", Offset: 18, Err: topics.ErrUTF8}},
		{"0ne/registrations/r/" + strings.Repeat("x", 65536), topics.SyntaxError{Part: "user name", Offset: 65535, Limit: 65535, Err: topics.ErrTooLong}},
	} {
		u, err := topics.ParseDPSUserName(c.in)
		checkSyntaxError(t, c.in, err)
		var se *topics.SyntaxError
		errors.As(err, &se)
		if diff := cmp.Diff(c.want, *se, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
			t.Errorf("%.100q (-want +got):\n%s", c.in, diff)
		}
		sameDiff(t, "beside the error", u, topics.DPSUserName{})
	}
}

func TestDPSRegistration(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       topics.DPSRegistration
	}{
		{"an id", `{"registrationId":"r"}`, topics.DPSRegistration{RegistrationID: "r"}},
		{"an id and a payload", `{"registrationId":"r","payload":{"a":[1, 2]}}`, topics.DPSRegistration{"r", json.RawMessage(`{"a":[1, 2]}`)}},
		{"a payload, from .NET", `{"payload":"x"}`, topics.DPSRegistration{"", json.RawMessage(`"x"`)}},
		{"nothing, from .NET", "", topics.DPSRegistration{}},
		{"a blank", " \n", topics.DPSRegistration{}},
		{"an empty object", "{}", topics.DPSRegistration{}},
		{"with members that nobody knows", `{"tpm":{},"registrationId":"\u00e9"}`, topics.DPSRegistration{RegistrationID: "é"}},
	} {
		got, err := topics.ParseDPSRegistration([]byte(c.body))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		sameDiff(t, c.name, got, c.want)
		again, err := topics.ParseDPSRegistration(topics.AppendDPSRegistration(nil, &c.want))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		sameDiff(t, c.name+", our own", again, c.want)
	}
	same(t, "an id that needs escapes", string(topics.AppendDPSRegistration(nil, &topics.DPSRegistration{RegistrationID: "a\"b\\c\n"})), `{"registrationId":"a\"b\\c\n"}`)
	for _, body := range []string{"x", "[]", `"r"`, "1", `{"registrationId":1}`, `{"registrationId":"r"`, `{"registrationId":"r"}x`} {
		_, err := topics.ParseDPSRegistration([]byte(body))
		checkSyntaxError(t, body, err)
		if !errors.Is(err, topics.ErrJSON) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestDPSResult(t *testing.T) {
	const assigned = `{"operationId":"4.d0","status":"assigned","registrationState":{"x509":{},"registrationId":"r","createdDateTimeUtc":"2020-04-10T03:11:13.0276997Z","assignedHub":"h","deviceId":"d","status":"assigned","substatus":"initialAssignment","lastUpdatedDateTimeUtc":"2020-04-10T03:11:13.2096201Z","etag":"e","payload":{"a":1}}}`
	r, err := topics.ParseDPSResult([]byte(assigned))
	if err != nil {
		t.Fatal(err)
	}
	sameDiff(t, "read", r, topics.DPSResult{OperationID: "4.d0", Status: "assigned", State: &topics.DPSState{
		X509: json.RawMessage("{}"), RegistrationID: "r", Created: "2020-04-10T03:11:13.0276997Z", AssignedHub: "h", DeviceID: "d",
		Status: "assigned", Substatus: "initialAssignment", LastUpdated: "2020-04-10T03:11:13.2096201Z", ETag: "e", Payload: json.RawMessage(`{"a":1}`),
	}})
	body, err := topics.AppendDPSResult([]byte("x"), &r)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "built", string(body), "x"+assigned)

	for _, c := range []struct {
		body, message string
		code          int
	}{
		{`{"operationId":"4.d0","status":"assigning"}`, "", 0},
		{`{"operationId":"4.d0","status":"assigning","registrationState":{"registrationId":"r","status":"assigning"}}`, "", 0},
		{`{"errorCode":401002,"trackingId":"t","message":"Invalid certificate.","timestampUtc":"2020-04-10T05:24:22.4718526Z"}`, "Invalid certificate.", 401002},
		{`{"operationId":"4.d0","status":"failed","registrationState":{"errorCode":400207,"errorMessage":"Custom allocation failed"}}`, "Custom allocation failed", 400207},
	} {
		r, err := topics.ParseDPSResult([]byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if code, message := r.Failure(); code != c.code || message != c.message {
			t.Errorf("%s failed with %d, %q, want %d, %q", c.body, code, message, c.code, c.message)
		}
		built, err := topics.AppendDPSResult(nil, &r)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "built", string(built), c.body)
	}

	for body, want := range map[string]error{
		"": topics.ErrJSON, "[]": topics.ErrJSON, `{"errorCode":"x"}`: topics.ErrJSON,
		`{"registrationState":{"assignedHub":"h"}}`: topics.ErrMissing,
		`{"registrationState":{"deviceId":"d"}}`:    topics.ErrMissing,
	} {
		r, err := topics.ParseDPSResult([]byte(body))
		checkSyntaxError(t, body, err)
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", body, err, want)
		}
		sameDiff(t, "beside the error", r, topics.DPSResult{})
	}
	dst := []byte("x")
	bad := topics.DPSResult{State: &topics.DPSState{Payload: json.RawMessage("{")}}
	if b, err := topics.AppendDPSResult(dst, &bad); !errors.Is(err, topics.ErrJSON) || !bytes.Equal(b, dst) {
		t.Errorf("a payload that is not JSON: %q, %v", b, err)
	}
}

// retry-after is in whole seconds, and never less than what was asked for.
func TestRetryAfter(t *testing.T) {
	for wait, want := range map[time.Duration]time.Duration{
		time.Nanosecond: time.Second, time.Second: time.Second, 1001 * time.Millisecond: 2 * time.Second, time.Hour: time.Hour, 48 * time.Hour: 24 * time.Hour,
	} {
		parsed := parseTopic(t, string(topics.AppendDPSResponse(nil, 202, "1", wait)))
		if got, ok := parsed.RetryAfter(); !ok || got != want {
			t.Errorf("%v comes as %v, %v, want %v", wait, got, ok, want)
		}
	}
	for _, wait := range []time.Duration{0, -time.Second} {
		parsed := parseTopic(t, string(topics.AppendDPSResponse(nil, 202, "1", wait)))
		if got, ok := parsed.RetryAfter(); ok {
			t.Errorf("%v comes as %v", wait, got)
		}
	}
	for _, text := range []string{"", "-1", "x", "1.5", "+3"} {
		parsed := parseTopic(t, "$dps/registrations/res/202/?$rid=1&retry-after="+text)
		if got, ok := parsed.RetryAfter(); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}
