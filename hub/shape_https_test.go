package hub_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire/hub"
)

// web is an HTTP client that writes what it is told, over one connection as long as that lasts.
type web struct {
	t  testing.TB
	h  *hub.Hub
	nc net.Conn
	r  *bufio.Reader
}

func newWeb(t testing.TB, h *hub.Hub) *web {
	nc := dialTLS(t, h, "443", nil)
	return &web{t, h, nc, bufio.NewReader(nc)}
}

// fill puts tokens in the place of DEVICE, MODULE and SERVICE, and the line ends of HTTP in a head.
func (w *web) fill(head string) string {
	w.t.Helper()
	in := time.Now().Add(time.Hour)
	key := func(d *hub.Device, err error) hub.Secret {
		if err != nil {
			w.t.Fatal(err)
		}
		return d.PrimaryKey
	}
	return strings.NewReplacer("\n", "\r\n",
		"DEVICE", token(key(w.h.Device(dev)), audience(dev), "", in),
		"MODULE", token(key(w.h.Device(mod)), audience(mod), "", in),
		"SERVICE", token(policyKey(w.t, w.h, "iothubowner"), "localhost", "iothubowner", in),
	).Replace(head)
}

// ask sends a request, of which head lacks the host name and the length of body, and returns the answer. A head that says
// how long the body is gets nothing, and one that expects a 100 waits for it.
func (w *web) ask(head, body string) answered {
	w.t.Helper()
	first, rest, _ := strings.Cut(head, "\n")
	if !strings.Contains(first, " HTTP/") {
		first += " HTTP/1.1"
	}
	lower := strings.ToLower(rest)
	if !strings.Contains(lower, "host:") {
		first += "\nHost: localhost"
	}
	if rest != "" {
		first += "\n" + strings.TrimSuffix(rest, "\n")
	}
	if !strings.Contains(lower, "content-length:") && !strings.Contains(lower, "transfer-encoding:") && (body != "" || !strings.HasPrefix(head, "GET")) {
		first += fmt.Sprintf("\nContent-Length: %d", len(body))
	}
	w.write(w.fill(first + "\n\n"))
	if strings.Contains(lower, "100-continue") {
		if line, err := w.r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
			w.t.Fatalf("%q, %v", line, err)
		}
		if line, err := w.r.ReadString('\n'); err != nil || line != "\r\n" {
			w.t.Fatalf("%q, %v", line, err)
		}
	}
	w.write(body)
	return w.answer(strings.Fields(head)[0])
}

func (w *web) write(s string) {
	w.t.Helper()
	if _, err := io.WriteString(w.nc, s); err != nil {
		w.t.Fatal(err)
	}
}

// answered is an answer with its head as it came.
type answered struct {
	*http.Response
	head, body string
}

func (w *web) answer(method string) answered {
	w.t.Helper()
	var head strings.Builder
	for {
		line, err := w.r.ReadString('\n')
		if err != nil {
			w.t.Fatalf("%q, %v", head.String(), err)
		}
		if head.WriteString(line); line == "\r\n" {
			break
		}
	}
	res, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(head.String()), w.r)), &http.Request{Method: method})
	if err != nil {
		w.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answered{res, head.String(), string(body)}
}

func (a answered) want(t testing.TB, status int) answered {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s, want %d", a.Status, a.body, status)
	}
	return a
}

// httpsShapes are requests of devices; each must come to one event, whose body and properties are alike.
var httpsShapes = []struct{ name, head, body string }{
	{"C, by curl: no blank behind iothub-to, octet-stream", `POST /devices/dev-1/messages/events?api-version=2016-11-14
Accept: */*
User-Agent: iothubclient/1.15.0 (native; Linux; x86_64)
Authorization: DEVICE
iothub-to:/devices/dev-1/messages/events
iothub-app-a: b
iothub-messageid: m1
iothub-contenttype: application/json
Content-Type: application/octet-stream`, "{}"},
	{"C, by an older curl: Expect: 100-continue", `POST /devices/dev-1/messages/events?api-version=2016-11-14
Accept: */*
Expect: 100-continue
Authorization: DEVICE
iothub-app-a: b
iothub-messageid: m1
iothub-contenttype: application/json`, "{}"},
	{"C: a batch of byte arrays, with a trailing slash and its ids in lower-case hex", `POST /devices/dev%2d1/messages/events/?api-version=2016-11-14
Authorization: DEVICE
Content-Type: application/vnd.microsoft.iothub.json`, `[{"body":"e30=","properties":{"iothub-app-a":"b","iothub-messageid":"m1","iothub-contenttype":"application/json"}}]`},
	{"C: a batch of strings", `POST /devices/dev-1/messages/events?api-version=2016-11-14
Authorization: DEVICE
Content-Type: application/vnd.microsoft.iothub.json`, `[{"body":"{}","base64Encoded":false,"properties":{"iothub-app-a":"b","iothub-messageid":"m1","iothub-contenttype":"application/json"}}]`},
	{".NET: chunked, names in capitals, keep-alive said", "POST /devices/dev-1/messages/events?api-version=2020-09-30\n" +
		"AUTHORIZATION: DEVICE\nUser-Agent: Microsoft.Azure.Devices.Client/1.42.0 (.NET 8.0.1)\nIoTHub-App-a: b\nIOTHUB-MESSAGEID: m1\niothub-contenttype: application/json\n" +
		"iothub-creationtimeutc: 2020-01-02T03:04:05.6780000Z\niothub-operation: d2c\nConnection: Keep-Alive\nTransfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n"},
	{".NET: a batch, with a charset and with iothub-to", `POST /devices/dev-1/messages/events?api-version=2020-09-30
Authorization: DEVICE
iothub-to: /devices/dev-1/messages/events
iothub-operation: d2c
Content-Type: application/vnd.microsoft.iothub.json; charset=utf-8`, `[{"body":"e30=","properties":{"iothub-messageid":"m1","iothub-contenttype":"application/json","iothub-app-a":"b"}}]`},
	{"Java: binary/octet-stream, and what its library accepts", `POST /devices/dev-1/messages/events?api-version=2020-09-30
authorization: DEVICE
iothub-app-a: b
iothub-messageid: m1
iothub-contenttype: application/json
iothub-to: /devices/dev-1/messages/events
content-type: binary/octet-stream
User-Agent: com.microsoft.azure.sdk.iot.iot-device-client/2.5.0
Accept: text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2
Connection: keep-alive`, "{}"},
	{"Java: a batch that says base64Encoded", `POST /devices/dev-1/messages/events?api-version=2020-09-30
Authorization: DEVICE
Content-Type: application/vnd.microsoft.iothub.json`, `[{"body":"e30=","base64Encoded":true,"properties":{"iothub-app-a":"b","iothub-messageid":"m1","iothub-contenttype":"application/json"}}]`},
	{"Python and the CLI: requests of urllib3", `POST /devices/dev-1/messages/events?api-version=2019-10-01
Host: localhost:443
User-Agent: python-requests/2.31.0
Accept-Encoding: gzip, deflate
Accept: */*
Connection: keep-alive
Authorization: DEVICE
iothub-app-a: b
iothub-messageid: m1
iothub-contenttype: application/json`, "{}"},
	{"all: HTTP/1.0, which closes", `POST /devices/dev-1/messages/events?api-version=2018-06-30 HTTP/1.0
Authorization: DEVICE
iothub-app-a: b
iothub-messageid: m1
iothub-contenttype: application/json`, "{}"},
	{"all: the absolute form of a request's address", `POST https://localhost/devices/dev-1/messages/events?api-version=2018-06-30
Authorization: DEVICE
iothub-app-a: b
iothub-messageid: m1
iothub-contenttype: application/json`, "{}"},
}

