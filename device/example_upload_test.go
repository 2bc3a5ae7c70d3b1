package device_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// The three steps of a file upload, with a client of HTTP in the place of one of Azure Blob Storage.
func ExampleClient_InitiateUpload() {
	ctx := context.Background()
	h, c := exampleClient()
	defer h.Close()
	defer c.Close()

	u, err := c.InitiateUpload(ctx, "logs/today.txt")
	if err != nil {
		panic(err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, u.URL.Reveal(), strings.NewReader("all is well"))
	if err != nil {
		panic(err)
	}
	r.Header.Set("x-ms-blob-type", "BlockBlob")
	res, err := c.StorageTransport().RoundTrip(r)
	if err != nil {
		_ = c.FailUpload(ctx, u.CorrelationID, -1, "no answer")
		panic(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		_ = c.FailUpload(ctx, u.CorrelationID, res.StatusCode, res.Status)
		panic(res.Status)
	}
	if err := c.CompleteUpload(ctx, u.CorrelationID); err != nil {
		panic(err)
	}

	n, err := h.FileNotification(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(u.URL, n.BlobName, n.Size)
	// Output: (secret) pump/logs/today.txt 11
}
