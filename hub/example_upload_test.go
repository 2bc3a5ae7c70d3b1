package hub_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// What is in the hub's own storage can be read by any client of Azure Blob Storage, or of HTTP.
func ExampleHub_ContainerURL() {
	h, err := hub.Start(context.Background(), &hub.Config{InMemory: true})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	container, err := h.ContainerURL("exports", time.Hour)
	if err != nil {
		panic(err)
	}
	base, token, _ := strings.Cut(container.Reveal(), "?")
	fmt.Println(container, base)

	transport := &http.Transport{DialContext: h.Dial, TLSClientConfig: h.ClientTLS()}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	put, err := http.NewRequest(http.MethodPut, base+"/devices.txt?"+token, strings.NewReader("pump\n"))
	if err != nil {
		panic(err)
	}
	put.Header.Set("x-ms-blob-type", "BlockBlob")
	for _, r := range []*http.Request{put, must(http.NewRequest(http.MethodHead, base+"/devices.txt?"+token, nil))} {
		res, err := client.Do(r)
		if err != nil {
			panic("no answer") // the error quotes the token
		}
		res.Body.Close()
		fmt.Println(r.Method, res.Status)
	}
	// Output:
	// (secret) https://localhost/exports
	// PUT 201 Created
	// HEAD 200 OK
}

func ExampleHub_FileNotification() {
	h, pump := exampleHub()
	defer h.Close()
	ctx := context.Background()
	c := dial(h, pump, device.MQTT(nil))
	defer c.Close()
	u := must(c.InitiateUpload(ctx, "log.txt"))
	put := must(http.NewRequestWithContext(ctx, http.MethodPut, u.URL.Reveal(), strings.NewReader("all is well")))
	put.Header.Set("x-ms-blob-type", "BlockBlob")
	must(c.StorageTransport().RoundTrip(put)).Body.Close()
	check(c.CompleteUpload(ctx, u.CorrelationID))

	n, err := h.FileNotification(ctx)
	check(err)
	fmt.Println(n.DeviceID, n.BlobName, n.Size)
	// Output: pump pump/log.txt 11
}
