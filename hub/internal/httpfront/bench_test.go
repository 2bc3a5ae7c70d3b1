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
	"github.com/hubwire/hubwire/sas"
)

// discard is an answer that nobody reads.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header            { return d.h }
func (*discard) Write(b []byte) (int, error)      { return len(b), nil }
func (*discard) WriteHeader(int)                  {}
func (*discard) SetReadDeadline(time.Time) error  { return nil }
func (*discard) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkTelemetry is what the hub adds to net/http for a POST of 256 bytes.
func BenchmarkTelemetry(b *testing.B) {
	c, err := core.New(b.Context(), &core.Config{HostName: "localhost"}, store.NewMemory(nil))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	s := New(c, &Options{})
	d, err := c.Create(b.Context(), &core.Device{ID: dev})
	if err != nil {
		b.Fatal(err)
	}
	key, err := sas.NewKey(d.Auth.Primary)
	if err != nil {
		b.Fatal(err)
	}
	token, err := sas.AppendToken(b.Context(), nil, key, "localhost/devices/"+dev.DeviceID, "", time.Now().Add(time.Hour))
	if err != nil {
		b.Fatal(err)
	}
	us, them := net.Pipe()
	defer us.Close()
	defer them.Close()
	ctx := context.WithValue(b.Context(), peerKey{}, &peer{raw: us})
	body := bytes.Repeat([]byte("x"), 256)
	r, err := http.NewRequestWithContext(ctx, "POST", "https://localhost/devices/"+dev.DeviceID+"/messages/events?api-version=2020-03-13", nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header = http.Header{"Authorization": {string(token)}, "Content-Type": {"application/json"}, "Iothub-Messageid": {"msg-0001"}, "Accept-Encoding": {"gzip"}, "User-Agent": {"x"}}
	r.ContentLength = int64(len(body))
	w := &discard{http.Header{}}
	in := bytes.NewReader(nil)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(body)
		r.Body = io.NopCloser(in)
		s.serve(w, r)
	}
}
