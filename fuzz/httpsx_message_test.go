package fuzz

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// A message that was read from headers, whoever wrote those, must come out of our own headers
// the same, as telemetry, as an element of a batch, and as a message for a device, unless it
// holds what HTTPS does not carry, which is refused.
func FuzzHTTPSHeaders(f *testing.F) {
	for _, h := range []string{
		"", "iothub-app-level: 3\nIoTHub-MessageId: m1\niothub-creationtimeutc: 2026-01-02T03:04:05.6789012Z\ndt-subject: t",
		"iothub-app-k: a b \nIOTHUB-APP-K: \u00e9\niothub-app-: x", "iothub-expiry: tomorrow\niothub-creation-time-utc: 2026-01-02",
		"ETag: \"6f2ed4b4\"\niothub-sequencenumber: 12\niothub-enqueuedtime: 12/09/2019 12:00:00 PM\niothub-deliverycount: 1\nContentType: a/b\niothub-ack: full",
		"ETag: W/\"t\"\niothub-sequencenumber: -1", "iothub-app-$.exp: x\niothub-outputname: o\ndiag-correlation-context: c",
	} {
		f.Add(h, []byte("body"))
	}
	f.Fuzz(func(t *testing.T, text string, body []byte) {
		h := readHeaders(text)
		if h == nil {
			return
		}
		first, err := httpsx.ParseMessage(h, body)
		if err != nil {
			return
		}
		if !slices.IsSortedFunc(first.Properties, func(a, b hubwire.Property) int { return strings.Compare(a.Name, b.Name) }) {
			t.Fatalf("properties out of order: %v", first.Properties)
		}
		receivedAgain(t, h, body)
		if httpsx.CheckProperties(first) != nil || first.CheckTelemetry() != nil {
			return
		}
		mine := http.Header{}
		httpsx.SetMessage(mine, first)
		again, err := httpsx.ParseMessage(throughHTTP(t, mine), body)
		if err != nil {
			t.Fatalf("our own headers are refused: %v", err)
		}
		if diff := cmp.Diff(first, again, sameMessage); diff != "" {
			t.Fatalf("%q -> %v (-first +second):\n%s", text, mine, diff)
		}
		inBatch(t, first)
	})
}

// receivedAgain is the same for a message for a device.
func receivedAgain(t *testing.T, h http.Header, body []byte) {
	t.Helper()
	first, err := httpsx.ParseReceived(h, body)
	if err != nil || httpsx.CheckProperties(&first.Message) != nil || httpsx.CheckProperties(&hubwire.Message{ID: first.LockToken}) != nil {
		return
	}
	if first.To == "" {
		first.To = "/devices/d/messages/deviceBound"
	}
	if first.Ack == "" {
		first.Ack = hubwire.AckNone
	}
	mine := http.Header{}
	httpsx.SetReceived(mine, hubwire.Identity{DeviceID: "d"}, first)
	again, err := httpsx.ParseReceived(throughHTTP(t, mine), body)
	if err != nil {
		t.Fatalf("our own headers are refused: %v: %v", err, mine)
	}
	if diff := cmp.Diff(first, again, sameMessage); diff != "" {
		t.Fatalf("%v (-first +second):\n%s", mine, diff)
	}
}

// inBatch holds that m comes out of a batch the same, which is JSON.
func inBatch(t *testing.T, m *hubwire.Message) {
	t.Helper()
	var b httpsx.Batch
	for range 2 {
		if !b.Add(m) {
			return // too large
		}
	}
	if !json.Valid(b.Body()) {
		t.Fatalf("not JSON: %s", b.Body())
	}
	n := 0
	for again, err := range httpsx.ParseBatch(b.Body()) {
		if err != nil {
			t.Fatalf("our own batch is refused: %v: %s", err, b.Body())
		}
		if diff := cmp.Diff(m, again, sameMessage); diff != "" {
			t.Fatalf("%s (-first +second):\n%s", b.Body(), diff)
		}
		n++
	}
	if n != 2 {
		t.Fatalf("%d messages in %s", n, b.Body())
	}
}

// A batch that is taken is JSON but for control characters, of as many elements as
// encoding/json finds, and what HTTPS can carry of it comes out of our own batch the same.
func FuzzHTTPSBatch(f *testing.F) {
	for _, b := range []string{
		"[]", `[{"body":"b25l","properties":{"iothub-app-k":"v"}},{"body":"dHdv"}]`, `[{"body":"say \"hi\" \ud83d\ude00","base64Encoded":false}]`,
		"[{\"body\": \"b25l\", \"properties\":{\"iothub-app-k\":\"a\tb\"}}]", `[{"body":"dHdv","properties":{}, "x":[1,-2e+3,{"y":null}]}]`,
		`[{"body":"b25l","base64Encoded":true,"properties":{"iothub-contenttype":"a/b","iothub-expiry":"2026-01-02T03:04:05Z","iothub-app-":"v"}}]`,
		`[{"body":1}]`, `{"body":""}`, `[{"body":"","body":"b25l"},]`, `[{"body":"\ud83d"}]`,
	} {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var ms []*hubwire.Message
		for m, err := range httpsx.ParseBatch(body) {
			if err != nil {
				return
			}
			ms = append(ms, m)
		}
		var theirs []json.RawMessage
		switch err := json.Unmarshal(body, &theirs); {
		case err == nil && len(theirs) != len(ms):
			t.Fatalf("%d messages, encoding/json has %d: %s", len(ms), len(theirs), body)
		case err != nil && !bytes.ContainsFunc(body, func(r rune) bool { return r < ' ' }):
			t.Fatalf("encoding/json has it that %v: %s", err, body)
		}
		for _, m := range ms {
			if httpsx.CheckProperties(m) == nil && m.CheckTelemetry() == nil {
				inBatch(t, m)
			}
		}
	})
}

// readHeaders reads lines as net/http does those of a request, or gives nil.
func readHeaders(text string) http.Header {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST / HTTP/1.1\r\nHost: h\r\n" + text + "\r\n\r\n")))
	if err != nil {
		return nil
	}
	return r.Header
}

// throughHTTP writes headers as net/http does, and reads them.
func throughHTTP(t *testing.T, h http.Header) http.Header {
	t.Helper()
	var b bytes.Buffer
	if err := h.Write(&b); err != nil {
		t.Fatal(err)
	}
	got := readHeaders(strings.TrimSuffix(b.String(), "\r\n"))
	if got == nil {
		t.Fatalf("net/http does not read %q", b.String())
	}
	return got
}
