package main

import (
	"strings"
	"testing"

	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

func Test(t *testing.T) {
	const embedded = `device: file upload initiated: t1-camera/notes/hello.txt
device: file uploaded successfully
service: notified of t1-camera/notes/hello.txt, 23 bytes
device: uploaded 25 %
device: uploaded 50 %
device: cancelled; the hub was told
device: uploaded 75 %
device: uploaded 100 %
device: file uploaded successfully: t1-camera/video.bin, 25165824 bytes; what had travelled was not sent again: true
service: notified of t1-camera/video.bin, 25165824 bytes
service: the blob is the file, byte for byte
`
	existing := strings.TrimSuffix(embedded, "service: the blob is the file, byte for byte\n")
	sitetest.Each(t, nil, play, embedded, existing)
}
