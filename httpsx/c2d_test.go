package httpsx

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
)

var deviceOne = hubwire.Identity{DeviceID: "dev-1"}

// answer writes an answer as net/http does it, and reads it.
func answer(t testing.TB, h http.Header, body string) (wire string, got http.Header) {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprint(&b, "HTTP/1.1 200 OK\r\n")
	if err := h.Write(&b); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	wire = b.String()
	resp, err := http.ReadResponse(bufio.NewReader(&b), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return wire, resp.Header
}

func TestAMessageForADeviceComesThroughItsHeaders(t *testing.T) {
	everything := &hubwire.Received{
		Message: *full(), SequenceNumber: 12, DeliveryCount: 3, LockToken: "6f2ed4b4-65fb-4d29-8a5b-5cd2c1f2a4e1",
		EnqueuedTime: time.Date(2019, 12, 9, 12, 0, 0, 123456700, time.UTC),
	}
	little := &hubwire.Received{LockToken: "t", Message: hubwire.Message{To: "/devices/dev-1/messages/deviceBound", Ack: hubwire.AckNone}}
	for name, r := range map[string]*hubwire.Received{"everything": everything, "little": little} {
		h := http.Header{}
		SetReceived(h, deviceOne, r)
		_, got := answer(t, h, string(r.Body))
		again, err := ParseReceived(got, r.Body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(r, again, sameMessage); diff != "" {
			t.Errorf("%s (-sent +got):\n%s", name, diff)
		}
	}
}

func TestWhatAHeaderCannotHoldDoesNotBreakTheAnswer(t *testing.T) {
	mine := []string{"a\nb"}
	h := http.Header{"Mine": mine}
	SetReceived(h, hubwire.Identity{DeviceID: "d 1", ModuleID: "m"}, &hubwire.Received{LockToken: "t", Message: hubwire.Message{
		ID: "1\r\nX: y", Properties: []hubwire.Property{{Name: "a b", Value: "left out"}, {Name: "", Value: "so is this"}, {Name: "K", Value: "1\x002"}, {Name: "K", Value: "\u00e9"}},
	}})
	want := http.Header{
		"Mine": {"a\nb"}, "ETag": {`"t"`}, "iothub-messageid": {"1  X: y"}, "iothub-correlationid": {""}, "iothub-userid": {""}, "iothub-expiry": {""},
		"iothub-ack": {"none"}, "iothub-to": {"/devices/d%201/modules/m/messages/deviceBound"}, "iothub-sequencenumber": {"0"},
		"iothub-enqueuedtime": {""}, "iothub-deliverycount": {"0"}, "iothub-app-K": {"1 2", "\u00e9"},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	SetReceived(h, deviceOne, nil)
}

func TestAnswersThatMakeNoSense(t *testing.T) {
	for name, h := range map[string]http.Header{
		"no lock token":                      {},
		"an empty one":                       {"Etag": {`""`}},
		"a sequence number that is none":     {"Etag": {`"t"`}, "Iothub-Sequencenumber": {"twelve"}},
		"one that is too large":              {"Etag": {`"t"`}, "Iothub-Sequencenumber": {"9223372036854775808"}},
		"a delivery count that is none":      {"Etag": {`"t"`}, "Iothub-Deliverycount": {"-1"}},
		"a property without a name, as well": {"Etag": {`"t"`}, "Iothub-App-": {"v"}},
	} {
		if r, err := ParseReceived(h, nil); !errors.Is(err, ErrAnswer) && !errors.Is(err, ErrNoName) {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	for in, want := range map[string]time.Time{
		"12/09/2019 12:00:00 PM": time.Date(2019, 12, 9, 12, 0, 0, 0, time.UTC), "1/9/2019 1:02:03 AM": time.Date(2019, 1, 9, 1, 2, 3, 0, time.UTC),
		"2019-12-09T12:00:00.5Z": time.Date(2019, 12, 9, 12, 0, 0, 5e8, time.UTC), "yesterday": {}, "": {},
	} {
		r, err := ParseReceived(http.Header{"Etag": {`W/"t"`}, "Iothub-Enqueuedtime": {in}}, nil)
		if err != nil || !r.EnqueuedTime.Equal(want) || r.LockToken != "t" {
			t.Errorf("%q: %v, %v, want %v", in, r, err, want)
		}
	}
}

func TestHowLongALockIsAskedFor(t *testing.T) {
	for _, tt := range []struct {
		name  string
		h     http.Header
		query string
		want  time.Duration
		bad   bool
	}{
		{"not at all", nil, "api-version=1", 0, false},
		{"by Java and the CLI", http.Header{"Iothub-Messagelocktimeout": {"60"}}, "", time.Minute, false},
		{"by .NET", nil, "api-version=1&iothub-messagelocktimeout=30", 30 * time.Second, false},
		{"in another case", nil, "IoTHub-MessageLockTimeout=30", 30 * time.Second, false},
		{"by both, the header counts", http.Header{"Iothub-Messagelocktimeout": {"60"}}, "iothub-messagelocktimeout=30", time.Minute, false},
		{"too short", nil, "iothub-messagelocktimeout=4", 0, true},
		{"too long", nil, "iothub-messagelocktimeout=301", 0, true},
		{"far too long", nil, "iothub-messagelocktimeout=99999999999999999999", 0, true},
		{"not a number", http.Header{"Iothub-Messagelocktimeout": {"1m"}}, "", 0, true},
	} {
		query, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := LockTimeout(tt.h, query)
		if got != tt.want || errors.Is(err, hubwire.ArgumentInvalid) != tt.bad {
			t.Errorf("%s: %v, %v, want %v, refused %v", tt.name, got, err, tt.want, tt.bad)
		}
	}
	h := http.Header{}
	SetLockTimeout(h, 0)
	if len(h) != 0 {
		t.Errorf("no wish is %v", h)
	}
	SetLockTimeout(h, 59*time.Second+1)
	if diff := cmp.Diff(http.Header{"iothub-messagelocktimeout": {"60"}}, h); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
