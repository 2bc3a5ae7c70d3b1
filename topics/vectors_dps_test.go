package topics_test

import (
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/topics"
)

func dpsClientIDVector(t *testing.T, v *vector) {
	id := hubwire.Identity{DeviceID: v.Input.RegistrationID}
	same(t, "client id", string(topics.AppendClientID(nil, id)), v.ClientID)
}

func dpsUserNameVector(t *testing.T, v *vector) {
	want := topics.DPSUserName{
		IDScope: v.Input.IDScope, RegistrationID: v.Input.RegistrationID,
		APIVersion: v.Input.APIVersion, ClientVersion: v.Input.ClientVersion,
	}
	same(t, "user name", string(topics.AppendDPSUserName(nil, &want)), v.Username)
	got, err := topics.ParseDPSUserName(v.Username)
	if err != nil {
		t.Fatal(err)
	}
	sameDiff(t, "read", got, want)
}

func dpsRegisterVector(t *testing.T, v *vector) {
	rid := v.Input.RID
	if v.Input.SDK == "python" {
		rid = escape(rid)
	}
	same(t, "the topic", string(topics.AppendDPSRegister(nil, rid)), v.Topic)
	parsed := parseTopic(t, v.Topic)
	if parsed.Kind != topics.DPSRegister || string(parsed.RequestID()) != rid {
		t.Errorf("it is a %v with %q", parsed.Kind, parsed.RequestID())
	}
}

func dpsQueryVector(t *testing.T, v *vector) {
	rid := v.Input.RID
	if v.Input.SDK == "python" {
		rid = escape(rid)
	}
	same(t, "the topic", string(topics.AppendDPSQuery(nil, rid, v.Input.OperationID)), v.Topic)
	parsed := parseTopic(t, v.Topic)
	if parsed.Kind != topics.DPSQuery || string(parsed.RequestID()) != rid ||
		unescape(string(parsed.OperationID())) != v.Input.OperationID {
		t.Errorf("it is a %v with %q and %q", parsed.Kind, parsed.RequestID(), parsed.OperationID())
	}
}

func dpsRegistrationVector(t *testing.T, v *vector) {
	r := topics.DPSRegistration{RegistrationID: v.Input.RegistrationID}
	if v.Input.CustomJSON != "" {
		r.Payload = []byte(v.Input.CustomJSON)
	}
	same(t, "the body", string(topics.AppendDPSRegistration(nil, &r)), v.Payload)
	got, err := topics.ParseDPSRegistration([]byte(v.Payload))
	if err != nil {
		t.Fatal(err)
	}
	sameDiff(t, "read", got, r)
}

func dpsResponseVector(t *testing.T, v *vector) {
	parsed, err := topics.Parse([]byte(v.Input.Topic))
	refused := v.Expect.refused(t, parsed.Kind, topics.DPSResponse, err)
	delete(v.Expect, "error")
	if refused {
		return
	}
	wantAnswer(t, v.Expect, &parsed)
	extra, _ := v.Expect["extra"].(map[string]any)
	delete(v.Expect, "extra")
	for name, want := range extra {
		p, ok := parsed.Bag().Find(name)
		if !ok || string(p.Value) != want {
			t.Errorf("%s is %q, %v, want %q", name, p.Value, ok, want)
		}
	}
}

// wantAnswer compares what the topic of an answer says.
func wantAnswer(t *testing.T, want expectation, parsed *topics.Topic) {
	t.Helper()
	want.want(t, "status", parsed.Status())
	want.want(t, "rid", parsed.RequestID())
	wait, ok := parsed.RetryAfter()
	if asked, given := want["retry_after"]; given && ok != (asked != nil) {
		t.Errorf("retry-after is %v, %v, want %v", wait, ok, asked)
	}
	want.want(t, "retry_after", int(wait/time.Second))
}

func dpsPayloadVector(t *testing.T, v *vector) {
	parsed := parseTopic(t, v.Input.Topic)
	if parsed.Kind != topics.DPSResponse {
		t.Fatalf("it is a %v", parsed.Kind)
	}
	r, err := topics.ParseDPSResult([]byte(v.Input.Payload))
	if v.Expect["error"] != nil {
		delete(v.Expect, "error")
		checkSyntaxError(t, v.Input.Payload, err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, v.Expect, &parsed)
	code, message := r.Failure()
	var s topics.DPSState
	if r.State != nil {
		s = *r.State
	}
	for name, got := range map[string]any{
		"operation_id": r.OperationID, "operation_status": r.Status,
		"error_code": code / 1000, "extended_error_code": code, "error_message": message,
		"tracking_id": r.TrackingID, "message": r.Message, "timestamp": r.Timestamp, "error_timestamp": r.Timestamp,
		"assigned_hub": s.AssignedHub, "device_id": s.DeviceID, "registration_id": s.RegistrationID,
		"state_status": s.Status, "substatus": s.Substatus, "etag": s.ETag,
		"created": s.Created, "last_updated": s.LastUpdated, "payload": string(s.Payload),
	} {
		v.Expect.want(t, name, got)
	}
	body, err := topics.AppendDPSResult(nil, &r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := topics.ParseDPSResult(body)
	if err != nil {
		t.Fatal(err)
	}
	sameDiff(t, "our own body", again, r)
}
