package amqp

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
)

func TestWhatATwinsAnswerMeans(t *testing.T) {
	id := amqp10.ValueOf(amqp10.AppendString(nil, "1"))
	for name, c := range map[string]struct {
		r    TwinResponse
		want *hubwire.Error
	}{
		"a success":                        {TwinResponse{ID: id, Status: 200}, nil},
		"a success without content":        {TwinResponse{ID: id, Status: 204}, nil},
		"a change, which has no status":    {TwinResponse{Body: []byte(`{"$version":2}`)}, nil},
		"a status, and a blank for a body": {TwinResponse{ID: id, Status: 404, Body: blank}, &hubwire.Error{Code: hubwire.DeviceNotFound}},
		"throttling": {
			TwinResponse{ID: id, Status: 429, Body: []byte(`{"errorCode":429001,"trackingId":"t","message":"slow down"}`)},
			&hubwire.Error{Code: hubwire.Throttled, Retryable: true, TrackingID: "t", Message: "slow down"},
		},
		"throttling without a body":        {TwinResponse{ID: id, Status: 429}, &hubwire.Error{Code: hubwire.Throttled, Retryable: true}},
		"a body that knows more":           {TwinResponse{ID: id, Status: 400, Body: []byte(`{"errorCode":400501}`)}, &hubwire.Error{Code: hubwire.InvalidPnPInterfaceDefinition}},
		"a quota":                          {TwinResponse{ID: id, Status: 403}, &hubwire.Error{Code: hubwire.QuotaExceeded, Retryable: true}},
		"a status that IoT Hub has not":    {TwinResponse{ID: id, Status: 418}, &hubwire.Error{}},
		"trouble that IoT Hub has not":     {TwinResponse{ID: id, Status: 599}, &hubwire.Error{Retryable: true}},
		"a gateway that did not get it":    {TwinResponse{ID: id, Status: 504}, &hubwire.Error{Code: hubwire.GatewayTimeout, Retryable: true}},
		"a version that is not the twin's": {TwinResponse{ID: id, Status: 412}, &hubwire.Error{Code: hubwire.PreconditionFailed}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.r.Err("twin get")
			var got *hubwire.Error
			if errors.As(err, &got) != (c.want != nil) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if c.want == nil {
				return
			}
			want := *c.want
			want.Op, want.Outcome = "twin get", hubwire.Refused
			if diff := cmp.Diff(&want, got, cmp.AllowUnexported(hubwire.Error{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if err := (*TwinResponse)(nil).Err("x"); err != nil {
		t.Errorf("nil: %v", err)
	}
}

func TestAVersionOfReportedProperties(t *testing.T) {
	for sent, want := range map[int64]int64{0: 0, 1: 1, 1 << 40: 1 << 40, -5: -1} {
		m, err := ParseMessage(AppendTwinRequest(nil, &TwinRequest{ID: String("1").Value(), Operation: TwinReport, IfVersion: sent, Body: []byte("{}")}))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := ParseTwinRequest(&m); err != nil || r.IfVersion != want {
			t.Errorf("%d came as %d, %v", sent, r.IfVersion, err)
		}
	}
	for name, value := range map[string]Typed{"null": {}, "text": String("1")} {
		d := Draft{Properties: Properties{CorrelationID: String("1")}, Annotations: []Pair{{KeyTwinOperation, String("PATCH")}, {KeyTwinResource, String(reportedResource)}, {KeyTwinVersion, value}}}
		m, err := ParseMessage(AppendMessage(nil, &d))
		if err != nil {
			t.Fatal(err)
		}
		r, err := ParseTwinRequest(&m)
		if bad := errors.Is(err, hubwire.ArgumentInvalid); bad != (name == "text") || r.IfVersion != 0 || r.ID.IsNull() {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}
