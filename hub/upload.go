package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/blob"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/httpfront"
)

// Upload says where the devices of a hub upload files to, and what the service
// hears of it. The zero Upload is storage of the hub's own, behind its HTTPS door.
type Upload struct {
	// Off makes a hub without storage: devices get DefaultStorageEndpointNotConfigured.
	Off bool

	// ConnectionString is that of a storage account to use instead of the hub's own storage:
	//
	//	DefaultEndpointsProtocol=https;AccountName={name};AccountKey={key}[;BlobEndpoint={url}]
	ConnectionString Secret

	// Container is where the files go, to blobs named {deviceId}/{name}. It is made in the
	// hub's own storage; in another account it must be there. Empty means "device-uploads".
	Container string

	// SASTTL is how long a device may take for an upload, and how long one that
	// nobody ended takes up one of the device's ten places. 0 means 1 hour.
	SASTTL time.Duration

	// NoNotifications keeps uploads from the service, as an IoT Hub does as long as nobody
	// turns them on.
	NoNotifications bool

	// MaxBytes bounds the hub's own storage, where each block of a file counts for
	// at least 4 KiB. Files are in [Config.DataDir], or without one in a temporary directory that
	// is gone with the hub. 0 means 16 GiB.
	MaxBytes int64

	// RoundTripper reaches the storage account, and the containers of import and export jobs
	// that are not in the hub's own storage. nil means [http.DefaultTransport].
	RoundTripper http.RoundTripper
}

// blobDir is the directory of the hub's own storage in that of the hub.
const blobDir = "blobs"

// openStorage returns where devices upload to, nil for nowhere.
func (h *Hub) openStorage() (core.Storage, error) {
	u := &h.cfg.Upload
	container := cmp.Or(u.Container, "device-uploads")
	switch {
	case u.Off:
		return nil, nil
	case !u.ConnectionString.IsZero():
		a, err := blob.NewAccount(u.ConnectionString, container, u.RoundTripper)
		if err != nil {
			return nil, invalid("Upload: %v", err)
		}
		return a, nil
	}
	if err := blob.CheckContainer(container); err != nil {
		return nil, invalid("Upload: %v", err)
	}
	o := &blob.Options{Container: container, MaxBytes: u.MaxBytes, Host: h.webHost, Log: h.cfg.Log}
	if h.cfg.DataDir != "" {
		o.Dir = filepath.Join(h.cfg.DataDir, blobDir)
	}
	var err error
	if h.blobs, err = blob.Open(o); err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	return h.blobs, nil
}

// ownStorage is what the HTTPS door serves, as an interface that is nil when there is none.
func (h *Hub) ownStorage() httpfront.Storage {
	if h.blobs == nil {
		return nil
	}
	return h.blobs
}

func (h *Hub) closeStorage() error {
	if h.blobs == nil {
		return nil
	}
	return h.blobs.Close()
}

// storageRoads leads import and export jobs to containers: to those of the hub's own storage
// through its door, in memory, and to all others by Upload.RoundTripper.
type storageRoads struct{ h *Hub }

// RoundTrip implements [http.RoundTripper].
func (s storageRoads) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case s.h.blobs != nil && strings.EqualFold(r.URL.Host, s.h.webHost()):
		// No connection is kept: nobody would close it.
		own := &http.Transport{DialContext: s.h.Dial, TLSClientConfig: s.h.ClientTLS(), DisableKeepAlives: true}
		return own.RoundTrip(r)
	case s.h.cfg.Upload.RoundTripper != nil:
		return s.h.cfg.Upload.RoundTripper.RoundTrip(r)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// webHost is the host of the hub's URLs, with a port when it is not HTTPS's own.
func (h *Hub) webHost() string {
	_, port, err := net.SplitHostPort(h.HTTPSAddr())
	if err != nil {
		port = strconv.Itoa(httpsPort)
	}
	return strings.TrimSuffix(net.JoinHostPort(h.cfg.HostName, port), ":"+strconv.Itoa(httpsPort))
}

// FileNotification tells of a file that a device has uploaded, and said so.
type FileNotification struct {
	DeviceID     string    // whose file it is
	BlobURI      string    // without a token
	BlobName     string    // {deviceId}/{name}
	Size         int64     // of the blob, in bytes
	LastUpdated  time.Time // when the blob was written
	EnqueuedTime time.Time // when the device said so
}

// FileNotification waits until there is a notification of an upload, then returns the oldest
// and takes it off the queue. It ends with ctx.
func (h *Hub) FileNotification(ctx context.Context) (*FileNotification, error) {
	c, err := h.ask(ctx, "file notification")
	if err != nil {
		return nil, err
	}
	n, err := c.WaitFileNotification(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.SettleFileNotification(ctx, n.LockToken, hubwire.Complete); err != nil {
		return nil, err
	}
	return &FileNotification{
		DeviceID: n.DeviceID, BlobURI: n.BlobURI, BlobName: n.BlobName, Size: n.Size,
		LastUpdated: n.LastUpdated, EnqueuedTime: n.EnqueuedTime,
	}, nil
}

// ContainerURL makes a container in the hub's own storage, if it is not there, and returns its
// URL with a token to read, write, list and delete blobs in it for ttl, for any client of blob
// storage, and for import and export jobs. It is a secret: whoever has it has these rights. Codes:
// DefaultStorageEndpointNotConfigured when the hub has no storage of its own, ArgumentInvalid.
func (h *Hub) ContainerURL(container string, ttl time.Duration) (Secret, error) {
	const op = "container URL"
	if _, err := h.started(op); err != nil {
		return Secret{}, err
	}
	refuse := func(code hubwire.Code, err error) (Secret, error) {
		return Secret{}, &hubwire.Error{Op: op, Code: code, Outcome: hubwire.Refused, Err: err}
	}
	if h.blobs == nil {
		return refuse(hubwire.DefaultStorageEndpointNotConfigured, errors.New("the hub has no storage of its own"))
	}
	if err := blob.CheckContainer(container); err != nil {
		return refuse(hubwire.ArgumentInvalid, err)
	}
	if err := h.blobs.Create(container); err != nil {
		return refuse(hubwire.ServerError, err)
	}
	return h.blobs.ContainerURL(container, "racwdl", time.Now().Add(ttl)), nil
}
