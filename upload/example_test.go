package upload_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/upload"
)

// connect starts a hub with the device "dev-1", and connects it.
func connect(ctx context.Context) (*hub.Hub, *device.Client) {
	h, err := hub.Start(ctx, &hub.Config{InMemory: true})
	if err != nil {
		log.Fatal(err)
	}
	d, err := h.Create(ctx, &hub.Device{Identity: hubwire.Identity{DeviceID: "dev-1"}})
	if err != nil {
		log.Fatal(err)
	}
	cs, err := h.ConnectionString(d.Identity)
	if err != nil {
		log.Fatal(err)
	}
	c, err := device.Dial(ctx, cs, device.MQTT(nil), &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()})
	if err != nil {
		log.Fatal(err)
	}
	return h, c
}

// A device uploads, and the service hears of it.
func Example() {
	ctx := context.Background()
	h, c := connect(ctx)
	defer h.Close()
	defer c.Close()

	r, err := upload.Stream(ctx, c, "logs/today.txt", strings.NewReader("all is well"), &upload.Options{
		ContentType: "text/plain",
		Progress:    func(p upload.Progress) { fmt.Println(p.Done, "bytes have travelled") },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.BlobName, r.Size)

	n, err := h.FileNotification(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n.DeviceID, "uploaded", n.BlobName)
	// Output:
	// 11 bytes have travelled
	// dev-1/logs/today.txt 11
	// dev-1 uploaded dev-1/logs/today.txt
}

// After an interruption only what is not there yet travels. Started tells what is
// worth keeping, for a process that may be killed.
func ExampleFile() {
	ctx := context.Background()
	h, c := connect(ctx)
	defer h.Close()
	defer c.Close()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "day.log")
	if err := os.WriteFile(path, bytes.Repeat([]byte("all is well\n"), 10_000), 0o600); err != nil {
		log.Fatal(err)
	}

	var kept upload.State
	impatient, cancel := context.WithCancel(ctx)
	_, err = upload.File(impatient, c, "day.log", path, &upload.Options{
		BlockSize:   50_000,
		Concurrency: 1,
		Started:     func(s upload.State) error { kept = s; return nil },
		Progress: func(p upload.Progress) {
			if p.Done > 50_000 { // the second block is on its way
				cancel()
			}
		},
	})
	fmt.Println("interrupted:", errors.Is(err, context.Canceled))

	r, err := upload.File(ctx, c, "day.log", path, &upload.Options{Resume: &kept})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Size, "bytes; some were there:", r.Skipped > 0)
	// Output:
	// interrupted: true
	// 120000 bytes; some were there: true
}

func ExampleAt() {
	ctx := context.Background()
	h, c := connect(ctx)
	defer h.Close()
	defer c.Close()
	image := []byte("not really an image")
	r, err := upload.At(ctx, c, "door.png", bytes.NewReader(image), int64(len(image)), &upload.Options{ContentType: "image/png"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.BlobName, r.Size)
	// Output: dev-1/door.png 19
}

func ExampleStream() {
	ctx := context.Background()
	h, c := connect(ctx)
	defer h.Close()
	defer c.Close()
	pr, pw := io.Pipe()
	go func() {
		fmt.Fprintln(pw, "what a program writes")
		pw.Close() // without which there would be no blob
	}()
	r, err := upload.Stream(ctx, c, "program.log", pr, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.BlobName, r.Size)
	// Output: dev-1/program.log 22
}
