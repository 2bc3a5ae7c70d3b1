package device_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/ws"
)

// overUploads runs a test over each protocol that uploads go beside.
func overUploads(t *testing.T, cfg hub.Config, test func(*testing.T, *bench)) {
	t.Helper()
	for _, tr := range []device.Transport{device.MQTT(nil), device.MQTTWebSocket(nil), device.HTTPS(nil)} {
		t.Run(tr.String(), func(t *testing.T) { over(t, tr, cfg, test) })
	}
}

// write puts a blob where an upload wants it, as any client of storage would.
func write(ctx context.Context, c *device.Client, u *device.Upload, body string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, u.URL.Reveal(), strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("x-ms-blob-type", "BlockBlob")
	res, err := c.StorageTransport().RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s, %v", res.Status, err)
	}
	return nil
}

func initiate(t *testing.T, c *device.Client, name string) *device.Upload {
	t.Helper()
	u, err := c.InitiateUpload(t.Context(), name)
	if err != nil {
		t.Fatalf("initiate %q: %v", name, err)
	}
	return u
}

// notified returns the next notification of the hub's service side.
func (b *bench) notified() *hub.FileNotification {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	n, err := b.hub.FileNotification(ctx)
	if err != nil {
		b.t.Fatalf("no notification: %v", err)
	}
	return n
}

func (b *bench) notNotified() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	if n, err := b.hub.FileNotification(ctx); err == nil {
		b.t.Errorf("a notification: %+v", n)
	}
}

func TestAnUploadInItsThreeSteps(t *testing.T) {
	overUploads(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		u := initiate(t, c, "logs/a b+c.txt")
		if u.BlobName != "dev-1/logs/a b+c.txt" || u.CorrelationID == "" || !u.Expires.Equal(time.Now().Add(time.Hour).Truncate(time.Second)) {
			t.Errorf("%+v", u)
		}
		if err := write(t.Context(), c, u, "twelve bytes"); err != nil {
			t.Fatal(err)
		}
		if err := c.CompleteUpload(t.Context(), u.CorrelationID); err != nil {
			t.Fatal(err)
		}
		want := &hub.FileNotification{
			DeviceID: "dev-1", BlobName: u.BlobName, BlobURI: "https://localhost/device-uploads/dev-1/logs/a%20b+c.txt", Size: 12,
			LastUpdated: time.Now().UTC(), EnqueuedTime: time.Now().UTC(),
		}
		if diff := cmp.Diff(want, b.notified()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		u = initiate(t, c, "x")
		if err := c.FailUpload(t.Context(), u.CorrelationID, 500, "no such disk"); err != nil {
			t.Fatal(err)
		}
		if err := c.FailUpload(t.Context(), u.CorrelationID, -1, ""); !errors.Is(err, hubwire.InvalidFileUploadCorrelationID) {
			t.Errorf("failing twice: %v", err)
		}
		b.notNotified()
		b.works(c, "afterwards")
	})
}

func TestTheEleventhUploadIsRefused(t *testing.T) {
	overUploads(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		var last *device.Upload
		for i := range 10 {
			last = initiate(t, c, fmt.Sprint(i))
		}
		_, err := c.InitiateUpload(t.Context(), "eleventh")
		var e *hubwire.Error
		if !errors.As(err, &e) || e.Code != hubwire.MaxActiveFileUploadExceeded || e.Outcome != hubwire.Refused || e.Retryable || e.Op != "initiate upload" || e.TrackingID == "" {
			t.Errorf("the eleventh: %v", err)
		}
		if err := c.FailUpload(t.Context(), last.CorrelationID, -1, "given up"); err != nil {
			t.Fatal(err)
		}
		initiate(t, c, "eleventh")
		time.Sleep(time.Hour)
		initiate(t, c, "when the others have expired")
		if err := c.CompleteUpload(t.Context(), last.CorrelationID); !errors.Is(err, hubwire.ExpiredFileUploadCorrelationID) && !errors.Is(err, hubwire.InvalidFileUploadCorrelationID) {
			t.Errorf("an expired one: %v", err)
		}
	})
}

