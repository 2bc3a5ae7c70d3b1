package upload_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/upload"
)

// A device uploads, and the service hears of it.
func Example() {
	ctx := context.Background()
	h, err := hub.Start(ctx, &hub.Config{InMemory: true})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
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
