package device_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
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

// deaf is a connection from which nothing comes any more, not even its end.
