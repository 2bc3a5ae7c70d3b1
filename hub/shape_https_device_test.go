package hub_test

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// TestShapeHTTPSReceives has each SDK poll for a message and settle it, over one connection. The C SDK
// finds headers by their very letters.
func TestShapeHTTPSReceives(t *testing.T) {
	for _, tt := range []struct {
		name, poll, settle string // TOKEN stands for what the ETag says within its quotes
		body, feedback     string
	}{
		{"C: complete", "GET /devices/dev-1/messages/devicebound?api-version=2016-11-14\nAccept: */*\nAuthorization: DEVICE",
			"DELETE /devices/dev-1/messages/devicebound/TOKEN?api-version=2016-11-14\nIf-Match: \"TOKEN\"\nAuthorization: DEVICE", "", "Success"},
		{"C: reject", "GET /devices/dev-1/messages/devicebound?api-version=2016-11-14\nAuthorization: DEVICE",
			"DELETE /devices/dev-1/messages/devicebound/TOKEN?api-version=2016-11-14&reject\nIf-Match: \"TOKEN\"\nAuthorization: DEVICE", "", "Rejected"},
		{"C: abandon", "GET /devices/dev-1/messages/devicebound?api-version=2016-11-14\nAuthorization: DEVICE",
			"POST /devices/dev-1/messages/devicebound/TOKEN/abandon?api-version=2016-11-14\nIf-Match: \"TOKEN\"\nAuthorization: DEVICE", "", ""},
		{".NET: complete, with the lock time in the query", "GET /devices/dev-1/messages/deviceBound?iothub-messagelocktimeout=60&api-version=2020-09-30\nAuthorization: DEVICE\niothub-operation: c2d",
			"DELETE /devices/dev-1/messages/deviceBound/TOKEN?api-version=2020-09-30\nIf-Match: \"TOKEN\"\nAuthorization: DEVICE", "", "Success"},
		{".NET: reject, with the version behind", "GET /devices/dev-1/messages/deviceBound?api-version=2020-09-30\nAuthorization: DEVICE",
			"DELETE /devices/dev-1/messages/deviceBound/TOKEN?reject&api-version=2020-09-30\nIf-Match: \"TOKEN\"\nAuthorization: DEVICE", "", "Rejected"},
		{".NET: abandon, with IfMatch", "GET /devices/dev-1/messages/deviceBound?api-version=2020-09-30\nAuthorization: DEVICE",
			"POST /devices/dev-1/messages/deviceBound/TOKEN/abandon?api-version=2020-09-30\nIfMatch: TOKEN\nAuthorization: DEVICE", "", ""},
		{"Java: complete, with the lock time in a header", "GET /devices/dev-1/messages/devicebound?api-version=2020-09-30\niothub-messagelocktimeout: 180\nauthorization: DEVICE",
			"DELETE /devices/dev-1/messages/devicebound/TOKEN?api-version=2020-09-30\nif-match: TOKEN\nauthorization: DEVICE", "", "Success"},
		{"Java: reject, as a parameter named ?reject", "GET /devices/dev-1/messages/devicebound?api-version=2020-09-30\nauthorization: DEVICE",
			"DELETE /devices/dev-1/messages/devicebound/TOKEN?api-version=2020-09-30&%3Freject=true\nif-match: TOKEN\nauthorization: DEVICE", "", "Rejected"},
		{"Java: abandon, with a body of one byte", "GET /devices/dev-1/messages/devicebound?api-version=2020-09-30\nauthorization: DEVICE",
			"POST /devices/dev-1/messages/devicebound/TOKEN/abandon?api-version=2020-09-30\nif-match: TOKEN\nauthorization: DEVICE", "\x00", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				w := newWeb(t, h)
				w.ask(tt.poll, "").want(t, 204)
				err := h.SendC2D(t.Context(), dev, &hubwire.Message{ID: "m1", CorrelationID: "c1", Body: []byte("hi"), Ack: hubwire.AckFull, ContentType: "text/plain", ContentEncoding: "utf-8",
					Properties: []hubwire.Property{{Name: "MixedCase", Value: "v"}}})
				if err != nil {
					t.Fatal(err)
				}
				a := w.ask(tt.poll, "").want(t, 200)
				for _, line := range []string{"iothub-messageid: m1", "iothub-correlationid: c1", "iothub-app-MixedCase: v", "ContentType: text/plain", "ContentEncoding: utf-8", "iothub-ack: full", "iothub-deliverycount: 0", "iothub-sequencenumber: 1"} {
					if !strings.Contains(a.head, "\r\n"+line+"\r\n") {
						t.Errorf("the head lacks %q:\n%s", line, a.head)
					}
				}
				lock := regexp.MustCompile(`\r\nETag: "([0-9a-f-]{36})"\r\n`).FindStringSubmatch(a.head)
				if lock == nil || a.body != "hi" {
					t.Fatalf("%s%s", a.head, a.body)
				}
				w.ask(tt.poll, "").want(t, 204)
				if a := w.ask(strings.ReplaceAll(tt.settle, "TOKEN", lock[1]), tt.body).want(t, 204); a.body != "" {
					t.Errorf("body %q", a.body)
				}
				if tt.feedback != "" {
					feedback(t, h, tt.feedback)
				} else if a := w.ask(tt.poll, "").want(t, 200); !strings.Contains(a.head, "\r\niothub-deliverycount: 1\r\n") {
					t.Errorf("the head is\n%s", a.head)
				}
				a = w.ask(strings.ReplaceAll(tt.settle, "TOKEN", lock[1]), tt.body).want(t, 412)
				if !strings.Contains(a.head, "\r\niothub-errorcode: DeviceMessageLockLost\r\n") {
					t.Errorf("the head is\n%s", a.head)
				}
			})
		})
	}
}