func TestShapeHTTPSTelemetry(t *testing.T) {
	for _, tt := range httpsShapes {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				a := newWeb(t, h).ask(tt.head, tt.body).want(t, 204)
				if a.body != "" || !strings.Contains(a.head, "\r\nDate: ") {
					t.Errorf("%s%s", a.head, a.body)
				}
				evs := events(t, h)
				if len(evs) != 1 {
					t.Fatalf("%d events", len(evs))
				}
				m := evs[0]
				if v, _ := m.Property("a"); v != "b" || len(m.Properties) != 1 || m.ID != "m1" || m.ContentType != "application/json" || string(m.Body) != "{}" {
					t.Errorf("%+v", m.Message)
				}
			})
		})
	}
}

// TestShapeHTTPSKeepsAlive has all requests of telemetry one behind the other on a connection, and then as many at once.
func TestShapeHTTPSKeepsAlive(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		w := newWeb(t, h)
		for _, tt := range httpsShapes {
			if !strings.Contains(tt.head, "HTTP/1.0") {
				w.ask(tt.head, tt.body).want(t, 204)
			}
		}
		head := w.fill("POST /devices/dev-1/messages/events?api-version=2020-09-30 HTTP/1.1\nHost: localhost\nAuthorization: DEVICE\nContent-Length: 1\n\n")
		go w.write(strings.Repeat(head+"x", 5))
		for range 5 {
			w.answer("POST").want(t, 204)
		}
		if got := len(events(t, h)); got != len(httpsShapes)+4 {
			t.Errorf("%d events", got)
		}
	})
}

// blobUpload is one upload of a file, with the answers that it needs later.
type blobUpload struct {
	t       testing.TB
	h       *hub.Hub
	answers struct{ CorrelationID, HostName, ContainerName, BlobName, SASToken string }
}

// init asks where to.
func (u *blobUpload) init(path, body string) *blobUpload {
	u.t.Helper()
	a := newWeb(u.t, u.h).ask("POST "+path+"?api-version=2020-09-30\nAuthorization: DEVICE\nContent-Type: application/json\nAccept: application/json", body).want(u.t, 200)
	if err := json.Unmarshal([]byte(a.body), &u.answers); err != nil || u.answers.SASToken == "" || u.answers.SASToken[0] != '?' {
		u.t.Fatalf("%s, %v", a.body, err)
	}
	return u
}

// put makes a request of storage, with query behind the token and the blob's name escaped as .NET and Java do.
func (u *blobUpload) put(body, method, query string, header ...string) answered {
	u.t.Helper()
	return u.at(strings.NewReplacer("/", "%2F", " ", "%20").Replace(u.answers.BlobName), body, method, query, header...)
}

func (u *blobUpload) at(name, body, method, query string, header ...string) answered {
	u.t.Helper()
	head := method + " /" + u.answers.ContainerName + "/" + name + u.answers.SASToken + query
	for i := 0; i < len(header); i += 2 {
		head += "\n" + header[i] + ": " + header[i+1]
	}
	return newWeb(u.t, u.h).ask(head, body)
}

// notify says what came of it, with the correlation id for ID, escaped for ESCAPED.
func (u *blobUpload) notify(path, body string) answered {
	u.t.Helper()
	id := u.answers.CorrelationID
	fill := strings.NewReplacer("ESCAPED", strings.NewReplacer("=", "%3D", "+", "%2B", "/", "%2F").Replace(id), "ID", id).Replace
	return newWeb(u.t, u.h).ask("POST "+fill(path)+"?api-version=2020-09-30\nAuthorization: DEVICE\nContent-Type: application/json", fill(body))
}
