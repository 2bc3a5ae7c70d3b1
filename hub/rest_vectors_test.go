package hub_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

// vectorHost is the hub of the vectors, whose devices have this key.
const (
	vectorHost = testkit.VectorHost
	vectorKey  = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
)

// TestVectors sends the request of each vector for a hub, byte by byte as it stands there but for
// the keys of policies, and compares the answer: the status, headers with the case of their names,
// and the body, but for what the hub makes up.
func TestVectors(t *testing.T) {
	for _, v := range testkit.HTTPVectors(t) {
		if host, ok := v.Request.Headers["Host"]; ok && host != vectorHost {
			continue // DPS and ARM, which are not at this door
		}
		t.Run(v.ID, func(t *testing.T) {
			prepare, ok := scenes[v.ID]
			if !ok && os.Getenv(testkit.VectorsEnv) != "" {
				t.Skip("another vector, which does not say what a hub must have for it; httpsx.TestVectors runs it")
			}
			if !ok {
				t.Fatal("there is no scene")
			}
			cfg := &hub.Config{HostName: vectorHost, Upload: hub.Upload{Off: v.ID == "upload-no-storage"}}
			if v.ID == "job-quota" {
				cfg.Upload.RoundTripper = stalledStorage{}
			}
			if v.ID == "throttled" {
				cfg.Throttle.Configurations = 1e-9
			}
			bubble(t, cfg, func(t *testing.T, h *hub.Hub) {
				s := &vectorScene{t: t, h: h}
				if _, err := h.Update(t.Context(), &hub.Device{Identity: dev, PrimaryKey: sas.NewSecret(vectorKey)}, ""); err != nil {
					t.Fatal(err)
				}
				s.HTTPVector = v
				if prepare != nil {
					prepare(s)
				}
				s.compare(s.send())
			})
		})
	}
}

// vectorScene is a hub on which the request of a vector has its answer.
type vectorScene struct {
	t *testing.T
	h *hub.Hub
	*testkit.HTTPVector
	replace []string // pairs of what stands in the vector, and what it is on this hub

	// free is what this hub says otherwise than the vector: "body" or a member, as "body.status".
	free map[string]bool
}

// but says what this hub says otherwise.
func (s *vectorScene) but(names ...string) {
	s.free = map[string]bool{}
	for _, name := range names {
		s.free[name] = true
	}
}

func (s *vectorScene) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// send sends the request, and returns the answer, its header as it came, and its body.
func (s *vectorScene) send() (*http.Response, string, []byte) {
	s.t.Helper()
	if _, policy, ok := strings.Cut(s.Request.Headers["Authorization"], "&skn="); ok {
		policy, _, _ = strings.Cut(policy, "&")
		s.replace = append(s.replace, s.Request.Headers["Authorization"], token(policyKey(s.t, s.h, policy), vectorHost, policy, time.Now().Add(time.Hour)))
	}
	raw := s.RawRequest(s.t, strings.NewReplacer(s.replace...))
	c := dialTLS(s.t, s.h, "443", nil)
	go c.Write(raw) // more than a pipe takes, when the hub does not read it
	var got bytes.Buffer
	res, err := http.ReadResponse(bufio.NewReader(io.TeeReader(c, &got)), nil)
	s.check(err)
	body, err := io.ReadAll(res.Body)
	s.check(err)
	c.Close()
	head, _, _ := strings.Cut(got.String(), "\r\n\r\n")
	return res, head + "\r\n", body
}

// madeUp are the headers and members that the hub makes up, by their names.
var madeUp = map[string]bool{
	"Date": true, "ETag": true, "x-ms-continuation": true, "iothub-sequencenumber": true, "iothub-enqueuedtime": true, "Content-Length": true, "Server": true,
	"generationId": true, "etag": true, "deviceEtag": true, "primaryKey": true, "secondaryKey": true, "lastActivityTime": true, "statusUpdatedTime": true, "deviceScope": true, "$lastUpdated": true,
	"correlationId": true, "hostName": true, "containerName": true, "sasToken": true, "errorStatus": true, "operation": true, "lock": true,
	"createdTime": true, "startTime": true, "endTime": true, "createdTimeUtc": true, "lastUpdatedTimeUtc": true, "deviceGenerationId": true, "enqueuedTimeUtc": true,
	"startTimeUtc": true, "endTimeUtc": true, "createdDateTimeUtc": true, "lastUpdatedDateTimeUtc": true, "ExceptionMessage": true, "trackingId": true, "timestampUtc": true,
}

