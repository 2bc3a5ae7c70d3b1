package upload

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

const blockSize = 1000

// site is a hub with a device, in a bubble.
type site struct {
	*testing.T
	dir    string
	cfg    hub.Config
	device *device.Client

	mu       sync.Mutex
	hub      *hub.Hub
	requests []string                            // to storage: method and path
	judge    func(n int, op *hub.Op) hub.Verdict // of the n-th of them, from 0; nil lets all pass
	wrap     func(net.Conn) net.Conn             // of connections for HTTPS; nil leaves them alone
}

const key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// at runs a test at a site.
func at(t *testing.T, u hub.Upload, test func(*site)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		testkit.LeakCheck(t)
		s := &site{T: t, dir: dir}
		s.cfg = hub.Config{InMemory: true, DataDir: filepath.Join(dir, "hub"), Upload: u, Intercept: s.intercept}
		s.start()
		t.Cleanup(func() { s.hub.Close() })
		s.device = s.dial()
		test(s)
	})
}

// start starts the hub, or starts it again.
func (s *site) start() {
	s.Helper()
	h, err := hub.Start(s.Context(), &s.cfg)
	if err != nil {
		s.Fatal(err)
	}
	id := hubwire.Identity{DeviceID: "dev"}
	if _, err := h.Create(s.Context(), &hub.Device{Identity: id, PrimaryKey: secret(key), SecondaryKey: secret(key)}); err != nil {
		s.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hub = h
}

func secret(text string) (out hub.Secret) {
	if err := out.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}
	return out
}

func (s *site) dial() *device.Client {
	s.Helper()
	o := &device.Options{
		TLSConfig: s.hub.ClientTLS(), MinBackoff: 100 * time.Millisecond, MaxBackoff: time.Second,
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			s.mu.Lock()
			h, wrap := s.hub, s.wrap
			s.mu.Unlock()
			nc, err := h.Dial(ctx, network, addr)
			if err == nil && wrap != nil && strings.HasSuffix(addr, ":443") {
				nc = wrap(nc)
			}
			return nc, err
		},
	}
	c, err := device.Dial(s.Context(), "HostName=localhost;DeviceId=dev;SharedAccessKey="+key, device.MQTT(nil), o)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := c.Close(); err != nil {
			s.Errorf("close: %v", err)
		}
	})
	return c
}

func (s *site) intercept(_ context.Context, op *hub.Op) hub.Verdict {
	if op.Kind != hub.OpRequest || !strings.Contains(op.Name, " /device-uploads/") {
		return hub.Verdict{}
	}
	s.mu.Lock()
	n, judge := len(s.requests), s.judge
	s.requests = append(s.requests, op.Name)
	s.mu.Unlock()
	if judge == nil {
		return hub.Verdict{}
	}
	return judge(n, op)
}

// judging changes what becomes of requests to storage, and forgets those that were.
func (s *site) judging(judge func(n int, op *hub.Op) hub.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.judge, s.requests = judge, nil
}

// count returns how many requests to storage there were of a method.
func (s *site) count(method string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if strings.HasPrefix(r, method+" ") {
			n++
		}
	}
	return n
}

// noise returns n bytes by chance.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// file writes a file.
func (s *site) file(b []byte) string {
	s.Helper()
	path := filepath.Join(s.dir, "file")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

// account asks storage for a blob with all rights, past the device.
func (s *site) account(method, name, query string, body []byte, header ...string) (status int, answer []byte) {
	s.Helper()
	u, err := s.hub.ContainerURL("device-uploads", time.Hour)
	if err != nil {
		s.Fatal(err)
	}
	base, token, _ := strings.Cut(u.Reveal(), "?")
	r, err := http.NewRequest(method, base+"/"+name+"?"+token+query, bytes.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	tr := &http.Transport{DialContext: s.hub.Dial, TLSClientConfig: s.hub.ClientTLS()}
	defer tr.CloseIdleConnections()
	res, err := tr.RoundTrip(r)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	return res.StatusCode, answer
}

// wantBlob fails the test when a blob holds anything else, or the service was not told of it.
func (s *site) wantBlob(name string, want []byte) {
	s.Helper()
	judge := s.judge
	s.judging(nil)
	defer s.judging(judge)
	if status, got := s.account("GET", name, "", nil); status != 200 || !bytes.Equal(got, want) {
		s.Errorf("the blob: status %d, %d bytes, want %d", status, len(got), len(want))
	}
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	n, err := s.hub.FileNotification(ctx)
	if err != nil || n.BlobName != name || n.Size != int64(len(want)) {
		s.Errorf("the notification: %+v, %v", n, err)
	}
}

// wantPlaces fails the test when the device has uploads under way.
func (s *site) wantPlaces() {
	s.Helper()
	var ups []string
	for range 10 {
		u, err := s.device.InitiateUpload(s.Context(), "place")
		if err != nil {
			s.Fatalf("place %d: %v", len(ups), err)
		}
		ups = append(ups, u.CorrelationID)
	}
	for _, id := range ups {
		if err := s.device.FailUpload(s.Context(), id, -1, ""); err != nil {
			s.Fatal(err)
		}
	}
}