func TestUploadsThatAreRefused(t *testing.T) {
	var none context.Context
	over(t, device.MQTT(nil), hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		module := b.dial(b.module, nil)
		begin := func(ctx context.Context, c *device.Client, name string) error {
			_, err := c.InitiateUpload(ctx, name)
			return err
		}
		empty := initiate(t, c, "x")
		for name, r := range map[string]struct {
			err     error
			code    hubwire.Code
			outcome hubwire.Outcome
		}{
			"no name":                        {begin(t.Context(), c, ""), hubwire.ArgumentInvalid, hubwire.NotSent},
			"a name that is too long":        {begin(t.Context(), c, strings.Repeat("x", 1025)), hubwire.ArgumentInvalid, hubwire.NotSent},
			"a name that is not text":        {begin(t.Context(), c, "a\x00b"), hubwire.ArgumentInvalid, hubwire.NotSent},
			"a name that leads elsewhere":    {begin(t.Context(), c, "../dev-2/x"), hubwire.ArgumentInvalid, hubwire.Refused},
			"no context":                     {begin(none, c, "x"), hubwire.ArgumentInvalid, hubwire.NotSent},
			"no client":                      {begin(t.Context(), nil, "x"), hubwire.ArgumentInvalid, hubwire.NotSent},
			"a module":                       {begin(t.Context(), module, "x"), hubwire.InvalidOperation, hubwire.NotSent},
			"an unknown correlation id":      {c.CompleteUpload(t.Context(), "bm9uZQ=="), hubwire.InvalidFileUploadCorrelationID, hubwire.Refused},
			"a reserved character in it":     {c.CompleteUpload(t.Context(), "a/b?c=d&e%f+g"), hubwire.InvalidFileUploadCorrelationID, hubwire.Refused},
			"no correlation id":              {c.CompleteUpload(t.Context(), ""), hubwire.ArgumentInvalid, hubwire.NotSent},
			"no blob":                        {c.CompleteUpload(t.Context(), empty.CorrelationID), hubwire.InvalidStorageEndpointOrBlob, hubwire.Refused},
			"a description that is too long": {c.FailUpload(t.Context(), empty.CorrelationID, 1, strings.Repeat("x", 1025)), hubwire.ArgumentInvalid, hubwire.Refused},
		} {
			var e *hubwire.Error
			if !errors.As(r.err, &e) || e.Code != r.code || e.Outcome != r.outcome || e.Op == "" {
				t.Errorf("%s: %v, want %v, %v", name, r.err, r.code, r.outcome)
			}
		}
		if err := begin(t.Context(), module, "x"); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("a module: %v", err)
		}
		if res, err := c.StorageTransport().RoundTrip(nil); res != nil || !errors.Is(err, hubwire.ArgumentInvalid) {
			t.Errorf("no request: %v, %v", res, err)
		}
		c.Close()
		if err := begin(t.Context(), c, "x"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a closed client: %v", err)
		}
		if err := write(t.Context(), c, empty, "x"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("storage of a closed client: %v", err)
		}
	})
	over(t, device.MQTT(nil), hub.Config{Upload: hub.Upload{Off: true}}, func(t *testing.T, b *bench) {
		if _, err := b.dial(b.device, nil).InitiateUpload(t.Context(), "x"); !errors.Is(err, hubwire.DefaultStorageEndpointNotConfigured) {
			t.Errorf("a hub without storage: %v", err)
		}
	})
}

func TestUploadRequestsAreRepeatedWhenTheirAnswerIsLost(t *testing.T) {
	var lose atomic.Value
	lose.Store("")
	intercept := func(_ context.Context, op *hub.Op) hub.Verdict {
		if name := lose.Load().(string); op.Kind == hub.OpRequest && name != "" && strings.HasSuffix(op.Name, name) {
			lose.Store("")
			return hub.Verdict{DropAfter: true}
		}
		return hub.Verdict{}
	}
	overUploads(t, hub.Config{Intercept: intercept}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		lose.Store("/files")
		u := initiate(t, c, "x")
		if err := write(t.Context(), c, u, "body"); err != nil {
			t.Fatal(err)
		}
		lose.Store("/notifications")
		if err := c.CompleteUpload(t.Context(), u.CorrelationID); err != nil {
			t.Errorf("complete: %v", err)
		}
		if n := b.notified(); n.BlobName != u.BlobName {
			t.Errorf("%+v", n)
		}
		b.notNotified()
	})
}

