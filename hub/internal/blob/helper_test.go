package blob

import (
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const box = "box"

// shop is an Endpoint, and who asks it.
type shop struct {
	*Endpoint
	t testing.TB
}

func open(t testing.TB, o Options) *shop {
	t.Helper()
	o.Container = box
	o.Host = func() string { return "hub.example" }
	e, err := Open(&o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &shop{e, t}
}

// answer is what came back.
type answer struct {
	*http.Response
	raw  http.Header // with names as they were written
	body string
}

// written returns the value of a header that was written with just this name.
func written(h http.Header, name string) string { return strings.Join(h[name], ", ") }

// code is the service's code of an error.
func (a answer) code() string { return a.Header.Get("x-ms-error-code") }

// key is a token for everything in the container.
func (s *shop) key() string {
	return s.signer.token(place{container: box}, "racwdl", time.Now().Add(time.Hour)).Reveal()[1:]
}

// ask sends a request for a blob of the container, or with "" for the container itself.
func (s *shop) ask(method, blob, query, body string, headers ...string) answer {
	s.t.Helper()
	return s.askURL(method, place{box, blob}.path()+"?"+query+"&"+s.key(), body, headers...)
}

func (s *shop) askURL(method, url, body string, headers ...string) answer {
	s.t.Helper()
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if !s.Wants(r) {
		s.t.Fatalf("%s %s is not taken for a request to storage", method, r.URL.Path)
	}
	w := httptest.NewRecorder()
	s.Serve(w, r, func() {})
	res := w.Result()
	raw := res.Header
	res.Header = http.Header{}
	for name, values := range raw {
		res.Header[http.CanonicalHeaderKey(name)] = values
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if res.StatusCode >= 400 && method != http.MethodHead {
		var e struct{ Code, Message string }
		if err := xml.Unmarshal(b, &e); err != nil || e.Code != res.Header.Get("x-ms-error-code") || e.Message == "" {
			s.t.Errorf("%s %s: the error %q, %v, does not go with the header %q", method, r.URL.Path, b, err, res.Header.Get("x-ms-error-code"))
		}
	}
	return answer{res, raw, string(b)}
}

// want fails the test when an answer has another status, or code.
func (a answer) want(t testing.TB, what string, status int, code string) answer {
	t.Helper()
	if a.StatusCode != status || a.code() != code {
		t.Errorf("%s: %d %q, want %d %q; %s", what, a.StatusCode, a.code(), status, code, a.body)
	}
	return a
}

func (s *shop) put(blob, body string, headers ...string) answer {
	s.t.Helper()
	return s.ask("PUT", blob, "", body, append([]string{"x-ms-blob-type", "BlockBlob"}, headers...)...)
}

func (s *shop) get(blob string, headers ...string) answer {
	s.t.Helper()
	return s.ask("GET", blob, "", "", headers...)
}

func b64(id string) string { return base64.StdEncoding.EncodeToString([]byte(id)) }

func (s *shop) block(blob, id, body string, headers ...string) answer {
	s.t.Helper()
	return s.ask("PUT", blob, "comp=block&blockid="+strings.NewReplacer("+", "%2B", "=", "%3D", "/", "%2F").Replace(b64(id)), body, headers...)
}

// commit puts a list of "Latest:id" and its kin.
func (s *shop) commitList(blob string, entries ...string) answer {
	s.t.Helper()
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<BlockList>")
	for _, e := range entries {
		where, id, _ := strings.Cut(e, ":")
		b.WriteString("<" + where + ">" + b64(id) + "</" + where + ">")
	}
	b.WriteString("</BlockList>")
	return s.ask("PUT", blob, "comp=blocklist", b.String())
}

// wantBlob fails the test when a blob holds something else.
func (s *shop) wantBlob(blob, body string) {
	s.t.Helper()
	if a := s.get(blob).want(s.t, "get "+blob, 200, ""); a.body != body {
		s.t.Errorf("%s holds %.60q, want %.60q", blob, a.body, body)
	}
}