func (s *vectorScene) compare(res *http.Response, head string, body []byte) {
	s.t.Helper()
	if res.StatusCode != s.Response.Status {
		s.t.Errorf("%s %s, want %d", res.Status, body, s.Response.Status)
	}
	for name, want := range s.Response.Headers {
		_, got, ok := strings.Cut(head, "\r\n"+name+": ")
		got, _, _ = strings.Cut(got, "\r\n")
		if name == "Server" {
			continue // not ours to claim
		}
		if want == "" {
			ok = strings.Contains(head, "\r\n"+name+":")
		}
		if !ok || !madeUp[name] && !strings.EqualFold(got, want) {
			s.t.Errorf("%s: %q, want %q, in\n%s", name, got, want, head)
		}
	}
	if _, ok := s.Response.Headers["x-ms-continuation"]; !ok && strings.Contains(strings.ToLower(head), "x-ms-continuation") {
		s.t.Errorf("there is a continuation in\n%s", head)
	}
	want := s.Response.Body
	switch {
	case want == nil:
		if len(body) > 0 {
			s.t.Errorf("there is a body: %s", body)
		}
	case want.JSON == nil:
		if !bytes.Equal(body, want.Bytes(s.t)) {
			s.t.Errorf("body %q", body)
		}
	default:
		var w, g any
		s.check(json.Unmarshal(want.JSON, &w))
		s.check(json.Unmarshal(body, &g))
		s.compareJSON("body", w, g)
	}
}

// compareJSON compares values but for what the hub makes up, of which the type counts, and
// what stands behind the code of an error.
func (s *vectorScene) compareJSON(name string, want, got any) {
	s.t.Helper()
	if s.free[name] {
		return
	}
	switch want := want.(type) {
	case map[string]any:
		got, _ := got.(map[string]any)
		for key := range want {
			if _, ok := got[key]; !ok && key != "info" {
				s.t.Errorf("%s has no %s", name, key)
				continue
			}
			if key != "info" && !(madeUp[key] && fmt.Sprintf("%T", want[key]) == fmt.Sprintf("%T", got[key])) {
				s.compareJSON(name+"."+key, want[key], got[key])
			}
		}
		for key := range got {
			if _, ok := want[key]; !ok && !madeUp[key] && key != "configurations" {
				s.t.Errorf("%s has %s, which is %v", name, key, got[key])
			}
		}
	case []any:
		got, _ := got.([]any)
		if len(got) != len(want) {
			s.t.Errorf("%s has %d elements, want %d", name, len(got), len(want))
			return
		}
		for i := range want {
			s.compareJSON(fmt.Sprintf("%s[%d]", name, i), want[i], got[i])
		}
	case string:
		got, _ := got.(string)
		if strings.HasSuffix(name, ".Message") {
			s.compareMessage(want, got)
		} else if got != want && !strings.HasSuffix(name, ".message") {
			s.t.Errorf("%s is %q, want %q", name, got, want)
		}
	default:
		if got != want {
			s.t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// compareMessage compares the code of an error in its classic form, or what is nested in that.
func (s *vectorScene) compareMessage(want, got string) {
	s.t.Helper()
	var w, g map[string]any
	if json.Unmarshal([]byte(want), &w) == nil {
		s.check(json.Unmarshal([]byte(got), &g))
		s.compareJSON("Message", w, g)
		return
	}
	wantCode, _, _ := strings.Cut(want, ";")
	if code, text, _ := strings.Cut(got, ";"); code != wantCode || text == "" {
		s.t.Errorf("Message %q, want %q", got, want)
	}
}

// TestTheVectorsAreOneFile holds that this package's copy is that of httpsx, whose tests
// account for each vector.
func TestTheVectorsAreOneFile(t *testing.T) {
	ours, err := os.ReadFile("testdata/https.json")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile("../httpsx/testdata/https.json")
	if err != nil || !bytes.Equal(ours, theirs) {
		t.Errorf("the copies differ, %v", err)
	}
}
