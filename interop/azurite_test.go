package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/upload"
)

// azurite is a storage account that nobody here wrote, with TLS, on 127.0.0.1.
type azurite struct {
	endpoint string // of blobs
	key      string // base64
	client   *http.Transport
	roots    *x509.CertPool
	files    *container.Client // by the account's key
}

const azuriteAccount, azuriteContainer = "outsider", "device-files"

// startAzurite starts Azurite with one account and one container.
func startAzurite(t *testing.T) *azurite {
	t.Helper()
	dir := t.TempDir()
	a := &azurite{roots: x509.NewCertPool()}
	certFile := writeCertificate(t, dir, a.roots)
	a.client = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.roots}}
	t.Cleanup(a.client.CloseIdleConnections)
	key := make([]byte, 64)
	rand.Read(key)
	a.key = base64.StdEncoding.EncodeToString(key)
	addr := freePort(t)
	a.endpoint = "https://" + addr + "/" + azuriteAccount
	_, port, _ := net.SplitHostPort(addr)

	// The shell ends it, by its pid, when its own input ends, also when this process is no more.
	cmd := exec.Command("sh", "-c", `"$@" & pid=$!; cat >/dev/null; kill $pid; wait $pid`, "sh",
		"node", "azurite/node_modules/azurite/dist/src/blob/main.js", "--blobHost", "127.0.0.1", "--blobPort", port,
		"--cert", certFile, "--key", filepath.Join(dir, "key.pem"), "--location", dir, "--silent", "--skipApiVersionCheck")
	cmd.Env = append(cmd.Environ(), "AZURITE_ACCOUNTS="+azuriteAccount+":"+a.key)
	var words lockedBuffer
	cmd.Stdout, cmd.Stderr = &words, &words
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("Azurite's last words:\n%s", words.String())
		}
	})
	poll(t, "Azurite does not listen (bash interop/run installs it)", func() bool {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	a.open(t)
	return a
}

// open makes the container.
func (a *azurite) open(t *testing.T) {
	t.Helper()
	key, err := container.NewSharedKeyCredential(azuriteAccount, a.key)
	if err != nil {
		t.Fatal(err)
	}
	o := &container.ClientOptions{ClientOptions: policy.ClientOptions{Transport: &http.Client{Transport: a.client}}}
	if a.files, err = container.NewClientWithSharedKeyCredential(a.endpoint+"/"+azuriteContainer, key, o); err != nil {
		t.Fatal(err)
	}
	if _, err := a.files.Create(within(t), nil); err != nil {
		t.Fatal(err)
	}
}

// read returns what a blob holds.
func (a *azurite) read(t *testing.T, name string) []byte {
	t.Helper()
	r, err := a.files.NewBlobClient(name).DownloadStream(within(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// hub starts a hub whose devices upload to the account, as if its key were this one, and
// gives one of them.
func (a *azurite) hub(t *testing.T, key string) (*hub.Hub, *device.Client) {
	t.Helper()
	h := hubtest.Start(t, &hub.Config{Upload: hub.Upload{
		ConnectionString: sas.NewSecret("DefaultEndpointsProtocol=https;AccountName=" + azuriteAccount + ";AccountKey=" + key + ";BlobEndpoint=" + a.endpoint),
		Container:        azuriteContainer,
		RoundTripper:     a.client,
	}})
	roots := a.roots.Clone()
	roots.AppendCertsFromPEM(h.CAPEM())
	c, err := device.Dial(within(t), hubtest.Device(t, h, "dev-1"), device.MQTT(nil), &device.Options{
		TLSConfig: &tls.Config{RootCAs: roots},
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if strings.HasPrefix(addr, "localhost:") {
				return h.Dial(ctx, network, addr)
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return h, c
}

// lockedBuffer is text that one goroutine writes and another reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestAzurite lets an account that nobody here wrote judge the tokens that the hub signs, and
// the uploads.
func TestAzurite(t *testing.T) {
	wanted(t)
	a := startAzurite(t)
	t.Run("files of one and of many blocks", a.uploads)
	t.Run("an upload goes on where it was interrupted", a.resume)
	t.Run("uploads that end without a file", a.failures)
	t.Run("tokens of another key, for another blob and for deleting", a.tokens)
}

func (a *azurite) uploads(t *testing.T) {
	h, c := a.hub(t, a.key)
	for name, size := range map[string]int{"empty": 0, "logs/a b+c%.bin": 1000, "größe/日本": 3<<20 + 5} {
		b := make([]byte, size)
		rand.Read(b)
		o := &upload.Options{BlockSize: 1 << 20, ContentType: "text/x-noise", Metadata: map[string]string{"where": "here"}}
		r, err := upload.Stream(within(t), c, name, bytes.NewReader(b), o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := a.read(t, "dev-1/"+name); !bytes.Equal(got, b) {
			t.Errorf("%s: %d bytes, want %d", name, len(got), len(b))
		}
		p, err := a.files.NewBlobClient("dev-1/"+name).GetProperties(within(t), nil)
		if err != nil || *p.ContentType != "text/x-noise" || string(*p.ETag) != r.ETag {
			t.Errorf("%s: properties %+v, %v, want ETag %s", name, p, err, r.ETag)
		}
		n, err := h.FileNotification(within(t))
		if err != nil {
			t.Fatal(err)
		}
		want := &hub.FileNotification{
			DeviceID: "dev-1", BlobName: "dev-1/" + name, BlobURI: a.files.URL() + (&url.URL{Path: "/dev-1/" + name}).EscapedPath(), Size: int64(size),
			LastUpdated: p.LastModified.UTC(), EnqueuedTime: n.EnqueuedTime,
		}
		if diff := cmp.Diff(want, n); diff != "" {
			t.Errorf("%s: notification (-want +got)\n%s", name, diff)
		}
	}
}

func (a *azurite) resume(t *testing.T) {
	_, c := a.hub(t, a.key)
	b := make([]byte, 4<<20)
	rand.Read(b)
	ctx, cancel := context.WithCancel(within(t))
	o := &upload.Options{BlockSize: 256 << 10, Concurrency: 1, Progress: func(p upload.Progress) {
		if p.Done > 1<<20 {
			cancel()
		}
	}}
	if _, err := upload.Stream(ctx, c, "resumed", bytes.NewReader(b), o); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	o.Progress = nil
	r, err := upload.Stream(within(t), c, "resumed", bytes.NewReader(b), o)
	if err != nil || r.Skipped < 3*256<<10 || r.Skipped == r.Size {
		t.Errorf("%+v, %v", r, err)
	}
	if got := a.read(t, "dev-1/resumed"); !bytes.Equal(got, b) {
		t.Errorf("%d bytes, want %d", len(got), len(b))
	}
}

func (a *azurite) failures(t *testing.T) {
	_, c := a.hub(t, a.key)
	u, err := c.InitiateUpload(within(t), "none")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CompleteUpload(within(t), u.CorrelationID); !errors.Is(err, hubwire.InvalidStorageEndpointOrBlob) {
		t.Errorf("without a file: %v", err)
	}
	if err := c.FailUpload(within(t), u.CorrelationID, -1, "given up"); err != nil {
		t.Error(err)
	}
}

func (a *azurite) tokens(t *testing.T) {
	_, c := a.hub(t, base64.StdEncoding.EncodeToString([]byte("another key")))
	var e *azcore.ResponseError
	if _, err := upload.Stream(within(t), c, "x", strings.NewReader("body"), nil); !errors.As(err, &e) || e.StatusCode != http.StatusForbidden {
		t.Errorf("a token of another key: %v", err)
	}
	_, c = a.hub(t, a.key)
	u, err := c.InitiateUpload(within(t), "mine")
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(u.Expires); left > time.Hour || left < 59*time.Minute {
		t.Errorf("it holds for %v", left)
	}
	ask := func(method, where string) int {
		r, err := http.NewRequestWithContext(within(t), method, where, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("x-ms-blob-type", "BlockBlob")
		res, err := c.StorageTransport().RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	mine := u.URL.Reveal()
	for _, r := range []struct {
		what, method, where string
		want                int
	}{
		{"its blob", "PUT", mine, http.StatusCreated},
		{"its blob, to read", "GET", mine, http.StatusOK},
		{"its blob, to delete", "DELETE", mine, http.StatusForbidden},
		{"another blob", "PUT", strings.Replace(mine, "/mine?", "/yours?", 1), http.StatusForbidden},
		{"more rights", "DELETE", strings.Replace(mine, "sp=rw", "sp=rwd", 1), http.StatusForbidden},
	} {
		if got := ask(r.method, r.where); got != r.want {
			t.Errorf("%s: status %d, want %d", r.what, got, r.want)
		}
	}
}
