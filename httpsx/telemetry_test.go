package httpsx

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
)

// full has everything that a message can have.
func full() *hubwire.Message {
	return &hubwire.Message{
		Body: []byte("body"), ID: "m1", CorrelationID: "c1", UserID: "u1", To: "/devices/dev-1/messages/events",
		ContentType: "application/json; charset=utf-8", ContentEncoding: "utf-8",
		CreationTime: time.Date(2026, 1, 2, 3, 4, 5, 678901200, time.UTC), Expiry: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC),
		Output: "out", Component: "thermostat1", InterfaceID: "urn:azureiot:Security:SecurityAgent:1", Schema: "s",
		DiagnosticID: "d", DiagnosticContext: "creationtimeutc=1", Ack: hubwire.AckFull,
		Properties: []hubwire.Property{{Name: "a", Value: "!#$%&'*+-.^_`|~"}, {Name: "b", Value: ""}, {Name: "b", Value: "2"}, {Name: "z.9", Value: "v"}},
	}
}

var sameMessage = cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(hubwire.Received{})}

// overHTTP sends h through net/http, as the headers of a request, and returns what a server gets.
func overHTTP(t testing.TB, h http.Header) http.Header {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "https://hub.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = h
	var b bytes.Buffer
	if err := req.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&b))
	if err != nil {
		t.Fatalf("%v\n%s", err, b.Bytes())
	}
	return got.Header
}

