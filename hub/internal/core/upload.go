package core

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/sas"
)

// File uploads imitate the developer guide's "Upload files with IoT Hub": a device
// asks for a place in a storage account, writes its file there, and tells the hub how
// that went. It can have ten of them under way. One whose token has expired makes room
// by itself, and is remembered for a while, so that a late word of it gets another answer than
// one of an upload that never was. Left out: identity-based access to the account, and
// the upload endpoint of 2016.
const (
	maxUploads        = 10 // active ones of a device
	maxExpiredUploads = 10 // remembered ones of a device
	maxBlobName       = 1024
	maxBlobSegments   = 254
	maxUploadStatus   = 1024 // bytes of a description
)

// Storage is the account that devices upload to. It may be called from any goroutine.
type Storage interface {
	// Target returns where the blob can be read and written until expires. host
	// is how the device reached the hub, or empty.
	Target(ctx context.Context, host, blob string, expires time.Time) (UploadTarget, error)

	// Properties returns those of a blob, or an error that is ErrNoBlob.
	Properties(ctx context.Context, blob string) (BlobProperties, error)
}

// ErrNoBlob is the error of a [Storage] for a blob that is not there.
var ErrNoBlob = errors.New("core: there is no such blob")

// UploadTarget is a place in a storage account. A client builds its URL as
//
//	https://{HostName}/{ContainerName}/{BlobName}{SASToken}
type UploadTarget struct {
	HostName      string // with a port when it is not 443
	ContainerName string
	BlobName      string     // {deviceId}/{name}
	SASToken      sas.Secret // from its question mark
}

// BlobProperties are what the hub wants to know of a blob.
type BlobProperties struct {
	URI          string // without a token
	Size         int64
	LastModified time.Time
}

// Upload is a file upload that was begun.
type Upload struct {
	UploadTarget
	CorrelationID string // base64
	Expires       time.Time
}

// UploadRequest begins a file upload.
type UploadRequest struct {
	BlobName string // without the device's id
	Host     string // how the device reached the hub; empty means by the hub's own name
}

// UploadResult is how a file upload went, as the device says.
type UploadResult struct {
	CorrelationID string
	Success       bool
	StatusCode    int    // that of the account, mostly; the SDKs also send 0 and -1
	Description   string // at most 1024 bytes
}

// upload is what the hub knows of an upload. It goes to the store as JSON.
type upload struct {
	ID      string    `json:"id"`
	Blob    string    `json:"blob"`
	Expires time.Time `json:"expires"`
	seq     uint64
}

func (e *entity) uploadKey(seq uint64) store.Key {
	return store.Key{Kind: store.Uploads, ID: e.id, Seq: seq}
}

// InitiateUpload begins an upload of a device. Codes: DefaultStorageEndpointNotConfigured
// of a hub without storage, MaxActiveFileUploadExceeded for the eleventh that is under way,
// InvalidStorageEndpointOrBlob when the account fails, ArgumentInvalid, DeviceNotFound.
func (c *Core) InitiateUpload(ctx context.Context, id hubwire.Identity, r UploadRequest) (*Upload, error) {
	const op = "initiate upload"
	if err := c.hasStorage(op); err != nil {
		return nil, err
	}
	if id.IsModule() {
		return nil, refuse(op, hubwire.ArgumentInvalid, "modules do not upload files")
	}
	blob := id.DeviceID + "/" + r.BlobName
	if fault := blobNameFault(blob); fault != "" {
		return nil, refuse(op, hubwire.ArgumentInvalid, "blob name: %s", fault)
	}
	now := time.Now().UTC()
	up := &upload{ID: newCorrelationID(now), Blob: blob, Expires: now.Add(c.cfg.UploadTTL)}
	if err := c.beginUpload(ctx, op, id, up); err != nil {
		return nil, err
	}
	target, err := c.cfg.Storage.Target(ctx, r.Host, blob, up.Expires)
	if err != nil {
		_ = c.endUpload(context.WithoutCancel(ctx), op, id, up.ID) // the device never hears of it
		return nil, c.storageFailed(op, err)
	}
	return &Upload{UploadTarget: target, CorrelationID: up.ID, Expires: up.Expires}, nil
}

func (c *Core) hasStorage(op string) error {
	if c.cfg.Storage == nil {
		return refuse(op, hubwire.DefaultStorageEndpointNotConfigured, "Default storage endpoint is not configured")
	}
	return nil
}

// beginUpload takes a place among the active uploads.
func (c *Core) beginUpload(ctx context.Context, op string, id hubwire.Identity, up *upload) error {
	e, err := c.lock(op, id)
	if err != nil {
		return err
	}
	defer e.unlock()
	e.touch()
	e.sweepUploads(ctx)
	active := 0
	for _, u := range e.uploads {
		if u.active() {
			active++
		}
	}
	if active >= maxUploads {
		return refuse(op, hubwire.MaxActiveFileUploadExceeded, "Number of active file upload requests cannot exceed %d", maxUploads)
	}
	up.seq = 1
	if n := len(e.uploads); n > 0 {
		up.seq = e.uploads[n-1].seq + 1
	}
	b, err := json.Marshal(up)
	if err == nil {
		_, err = c.store.Put(ctx, e.uploadKey(up.seq), b, 0)
	}
	if err != nil {
		return broken(op, err)
	}
	e.uploads = append(e.uploads, up)
	return nil
}

func (u *upload) active() bool { return time.Now().Before(u.Expires) }

