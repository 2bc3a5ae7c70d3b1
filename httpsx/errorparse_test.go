package httpsx_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestErrorsThatServersAnswerWith(t *testing.T) {
	const classic = `{"Message":"ErrorCode:DeviceNotFound;dev-1","ExceptionMessage":"Tracking ID:06e0-G:0-TimeStamp:10/24/2023 16:53:16"}`
	const numeric = `{"errorCode":404103,"trackingId":"2ce0-G:0","message":"offline","info":{"timeout":"00:00:00"},"timestampUtc":"2018-08-24T17:49:33.2Z"}`
	named := func(name string) http.Header { return http.Header{"Iothub-Errorcode": {name}} }
	refused := func(code hubwire.Code, message, id string) *hubwire.Error {
		return &hubwire.Error{Op: "twin get", Code: code, Outcome: hubwire.Refused, Message: message, TrackingID: id, Retryable: code.Retryable()}
	}
	for _, tt := range []struct {
		name   string
		status int
		h      http.Header
		body   string
		want   *hubwire.Error
	}{
		{"the classic form", 404, named("DeviceNotFound"), classic, refused(hubwire.DeviceNotFound, "dev-1", "06e0-G:0-TimeStamp:10/24/2023 16:53:16")},
		{"the classic form, without the header", 404, nil, classic, refused(hubwire.DeviceNotFound, "dev-1", "06e0-G:0-TimeStamp:10/24/2023 16:53:16")},
		{"the newer form", 404, nil, numeric, refused(hubwire.DeviceNotOnline, "offline", "2ce0-G:0")},
		{"the newer form, its code a text", 404, nil, `{"errorCode":"404103"}`, refused(hubwire.DeviceNotOnline, "", "")},
		{"the newer form in the classic one", 404, named("DeviceNotOnline"), `{"Message":` + quote(numeric) + `,"ExceptionMessage":""}`, refused(hubwire.DeviceNotOnline, "offline", "2ce0-G:0")},
		{"the classic form in itself", 400, nil, `{"Message":` + quote(`ErrorCode:ArgumentInvalid;Error: BadRequest {"Message":"ErrorCode:ArgumentInvalid;bad etag","ExceptionMessage":"Tracking ID:1"}`) + `,"ExceptionMessage":"Tracking ID:2"}`, refused(hubwire.ArgumentInvalid, "bad etag", "2")},
		{"an outer tracking id that is empty", 400, nil, `{"Message":` + quote(`{"errorCode":400004,"trackingId":"1","message":"m"}`) + `,"ExceptionMessage":"Tracking ID:"}`, refused(hubwire.ArgumentInvalid, "m", "1")},
		{"braces that are no body", 400, nil, `{"Message":"ErrorCode:ArgumentInvalid;no {such} thing"}`, refused(hubwire.ArgumentInvalid, "no {such} thing", "")},
		{"bodies in bodies without end", 400, nil, nest(9), refused(hubwire.BadRequest, nestedText(5), "")},
		{"IoT Edge's, in lower case", 404, nil, `{"errorMessage":"no such module"}`, refused(hubwire.NotFound, "no such module", "")},
		{"Azure's own", 403, nil, `{"error":{"code":"Forbidden","message":"no role"}}`, refused(hubwire.Forbidden, "no role", "")},
		{"lines in a message", 403, named("JobQuotaExceeded"), `{"Message":"ErrorCode:JobQuotaExceeded;Error: 403\nMessage: quota\r\n","ExceptionMessage":""}`, refused(hubwire.JobQuotaExceeded, "Error: 403 Message: quota", "")},
		{"members of other types", 409, named("DeviceAlreadyExists"), `{"Message":{"a":1},"ExceptionMessage":7,"errorCode":[],"trackingId":null}`, refused(hubwire.DeviceAlreadyExists, "", "")},
		{"a number that is no code", 404, named("DeviceNotFound"), `{"errorCode":7,"message":"m"}`, refused(hubwire.DeviceNotFound, "m", "")},
		{"a name that nobody knows", 404, named("Novelty"), `{"Message":"ErrorCode:Novelty;new"}`, refused(hubwire.NotFound, "new", "")},
		{"the .NET SDK's header", 400, http.Header{"Iothuberrorcode": {"BulkRegistryOperationFailure"}}, `{}`, refused(hubwire.BulkRegistryOperationFailure, "", "")},
		{"throttling, with a time to wait", 429, http.Header{"Iothub-Errorcode": {"ThrottlingException"}, "Retry-After": {"10"}}, `{"Message":"ErrorCode:ThrottlingException;slow down"}`,
			&hubwire.Error{Op: "twin get", Code: hubwire.Throttled, Outcome: hubwire.Refused, Message: "slow down", Retryable: true, RetryAfter: 10 * time.Second}},
		{"half a body", 404, named("DeviceNotFound"), classic[:40], refused(hubwire.DeviceNotFound, "", "")},
		{"half a body, without the header", 404, nil, classic[:40], refused(hubwire.NotFound, `status 404 Not Found with a body of 40 bytes that is not the hub's ("")`, "")},
		{"no body", 401, nil, "", refused(hubwire.GenericUnauthorized, "status 401 Unauthorized without a body", "")},
		{"JSON that is no object", 404, nil, `[1]`, refused(hubwire.NotFound, `status 404 Not Found with a body of 3 bytes that is not the hub's ("")`, "")},
		{"JSON that says nothing", 412, nil, `{"a":1}`, refused(hubwire.GenericPreconditionFailed, `status 412 Precondition Failed with a body of 7 bytes that is not the hub's ("")`, "")},
		{"a proxy's page", 502, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, "<html>SharedAccessSignature sr=x&sig=secret</html>",
			&hubwire.Error{Op: "twin get", Code: hubwire.BadGateway, Outcome: hubwire.Unknown, Retryable: true, Message: `status 502 Bad Gateway with a body of 50 bytes that is not the hub's ("text/html")`}},
		{"secrets in other forms", 400, nil, `{"message":"SIG=secret&x; bearer secret, accountkey=secret== \"primaryKey\":\"secret\" http%3A%2F%2Fh%2F%3Fse%3D1%26sig%3Dsecret"}`,
			refused(hubwire.BadRequest, `SIG=(secret)&x; bearer (secret), accountkey=(secret) "primaryKey":"(secret)" http%3A%2F%2Fh%2F%3Fse%3D1%26sig%3D(secret)`, "")},
		{"a proxy that says in JSON what it got", 400, nil, `{"message":"bad header: Authorization: SharedAccessSignature sr=h&sig=secret%3D&se=1, sig=secret; Bearer secret"}`,
			refused(hubwire.BadRequest, "bad header: Authorization: SharedAccessSignature sr=h&sig=(secret)&se=1, sig=(secret); Bearer (secret)", "")},
		{"a gateway's time-out", 504, nil, "", &hubwire.Error{Op: "twin get", Code: hubwire.GenericGatewayTimeout, Outcome: hubwire.Unknown, Retryable: true, Message: "status 504 Gateway Timeout without a body"}},
		{"a server's time-out", 408, nil, "", &hubwire.Error{Op: "twin get", Outcome: hubwire.Refused, Retryable: true, Message: "status 408 Request Timeout without a body"}},
		{"a method that timed out may have run, and is the caller's to repeat", 504, named("GatewayTimeout"), `{"Message":"ErrorCode:GatewayTimeout;x"}`, refused(hubwire.GatewayTimeout, "x", "")},
		{"a proxy that wants to know who asks", 407, nil, "", &hubwire.Error{Op: "twin get", Outcome: hubwire.Refused, Message: "status 407 Proxy Authentication Required without a body"}},
		{"a redirect", 302, http.Header{"Location": {"https://evil.example/devices?sig=secret"}}, "moved",
			&hubwire.Error{Op: "twin get", Outcome: hubwire.Refused, Message: `status 302 Found, a redirect to the host "evil.example"`}},
		{"a success that is none of the operation's", 204, nil, "", &hubwire.Error{Op: "twin get", Message: "status 204 No Content without a body"}},
		{"a status that nobody knows", 799, nil, "", &hubwire.Error{Op: "twin get", Message: "status 799 without a body"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := httpsx.ParseError(httpsx.GetTwin, tt.status, tt.h, []byte(tt.body))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(strings.ReplaceAll(got.Error(), "(secret)", ""), "secret") || strings.ContainsAny(got.Error(), "\r\n") {
				t.Errorf("it prints %q", got)
			}
		})
	}
}

