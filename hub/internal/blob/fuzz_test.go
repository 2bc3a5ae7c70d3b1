package blob

import (
	"io"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzBlockList reads lists, and writes those that are lists again.
func FuzzBlockList(f *testing.F) {
	for _, s := range []string{
		"", "<BlockList/>", "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<BlockList><Latest>ICAgICAw</Latest><Committed>YQ==</Committed></BlockList>",
		"<BlockList><Uncommitted> YQ== </Uncommitted><!-- x --></BlockList>", "<BlockList><Latest>a</Latest></BlockList>", "<BlockList><Latest><Latest/></Latest></BlockList>",
		"<a/><b/>", "<!DOCTYPE x [<!ENTITY y \"z\">]><BlockList><Latest>&y;</Latest></BlockList>", "\xff", "<BlockList",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseBlockList(strings.NewReader(s))
		if err != nil {
			return // refusing is fine
		}
		var b strings.Builder
		b.WriteString("<BlockList>")
		for _, r := range list {
			where := map[[2]bool]string{{true, true}: "Latest", {true, false}: "Uncommitted", {false, true}: "Committed"}[[2]bool{r.uncommitted, r.committed}]
			b.WriteString("<" + where + ">" + b64(r.id) + "</" + where + ">")
		}
		b.WriteString("</BlockList>")
		again, err := parseBlockList(strings.NewReader(b.String()))
		if err != nil || len(again) != len(list) {
			t.Fatalf("%q -> %v -> %v, %v", s, list, again, err)
		}
		for i := range list {
			if list[i] != again[i] {
				t.Fatalf("%q: entry %d is %v, and then %v", s, i, list[i], again[i])
			}
		}
	})
}

// FuzzRequest asks for anything, with a token for the container where that is possible:
// whatever is written can be read, and nothing is left when that is deleted.
func FuzzRequest(f *testing.F) {
	for _, r := range [][4]string{
		{"PUT", "/box/a", "", "body"}, {"PUT", "/box/a", "comp=block&blockid=YQ==", "body"}, {"PUT", "/box/a", "comp=blocklist", "<BlockList><Latest>YQ==</Latest></BlockList>"},
		{"GET", "/box/a", "", ""}, {"GET", "/box", "restype=container&comp=list&maxresults=1&marker=YQ&prefix=a&delimiter=/", ""}, {"HEAD", "/box/a", "", ""},
		{"DELETE", "/box/a", "", ""}, {"GET", "/box/a", "comp=blocklist&blocklisttype=all", ""}, {"PUT", "/box/..%2f..%2fx", "", "x"}, {"PATCH", "//", "sig=&sv=", ""},
	} {
		f.Add(r[0], r[1], r[2], r[3])
	}
	s := open(f, Options{Dir: f.TempDir(), MaxBytes: 64 << 20})
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		s.t = t
		u, err := url.Parse(path)
		if err != nil || method == "" || strings.ContainsAny(method, " \r\n\x00") || !strings.HasPrefix(path, "/") {
			return
		}
		p, err := placeOf(u.EscapedPath())
		known := err == nil && p.container == box
		ask := func(method, query string, body string) int {
			r := httptest.NewRequest("GET", "/", strings.NewReader(body))
			r.Method, r.URL = method, &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: query + "&" + s.key()}
			r.Header.Set("x-ms-blob-type", "BlockBlob")
			w := httptest.NewRecorder()
			s.Serve(w, r, func() {})
			if got := written(w.Header(), "x-ms-error-code"); w.Code >= 300 && got == "" || w.Code == 500 || w.Code < 200 {
				t.Fatalf("%s %q?%q: %d %q", method, path, query, w.Code, got)
			}
			io.Copy(io.Discard, w.Body)
			return w.Code
		}
		if status := ask(method, query, body); !known && status < 400 {
			t.Fatalf("%s %q: %d", method, path, status)
		}
		if !known || p.blob == "" {
			return
		}
		if status := ask("PUT", "", body); status != 201 {
			t.Fatalf("put %q: %d", path, status)
		}
		s.wantBlob(p.blob, body)
		if status := ask("DELETE", "", ""); status != 202 {
			t.Fatalf("delete %q: %d", path, status)
		}
		s.wantNoBlobs()
	})
}

// FuzzToken tries queries that nobody has signed.
func FuzzToken(f *testing.F) {
	p := place{box, "a"}
	f.Add(known(f).token(p, "rw", time.Now().Add(time.Hour)).Reveal()[1:])
	f.Add("sig=&sv=2020-12-06&sr=b&se=2100-01-01T00:00:00Z&sp=r&spr=https")
	mine := &signer{"another account", known(f).key}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		if mine.authorize(q, p, "r", time.Now()) == nil {
			t.Fatalf("%q is taken", query)
		}
	})
}
