package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/upload"
)

// Block size and concurrency of both.
const (
	blockSize  = 4 << 20
	concurrent = 4
)

// What the two upload the file as.
const (
	ourBlob  = "by-upload"
	peerBlob = "by-azblob"
)

// uploader makes an actor that uploads the file of s, whatever number it is told, which is that of
// its MiB.
func uploader(once func() (size int64, err error)) *actor {
	var done atomic.Int64
	return &actor{count: done.Load, run: func(int) error {
		size, err := once()
		done.Add(size >> 20)
		return err
	}}
}

// uploadRole is module upload.
func uploadRole(s setup) (*actor, error) {
	c, err := s.dialHTTPS(nil)
	if err != nil {
		return nil, err
	}
	return uploader(func() (int64, error) {
		r, err := upload.File(context.Background(), c, ourBlob, s.File, &upload.Options{BlockSize: blockSize, Concurrency: concurrent})
		if err != nil {
			return 0, err
		}
		return r.Size, nil
	}), nil
}

// azblobRole is azblob alone: the hub gives it a place, and hears that the blob is there.
func azblobRole(s setup) (*actor, error) {
	c, err := s.dialHTTPS(nil)
	if err != nil {
		return nil, err
	}
	transport, err := s.httpTransport(concurrent)
	if err != nil {
		return nil, err
	}
	return uploader(func() (size int64, err error) {
		err = s.inPlace(c, transport, peerBlob, func(ctx context.Context, blob *blockblob.Client) error {
			f, err := os.Open(s.File)
			if err != nil {
				return err
			}
			defer f.Close()
			// Its UploadFile would put a file of this size in one request.
			if _, err = blob.UploadStream(ctx, f, &blockblob.UploadStreamOptions{BlockSize: blockSize, Concurrency: concurrent}); err != nil {
				return err
			}
			p, err := blob.GetProperties(ctx, nil)
			if err == nil {
				size = *p.ContentLength
			}
			return err
		})
		return size, err
	}), nil
}

// inPlace calls f with azblob's client of a blob, between the first and the last step of an upload.
func (s setup) inPlace(c *device.Client, t http.RoundTripper, name string, f func(context.Context, *blockblob.Client) error) error {
	ctx := context.Background()
	up, err := c.InitiateUpload(ctx, name)
	if err != nil {
		return err
	}
	blob, err := blockblob.NewClientWithNoCredential(up.URL.Reveal(), &blockblob.ClientOptions{
		ClientOptions: policy.ClientOptions{Transport: &http.Client{Transport: t}},
	})
	if err != nil {
		return errors.New("the hub gave a URL that is none")
	}
	if err := f(ctx, blob); err != nil {
		return err
	}
	return c.CompleteUpload(ctx, up.CorrelationID)
}

// blobCheckRole holds the blob of s against the file.
func blobCheckRole(s setup) (*actor, error) {
	c, err := s.dialHTTPS(nil)
	if err != nil {
		return nil, err
	}
	transport, err := s.httpTransport(1)
	if err != nil {
		return nil, err
	}
	return &actor{run: func(int) error {
		f, err := os.Open(s.File)
		if err != nil {
			return err
		}
		defer f.Close()
		want, err := digest(f)
		if err != nil {
			return err
		}
		return s.inPlace(c, transport, s.Blob, func(ctx context.Context, blob *blockblob.Client) error {
			resp, err := blob.DownloadStream(ctx, nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			got, err := digest(resp.Body)
			if err == nil && got != want {
				err = fmt.Errorf("the blob %s is not the file", s.Blob)
			}
			return err
		})
	}}, nil
}

func digest(r io.Reader) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	_, err = io.Copy(h, r)
	return [sha256.Size]byte(h.Sum(nil)), err
}
