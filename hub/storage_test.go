package hub_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

// blobURL returns the URL of a blob in a container.
func blobURL(t testing.TB, h *hub.Hub, container, name string) string {
	t.Helper()
	u, err := h.ContainerURL(container, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	base, token, _ := strings.Cut(u.Reveal(), "?")
	return base + "/" + name + "?" + token
}

// ask sends a request to storage, and returns the status and the body of the answer.
func ask(t testing.TB, c *http.Client, method, url, body string) (int, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("x-ms-blob-type", "BlockBlob")
	res, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

func TestTheHubsStorageIsBehindItsHTTPSDoor(t *testing.T) {
	for name, cfg := range map[string]hub.Config{
		"in memory": {InMemory: true}, "on a socket": {}, "by another name": {HostName: "hub.azure-devices.net"}, "by number": {HostName: "::1", InMemory: true},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.LeakCheck(t)
			h := hubtest.Start(t, &cfg)
			c := webClient(t, h)
			url := blobURL(t, h, "jobs", "devices.txt")
			large := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB: more than the REST API takes
			if status, body, err := ask(t, c, "PUT", url, large); status != 201 || err != nil {
				t.Fatalf("put: %d %s, %v", status, body, err)
			}
			if status, body, err := ask(t, c, "GET", url, ""); status != 200 || body != large || err != nil {
				t.Errorf("get: %d, %d bytes, %v", status, len(body), err)
			}
			if status, _, err := ask(t, c, "GET", strings.Split(url, "&sig")[0]+"&sig=x", ""); status != 403 || err != nil {
				t.Errorf("with a bad token: %d, %v", status, err)
			}
		})
	}
}

func TestARefusalIsReadByWhoStillWrites(t *testing.T) {
	h := hubtest.Start(t, nil)
	c := webClient(t, h)
	url := strings.Replace(blobURL(t, h, "jobs", "x"), "sp=racwdl", "sp=r", 1)
	for range 5 {
		if status, body, err := ask(t, c, "PUT", url, strings.Repeat("x", 8<<20)); status != 403 || !strings.Contains(body, "AuthenticationFailed") || err != nil {
			t.Fatalf("%d %s, %v", status, body, err)
		}
	}
}

func TestStorageMeetsTheInterceptFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var verdict atomic.Value
		verdict.Store(hub.Verdict{})
		h := hubtest.Start(t, &hub.Config{InMemory: true, Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
			if op.Kind == hub.OpRequest && strings.HasSuffix(op.Name, "/jobs/x") {
				return verdict.Load().(hub.Verdict)
			}
			return hub.Verdict{}
		}})
		c := webClient(t, h)
		url := blobURL(t, h, "jobs", "x")
		put := func(v hub.Verdict) (int, error) {
			verdict.Store(v)
			status, _, err := ask(t, c, "PUT", url, "body")
			verdict.Store(hub.Verdict{})
			return status, err
		}
		there := func() bool {
			status, _, err := ask(t, c, "GET", url, "")
			if err != nil {
				t.Fatal(err)
			}
			return status == 200
		}
		if status, err := put(hub.Verdict{Refuse: hubwire.ServiceUnavailable}); status != 503 || err != nil || there() {
			t.Errorf("refused: %d, %v", status, err)
		}
		if status, err := put(hub.Verdict{DropBefore: true}); err == nil || there() {
			t.Errorf("dropped before: %d, %v", status, err)
		}
		if status, err := put(hub.Verdict{DropAfter: true}); err == nil || !there() {
			t.Errorf("dropped after: %d, %v", status, err)
		}
		c.Timeout = time.Minute
		start := time.Now()
		if status, err := put(hub.Verdict{SwallowAck: true}); err == nil || time.Since(start) != time.Minute {
			t.Errorf("swallowed: %d, %v after %v", status, err, time.Since(start))
		}
	})
}

func TestABodyMayTakeItsTimeAsLongAsItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hubtest.Start(t, &hub.Config{InMemory: true})
		c := webClient(t, h)
		url := blobURL(t, h, "jobs", "slow")
		send := func(pause time.Duration) (int, error) {
			const pieces, size = 10, 8000 // more than the client holds back
			pr, pw := io.Pipe()
			var writing sync.WaitGroup
			defer writing.Wait()
			defer pr.Close()
			writing.Go(func() {
				defer pw.Close()
				for range pieces {
					if _, err := pw.Write(make([]byte, size)); err != nil {
						return
					}
					time.Sleep(pause)
				}
			})
			r, err := http.NewRequestWithContext(t.Context(), "PUT", url, pr)
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = pieces * size
			r.Header.Set("x-ms-blob-type", "BlockBlob")
			res, err := c.Do(r)
			if err != nil {
				return 0, err
			}
			defer res.Body.Close()
			return res.StatusCode, nil
		}
		if status, err := send(50 * time.Second); status != 201 || err != nil {
			t.Errorf("a slow one: %d, %v", status, err)
		}
		if status, err := send(70 * time.Second); status == 201 {
			t.Errorf("one that stalls: %d, %v", status, err)
		}
	})
}

func TestBlobsAreInTheDataDirectory(t *testing.T) {
	cfg := &hub.Config{InMemory: true, DataDir: t.TempDir()}
	h, err := hub.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	url := blobURL(t, h, "jobs", "x")
	if status, body, err := ask(t, webClient(t, h), "PUT", url, "kept"); status != 201 || err != nil {
		t.Fatalf("put: %d %s, %v", status, body, err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = hubtest.Start(t, cfg)
	if status, body, err := ask(t, webClient(t, h), "GET", url, ""); status != 200 || body != "kept" || err != nil {
		t.Errorf("get: %d %s, %v", status, body, err)
	}
}

func TestUploadConfigurationsThatAreRefused(t *testing.T) {
	for name, u := range map[string]hub.Upload{
		"a bad container":         {Container: "../x"},
		"a bad container of ...":  {Container: "X", ConnectionString: hub.Secret{}},
		"a connection string":     {ConnectionString: sas.NewSecret("AccountName=a")},
		"one without TLS":         {ConnectionString: sas.NewSecret("DefaultEndpointsProtocol=http;AccountName=a;AccountKey=c2VjcmV0")},
		"a life that is negative": {SASTTL: -1},
		"a negative bound":        {MaxBytes: -1},
	} {
		h, err := hub.Start(t.Context(), &hub.Config{InMemory: true, Upload: u})
		if !errors.Is(err, hubwire.ArgumentInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if h != nil {
			h.Close()
		}
	}
	h := hubtest.Start(t, &hub.Config{InMemory: true, Upload: hub.Upload{Off: true}})
	if _, err := h.ContainerURL("box", time.Hour); !errors.Is(err, hubwire.DefaultStorageEndpointNotConfigured) {
		t.Errorf("without storage: %v", err)
	}
	h = hubtest.Start(t, &hub.Config{InMemory: true})
	if _, err := h.ContainerURL("a/b", time.Hour); !errors.Is(err, hubwire.ArgumentInvalid) {
		t.Errorf("a bad name: %v", err)
	}
}
