package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/upload"
)

// What both clients are told: those are the defaults of module upload.
const (
	uploadBlock       = 4 << 20
	uploadConcurrency = 4
)

// uploadName is the blob's.
const uploadName = "file"

// filesHubRole is a hub that keeps files, seen from its HTTPS door. It does not count them.
func filesHubRole(s setup) (*actor, error) {
	h, err := hub.Start(context.Background(), &hub.Config{DataDir: s.Dir})
	if err != nil {
		return nil, err
	}
	if _, err := h.Create(context.Background(), &hub.Device{Identity: identity, PrimaryKey: sas.NewSecret(sasKey)}); err != nil {
		return nil, err
	}
	return &actor{door: door{TLS: h.HTTPSAddr(), CA: h.CAPEM(), Host: h.HostName(), Uncounted: true}}, nil
}

// noise is an endless file, of which no MiB is like another: one is made by chance once,
// and each begins with its number.
type noise struct {
	mib []byte
	at  int
	n   uint64
}

func newNoise() *noise {
	f := &noise{mib: make([]byte, 1<<20)}
	rand.Read(f.mib)
	return f
}

func (f *noise) Read(b []byte) (int, error) {
	if f.at == 0 {
		f.n++
		binary.BigEndian.PutUint64(f.mib, f.n)
	}
	n := copy(b, f.mib[f.at:])
	f.at = (f.at + n) % len(f.mib)
	return n, nil
}

// file is the next n MiB.
func (f *noise) file(n int) io.Reader { return io.LimitReader(f, int64(n)<<20) }

// azblobRole asks for a place, has azblob alone write the file, by a transport of net/http's, and
// says that it is there.
func azblobRole(s setup) (*actor, error) {
	c, err := s.dialHTTPS(nil)
	if err != nil {
		return nil, err
	}
	transport, err := s.httpTransport(uploadConcurrency)
	if err != nil {
		return nil, err
	}
	o := &blockblob.ClientOptions{ClientOptions: policy.ClientOptions{Transport: &http.Client{Transport: transport}}}
	return writing(c, func(ctx context.Context, r io.Reader, size int64) error {
		u, err := c.InitiateUpload(ctx, uploadName)
		if err != nil {
			return err
		}
		blob, err := blockblob.NewClientWithNoCredential(u.URL.Reveal(), o)
		if err != nil {
			return err
		}
		if _, err := blob.UploadStream(ctx, r, &blockblob.UploadStreamOptions{BlockSize: uploadBlock, Concurrency: uploadConcurrency}); err != nil {
			return err
		}
		return c.CompleteUpload(ctx, u.CorrelationID)
	}), nil
}

// uploadRole is the one call of module upload.
func uploadRole(s setup) (*actor, error) {
	c, err := s.dialHTTPS(nil)
	if err != nil {
		return nil, err
	}
	o := &upload.Options{BlockSize: uploadBlock, Concurrency: uploadConcurrency}
	return writing(c, func(ctx context.Context, r io.Reader, size int64) error {
		done, err := upload.Stream(ctx, c, uploadName, r, o)
		if err == nil && (done.Size != size || done.Skipped != 0) {
			err = fmt.Errorf("upload: %d bytes of %d, of which %d were there", done.Size, size, done.Skipped)
		}
		return err
	}), nil
}

// writing makes an actor that uploads files of so many MiB, which it counts. What it has
// uploaded first it reads back.
func writing(c *device.Client, write func(ctx context.Context, r io.Reader, size int64) error) *actor {
	var done atomic.Int64
	f := newNoise()
	return &actor{count: done.Load, run: func(n int) error {
		file, sent := f.file(n), sha256.New()
		first := done.Load() == 0
		if first {
			file = io.TeeReader(file, sent)
		}
		if err := write(context.Background(), file, int64(n)<<20); err != nil {
			return err
		}
		if first {
			got := sha256.New()
			if err := readBack(c, got); err != nil {
				return err
			}
			if string(got.Sum(nil)) != string(sent.Sum(nil)) {
				return errors.New("the blob is not the file")
			}
		}
		done.Add(int64(n))
		return nil
	}}
}

// readBack reads the blob, as a device may that asks for its place again.
func readBack(c *device.Client, to io.Writer) error {
	ctx := context.Background()
	u, err := c.InitiateUpload(ctx, uploadName)
	if err != nil {
		return err
	}
	o := &blockblob.ClientOptions{ClientOptions: policy.ClientOptions{Transport: &http.Client{Transport: c.StorageTransport()}}}
	blob, err := blockblob.NewClientWithNoCredential(u.URL.Reveal(), o)
	if err != nil {
		return err
	}
	resp, err := blob.DownloadStream(ctx, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(to, resp.Body); err != nil {
		return err
	}
	return c.CompleteUpload(ctx, u.CorrelationID)
}
