// Command t1-file-upload is the tutorial "Upload files from your device to the cloud", both sides: a device that
// speaks HTTPS uploads a small file step by step, and then a large one by package upload; the back end hears of
// both.
//
//	go run ./examples/t1-file-upload
//
// It prints how far each upload is, that one is cancelled and goes on where it was broken off, and what the back
// end is notified of.
//
// The tutorial in Python took text only, read it all into memory, and could neither show how far it was nor stop
// nor go on; its back end heard nothing.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/upload"
)

func main() { site.Main(play) }

const deviceID = "t1-camera"

func play(ctx context.Context, out io.Writer, s *site.Site) (err error) {
	connectionString, err := s.Device(ctx, deviceID)
	if err != nil {
		return err
	}
	defer s.Remove(ctx, deviceID, &err)
	c, err := device.Dial(ctx, connectionString, device.HTTPS(nil), s.Options())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()

	if err := stepByStep(ctx, out, c); err != nil {
		return err
	}
	if err := notified(ctx, out, s); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "t1-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "video.bin")
	sum, err := record(file)
	if err != nil {
		return err
	}
	if err := inOneCall(ctx, out, c, file); err != nil {
		return err
	}
	if err := notified(ctx, out, s); err != nil {
		return err
	}
	return compare(ctx, out, c, s, sum)
}

// stepByStep uploads a file as the tutorial does: ask for a place, put the blob there, and tell the hub how that went.
func stepByStep(ctx context.Context, out io.Writer, c *device.Client) error {
	const text = "Hello from the device.\n"
	up, err := c.InitiateUpload(ctx, "notes/hello.txt")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "device: file upload initiated: %s\n", up.BlobName)
	if err := put(ctx, c, up.URL, text); err != nil {
		// Else the upload would take up one of the device's ten places until its URL has ended.
		return errors.Join(err, c.FailUpload(context.WithoutCancel(ctx), up.CorrelationID, -1, "the blob was not written"))
	}
	if err := c.CompleteUpload(ctx, up.CorrelationID); err != nil {
		return err
	}
	fmt.Fprintln(out, "device: file uploaded successfully")
	return nil
}

// put writes a blob in one request.
func put(ctx context.Context, c *device.Client, url sas.Secret, text string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url.Reveal(), strings.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("x-ms-blob-type", "BlockBlob")
	req.Header.Set("x-ms-version", "2021-12-02")
	resp, err := c.StorageTransport().RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("the storage account answers %s", resp.Status)
	}
	return nil
}

const fileSize = 24 << 20

// record makes a file that does not fit into one block, and returns its checksum.
func record(file string) ([]byte, error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8([32]byte{1}), fileSize)
	return h.Sum(nil), errors.Join(err, f.Close())
}

// inOneCall uploads a file in blocks. It stops halfway, and goes on in another call, as a program could that was
// started anew.
func inOneCall(ctx context.Context, out io.Writer, c *device.Client, file string) error {
	first, stop := context.WithCancel(ctx)
	defer stop()
	quarters := int64(0)
	o := &upload.Options{BlockSize: 1 << 20, Progress: func(p upload.Progress) {
		for ; quarters < p.Done*4/p.Total; quarters++ {
			fmt.Fprintf(out, "device: uploaded %d %%\n", (quarters+1)*25)
		}
		if p.Done*2 >= p.Total {
			stop()
		}
	}}
	if _, err := upload.File(first, c, "video.bin", file, o); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("an upload that was cancelled ended with %v", err)
	}
	fmt.Fprintln(out, "device: cancelled; the hub was told")

	r, err := upload.File(ctx, c, "video.bin", file, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "device: file uploaded successfully: %s, %d bytes; what had travelled was not sent again: %t\n", r.BlobName, r.Size, r.Skipped > 0)
	return nil
}

// notified waits for what the back end hears of an upload, and takes it off the hub's queue.
func notified(ctx context.Context, out io.Writer, s *site.Site) error {
	for n, err := range s.Service.FileNotifications(ctx) {
		if err != nil {
			return err
		}
		if err := n.Complete(ctx); err != nil {
			return err
		}
		if n.DeviceID == deviceID { // the queue is one for all devices
			fmt.Fprintf(out, "service: notified of %s, %d bytes\n", n.BlobName, n.Size)
			break
		}
	}
	return nil
}

// compare reads the large blob, where there is a way to the container.
func compare(ctx context.Context, out io.Writer, c *device.Client, s *site.Site, sum []byte) error {
	if s.Hub == nil {
		return nil
	}
	container, err := s.Hub.ContainerURL("device-uploads", time.Minute)
	if err != nil {
		return err
	}
	path, token, _ := strings.Cut(container.Reveal(), "?")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path+"/"+deviceID+"/video.bin?"+token, nil)
	if err != nil {
		return err
	}
	resp, err := c.StorageTransport().RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, resp.Body); err != nil {
		return err
	}
	if !bytes.Equal(h.Sum(nil), sum) {
		return errors.New("the blob is not the file")
	}
	fmt.Fprintln(out, "service: the blob is the file, byte for byte")
	return nil
}