func TestAMessageComesThroughItsHeaders(t *testing.T) {
	for name, m := range map[string]*hubwire.Message{
		"everything": full(), "nothing": {}, "one property": {Properties: []hubwire.Property{{Name: "k", Value: "v"}}},
		"a system property of no known kind": {Properties: []hubwire.Property{{Name: "$.xyz", Value: "v"}}},
	} {
		if err := CheckProperties(m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		h := http.Header{}
		SetMessage(h, m)
		got, err := ParseMessage(overHTTP(t, h), m.Body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(m, got, sameMessage); diff != "" {
			t.Errorf("%s (-sent +got):\n%s", name, diff)
		}
	}
}

func TestWhatASetMessageLooksLike(t *testing.T) {
	h := http.Header{"Authorization": {"x"}}
	SetMessage(h, full())
	want := http.Header{
		"Authorization": {"x"}, "iothub-messageid": {"m1"}, "iothub-correlationid": {"c1"}, "iothub-userid": {"u1"},
		"iothub-to": {"/devices/dev-1/messages/events"}, "iothub-contenttype": {"application/json; charset=utf-8"},
		"iothub-contentencoding": {"utf-8"}, "iothub-creationtimeutc": {"2026-01-02T03:04:05.6789012Z"},
		"iothub-expiry": {"2027-01-02T03:04:05.0000000Z"}, "iothub-outputname": {"out"}, "dt-subject": {"thermostat1"},
		"iothub-interface-id": {"urn:azureiot:Security:SecurityAgent:1"}, "iothub-messageschema": {"s"}, "iothub-diag-id": {"d"},
		"diag-correlation-context": {"creationtimeutc=1"}, "iothub-ack": {"full"},
		"iothub-app-a": {"!#$%&'*+-.^_`|~"}, "iothub-app-b": {"", "2"}, "iothub-app-z.9": {"v"},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestHowHeadersAreRead(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name string
		h    http.Header
		want hubwire.Message
	}{
		{"as Node spells them", http.Header{"IoTHub-MessageId": {"m"}, "IoTHub-UserId": {"u"}, "IoTHub-To": {"t"}}, hubwire.Message{ID: "m", UserID: "u", To: "t"}},
		{"as Java spells the creation time", http.Header{"iothub-creation-time-utc": {"2026-01-02T03:04:05Z"}}, hubwire.Message{CreationTime: at}},
		{"a time in another form stands in the properties", http.Header{"iothub-expiry": {"tomorrow"}, "iothub-app-k": {"v"}},
			hubwire.Message{Properties: []hubwire.Property{{Name: "$.exp", Value: "tomorrow"}, {Name: "k", Value: "v"}}}},
		{"so does the other", http.Header{"iothub-creationtimeutc": {"now"}}, hubwire.Message{Properties: []hubwire.Property{{Name: "$.ctime", Value: "now"}}}},
		{"an empty time is none", http.Header{"iothub-expiry": {""}}, hubwire.Message{}},
		{"the last of a system property counts", http.Header{"iothub-messageid": {"1", "2"}}, hubwire.Message{ID: "2"}},
		{"a header without a value is none", http.Header{"iothub-messageid": {}, "iothub-app-x": {}}, hubwire.Message{}},
		{"who sends is not the sender's to say", http.Header{"iothub-connection-device-id": {"me"}, "iothub-enqueuedtime": {"x"}}, hubwire.Message{}},
		{"names in lower case, in their order", http.Header{"Iothub-App-Zoo": {"1"}, "IOTHUB-APP-Ant": {"2", "3"}, "Iothub-Apple": {"no"}},
			hubwire.Message{Properties: []hubwire.Property{{Name: "ant", Value: "2"}, {Name: "ant", Value: "3"}, {Name: "zoo", Value: "1"}}}},
		{"values as they come", http.Header{"Iothub-App-K": {"a b \u00e9"}}, hubwire.Message{Properties: []hubwire.Property{{Name: "k", Value: "a b \u00e9"}}}},
		{"nothing", nil, hubwire.Message{}},
	} {
		got, err := ParseMessage(tt.h, nil)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(&tt.want, got, sameMessage); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	_, err := ParseMessage(http.Header{"Iothub-App-": {"v"}}, nil)
	if !errors.Is(err, ErrNoName) {
		t.Errorf("a property without a name: %v", err)
	}
}

func TestWhatHTTPSCannotCarryIsRefusedAtTheSender(t *testing.T) {
	with := func(name, value string) *hubwire.Message {
		return &hubwire.Message{Properties: []hubwire.Property{{Name: "ok", Value: "1"}, {Name: name, Value: value}}}
	}
	for _, tt := range []struct {
		name string
		m    *hubwire.Message
		want PropertyError
	}{
		{"a blank in a name", with("a b", "v"), PropertyError{Name: "a b", Offset: 1, Err: ErrNotToken}},
		{"a blank in a value", with("a", "v w"), PropertyError{Name: "a", Value: true, Offset: 1, Err: ErrNotToken}},
		{"a slash", with("a", "/"), PropertyError{Name: "a", Value: true, Err: ErrNotToken}},
		{"a colon in a name", with("a:", ""), PropertyError{Name: "a:", Offset: 1, Err: ErrNotToken}},
		{"a letter beyond ASCII", with("a", "12\u00e9"), PropertyError{Name: "a", Value: true, Offset: 2, Err: ErrNotToken}},
		{"a line break, to add a header by", with("a", "v\r\nAuthorization: x"), PropertyError{Name: "a", Value: true, Offset: 1, Err: ErrNotToken}},
		{"no name", with("", "v"), PropertyError{Err: ErrNoName}},
		{"a system property beyond ASCII", &hubwire.Message{ID: "m\u00e9"}, PropertyError{Name: "iothub-messageid", Value: true, Offset: 1, Err: ErrNotText}},
		{"a line break in one", &hubwire.Message{ContentType: "a\nb"}, PropertyError{Name: "iothub-contenttype", Value: true, Offset: 1, Err: ErrNotText}},
		{"a blank before it", &hubwire.Message{Schema: " s"}, PropertyError{Name: "iothub-messageschema", Value: true, Err: ErrNotText}},
		{"a blank behind it", &hubwire.Message{Component: "s "}, PropertyError{Name: "dt-subject", Value: true, Offset: 1, Err: ErrNotText}},
	} {
		err := CheckProperties(tt.m)
		var e *PropertyError
		if !errors.As(err, &e) || !errors.Is(err, tt.want.Err) {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, *e, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if tt.want.Name != "" && !strings.Contains(err.Error(), tt.want.Name) {
			t.Errorf("%s: %q does not name the property", tt.name, err)
		}
	}
	if err := CheckProperties(nil); err != nil {
		t.Errorf("no message: %v", err)
	}
}

// device is the headers of the POST of the benchmarks, as net/http hands them to a server.
func devicePOST(t testing.TB) http.Header {
	h := http.Header{
		"Authorization": {"SharedAccessSignature sr=hub.example%2Fdevices%2Fdev-1&sig=c2lnbmF0dXJl&se=1893456000"},
		"User-Agent":    {"hubwire"},
	}
	SetMessage(h, &hubwire.Message{
		ID: "m-000001", CorrelationID: "c-000001", ContentType: "application/json", ContentEncoding: "utf-8",
		Properties: []hubwire.Property{{Name: "level", Value: "3"}, {Name: "Alert", Value: "high"}},
	})
	return overHTTP(t, h)
}

func TestAllocations(t *testing.T) {
	h, body := devicePOST(t), make([]byte, 256)
	testkit.MaxAllocs(t, "headers to a message", 4, func() {
		if m, err := ParseMessage(h, body); err != nil || len(m.Properties) != 2 {
			t.Fatal(m, err)
		}
	})
	m := full()
	testkit.NoAllocs(t, "check properties", func() {
		if err := CheckProperties(m); err != nil {
			t.Fatal(err)
		}
	})
	var b Batch
	b.Add(m)
	testkit.NoAllocs(t, "add to a batch that has room", func() {
		b.Reset()
		if !b.Add(m) {
			t.Fatal("no room")
		}
	})
}

func BenchmarkParseMessage(b *testing.B) {
	h, body := devicePOST(b), make([]byte, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMessage(h, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSetMessage(b *testing.B) {
	h, m := http.Header{}, &hubwire.Message{
		ID: "m-000001", CorrelationID: "c-000001", ContentType: "application/json", ContentEncoding: "utf-8",
		Properties: []hubwire.Property{{Name: "level", Value: "3"}, {Name: "Alert", Value: "high"}},
	}
	b.ReportAllocs()
	for b.Loop() {
		clear(h)
		SetMessage(h, m)
	}
}
