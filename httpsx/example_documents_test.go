package httpsx_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/sas"
)

// overTheWire returns headers as net/http reads them at the other end.
func overTheWire(h http.Header) http.Header {
	got := http.Header{}
	for name, values := range h {
		got[http.CanonicalHeaderKey(name)] = values
	}
	return got
}

// A device takes a message, with the lock that it wants.
func ExampleParseReceived() {
	ask := http.Header{}
	httpsx.SetLockTimeout(ask, 30*time.Second)
	fmt.Println(httpsx.LockTimeout(overTheWire(ask), nil)) // at the hub

	h := http.Header{}
	httpsx.SetReceived(h, hubwire.Identity{DeviceID: "pump"}, &hubwire.Received{
		Message: hubwire.Message{ID: "1"}, SequenceNumber: 12, LockToken: "6f2ed4b4",
	})
	r, err := httpsx.ParseReceived(overTheWire(h), []byte("reboot"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s: %s, %d, lock %s\n", r.ID, r.Body, r.SequenceNumber, r.LockToken)
	// Output:
	// 30s <nil>
	// 1: reboot, 12, lock 6f2ed4b4
}

// A server tells by the headers whether there are many messages in a body.
func ExampleIsBatch() {
	var b httpsx.Batch
	b.MaxSize = 100
	for _, text := range []string{"one", "two", "three"} {
		if !b.Add(&hubwire.Message{Body: []byte(text)}) {
			fmt.Println("no room for", text)
			break
		}
	}
	h := http.Header{"Content-Type": {httpsx.BatchContentType}}
	fmt.Println(b.Len(), httpsx.IsBatch(h))
	b.Reset() // for the next
	fmt.Println(b.Len())
	// Output:
	// no room for three
	// 2 true
	// 0
}

// What a hub looks at before it takes a document.
func ExampleDevice_Check() {
	pump := hubwire.Identity{DeviceID: "pump"}
	d := httpsx.Device{DeviceID: "pump", Status: httpsx.Enabled}
	fmt.Println(d.Check(pump))
	d.DeviceID = "fan"
	fmt.Println(errors.Is(d.Check(pump), hubwire.ArgumentInvalid))
	// Output:
	// <nil>
	// true
}

func ExampleImportDevices_Check() {
	twice := httpsx.ImportDevices{{ID: "pump"}, {ID: "pump"}}
	err := twice.Check()
	fmt.Println(errors.Is(err, hubwire.DeviceDefinedMultipleTimes), twice[0].Identity())
	// Output: true pump
}

func ExampleMethodCall_Check() {
	m := httpsx.MethodCall{Name: "reboot", ResponseTimeout: 10 * time.Minute}
	fmt.Println(errors.Is(m.Check(), hubwire.ArgumentInvalid)) // at most five minutes
	m.ResponseTimeout = 10 * time.Second
	b, err := httpsx.Marshal(&m)
	fmt.Println(m.Check(), err)
	fmt.Printf("%s\n", b)
	// Output:
	// true
	// <nil> <nil>
	// {"methodName":"reboot","payload":null,"responseTimeoutInSeconds":10,"connectTimeoutInSeconds":0}
}

func ExampleMethodCall_Wait() {
	m := httpsx.MethodCall{Name: "reboot", ConnectTimeout: time.Minute}
	fmt.Println(m.Wait())
	// Output: 1m30s
}

func ExampleMethodResult_Response() {
	var m httpsx.MethodResult
	if err := httpsx.Decode(httpsx.InvokeMethod, []byte(`{"status":200,"payload":null}`), &m); err != nil {
		panic(err)
	}
	answer := m.Response()
	fmt.Println(answer.Status, answer.Payload == nil)
	// Output: 200 true
}

func ExampleJobStatus_Done() {
	for _, s := range []httpsx.JobStatus{httpsx.JobRunning, httpsx.JobCompleted, "finished"} {
		fmt.Println(s, s.Done(), s.Is(httpsx.JobCompleted))
	}
	// Output:
	// running false false
	// completed true true
	// finished true true
}

func ExampleTime() {
	var t httpsx.Time
	err := json.Unmarshal([]byte(`"2026-01-02T03:04:05.6789012"`), &t) // without a zone it is UTC
	fmt.Println(t.UTC(), err)
	fmt.Println(t.Equal(httpsx.NewTime(t.Time)), t.In(time.FixedZone("", 3600)).Hour())

	b, err := httpsx.Marshal(httpsx.Time{}) // never
	fmt.Printf("%s %v\n", b, err)
	// Output:
	// 2026-01-02 03:04:05.6789012 +0000 UTC <nil>
	// true 4
	// "0001-01-01T00:00:00Z" <nil>
}

func ExampleSectionJSON() {
	fmt.Printf("%s\n", httpsx.SectionJSON(hubwire.TwinSection{Version: 3, JSON: []byte(`{"interval":60}`)}))
	// Output: {"interval":60,"$version":3}
}

// Where a file goes. The token in the URL does not print.
func ExampleUploadSlot_URL() {
	s := httpsx.UploadSlot{
		CorrelationID: "MjAy", HostName: "account.blob.core.windows.net", ContainerName: "files",
		BlobName: "pump/log.txt", SASToken: sas.NewSecret("?sv=2024&sig=abc"),
	}
	fmt.Println(s.Check(), s.URL())
	fmt.Println(s.URL().Reveal())
	// Output:
	// <nil> (secret)
	// https://account.blob.core.windows.net/files/pump/log.txt?sv=2024&sig=abc
}

func ExampleReadUploadResult() {
	req := httptest.NewRequest("POST", "https://hub/devices/pump/files/notifications?api-version=2021-04-12",
		strings.NewReader(`{"correlationId":"MjAy","isSuccess":true,"statusCode":200,"statusDescription":"done"}`))
	_, target, err := httpsx.Match(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	body, err := httpsx.ReadBody(httpsx.NotifyUpload, req)
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := httpsx.ReadUploadResult(target.Name, body)
	fmt.Println(r.CorrelationID, r.IsSuccess, r.StatusCode, err)
	// Output: MjAy true 200 <nil>
}