// sweepUploads forgets the oldest of those that have expired, when they are many. The
// caller holds the lock.
func (e *entity) sweepUploads(ctx context.Context) {
	expired := 0
	for _, u := range e.uploads {
		if !u.active() {
			expired++
		}
	}
	e.uploads = slices.DeleteFunc(e.uploads, func(u *upload) bool {
		if u.active() || expired <= maxExpiredUploads {
			return false
		}
		expired--
		if err := e.core.store.Delete(ctx, e.uploadKey(u.seq)); err != nil {
			e.post(func() { e.core.cfg.Log.Error("upload: a record was not deleted", "device", e.id, "error", err) })
		}
		return true
	})
}

// CompleteUpload ends an upload of a device, which makes room for another. When it went well
// and the blob is there, the service gets a [FileNotification], unless the hub has those
// turned off. Codes: DefaultStorageEndpointNotConfigured as above,
// InvalidFileUploadCorrelationID for an upload that is not under way,
// ExpiredFileUploadCorrelationID for one whose token has expired,
// InvalidFileUploadCompletionStatus for a success that says it is none,
// InvalidStorageEndpointOrBlob when there is no such blob, ArgumentInvalid, DeviceNotFound.
// After the last two and a wrong status the upload is still under way.
func (c *Core) CompleteUpload(ctx context.Context, id hubwire.Identity, r UploadResult) error {
	const op = "complete upload"
	if err := c.hasStorage(op); err != nil {
		return err
	}
	if len(r.Description) > maxUploadStatus || !utf8.ValidString(r.Description) {
		return refuse(op, hubwire.ArgumentInvalid, "statusDescription is not UTF-8 of at most %d bytes", maxUploadStatus)
	}
	blob, err := c.findUpload(op, id, r.CorrelationID)
	if err != nil {
		return err
	}
	// The service does not say which status is wrong. The SDKs say 200, 201 or 0 of a success.
	if r.Success && r.StatusCode != 0 && r.StatusCode/100 != 2 {
		return refuse(op, hubwire.InvalidFileUploadCompletionStatus, "isSuccess is true, and statusCode %d", r.StatusCode)
	}
	var p BlobProperties
	if r.Success {
		if p, err = c.cfg.Storage.Properties(ctx, blob); err != nil {
			return c.storageFailed(op, err)
		}
	}
	if err := c.endUpload(ctx, op, id, r.CorrelationID); err != nil {
		return err
	}
	if r.Success && !c.cfg.NoFileNotifications {
		c.fileNotifications.add(FileNotification{
			DeviceID: id.DeviceID, BlobURI: p.URI, BlobName: blob,
			LastUpdated: p.LastModified.UTC(), Size: p.Size, EnqueuedTime: time.Now().UTC(),
		})
	}
	return nil
}

// storageFailed is the error for what the account did not do. What it said goes to the log.
func (c *Core) storageFailed(op string, err error) error {
	if errors.Is(err, ErrNoBlob) {
		return refuse(op, hubwire.InvalidStorageEndpointOrBlob, "there is no such blob")
	}
	c.cfg.Log.Error("upload: the storage account failed", "error", err)
	return refuse(op, hubwire.InvalidStorageEndpointOrBlob, "the storage account did not answer as it should")
}

// findUpload returns the blob of an active upload.
func (c *Core) findUpload(op string, id hubwire.Identity, correlationID string) (string, error) {
	e, err := c.lock(op, id)
	if err != nil {
		return "", err
	}
	defer e.unlock()
	e.touch()
	u, err := e.upload(op, correlationID)
	if err != nil {
		return "", err
	}
	return u.Blob, nil
}

// endUpload takes an active upload out.
func (c *Core) endUpload(ctx context.Context, op string, id hubwire.Identity, correlationID string) error {
	e, err := c.lock(op, id)
	if err != nil {
		return err
	}
	defer e.unlock()
	u, err := e.upload(op, correlationID)
	if err != nil {
		return err
	}
	if err := c.store.Delete(ctx, e.uploadKey(u.seq)); err != nil {
		return broken(op, err)
	}
	e.uploads = slices.DeleteFunc(e.uploads, func(other *upload) bool { return other == u })
	return nil
}

// upload returns an active upload. The caller holds the lock.
func (e *entity) upload(op, correlationID string) (*upload, error) {
	i := slices.IndexFunc(e.uploads, func(u *upload) bool { return u.ID == correlationID })
	switch {
	case i < 0:
		return nil, refuse(op, hubwire.InvalidFileUploadCorrelationID, "no upload with this correlation id is under way")
	case !e.uploads[i].active():
		return nil, refuse(op, hubwire.ExpiredFileUploadCorrelationID, "the upload has expired")
	}
	return e.uploads[i], nil
}

// newCorrelationID returns base64 text, as the service's ids are: when, and what nobody guesses.
func newCorrelationID(now time.Time) string {
	return base64.StdEncoding.EncodeToString([]byte(now.Format("200601021504") + "_" + NewGUID() + "_ver2.0"))
}

// blobNameFault says what is wrong with a blob's whole name, or "". Segments of dots
// are no name that a client could ask for: it would resolve them.
// Source: "Naming and Referencing Containers, Blobs, and Metadata".
func blobNameFault(name string) string {
	segments := strings.Split(name, "/")
	switch {
	case !utf8.ValidString(name):
		return "it is not UTF-8"
	case utf8.RuneCountInString(name) > maxBlobName:
		return "it is longer than 1024 characters, with the device's id"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "it has a control character"
	case len(segments) > maxBlobSegments:
		return "it has more than 254 segments"
	case slices.Contains(segments, ""):
		return "it has an empty segment"
	case slices.Contains(segments, "."), slices.Contains(segments, ".."):
		return "it has a segment of dots"
	}
	return ""
}
