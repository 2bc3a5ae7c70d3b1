package blob

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/sas"
)

var _ core.Containers = new(Containers)

// direct leads requests to an Endpoint.
type direct struct{ e *Endpoint }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	d.e.Serve(w, r, func() {})
	res := w.Result()
	h := http.Header{}
	for name, values := range res.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	res.Header = h
	return res, nil
}

func TestContainers(t *testing.T) {
	s := open(t, Options{})
	c := NewContainers(direct{s.Endpoint})
	ctx := t.Context()
	url := s.ContainerURL(box, "rw", time.Now().Add(time.Hour))
	long := strings.Repeat("0123456789abcdef", blockSize/16*2) + "end"
	for name, content := range map[string]string{"a.txt": "some text", "dir/b c%2.txt": long, "none": ""} {
		t.Run(name, func(t *testing.T) {
			err := c.Write(ctx, url, name, func(w io.Writer) error {
				_, err := io.Copy(w, strings.NewReader(content))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			r, n, err := c.Read(ctx, url, name)
			if err != nil || n != int64(len(content)) {
				t.Fatalf("%d bytes, %v", n, err)
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || string(got) != content {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	if err := errors.Join(c.Check(ctx, url, false), c.Check(ctx, url, true)); err != nil {
		t.Errorf("check: %v", err)
	}
	if got := s.ask("GET", "", "restype=container&comp=list", ""); strings.Contains(got.body, checkedBlob) {
		t.Error("the check left something behind")
	}
	failed := errors.New("no more")
	err := c.Write(ctx, url, "half", func(w io.Writer) error {
		_, _ = io.Copy(w, strings.NewReader(long))
		return failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("half of it: %v", err)
	}
	if _, _, err := c.Read(ctx, url, "half"); err == nil {
		t.Error("half of a blob can be read")
	}
}

func TestContainersThatCannotBeUsed(t *testing.T) {
	s := open(t, Options{})
	if err := s.Create("other"); err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(time.Hour)
	for name, tt := range map[string]struct {
		url         string
		read, write bool
	}{
		"none":                      {"", false, false},
		"not https":                 {strings.Replace(s.ContainerURL(box, "rw", soon).Reveal(), "https", "http", 1), false, false},
		"an account":                {"https://hub.example/?sig=x", false, false},
		"without a token":           {"https://hub.example/box", false, false},
		"with the token of another": {strings.Replace(s.ContainerURL("other", "rw", soon).Reveal(), "/other", "/box", 1), false, false},
		"with one that has expired": {s.ContainerURL(box, "rw", time.Now().Add(-time.Hour)).Reveal(), false, false},
		"to read from":              {s.ContainerURL(box, "r", soon).Reveal(), true, false},
		"to write to":               {s.ContainerURL(box, "w", soon).Reveal(), false, true},
		"that is not there":         {s.ContainerURL("nowhere", "rw", soon).Reveal(), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := NewContainers(direct{s.Endpoint})
			url := sas.NewSecret(tt.url)
			read, write := c.Check(t.Context(), url, false), c.Check(t.Context(), url, true)
			if (read == nil) != tt.read || (write == nil) != tt.write {
				t.Errorf("read: %v, write: %v", read, write)
			}
			_, _, err := c.Read(t.Context(), url, "x")
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			_, _, cancelled := c.Read(gone, url, "x")
			for _, err := range []error{read, write, err, cancelled} {
				if err != nil && (strings.Contains(err.Error(), "sig") || strings.Contains(err.Error(), "hub.example")) {
					t.Errorf("the error shows the URL: %v", err)
				}
			}
		})
	}
}