func TestUploadsGoThroughTheProxy(t *testing.T) {
	ways := func(p *testkit.Proxy) map[string]func(*device.Options) device.Transport {
		all := proxied(p, testkit.ProxyUser())
		maps.Copy(all, proxiedHTTPS(p, testkit.ProxyUser()))
		return all
	}
	for name := range ways(nil) {
		t.Run(name, func(t *testing.T) {
			over(t, device.Transport{}, hub.Config{}, func(t *testing.T, b *bench) {
				p := &testkit.Proxy{Up: b.hub.Dial}
				o := b.options(nil)
				c, err := device.Dial(t.Context(), b.device, ways(p)[name](o), o)
				if err != nil {
					t.Fatal(err)
				}
				p.Become(testkit.ProxySays("407 Proxy Authentication Required"))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err = c.InitiateUpload(ctx, "x")
				var pe *ws.ProxyError
				if e, ok := errors.AsType[*hubwire.Error](err); !ok || e.Outcome != hubwire.NotSent || !errors.As(err, &pe) || pe.Status != 407 {
					t.Errorf("while the proxy refuses: %v", err)
				}
				before := p.Become(nil)
				u := initiate(t, c, "x")
				if err := write(t.Context(), c, u, "body"); err != nil {
					t.Fatal(err)
				}
				if err := c.CompleteUpload(t.Context(), u.CorrelationID); err != nil {
					t.Fatal(err)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				// One connection to the hub and one to the account, which here is the same host.
				if got := p.Asked()[before:]; !slices.Equal(got, []string{"CONNECT localhost:443", "CONNECT localhost:443"}) {
					t.Errorf("asked for %q", got)
				}
				p.End(t)
			})
		})
	}
}

func TestPortsOfUploads(t *testing.T) {
	for name, c := range map[string]struct {
		transport       device.Transport
		port, httpsPort int
		want            string
	}{
		"beside MQTT":                          {device.MQTT(nil), 0, 0, "443"},
		"beside MQTT on a port of its own":     {device.MQTT(nil), 8883, 0, "443"},
		"on a port of their own":               {device.MQTT(nil), 0, 443, "443"},
		"beside a WebSocket":                   {device.MQTTWebSocket(nil), 443, 0, "443"},
		"beside a WebSocket, on another port":  {device.MQTTWebSocket(nil), 0, 8443, "8443"},
		"beside telemetry over HTTPS, on that": {device.HTTPS(nil), 443, 0, "443"},
	} {
		t.Run(name, func(t *testing.T) {
			over(t, c.transport, hub.Config{}, func(t *testing.T, b *bench) {
				var last atomic.Value
				client := b.dial(b.device, func(o *device.Options) {
					o.Port, o.HTTPSPort = c.port, c.httpsPort
					o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
						_, port, _ := net.SplitHostPort(addr)
						last.Store(port)
						if port == "8443" {
							addr = "localhost:443"
						}
						return b.hub.Dial(ctx, network, addr)
					}
				})
				u := initiate(t, client, "x")
				if last.Load() != c.want {
					t.Errorf("the port is %v", last.Load())
				}
				// The hub tells the device of the account as the device has found the hub.
				if err := write(t.Context(), client, u, "body"); err != nil || last.Load() != c.want {
					t.Errorf("storage: %v, by port %v", err, last.Load())
				}
			})
		})
	}
}

