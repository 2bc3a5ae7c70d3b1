package hub_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
)

// rest is a service's client of the REST API.
type rest struct {
	t      testing.TB
	h      *hub.Hub
	client *http.Client
	policy string
}

func newREST(t testing.TB, h *hub.Hub, policy string) *rest {
	return &rest{t, h, webClient(t, h), policy}
}

const version = "?api-version=2021-04-12"

// do makes a request and returns the answer with its body. header holds pairs
// of names and values; a pair replaces what do sends by itself, the token of its policy.
func (r *rest) do(method, path, body string, header ...string) (*http.Response, string) {
	r.t.Helper()
	res, got, err := r.try(method, path, body, header...)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res, got
}

// try is do where there may be no answer.
func (r *rest) try(method, path, body string, header ...string) (*http.Response, string, error) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "https://localhost"+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if r.policy != "" {
		req.Header.Set("Authorization", token(policyKey(r.t, r.h, r.policy), "localhost", r.policy, time.Now().Add(time.Hour)))
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			req.Header.Del(header[i])
		}
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res, string(b), err
}

// identity is what tests look at.
type identity struct {
	DeviceID, ModuleID, GenerationID, ETag string
	ConnectionState, Status                string
	StatusReason                           *string
	LastActivityTime                       string
	CloudToDeviceMessageCount              int
	Authentication                         struct {
		Type         string
		SymmetricKey struct{ PrimaryKey, SecondaryKey string }
	}
	Capabilities *struct{ IotEdge bool }
	DeviceScope  *string
	ParentScopes []string
}

func parseIdentity(t testing.TB, body string) identity {
	t.Helper()
	var id identity
	if err := json.Unmarshal([]byte(body), &id); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return id
}

func TestRESTIdentityLife(t *testing.T) {
	testkit.LeakCheck(t)
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	r := newREST(t, h, "registryReadWrite")

	res, body := r.do("PUT", "/devices/dev-1"+version, `{"deviceId":"dev-1","authentication":{"symmetricKey":{"primaryKey":"","secondaryKey":""}},"isManaged":false}`)
	if res.StatusCode != 200 {
		t.Fatalf("create: %d %s", res.StatusCode, body)
	}
	created := parseIdentity(t, body)
	if created.Authentication.Type != "sas" || len(created.Authentication.SymmetricKey.PrimaryKey) != 44 {
		t.Errorf("no keys were made: %s", body)
	}
	if created.Status != "enabled" || created.ConnectionState != "Disconnected" || created.LastActivityTime != "0001-01-01T00:00:00Z" {
		t.Errorf("a fresh device: %s", body)
	}
	if created.DeviceScope == nil || created.ParentScopes == nil || created.Capabilities == nil {
		t.Errorf("members are missing: %s", body)
	}
	if got := res.Header["Etag"]; !cmp.Equal(got, []string{`"` + created.ETag + `"`}) {
		t.Errorf("ETag %q, the body has %q", got, created.ETag)
	}
	if got := res.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}

	res, body = r.do("GET", "/devices/dev-1/"+version, "")
	if res.StatusCode != 200 || parseIdentity(t, body).ETag != created.ETag {
		t.Errorf("get: %d %s", res.StatusCode, body)
	}
	d, err := h.Device(dev)
	if err != nil || d.PrimaryKey.Reveal() != created.Authentication.SymmetricKey.PrimaryKey {
		t.Errorf("the hub has another key: %v", err)
	}

	res, body = r.do("PUT", "/devices/dev-1"+version, `{"deviceId":"dev-1","status":"Disabled","statusReason":"broken; really"}`, "If-Match", `"`+created.ETag+`"`)
	updated := parseIdentity(t, body)
	if res.StatusCode != 200 || updated.Status != "disabled" || *updated.StatusReason != "broken; really" || updated.ETag == created.ETag {
		t.Errorf("update: %d %s", res.StatusCode, body)
	}

	res, body = r.do("PUT", "/devices/dev-1/modules/mod"+version, `{}`)
	if module := parseIdentity(t, body); res.StatusCode != 200 || module.ModuleID != "mod" || module.Capabilities != nil {
		t.Errorf("create module: %d %s", res.StatusCode, body)
	}
	res, body = r.do("GET", "/devices/dev-1/modules"+version, "")
	var modules []identity
	if err := json.Unmarshal([]byte(body), &modules); err != nil || res.StatusCode != 200 || len(modules) != 1 {
		t.Errorf("list modules: %d %s", res.StatusCode, body)
	}

	res, body = r.do("DELETE", "/devices/dev-1"+version, "", "If-Match", updated.ETag)
	if res.StatusCode != 204 || body != "" {
		t.Errorf("delete: %d %s", res.StatusCode, body)
	}
	if res, _ = r.do("GET", "/devices/dev-1"+version, ""); res.StatusCode != 404 {
		t.Errorf("get after delete: %d", res.StatusCode)
	}
}

