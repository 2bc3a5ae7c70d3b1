package blob

import (
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

func known(t testing.TB) *signer {
	key, err := sas.NewKey(sas.NewSecret("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="))
	if err != nil {
		t.Fatal(err)
	}
	return &signer{"acct", key}
}

// The signatures are from Azure's own library (azblob 1.8.0, package sas) for the same values.
func TestTokensAreSignedAsAzureSignsThem(t *testing.T) {
	expires := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		p           place
		permissions string
		want        string
	}{
		{place{"box", "dev-1/a b+c%.txt"}, "rw", "?sv=2020-12-06&sr=b&sig=AXf1SIfljSRyPpErYwrELUpAhVgNVslcF8B3soh1pTM%3D&se=2030-01-02T03%3A04%3A05Z&spr=https&sp=rw"},
		{place{"box", ""}, "racwdl", "?sv=2020-12-06&sr=c&sig=HRoLbWZgzDktdEYJJsNQjmgkTpQXclkFrMQtgQ1GZxQ%3D&se=2030-01-02T03%3A04%3A05Z&spr=https&sp=racwdl"},
	} {
		token := known(t).token(c.p, c.permissions, expires)
		if got := token.Reveal(); got != c.want {
			t.Errorf("token for %v:\n%s, want\n%s", c.p, got, c.want)
		}
		q, err := url.ParseQuery(c.want[1:])
		if err != nil {
			t.Fatal(err)
		}
		if err := known(t).authorize(q, c.p, c.permissions[:1], expires.Add(-time.Second)); err != nil {
			t.Errorf("its own token for %v: %v", c.p, err)
		}
	}
}

func TestRequestsWithoutTheRightTokenAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Options{})
		if err := s.Create("other"); err != nil {
			t.Fatal(err)
		}
		s.put("dev/x", "secret").want(t, "put", 201, "")
		token := func(p place, permissions string) string {
			return s.signer.token(p, permissions, time.Now().Add(time.Minute)).Reveal()[1:]
		}
		mine := place{box, "dev/x"}
		read, write := token(mine, "r"), token(mine, "w")
		swap := func(token, old, new string) string {
			out := strings.Replace(token, old, new, 1)
			if out == token {
				t.Fatalf("%q is not in the token", old)
			}
			return out
		}
		stranger := known(t)
		for _, c := range []struct {
			name, method, query string
			status              int
			code                string
		}{
			{"its token", "GET", read, 200, ""},
			{"its token, in another order", "GET", swap(read, "sr=b&", "") + "&sr=b", 200, ""},
			{"a token of the container", "GET", token(place{container: box}, "r"), 200, ""},
			{"none", "GET", "", 401, "NoAuthenticationInformation"},
			{"to read, for writing", "PUT", read, 403, "AuthorizationPermissionMismatch"},
			{"to write, for reading", "GET", write, 403, "AuthorizationPermissionMismatch"},
			{"to write, for deleting", "DELETE", write, 403, "AuthorizationPermissionMismatch"},
			{"to write, for its blocks", "GET", write + "&comp=blocklist", 403, "AuthorizationPermissionMismatch"},
			{"of another blob", "GET", token(place{box, "dev/y"}, "r"), 403, "AuthenticationFailed"},
			{"of another container", "GET", token(place{container: "other"}, "r"), 403, "AuthenticationFailed"},
			{"of another account", "GET", stranger.token(mine, "r", time.Now().Add(time.Hour)).Reveal()[1:], 403, "AuthenticationFailed"},
			{"with more rights than were signed", "DELETE", swap(read, "sp=r", "sp=rd"), 403, "AuthenticationFailed"},
			{"with a longer life than was signed", "GET", swap(read, "se=2000", "se=2001"), 403, "AuthenticationFailed"},
			{"with a wider resource than was signed", "GET", swap(read, "sr=b", "sr=c"), 403, "AuthenticationFailed"},
			{"with another version", "GET", swap(read, "sv=2020", "sv=2021"), 403, "AuthenticationFailed"},
			{"with HTTP allowed", "GET", swap(read, "spr=https", "spr=https,http"), 403, "AuthenticationFailed"},
			{"with a parameter more", "GET", read + "&sip=0.0.0.0-255.255.255.255", 403, "AuthenticationFailed"},
			{"with a parameter twice", "GET", read + "&sp=rwd", 403, "AuthenticationFailed"},
			{"with a parameter less", "GET", swap(read, "&spr=https", ""), 403, "AuthenticationFailed"},
			{"with a signature that is none", "GET", swap(read, "sig=", "sig=!"), 403, "AuthenticationFailed"},
			{"with an empty signature", "GET", "sig=&sv=2020-12-06&sr=b&se=x&sp=r&spr=https", 403, "AuthenticationFailed"},
		} {
			a := s.askURL(c.method, "/box/dev/x?"+c.query, "", "x-ms-blob-type", "BlockBlob", "x-ms-version", "2024-11-04")
			a.want(t, c.name, c.status, c.code)
		}
		s.askURL("GET", "/box?restype=container&comp=list&"+read, "").want(t, "a blob's token for its container", 403, "AuthenticationFailed")
		s.wantBlob("dev/x", "secret")
		time.Sleep(time.Minute)
		a := s.askURL("GET", "/box/dev/x?"+read, "").want(t, "an expired one", 403, "AuthenticationFailed")
		if !strings.Contains(a.body, "not valid in the specified time frame") {
			t.Errorf("the answer does not say so: %s", a.body)
		}
	})
}