func TestUploadsSpeakHTTPWhateverTheClientSpeaks(t *testing.T) {
	over(t, device.MQTT(nil), hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, func(o *device.Options) {
			o.TLSConfig = o.TLSConfig.Clone()
			o.TLSConfig.NextProtos = []string{"mqtt", "h2"} // of which an HTTPS door knows none
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		u, err := c.InitiateUpload(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		if err := write(ctx, c, u, "body"); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingPrintsWhereAFileGoes(t *testing.T) {
	over(t, device.MQTT(nil), hub.Config{}, func(t *testing.T, b *bench) {
		u := initiate(t, b.dial(b.device, nil), "x")
		_, token, _ := strings.Cut(u.URL.Reveal(), "&sig=")
		signature, _, _ := strings.Cut(token, "&")
		testkit.Hides(t, "an upload", signature, u)
		testkit.Hides(t, "an upload", u.URL.Reveal(), *u)
	})
}

func TestCloseEndsUploads(t *testing.T) {
	var slow atomic.Bool
	overUploads(t, hub.Config{Intercept: func(ctx context.Context, op *hub.Op) (v hub.Verdict) {
		if op.Kind == hub.OpRequest && slow.Load() {
			v.Delay = time.Minute
		}
		return v
	}}, func(t *testing.T, b *bench) {
		slow.Store(false)
		c := b.dial(b.device, nil)
		u := initiate(t, c, "x")
		slow.Store(true)
		errs := make(chan error, 2)
		go func() { _, err := c.InitiateUpload(context.Background(), "x"); errs <- err }()
		go func() { errs <- write(context.Background(), c, u, "body") }()
		synctest.Wait()
		start := time.Now()
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("under way: %v", err)
			}
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestAStorageConnectionThatStallsIsLost(t *testing.T) {
	for name, body := range map[string]string{"a small body": "body", "a large body": strings.Repeat("x", 4<<20)} {
		t.Run(name, func(t *testing.T) {
			over(t, device.MQTT(nil), hub.Config{}, func(t *testing.T, b *bench) {
				holes := make(chan *testkit.Hole, 10)
				c := b.dial(b.device, b.throughHoles(holes))
				u := initiate(t, c, "x")
				if err := write(t.Context(), c, u, "body"); err != nil {
					t.Fatal(err)
				}
				for len(holes) > 0 {
					(<-holes).Swallow(true)
				}
				start := time.Now()
				if err := write(t.Context(), c, u, body); err == nil || time.Since(start) > 2*time.Minute {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				if err := write(t.Context(), c, u, body); err != nil {
					t.Errorf("on another connection: %v", err)
				}
			})
		})
	}
}

// deaf is a connection from which nothing comes any more, not even its end.
type deaf struct {
	net.Conn
	stalled *atomic.Bool
	closed  chan struct{}
	once    sync.Once
}

func (d *deaf) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if d.stalled.Load() {
		<-d.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (d *deaf) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.Conn.Close()
}

func TestAnAnswerOfStorageThatStallsIsLost(t *testing.T) {
	over(t, device.MQTT(nil), hub.Config{}, func(t *testing.T, b *bench) {
		var stalled atomic.Bool
		c := b.dial(b.device, func(o *device.Options) {
			dial := o.Dial
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := dial(ctx, network, addr)
				if err == nil && strings.HasSuffix(addr, ":443") {
					nc = &deaf{Conn: nc, stalled: &stalled, closed: make(chan struct{})}
				}
				return nc, err
			}
		})
		u := initiate(t, c, "x")
		if err := write(t.Context(), c, u, strings.Repeat("x", 4<<20)); err != nil {
			t.Fatal(err)
		}
		read := func(middle func()) error {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.URL.Reveal(), nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := c.StorageTransport().RoundTrip(r)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if _, err := io.CopyN(io.Discard, res.Body, 1000); err != nil {
				return err
			}
			for range 2 {
				middle()
				if _, err := io.CopyN(io.Discard, res.Body, 1<<20); err != nil {
					return err
				}
			}
			_, err = io.Copy(io.Discard, res.Body)
			return err
		}
		start := time.Now()
		if err := read(func() { stalled.Store(true) }); !errors.Is(err, net.ErrClosed) || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		stalled.Store(false)
		if err := read(func() { time.Sleep(50 * time.Second) }); err != nil { // it is the reader that is slow
			t.Errorf("on another connection: %v", err)
		}
	})
}
