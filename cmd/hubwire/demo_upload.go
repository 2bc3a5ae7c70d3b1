package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/upload"
)

const uploadContainer = "device-uploads" // of the embedded hub

// The file travels over HTTPS, whatever the device speaks beside it.
var uploadFeatures = []feature{
	{name: "file upload, with its notification", needs: noticeQueues, partly: "that the file is there and the hub hears of it", run: uploadFile},
	{name: "file upload in blocks, cancelled and resumed", run: uploadResumed},
	{name: "file upload that failed is no news", needs: noticeQueues, partly: "that the hub hears of it", run: uploadFailed},
	{name: "file upload, the 11th at a time, is refused", run: uploadMany},
}

func uploadFile(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	before := time.Now().Add(-time.Second)
	file := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	up, err := s.beginUpload(ctx, c, "folder/file 1.bin")
	if err != nil {
		return err
	}
	if err := same("the name of the blob", up.BlobName, c.id.DeviceID+"/folder/file 1.bin"); err != nil {
		return err
	}
	if err := writeBlob(ctx, c.StorageTransport(), up.URL, file); err != nil {
		return err
	}
	got, err := readBlob(ctx, c.StorageTransport(), up.URL)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, file) {
		return fmt.Errorf("the blob has %d bytes, which are not those of the file", len(got))
	}
	if err := c.CompleteUpload(ctx, up.CorrelationID); err != nil || s.files == nil {
		return err
	}
	notices, err := s.files.await(ctx, c.id.DeviceID, 1)
	if err != nil {
		return err
	}
	n := notices[0]
	if n.Enqueued.Before(before) {
		return fmt.Errorf("the notification is of %v", n.Enqueued)
	}
	return errors.Join(
		same("the number of notifications", len(notices), 1),
		same("the blob of the notification", n.BlobName, up.BlobName),
		same("the size in the notification", n.Size, int64(len(file))),
		refusedWith(c.CompleteUpload(ctx, up.CorrelationID), "the end of an upload that has ended", hubwire.InvalidFileUploadCorrelationID),
	)
}

// uploadResumed breaks an upload off halfway, and goes on in another call.
func uploadResumed(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	file := make([]byte, 8<<20)
	if _, err := rand.Read(file); err != nil {
		return err
	}
	first, stop := context.WithCancel(ctx)
	defer stop()
	o := &upload.Options{BlockSize: 1 << 20, Concurrency: 2, Progress: func(p upload.Progress) {
		if p.Done >= p.Total/2 {
			stop()
		}
	}}
	_, err = upload.At(first, c.Client, "blocks.bin", bytes.NewReader(file), int64(len(file)), o)
	if err == nil {
		return errors.New("an upload that was cancelled has succeeded")
	}
	if !errors.Is(err, context.Canceled) {
		return s.withoutStorage(err)
	}
	o.Progress = nil
	r, err := upload.At(ctx, c.Client, "blocks.bin", bytes.NewReader(file), int64(len(file)), o)
	if err != nil {
		return err
	}
	if err := errors.Join(
		same("the size", r.Size, int64(len(file))),
		same("some of it was there already, and not all", r.Skipped > 0 && r.Skipped < r.Size, true),
	); err != nil || s.embedded == nil {
		return err
	}
	notices, err := s.files.await(ctx, c.id.DeviceID, 1)
	if err != nil {
		return err
	}
	container, err := s.embedded.ContainerURL(uploadContainer, time.Minute)
	if err != nil {
		return err
	}
	got, err := readBlob(ctx, c.StorageTransport(), blobIn(container, r.BlobName))
	if err != nil {
		return err
	}
	return errors.Join(
		same("the number of notifications", len(notices), 1), // none of the one that was cancelled
		same("the blob is the file", bytes.Equal(got, file), true),
	)
}

// beginUpload skips the cell on a hub without storage, which is what an IoT Hub begins with.
func (s *stage) beginUpload(ctx context.Context, c *party, name string) (*device.Upload, error) {
	up, err := c.InitiateUpload(ctx, name)
	return up, s.withoutStorage(err)
}

func (s *stage) withoutStorage(err error) error {
	if s.embedded == nil && errors.Is(err, hubwire.DefaultStorageEndpointNotConfigured) {
		return skipError("needs a storage account, which this hub does not have")
	}
	return err
}

func uploadFailed(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	failed, err := s.beginUpload(ctx, c, "failed.bin")
	if err != nil {
		return err
	}
	if err := c.FailUpload(ctx, failed.CorrelationID, http.StatusForbidden, "the account is closed"); err != nil {
		return err
	}
	if err := refusedWith(c.CompleteUpload(ctx, failed.CorrelationID), "the success of what failed", hubwire.InvalidFileUploadCorrelationID); err != nil || s.embedded == nil {
		return err
	}
	// The service hears of the one that succeeds, and of no other.
	up, err := s.beginUpload(ctx, c, "succeeds.bin")
	if err != nil {
		return err
	}
	if err := writeBlob(ctx, c.StorageTransport(), up.URL, []byte("x")); err != nil {
		return err
	}
	if err := c.CompleteUpload(ctx, up.CorrelationID); err != nil {
		return err
	}
	notices, err := s.files.await(ctx, c.id.DeviceID, 1)
	if err != nil {
		return err
	}
	return errors.Join(same("the number of notifications", len(notices), 1), same("the blob", notices[0].BlobName, up.BlobName))
}

func uploadMany(ctx context.Context, s *stage) error {
	const most = 10
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	var ids []string
	for i := range most {
		up, err := s.beginUpload(ctx, c, fmt.Sprintf("file-%d", i))
		if err != nil {
			return err
		}
		ids = append(ids, up.CorrelationID)
	}
	_, err = s.beginUpload(ctx, c, "one too many")
	if err := refusedWith(err, "the 11th upload", hubwire.MaxActiveFileUploadExceeded); err != nil {
		return err
	}
	for _, id := range ids {
		if err := c.FailUpload(ctx, id, -1, "given up"); err != nil {
			return err
		}
	}
	up, err := s.beginUpload(ctx, c, "there is room again")
	if err != nil {
		return err
	}
	return c.FailUpload(ctx, up.CorrelationID, -1, "given up")
}
