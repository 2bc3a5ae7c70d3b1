package testkit

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// VectorHost is the hub of the golden vectors of HTTP.
const VectorHost = "contoso-hub.azure-devices.net"

// HTTPVector is a golden vector of HTTP: a request and its answer.
type HTTPVector struct {
	ID      string
	Request struct {
		Method, Path string             // the path is escaped
		Query        map[string]*string // not escaped; nil for a name without a value
		Headers      map[string]string
		Body         *HTTPBody
	}
	Response struct {
		Status  int
		Headers map[string]string
		Body    *HTTPBody
	}
}

// HTTPBody is a body in one of the forms that the file has; nil is none.
type HTTPBody struct {
	JSON        json.RawMessage
	Text        *string
	BytesBase64 *string
	Generated   string
}

// HTTPVectors returns those of the file "https.json", which [Vectors] finds, in their order.
func HTTPVectors(t testing.TB) []*HTTPVector {
	t.Helper()
	var file struct{ Vectors []*HTTPVector }
	if err := json.Unmarshal(Vectors(t, "https.json"), &file); err != nil {
		t.Fatalf("testkit: vectors: %v", err)
	}
	return file.Vectors
}

// Bytes returns the body as it is on the wire. One that it cannot make is a fatal failure.
func (b *HTTPBody) Bytes(t testing.TB) []byte {
	t.Helper()
	switch {
	case b == nil:
		return nil
	case b.JSON != nil:
		return b.JSON
	case b.Text != nil:
		return []byte(*b.Text)
	case b.Generated == "262145 bytes of 0x61":
		return bytes.Repeat([]byte{0x61}, 262145)
	case b.BytesBase64 == nil:
		t.Fatalf("testkit: vectors: a body that is %q", b.Generated)
	}
	raw, err := base64.StdEncoding.DecodeString(*b.BytesBase64)
	if err != nil {
		t.Fatalf("testkit: vectors: %v", err)
	}
	return raw
}

// RawRequest returns the request as it is on the wire, to [VectorHost] when it names no host, with
// what as replaces in its path, its body, and the values of its query and headers.
func (v *HTTPVector) RawRequest(t testing.TB, as *strings.Replacer) []byte {
	t.Helper()
	var query []string
	for name, value := range v.Request.Query {
		pair := url.QueryEscape(name)
		if value != nil {
			pair += "=" + url.QueryEscape(as.Replace(*value))
		}
		query = append(query, pair)
	}
	body := as.Replace(string(v.Request.Body.Bytes(t)))
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s?%s HTTP/1.1\r\nContent-Length: %d\r\n", v.Request.Method, as.Replace(v.Request.Path), strings.Join(query, "&"), len(body))
	if v.Request.Headers["Host"] == "" {
		fmt.Fprintf(&b, "Host: %s\r\n", VectorHost)
	}
	for name, value := range v.Request.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", name, as.Replace(value))
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

// HTTPRequest returns the request as net/http gives it to a server.
func (v *HTTPVector) HTTPRequest(t testing.TB) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(v.RawRequest(t, strings.NewReplacer()))))
	if err != nil {
		t.Fatalf("testkit: vector %s: %v", v.ID, err)
	}
	return r
}

// HTTPResponse returns the answer as net/http gives it to a client.
func (v *HTTPVector) HTTPResponse(t testing.TB) *http.Response {
	t.Helper()
	r := &http.Response{StatusCode: v.Response.Status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(v.Response.Body.Bytes(t)))}
	for name, value := range v.Response.Headers {
		r.Header.Set(name, value)
	}
	return r
}
