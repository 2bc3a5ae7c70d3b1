package httpfront

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// message is a request with a body and headers, as net/http gives it.
func message(body string, header ...string) *request {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &request{Request: &httpsx.Request{Op: httpsx.SendC2D}, http: &http.Request{Header: h, Body: io.NopCloser(strings.NewReader(body))}}
}

func TestMessageOfARequest(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name string
		r    *request
		want hubwire.Message
	}{
		{"nothing", message(""), hubwire.Message{Body: []byte{}}},
		{"a body of any bytes", message("\x00\xff\r\n"), hubwire.Message{Body: []byte("\x00\xff\r\n")}},
		{
			"all system properties", message("b",
				"iothub-messageid", "mid", "iothub-correlationid", "cid", "iothub-userid", "uid", "iothub-to", "/devices/d/messages/deviceBound",
				"iothub-contenttype", "text/plain", "iothub-contentencoding", "utf-8", "iothub-messageschema", "s", "iothub-interface-id", "urn:x",
				"dt-subject", "thermostat1", "iothub-creationtimeutc", "2026-01-02T03:04:05Z", "iothub-expiry", "2026-01-02T04:04:05.5+01:00", "iothub-ack", "full"),
			hubwire.Message{
				Body: []byte("b"), ID: "mid", CorrelationID: "cid", UserID: "uid", To: "/devices/d/messages/deviceBound",
				ContentType: "text/plain", ContentEncoding: "utf-8", Schema: "s", InterfaceID: "urn:x", Component: "thermostat1",
				CreationTime: at, Expiry: at.Add(500 * time.Millisecond), Ack: hubwire.AckFull,
			},
		},
		{
			"times in other spellings", message("", "iothub-creation-time-utc", "2026-01-02T03:04:05", "iothub-expiry", "2026-01-02T03:04:05.0000000Z"),
			hubwire.Message{Body: []byte{}, CreationTime: at, Expiry: at},
		},
		{
			"names in any case", message("", "IoTHub-MessageId", "1", "IOTHUB-APP-Some-Key", "V a=l;u/é"),
			hubwire.Message{Body: []byte{}, ID: "1", Properties: []hubwire.Property{{Name: "some-key", Value: "V a=l;u/é"}}},
		},
		{
			"properties in the order of their names, and one twice", message("", "iothub-app-b", "2", "iothub-app-$x.!", "", "iothub-app-b", "1", "iothub-app-a", "3"),
			hubwire.Message{Body: []byte{}, Properties: []hubwire.Property{{Name: "$x.!"}, {Name: "a", Value: "3"}, {Name: "b", Value: "2"}, {Name: "b", Value: "1"}}},
		},
		{
			"a property without a name, which core refuses", message("", "iothub-app-", "x"),
			hubwire.Message{Body: []byte{}, Properties: []hubwire.Property{{Value: "x"}}},
		},
		{"headers that mean nothing here", message("", "Content-Type", "x", "iothub-operation", "d2c", "iothub-apps", "x", "x-iothub-app-y", "z"), hubwire.Message{Body: []byte{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.r.message()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestMessageOfARequestRefusals(t *testing.T) {
	for name, value := range map[string]string{
		"a number":            "1767323045",
		"a day":               "2026-01-02",
		"no such day":         "2026-02-30T00:00:00Z",
		"the form of RFC 822": "Fri, 02 Jan 2026 03:04:05 GMT",
		"a long text":         strings.Repeat("x", 10_000),
	} {
		for _, header := range []string{"iothub-expiry", "iothub-creationtimeutc"} {
			t.Run(name+" in "+header, func(t *testing.T) {
				_, err := message("", header, value).message()
				if !errors.Is(err, hubwire.ArgumentInvalid) || !strings.Contains(err.Error(), header) || len(err.Error()) > 300 {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}