// TestRESTRoundTrip sends back what it got, as SDKs do to change one member.
func TestRESTRoundTrip(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	r := newREST(t, h, "iothubowner")
	const thumbprint = "0123456789abcdef0123456789abcdef01234567"
	for _, tt := range [][2]string{
		{"/devices/keys", `{"authentication":{"type":"sas"}}`},
		{"/devices/cert", `{"authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":"` + thumbprint + `"}},"status":"Enabled"}`},
		{"/devices/authority", `{"authentication":{"type":"CertificateAuthority"},"statusReason":"new"}`},
		{"/devices/edge", `{"capabilities":{"iotEdge":true}}`},
		{"/devices/keys/modules/m", `{"moduleId":"m","deviceId":"keys","managedBy":"IotEdge"}`},
	} {
		path, body := tt[0], tt[1]
		res, first := r.do("PUT", path+version, body)
		if res.StatusCode != 200 {
			t.Errorf("create %s: %d %s", path, res.StatusCode, first)
			continue
		}
		etag := parseIdentity(t, first).ETag
		res, second := r.do("PUT", path+version, first, "If-Match", etag)
		if res.StatusCode != 200 {
			t.Errorf("update %s: %d %s", path, res.StatusCode, second)
			continue
		}
		if diff := cmp.Diff(first, strings.Replace(second, parseIdentity(t, second).ETag, etag, 1)); diff != "" {
			t.Errorf("%s changed (-want +got)\n%s", path, diff)
		}
	}
}

