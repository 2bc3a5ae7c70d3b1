package httpsx_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// A server that has one device.
func ExampleReadRequest() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r, err := httpsx.ReadRequest(req)
		if err != nil {
			_ = httpsx.NewErrorAnswer(0, err, time.Now()).Write(w)
			return
		}
		if r.Op != httpsx.GetDevice || r.Target.Identity.DeviceID != "pump" {
			_ = httpsx.NewErrorAnswer(r.Op, &hubwire.Error{Code: hubwire.DeviceNotFound}, time.Now()).Write(w)
			return
		}
		answer, err := httpsx.NewAnswer(r.Op, &httpsx.Device{DeviceID: "pump"})
		if err != nil {
			answer = httpsx.NewErrorAnswer(r.Op, err, time.Now())
		}
		answer.ETag = "MQ=="
		_ = answer.Write(w)
	}))
	defer server.Close()

	for _, path := range []string{"/devices/pump", "/devices/fan", "/nowhere"} {
		resp, err := http.Get(server.URL + path + "?api-version=2021-04-12")
		if err != nil {
			fmt.Println(err)
			return
		}
		a, err := httpsx.ReadAnswer(httpsx.GetDevice, resp)
		resp.Body.Close()
		if err != nil {
			var e *hubwire.Error
			fmt.Println(resp.StatusCode, errors.As(err, &e), e.Code.Name())
			continue
		}
		var d httpsx.Device
		fmt.Println(resp.StatusCode, a.ETag, a.Decode(httpsx.GetDevice, &d), d.DeviceID)
	}
	// Output:
	// 200 MQ== <nil> pump
	// 404 true DeviceNotFound
	// 404 true GenericNotFound
}

func ExampleReadBody() {
	req := httptest.NewRequest("POST", "https://hub/devices/query?api-version=2021-04-12", strings.NewReader(`{"query":"SELECT * FROM devices"}`))
	body, err := httpsx.ReadBody(httpsx.Query, req)
	if err != nil {
		fmt.Println(err)
		return
	}
	var q httpsx.QueryText
	fmt.Println(httpsx.Decode(httpsx.Query, body, &q), q.Query)

	large := httptest.NewRequest("POST", "https://hub/devices/pump/messages/events?api-version=2021-04-12", strings.NewReader(strings.Repeat("x", 300<<10)))
	_, err = httpsx.ReadBody(httpsx.SendTelemetry, large)
	fmt.Println(errors.Is(err, hubwire.MessageTooLarge))
	// Output:
	// <nil> SELECT * FROM devices
	// true
}

func ExampleAllow() {
	req := httptest.NewRequest("POST", "https://hub/devices/pump?api-version=2021-04-12", nil)
	_, err := httpsx.ReadRequest(req)
	fmt.Println(errors.Is(err, hubwire.MethodNotAllowed), httpsx.Allow(req))
	// Output: true DELETE, GET, PUT
}

// What an operation is, out of the table.
func ExampleOperation() {
	op := httpsx.InvokeMethod
	target := httpsx.Target{Identity: hubwire.Identity{DeviceID: "pump", ModuleID: "valve#1"}}
	fmt.Println(op.Check(target))
	fmt.Printf("%s %s\n", op.Method(), op.AppendPath(nil, target))
	fmt.Printf("%q succeeds with %d; with 404: %v\n", op, op.Status(), op.Succeeds(404))
	fmt.Printf("can be sent again after a lost answer: %v; of at most %d bytes\n", op.Repeatable(), op.MaxBody())

	err := httpsx.GetTwin.Check(httpsx.Target{})
	fmt.Println(errors.Is(err, hubwire.ArgumentInvalid))
	// Output:
	// <nil>
	// POST /twins/pump/modules/valve%231/methods
	// "method" succeeds with 200; with 404: false
	// can be sent again after a lost answer: false; of at most 1048576 bytes
	// true
}

func ExampleAppendError() {
	e := &hubwire.Error{Code: hubwire.DeviceNotFound, Message: "no pump", TrackingID: "06e0"}
	form := httpsx.GetDevice.ErrorForm(e.Code)
	fmt.Println(httpsx.ErrorName(e.Code))
	fmt.Printf("%s\n", httpsx.AppendError(nil, e, form, time.Unix(1767225600, 0).UTC()))
	// Output:
	// DeviceNotFound
	// {"Message":"ErrorCode:DeviceNotFound;no pump","ExceptionMessage":"Tracking ID:06e0"}
}

func ExampleNewTrackingID() {
	id := httpsx.NewTrackingID(time.Unix(1767225600, 0).UTC())
	fmt.Println(len(id) > 32, strings.HasSuffix(id, "-TimeStamp:01/01/2026 00:00:00"))
	// Output: true true
}

func ExampleNewBulkAnswer() {
	a := httpsx.NewBulkAnswer(&httpsx.BulkResult{Errors: []httpsx.BulkError{{DeviceID: "pump", Code: httpsx.BulkCode(hubwire.DeviceNotFound)}}})
	var r httpsx.BulkResult
	fmt.Println(a.Status, a.Decode(httpsx.BulkDevices, &r), r.Errors[0].DeviceID)
	// Output: 400 <nil> pump
}

func ExampleParseETag() {
	for _, value := range []string{`"MQ=="`, `W/"MQ=="`, `*`, `"*"`} {
		fmt.Println(httpsx.ParseETag(value))
	}
	fmt.Println(httpsx.QuoteETag("MQ=="))
	// Output:
	// MQ==
	// MQ==
	// *
	// *
	// "MQ=="
}

func ExampleParseRetryAfter() {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, value := range []string{"10", "Thu, 01 Jan 2026 00:01:00 GMT", "soon"} {
		fmt.Println(httpsx.ParseRetryAfter(value, now))
	}
	// Output:
	// 10s
	// 1m0s
	// 0s
}