// TestShapeUpload has the uploads of the SDKs, each with the requests of its storage client.
func TestShapeUpload(t *testing.T) {
	block := func(i int) string { return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%6d", i)) } // as C makes them
	escape := strings.NewReplacer("=", "%3d", "+", "%2b", "/", "%2f").Replace
	type put = func(u *blobUpload)
	for _, tt := range []struct {
		name, path, body string
		put              put
		notifyPath, says string
		want             string
	}{
		{"C: blocks, and a list of them with line ends", "/devices/dev-1/files/", `{ "blobName": "a/b c.txt" }`, func(u *blobUpload) {
			name := strings.NewReplacer("/", "%2f", " ", "%20").Replace(u.answers.BlobName)
			for i, text := range []string{"Hello, ", "world"} {
				u.at(name, text, "PUT", "&comp=block&blockid="+escape(block(i)), "Accept", "*/*", "x-ms-blob-type", "BlockBlob").want(t, 201)
			}
			u.at(name, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<BlockList><Latest>"+block(0)+"</Latest><Latest>"+block(1)+"</Latest></BlockList>", "PUT", "&comp=blocklist").want(t, 201)
		}, "/devices/dev-1/files/notifications/", `{"correlationId":"ID", "isSuccess":true, "statusCode":201, "statusDescription":"created"}`, "Hello, world"},
		{".NET: one PUT with the headers of its storage client", "/devices/dev-1/files", `{"blobName":"a/b c.txt"}`, func(u *blobUpload) {
			a := u.put("Hello, world", "PUT", "", "x-ms-version", "2021-12-02", "x-ms-client-request-id", "9f0c2a1e", "x-ms-blob-type", "BlockBlob", "x-ms-return-client-request-id", "true",
				"If-None-Match", "*", "Accept", "application/xml", "User-Agent", "azsdk-net-Storage.Blobs/12.14.1", "Content-Type", "application/octet-stream", "Expect", "100-continue").want(t, 201)
			for _, name := range []string{"ETag", "Last-Modified", "x-ms-request-id", "x-ms-version", "Date"} {
				if a.Header.Get(name) == "" {
					t.Errorf("no %s:\n%s", name, a.head)
				}
			}
		}, "/devices/dev-1/files/notifications", `{"correlationId":"ID","isSuccess":true,"statusCode":200,"statusDescription":"Success"}`, "Hello, world"},
		{".NET: staged blocks of 64 characters, committed with content headers", "/devices/dev-1/files", `{"blobName":"x"}`, func(u *blobUpload) {
			id := func(i int) string {
				return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%048d", i))
			}
			for i, text := range []string{"Hello, ", "world"} {
				u.put(text, "PUT", "&comp=block&blockid="+escape(id(i)), "x-ms-version", "2021-12-02", "Content-MD5", "").want(t, 201)
			}
			u.put("\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList><Latest>"+id(0)+"</Latest><Latest>"+id(1)+"</Latest></BlockList>", "PUT", "&comp=blocklist",
				"x-ms-version", "2021-12-02", "x-ms-blob-content-type", "text/plain", "Content-Type", "application/xml").want(t, 201)
		}, "/devices/dev-1/files/notifications", `{"correlationId":"ID","isSuccess":true,"statusCode":200,"statusDescription":"Success"}`, "Hello, world"},
		{"Java: one PUT by netty", "/devices/dev-1/files", `{"blobName":"x"}`, func(u *blobUpload) {
			u.put("Hello, world", "PUT", "", "x-ms-blob-type", "BlockBlob", "x-ms-version", "2020-10-02", "x-ms-date", "Tue, 06 Jun 2023 07:00:00 GMT", "Content-Type", "application/octet-stream", "Accept", "application/xml").want(t, 201)
		}, "/devices/dev-1/files/notifications", `{"correlationId":"ID","isSuccess":true,"statusCode":0,"statusDescription":"succeed to upload to storage."}`, "Hello, world"},
		{"Python: one PUT by urllib3, whose name is not escaped", "/devices/dev-1/files", `{"blobName": "x"}`, func(u *blobUpload) {
			u.at(u.answers.BlobName, "Hello, world", "PUT", "", "x-ms-blob-type", "BlockBlob", "x-ms-version", "2023-11-03", "x-ms-client-request-id", "x", "x-ms-date", "Tue, 06 Jun 2023 07:00:00 GMT", "If-None-Match", "*",
				"Content-Type", "application/octet-stream", "User-Agent", "azsdk-python-storage-blob/12.19.0 Python/3.11").want(t, 201)
		}, "/devices/dev-1/files/notifications", `{"correlationId": "ID", "isSuccess": true, "statusCode": 200, "statusDescription": "OK"}`, "Hello, world"},
		{"Node: the correlation id in the path", "/devices/dev-1/files", `{"blobName":"x"}`, func(u *blobUpload) {
			u.at(u.answers.BlobName, "Hello, world", "PUT", "", "x-ms-blob-type", "BlockBlob").want(t, 201)
		}, "/devices/dev-1/files/notifications/ESCAPED", `{"isSuccess":true,"statusCode":201,"statusDescription":"Created"}`, "Hello, world"},
		{".NET: one that failed, by its older helper", "/devices/dev-1/files", `{"blobName":"x"}`, func(*blobUpload) {},
			"/devices/dev-1/files/notifications/ID", `{"correlationId":null,"isSuccess":false,"statusCode":-1,"statusDescription":"no"}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				u := &blobUpload{t: t, h: h}
				u.init(tt.path, tt.body)
				tt.put(u)
				if tt.want != "" {
					a := u.put("", "GET", "").want(t, 200)
					if a.body != tt.want {
						t.Errorf("the blob is %q", a.body)
					}
					if a := u.put("", "HEAD", "").want(t, 200); a.ContentLength != int64(len(tt.want)) || a.Header.Get("x-ms-blob-type") != "BlockBlob" {
						t.Errorf("%s", a.head)
					}
				}
				if a := u.notify(tt.notifyPath, tt.says).want(t, 204); a.body != "" {
					t.Errorf("body %q", a.body)
				}
				if a := u.notify(tt.notifyPath, tt.says).want(t, 400); !strings.Contains(a.head, "\r\niothub-errorcode: InvalidFileUploadCorrelationId\r\n") {
					t.Errorf("%s", a.head)
				}
			})
		})
	}
}

// TestShapeStorageErrors has what storage refuses, as its clients read it: a code in a header and in XML.
func TestShapeStorageErrors(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		u := (&blobUpload{t: t, h: h}).init("/devices/dev-1/files", `{"blobName":"x"}`)
		u.put("once", "PUT", "", "x-ms-blob-type", "BlockBlob", "If-None-Match", "*").want(t, 201)
		for _, tt := range []struct {
			a      answered
			status int
			code   string
		}{
			{u.put("twice", "PUT", "", "x-ms-blob-type", "BlockBlob", "If-None-Match", "*"), 409, "BlobAlreadyExists"},
			{u.put("<BlockList><Latest>AAAA</Latest></BlockList>", "PUT", "&comp=blocklist"), 400, "InvalidBlockList"},
			{u.at("dev-1%2Fnobody", "", "GET", ""), 403, "AuthenticationFailed"},
		} {
			var e struct{ Code, Message string }
			if err := xml.Unmarshal([]byte(strings.TrimPrefix(tt.a.body, "\ufeff")), &e); err != nil || tt.a.StatusCode != tt.status || e.Code != tt.code || tt.a.Header.Get("x-ms-error-code") != tt.code {
				t.Errorf("%s %s, %v, want %s", tt.a.head, tt.a.body, err, tt.code)
			}
		}
	})
}

// TestShapeUploadHost has the host that a client says it talks to, which is where its file goes.
func TestShapeUploadHost(t *testing.T) {
	for host, want := range map[string]string{"localhost": "localhost", "localhost:443": "localhost", "localhost:8443": "localhost:8443", "gateway.example": "gateway.example"} {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			a := newWeb(t, h).ask("POST /devices/dev-1/files?api-version=2020-09-30\nHost: "+host+"\nAuthorization: DEVICE", `{"blobName":"x"}`).want(t, 200)
			if !strings.Contains(a.body, `"hostName":"`+want+`"`) {
				t.Errorf("%s: %s", host, a.body)
			}
		})
	}
}
