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

// A device sends a message, and the hub reads it.
func ExampleSetMessage() {
	m := &hubwire.Message{Body: []byte(`{"t":21.5}`), ContentType: "application/json", Properties: []hubwire.Property{{Name: "level", Value: "3"}}}
	if err := httpsx.CheckProperties(m); err != nil {
		panic(err)
	}
	h := http.Header{}
	httpsx.SetMessage(h, m)
	fmt.Println(h)

	got, err := httpsx.ParseMessage(h, m.Body)
	fmt.Println(got.ContentType, got.Properties, err)

	m.Properties[0].Value = "not much"
	fmt.Println(httpsx.CheckProperties(m))
	// Output:
	// map[iothub-app-level:[3] iothub-contenttype:[application/json]]
	// application/json [{level 3}] <nil>
	// property "level": byte 3 of its value: httpsx: not a character of an HTTP token, and the hub takes no other over HTTPS
}

func ExampleBatch() {
	var b httpsx.Batch
	b.Add(&hubwire.Message{Body: []byte("one"), ID: "1"})
	b.Add(&hubwire.Message{Body: []byte("two")})
	fmt.Printf("%s\n", b.Body())
	for m, err := range httpsx.ParseBatch(b.Body()) {
		fmt.Printf("%q %s %v\n", m.ID, m.Body, err)
	}
	// Output:
	// [{"body":"b25l","base64Encoded":true,"properties":{"iothub-messageid":"1"}},{"body":"dHdv","base64Encoded":true}]
	// "1" one <nil>
	// "" two <nil>
}

func ExampleSetReceived() {
	h := http.Header{}
	httpsx.SetReceived(h, hubwire.Identity{DeviceID: "dev-1"}, &hubwire.Received{
		Message: hubwire.Message{ID: "cmd-7", Body: []byte("reboot")}, SequenceNumber: 12, LockToken: "6f2ed4b4",
	})
	for _, name := range []string{"ETag", "iothub-sequencenumber", "iothub-to"} { // in this very case
		fmt.Println(name, h[name])
	}
	// Output:
	// ETag ["6f2ed4b4"]
	// iothub-sequencenumber [12]
	// iothub-to [/devices/dev-1/messages/deviceBound]
}