func quote(s string) string {
	b, err := httpsx.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// nest is a body within a body, n times.
func nest(n int) string {
	body := "the core"
	for range n {
		body = `{"Message":` + quote(body) + `}`
	}
	return body
}

// nestedText is what stays of nest's n inner bodies, which is bounded.
func nestedText(n int) string {
	s := nest(n)
	if len(s) > 1000 {
		s = s[:1000] + "…"
	}
	return s
}

func TestWhatIsKeptOfAnErrorIsBounded(t *testing.T) {
	body := `{"Message":"ErrorCode:DeviceNotFound;` + strings.Repeat("ä", 10_000) + `","ExceptionMessage":"Tracking ID:` + strings.Repeat("x", 10_000) + `"}`
	e := httpsx.ParseError(httpsx.GetTwin, 404, nil, []byte(body))
	if e.Code != hubwire.DeviceNotFound || len(e.Message) > 1010 || len(e.TrackingID) > 1010 || !strings.HasSuffix(e.Message, "ä…") {
		t.Errorf("%d and %d bytes: %v", len(e.Message), len(e.TrackingID), e)
	}
}

// broken is a body that ends before its end.
type broken struct {
	io.Reader
	err error
}

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = b.err
	}
	return n, err
}

func TestAnswersThatAreNotWhole(t *testing.T) {
	respond := func(status int, body string, err error) *http.Response {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(broken{strings.NewReader(body), err}), ContentLength: 1 << 40}
	}
	_, err := httpsx.ReadAnswer(httpsx.GetTwin, respond(200, `{"deviceId":`, io.ErrUnexpectedEOF))
	var e *hubwire.Error
	if !errors.As(err, &e) || e.Outcome != hubwire.Unknown || !e.Retryable || !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("half a twin: %#v", e)
	}
	_, err = httpsx.ReadAnswer(httpsx.InvokeMethod, respond(200, `{`, io.ErrUnexpectedEOF))
	if !errors.As(err, &e) || e.Retryable {
		t.Errorf("half of what a method said: %#v", e)
	}
	_, err = httpsx.ReadAnswer(httpsx.GetTwin, respond(200, `{`, context.Canceled))
	if !errors.Is(err, context.Canceled) || errors.Is(err, net.ErrClosed) {
		t.Errorf("an answer that nobody waits for: %v", err)
	}
	_, err = httpsx.ReadAnswer(httpsx.GetTwin, respond(404, `{"Message":"ErrorCode:DeviceNotFound;d"}`, io.ErrUnexpectedEOF))
	if !errors.As(err, &e) || e.Code != hubwire.DeviceNotFound || e.Outcome != hubwire.Refused {
		t.Errorf("an error that is all there: %#v", e)
	}
	a, err := httpsx.ReadAnswer(httpsx.GetTwin, respond(200, `<html>`, io.EOF))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Decode(httpsx.GetTwin, new(httpsx.Twin)); !errors.As(err, &e) || e.Code != hubwire.DeserializationError || e.Outcome != hubwire.Unknown {
		t.Errorf("a page for a twin: %v", err)
	}
}

// endless is a body that has no end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) { e.read += len(p); return len(p), nil }
func (*endless) Close() error                 { return nil }

func TestAnswersThatAreTooLarge(t *testing.T) {
	limits := map[int]int{200: httpsx.MaxAnswer, 500: 64 << 10}
	if testkit.RaceEnabled {
		delete(limits, 200) // which takes seconds
	}
	for status, limit := range limits {
		body := new(endless)
		_, err := httpsx.ReadAnswer(httpsx.GetTwin, &http.Response{StatusCode: status, Body: body, ContentLength: -1})
		if e, ok := err.(*hubwire.Error); !ok || e.Outcome != hubwire.Unknown || body.read > limit+1 {
			t.Errorf("%d: %v, after %d bytes", status, err, body.read)
		}
	}
}