func TestNobodyIsAdmittedWithoutAToken(t *testing.T) {
	s := open(t, Options{})
	for query, want := range map[string]bool{s.key(): true, "sig=x": false} {
		admitted := false
		s.Serve(httptest.NewRecorder(), httptest.NewRequest("GET", "/box/x?"+query, nil), func() { admitted = true })
		if admitted != want {
			t.Errorf("with %.10q admitted: %v", query, admitted)
		}
	}
}

func TestRequestsThatAreNotForStorage(t *testing.T) {
	s := open(t, Options{})
	for _, url := range []string{"/devices/d?api-version=2021-04-12", "/box/x", "/box/x?design=1", "/devices/d/messages/events?api-version=2021-04-12&x=sig"} {
		if s.Wants(httptest.NewRequest("GET", url, nil)) {
			t.Errorf("%s is taken", url)
		}
	}
}

func TestPathsLeadNowhereElse(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	for _, path := range []string{
		"/box/../account-key", "/box/dev/../../account-key", "/box/%2e%2e/account-key", "/box/..%2faccount-key", "/box/.", "/box/a/./b",
		"/../box/x", "/./x", "/%2e%2e/x", "//x", "/box%2f..%2fother/x", "/BOX/x", "/b/x", "/bo_x/x", "/box--x/x", "/-box/x", "/" + strings.Repeat("b", 64) + "/x",
		"/box/a%00b", "/box/a%0ab", "/box/%ff", "/box/" + strings.Repeat("x", 1025),
	} {
		r := httptest.NewRequest("PUT", "/", strings.NewReader("x"))
		r.URL.Path, r.URL.RawPath = "", ""
		if u, err := url.Parse(path); err == nil {
			r.URL.Path, r.URL.RawPath = u.Path, u.RawPath
		}
		r.URL.RawQuery = s.key()
		r.Header.Set("x-ms-blob-type", "BlockBlob")
		w := httptest.NewRecorder()
		s.Serve(w, r, func() {})
		if w.Code != 400 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	s.askURL("PUT", "/none/x?"+s.signer.token(place{container: "none"}, "w", time.Now().Add(time.Hour)).Reveal()[1:], "", "x-ms-blob-type", "BlockBlob").want(t, "no such container", 404, "ContainerNotFound")
	// Where a slash of the container's name is encoded, its blob is another's to a proxy.
	s.wantNoBlobs()
}

func TestNothingPrintsTheKey(t *testing.T) {
	const key = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
	a, err := NewAccount(sas.NewSecret("AccountName=acct;AccountKey="+key+";DefaultEndpointsProtocol=https"), box, nil)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Hides(t, "an account", key, a)
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	raw, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	testkit.Hides(t, "an endpoint", base64.StdEncoding.EncodeToString(raw), s.Endpoint)
	for _, bad := range []string{"AccountName=acct;AccountKey=" + key + "!", "AccountKey=" + key, key, "AccountName=a;AccountKey=" + key + ";BlobEndpoint=http://" + key} {
		if _, err := NewAccount(sas.NewSecret(bad), box, nil); err == nil || strings.Contains(fmt.Sprint(err), key) {
			t.Errorf("NewAccount: %v", err)
		}
	}
}
