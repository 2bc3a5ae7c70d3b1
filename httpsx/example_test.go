package httpsx_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// A client patches a twin, and a server has another one by then.
func Example() {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r, err := httpsx.ReadRequest(req)
		if err != nil {
			_ = httpsx.NewErrorAnswer(0, err, time.Now()).Write(w)
			return
		}
		newer := &hubwire.Error{Code: hubwire.PreconditionFailed, Message: "there is a newer twin of " + r.Target.Identity.DeviceID}
		_ = httpsx.NewErrorAnswer(r.Op, newer, time.Now()).Write(w)
	}))
	defer server.Close()

	r := httpsx.Request{
		Op: httpsx.PatchTwin, Target: httpsx.Target{Identity: hubwire.Identity{DeviceID: "dev-1"}},
		IfMatch: "AAAAAAAAAAE=", Body: &httpsx.TwinUpdate{Tags: json.RawMessage(`{"floor":3}`)},
	}
	req, err := r.NewHTTP(context.Background(), server.Listener.Addr().String())
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "SharedAccessSignature …") // see package sas
	resp, err := server.Client().Do(req)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	_, err = httpsx.ReadAnswer(r.Op, resp)
	var e *hubwire.Error
	fmt.Println(errors.As(err, &e), e.Code, e.Message)
	// Output: true hubwire: 412001 PreconditionFailed there is a newer twin of dev-1
}

func ExampleMatch() {
	r := httptest.NewRequest("DELETE", "https://hub/Devices/dev-1/modules/m%23/messages/devicebound/t-1?api-version=2021-04-12&reject", nil)
	op, target, err := httpsx.Match(r)
	fmt.Println(op, target.Identity, target.Name, err)
	// Output: reject dev-1/m# t-1 <nil>
}

func ExampleParseError() {
	body := []byte(`{"Message":"ErrorCode:ThrottlingException;slow down","ExceptionMessage":"Tracking ID:06e0-G:0"}`)
	e := httpsx.ParseError(httpsx.Query, 429, http.Header{"Retry-After": {"10"}}, body)
	fmt.Println(e.Retryable, e.RetryAfter)
	fmt.Println(e)
	// Output:
	// true 10s
	// hubwire: query: 429001 ThrottlingException, refused: slow down (tracking id 06e0-G:0)
}

func ExampleMarshal() {
	var d httpsx.Device
	if err := httpsx.Decode(httpsx.PutDevice, []byte(`{"deviceId":"d","authentication":{"symmetricKey":{"primaryKey":"c2VjcmV0"}}}`), &d); err != nil {
		panic(err)
	}
	keys := d.Authentication.SymmetricKey
	fmt.Println(keys)
	b, _ := httpsx.Marshal(keys.Primary.Reveal())
	fmt.Println(string(b))
	// Output:
	// {(secret) }
	// "c2VjcmV0"
}