func TestRESTListsDevices(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	r := newREST(t, h, "registryRead")
	create(t, h, hubwire.Identity{DeviceID: "c"}, hubwire.Identity{DeviceID: "a"}, hubwire.Identity{DeviceID: "b"},
		hubwire.Identity{DeviceID: "b", ModuleID: "not listed"[:3]})
	tests := []struct {
		name, query string
		want        []string
	}{
		{"all without top", version, []string{"a", "b", "c"}},
		{"as many as top says", version + "&top=2", []string{"a", "b"}},
		{"all when top is zero", version + "&top=0", []string{"a", "b", "c"}},
		{"all when top is too large", version + "&top=1001", []string{"a", "b", "c"}},
		{"all when top is no number", version + "&top=x", []string{"a", "b", "c"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, body := r.do("GET", "/devices/"+tt.query, "")
			var list []identity
			if err := json.Unmarshal([]byte(body), &list); err != nil || res.StatusCode != 200 {
				t.Fatalf("%d %s", res.StatusCode, body)
			}
			var got []string
			for _, d := range list {
				got = append(got, d.DeviceID)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	t.Run("an empty hub has an empty list", func(t *testing.T) {
		h := hubtest.Start(t, &hub.Config{InMemory: true})
		if _, body := newREST(t, h, "registryRead").do("GET", "/devices"+version, ""); body != "[]" {
			t.Errorf("%s", body)
		}
	})
}

func TestRESTTakesEveryPathSpelling(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	r := newREST(t, h, "iothubowner")
	id := hubwire.Identity{DeviceID: "a+b%c'd*(e)#$?@=:;"}
	create(t, h, id)
	for _, path := range []string{
		"/devices/a+b%25c%27d%2a%28e%29%23%24%3F%40%3D%3A%3B",
		"/DEVICES/a%2Bb%25c'd*(e)%23$%3f@=:;",
		"/devices/a%2bb%25c'd*(e)%23$%3f@=:;/",
	} {
		res, body := r.do("GET", path+version, "")
		if res.StatusCode != 200 || parseIdentity(t, body).DeviceID != id.DeviceID {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	if res, _ := r.do("GET", "/devices/A+b%25c'd*(e)%23$%3f@=:;"+version, ""); res.StatusCode != 404 {
		t.Errorf("an id in other letters was found: %d", res.StatusCode)
	}
}

// refusedAs checks that an answer is an error of this code in its classic form.
func refusedAs(t *testing.T, res *http.Response, body string, status int, code string) {
	t.Helper()
	if res.StatusCode != status {
		t.Errorf("status %d, want %d", res.StatusCode, status)
	}
	if got := res.Header.Get("iothub-errorcode"); got != code {
		t.Errorf("iothub-errorcode %q, want %q", got, code)
	}
	var e struct{ Message, ExceptionMessage string }
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if !strings.HasPrefix(e.Message, "ErrorCode:"+code+";") || strings.Count(e.Message, ";") != 1 {
		t.Errorf("Message %q", e.Message)
	}
	if !strings.HasPrefix(e.ExceptionMessage, "Tracking ID:") {
		t.Errorf("ExceptionMessage %q", e.ExceptionMessage)
	}
}

func TestRESTRefusals(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	create(t, h, dev, mod)
	d, err := h.Device(dev)
	if err != nil {
		t.Fatal(err)
	}
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	owner := policyKey(t, h, "iothubowner")
	tests := []struct {
		name, policy, method, path, body string
		header                           []string
		status                           int
		code                             string
	}{
		{"no api-version", "iothubowner", "GET", "/devices/dev-1", "", nil, 400, "InvalidProtocolVersion"},
		{"an api-version that is none", "iothubowner", "GET", "/devices/dev-1?api-version=latest", "", nil, 400, "InvalidProtocolVersion"},
		{"no authorization", "iothubowner", "GET", "/devices/dev-1" + version, "", []string{"Authorization", ""}, 401, "IotHubUnauthorizedAccess"},
		{"a bearer token", "iothubowner", "GET", "/devices/dev-1" + version, "", []string{"Authorization", "Bearer x"}, 401, "IotHubUnauthorizedAccess"},
		{"the wrong key", "iothubowner", "GET", "/devices/dev-1" + version, "", []string{"Authorization", token(d.PrimaryKey, "localhost", "iothubowner", in(time.Hour))}, 401, "IotHubUnauthorizedAccess"},
		{"an expired token", "iothubowner", "GET", "/devices/dev-1" + version, "", []string{"Authorization", token(owner, "localhost", "iothubowner", in(-time.Hour))}, 401, "IotHubUnauthorizedAccess"},
		{"a token for another hub", "iothubowner", "GET", "/devices/dev-1" + version, "", []string{"Authorization", token(owner, "elsewhere", "iothubowner", in(time.Hour))}, 401, "IotHubUnauthorizedAccess"},
		{"a device's own token", "iothubowner", "GET", "/devices/dev-1" + version, "", []string{"Authorization", token(d.PrimaryKey, "localhost/devices/dev-1", "", in(time.Hour))}, 401, "IotHubUnauthorizedAccess"},
		{"a policy without the right to read", "service", "GET", "/devices/dev-1" + version, "", nil, 401, "IotHubUnauthorizedAccess"},
		{"a policy without the right to write", "registryRead", "PUT", "/devices/x" + version, "{}", nil, 401, "IotHubUnauthorizedAccess"},
		{"an unknown device", "registryRead", "GET", "/devices/x" + version, "", nil, 404, "DeviceNotFound"},
		{"an unknown module", "registryRead", "GET", "/devices/dev-1/modules/x" + version, "", nil, 404, "ModuleNotFound"},
		{"modules of an unknown device", "registryRead", "GET", "/devices/x/modules" + version, "", nil, 404, "DeviceNotFound"},
		{"a module of an unknown device", "iothubowner", "PUT", "/devices/x/modules/m" + version, "{}", nil, 404, "DeviceNotFound"},
		{"create of what exists", "iothubowner", "PUT", "/devices/dev-1" + version, "{}", nil, 409, "DeviceAlreadyExists"},
		{"create of a module that exists", "iothubowner", "PUT", "/devices/dev-1/modules/mod" + version, "{}", nil, 409, "ModuleAlreadyExistsOnDevice"},
		{"update of what does not exist", "iothubowner", "PUT", "/devices/x" + version, "{}", []string{"If-Match", "*"}, 404, "DeviceNotFound"},
		{"update with another etag", "iothubowner", "PUT", "/devices/dev-1" + version, "{}", []string{"If-Match", `"MA=="`}, 412, "PreconditionFailed"},
		{"delete with another etag", "iothubowner", "DELETE", "/devices/dev-1" + version, "", []string{"If-Match", "MA=="}, 412, "PreconditionFailed"},
		{"a body for another device", "iothubowner", "PUT", "/devices/x" + version, `{"deviceId":"y"}`, nil, 400, "ArgumentInvalid"},
		{"an id that is not legal", "iothubowner", "PUT", "/devices/a%20b" + version, "{}", nil, 400, "ArgumentInvalid"},
		{"an id with a slash in it", "iothubowner", "PUT", "/devices/a%2Fb" + version, "{}", nil, 400, "ArgumentInvalid"},
		{"a key that is not base64", "iothubowner", "PUT", "/devices/x" + version, `{"authentication":{"symmetricKey":{"primaryKey":"?"}}}`, nil, 400, "ArgumentInvalid"},
		{"an unknown status", "iothubowner", "PUT", "/devices/x" + version, `{"status":"sleeping"}`, nil, 400, "ArgumentInvalid"},
		{"an unknown authentication type", "iothubowner", "PUT", "/devices/x" + version, `{"authentication":{"type":"faith"}}`, nil, 400, "ArgumentInvalid"},
		{"a body that is not JSON", "iothubowner", "PUT", "/devices/x" + version, "{", nil, 400, "IotHubFormatError"},
		{"a body that is too large", "iothubowner", "PUT", "/devices/x" + version, `{"statusReason":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 413, "MessageTooLarge"},
		{"a method that the resource has not", "iothubowner", "PATCH", "/devices/dev-1" + version, "", nil, 405, "GenericMethodNotAllowed"},
		{"a resource that is not there", "iothubowner", "GET", "/nowhere" + version, "", nil, 404, "GenericNotFound"},
		{"the root", "iothubowner", "GET", "/" + version, "", nil, 404, "GenericNotFound"},
		{"an empty id", "iothubowner", "GET", "/devices//modules" + version, "", nil, 404, "GenericNotFound"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, body := newREST(t, h, tt.policy).do(tt.method, tt.path, tt.body, tt.header...)
			refusedAs(t, res, body, tt.status, tt.code)
		})
	}
	if n := len(h.Devices(10)); n != 1 {
		t.Errorf("there are %d devices now, want the one there was", n)
	}
}

// TestHeaderCase reads the raw answer: the C SDK compares header names with
// their case, which net/http's client hides.
func TestHeaderCase(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	create(t, h, dev)
	c := dialTLS(t, h, "443", nil)
	auth := token(policyKey(t, h, "iothubowner"), "localhost", "iothubowner", time.Now().Add(time.Hour))
	for _, tt := range []struct{ path, want string }{
		{"/devices/dev-1", "\r\nETag: \""},
		{"/devices/x", "\r\niothub-errorcode: DeviceNotFound\r\n"},
	} {
		io.WriteString(c, "GET "+tt.path+version+" HTTP/1.1\r\nHost: localhost\r\nAuthorization: "+auth+"\r\n\r\n")
		buf := make([]byte, 64<<10)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if head := string(buf[:n]); !strings.Contains(head, tt.want) {
			t.Errorf("%s: no %q in\n%s", tt.path, tt.want, head)
		}
	}
}

func TestHTTPSOffersNoHTTP2(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	c := dialTLS(t, h, "443", func(cfg *tls.Config) { cfg.NextProtos = []string{"h2", "http/1.1"} })
	if got := c.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("negotiated %q", got)
	}
}

func TestRESTIntercept(t *testing.T) {
	request := func(t *testing.T, verdict hub.Verdict, verify func(t *testing.T, res *http.Response, err error, took time.Duration, h *hub.Hub)) {
		synctest.Test(t, func(t *testing.T) {
			h := hubtest.Start(t, &hub.Config{InMemory: true, Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
				if op.Kind == hub.OpRequest && op.Name == "PUT /devices/x" {
					return verdict
				}
				return hub.Verdict{}
			}})
			client := webClient(t, h)
			client.Timeout = time.Minute
			start := time.Now()
			req, err := http.NewRequest("PUT", "https://localhost/devices/x"+version, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", token(policyKey(t, h, "iothubowner"), "localhost", "iothubowner", start.Add(time.Hour)))
			res, err := client.Do(req)
			if err == nil {
				res.Body.Close()
			}
			verify(t, res, err, time.Since(start), h)
		})
	}
	registered := func(h *hub.Hub) bool { return len(h.Devices(1)) == 1 }
	t.Run("a delay", func(t *testing.T) {
		request(t, hub.Verdict{Delay: 20 * time.Second}, func(t *testing.T, res *http.Response, err error, took time.Duration, h *hub.Hub) {
			if err != nil || res.StatusCode != 200 || took != 20*time.Second || !registered(h) {
				t.Errorf("%v, %v after %v", res, err, took)
			}
		})
	})
	t.Run("a refusal", func(t *testing.T) {
		request(t, hub.Verdict{Refuse: hubwire.Throttled, RetryAfter: 1500 * time.Millisecond}, func(t *testing.T, res *http.Response, err error, took time.Duration, h *hub.Hub) {
			if err != nil || res.StatusCode != 429 || res.Header.Get("Retry-After") != "2" || registered(h) {
				t.Errorf("%v, %v", res, err)
			}
		})
	})
	t.Run("a drop before", func(t *testing.T) {
		request(t, hub.Verdict{DropBefore: true}, func(t *testing.T, res *http.Response, err error, took time.Duration, h *hub.Hub) {
			if err == nil || registered(h) {
				t.Errorf("%v, %v", res, err)
			}
		})
	})
	t.Run("a drop after", func(t *testing.T) {
		request(t, hub.Verdict{DropAfter: true}, func(t *testing.T, res *http.Response, err error, took time.Duration, h *hub.Hub) {
			if err == nil || !registered(h) || took != 0 {
				t.Errorf("%v, %v after %v", res, err, took)
			}
		})
	})
	t.Run("a swallowed answer", func(t *testing.T) {
		request(t, hub.Verdict{SwallowAck: true}, func(t *testing.T, res *http.Response, err error, took time.Duration, h *hub.Hub) {
			if err == nil || !registered(h) || took != time.Minute {
				t.Errorf("%v, %v after %v", res, err, took)
			}
		})
	})
}
