package httpfront

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

// discard is an answer that nobody reads.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header            { return d.h }
func (*discard) Write(b []byte) (int, error)      { return len(b), nil }
func (*discard) WriteHeader(int)                  {}
func (*discard) SetReadDeadline(time.Time) error  { return nil }
func (*discard) SetWriteDeadline(time.Time) error { return nil }

// poster returns what serves one POST of telemetry of 256 bytes, as net/http has it serve it.
func poster(t testing.TB) func() {
	c, err := core.New(context.Background(), &core.Config{HostName: "localhost"}, store.NewMemory(nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	d, err := c.Create(context.Background(), &core.Device{ID: dev})
	if err != nil {
		t.Fatal(err)
	}
	key, err := sas.NewKey(d.Auth.Primary)
	if err != nil {
		t.Fatal(err)
	}
	token, err := sas.AppendToken(context.Background(), nil, key, "localhost/devices/"+dev.DeviceID, "", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	us, them := net.Pipe()
	t.Cleanup(func() { us.Close(); them.Close() })
	ctx := context.WithValue(context.Background(), rawKey{}, us)
	r, err := http.NewRequestWithContext(ctx, "POST", "https://localhost/devices/"+dev.DeviceID+"/messages/events?api-version=2020-03-13", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"Authorization": {string(token)}, "Content-Type": {"application/json"}, "Iothub-Messageid": {"msg-0001"},
		"Accept-Encoding": {"gzip"}, "User-Agent": {"x"},
	}
	body := bytes.Repeat([]byte("x"), 256)
	r.ContentLength = int64(len(body))
	in := bytes.NewReader(nil)
	r.Body = io.NopCloser(in)
	s, w := New(c, &Options{}), &discard{http.Header{}}
	return func() {
		in.Reset(body)
		s.serve(w, r)
	}
}

// BenchmarkTelemetry is what the hub adds to net/http.
func BenchmarkTelemetry(b *testing.B) {
	post := poster(b)
	b.ReportAllocs()
	for b.Loop() {
		post()
	}
}

// TestTelemetryAllocates holds the way of a POST to what it must make: the request as
// httpsx reads it, and on its way through the hub, and the message.
func TestTelemetryAllocates(t *testing.T) {
	testkit.MaxAllocs(t, "a POST", 3, poster(t))
}
