package blob

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/sas"
)

// answering is an account that answers so.
type answering func(*http.Request) (*http.Response, error)

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func account(t *testing.T, rt http.RoundTripper, more string) *Account {
	t.Helper()
	a, err := NewAccount(sas.NewSecret("DefaultEndpointsProtocol=https; AccountName=acct ;AccountKey=c2VjcmV0;"+more), box, rt)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestWhereAnAccountIs(t *testing.T) {
	for more, want := range map[string]string{
		"":                                       "acct.blob.core.windows.net",
		"EndpointSuffix=core.chinacloudapi.cn":   "acct.blob.core.chinacloudapi.cn",
		"BlobEndpoint=https://127.0.0.1:1/acct/": "127.0.0.1:1/acct",
		"blobendpoint=https://files.example;x":   "files.example",
	} {
		target, err := account(t, nil, more).Target(t.Context(), "hub", "dev/x", time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
		if err != nil || target.HostName != want || target.ContainerName != box || target.BlobName != "dev/x" {
			t.Errorf("%q: %+v, %v", more, target, err)
		}
		q, err := url.ParseQuery(target.SASToken.Reveal()[1:])
		if err != nil || q.Get("sp") != "rw" || q.Get("se") != "2030-01-02T03:04:05Z" || q.Get("sr") != "b" {
			t.Errorf("%q: %v, %v", more, q, err)
		}
	}
}

func TestConnectionStringsThatAreRefused(t *testing.T) {
	for _, s := range []string{
		"", "x", "AccountName=a;AccountKey=c2VjcmV0", "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=c2VjcmV0",
		"DefaultEndpointsProtocol=https;AccountName=a;AccountKey=", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=?",
		"DefaultEndpointsProtocol=https;AccountKey=c2VjcmV0", "UseDevelopmentStorage=true",
		"AccountName=a;AccountKey=c2VjcmV0;BlobEndpoint=http://127.0.0.1:10000/a", "AccountName=a;AccountKey=c2VjcmV0;BlobEndpoint=https://u:p@h",
		"AccountName=a;AccountKey=c2VjcmV0;BlobEndpoint=https://h?x", "AccountName=a;AccountKey=c2VjcmV0;BlobEndpoint=:",
	} {
		if _, err := NewAccount(sas.NewSecret(s), box, nil); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
	if _, err := NewAccount(sas.NewSecret("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=c2VjcmV0"), "Box", nil); err == nil {
		t.Error("a container with a bad name is taken")
	}
}

// An Endpoint stands in for the account: it checks the token that the Account makes.
func TestAnAccountIsAskedForABlob(t *testing.T) {
	s := open(t, Options{})
	a := account(t, answering(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		s.Serve(w, r, func() {})
		res := w.Result()
		res.ContentLength = 7
		res.Header.Set("x-ms-error-code", written(w.Header(), "x-ms-error-code"))
		return res, nil
	}), "")
	s.signer = a.signer
	if _, err := a.Properties(t.Context(), "dev/a b"); !errors.Is(err, core.ErrNoBlob) {
		t.Errorf("before the upload: %v", err)
	}
	s.put("dev/a b", "content").want(t, "put", 201, "")
	p, err := a.Properties(t.Context(), "dev/a b")
	if err != nil || p.Size != 7 || p.URI != "https://acct.blob.core.windows.net/box/dev/a%20b" || time.Since(p.LastModified) > time.Minute {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestAnAccountThatFails(t *testing.T) {
	answer := func(status int, header http.Header) answering {
		return func(r *http.Request) (*http.Response, error) {
			if header == nil {
				header = http.Header{}
			}
			return &http.Response{StatusCode: status, Header: header, Body: http.NoBody, ContentLength: 1, Request: r}, nil
		}
	}
	for name, rt := range map[string]answering{
		"no network":  func(r *http.Request) (*http.Response, error) { return nil, errors.New("refused") },
		"a refusal":   answer(403, nil),
		"a redirect":  answer(302, http.Header{"Location": {"https://elsewhere.example/"}}),
		"no time":     answer(200, nil),
		"a wrong one": answer(200, http.Header{"Last-Modified": {"today"}}),
	} {
		_, err := account(t, rt, "").Properties(t.Context(), "x")
		if err == nil || errors.Is(err, core.ErrNoBlob) {
			t.Errorf("%s: %v", name, err)
		} else if text := err.Error(); strings.Contains(text, "sig") || !strings.Contains(text, `"acct"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
