package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/sas"
)

// Account is a storage account that somebody else serves. It is a [core.Storage].
type Account struct {
	signer
	container string
	host      string // with the path below which the containers are, if there is one
	http      *http.Client
}

// accountTimeout bounds a question to the account.
const accountTimeout = 30 * time.Second

// NewAccount reads the connection string of an account:
//
//	DefaultEndpointsProtocol=https;AccountName={name};AccountKey={base64}[;EndpointSuffix={suffix}][;BlobEndpoint={url}]
//
// Other members are skipped. The endpoint must be https: clients know nothing else. The error
// quotes no key. rt reaches the account; nil means [http.DefaultTransport].
func NewAccount(connectionString sas.Secret, container string, rt http.RoundTripper) (*Account, error) {
	if err := CheckContainer(container); err != nil {
		return nil, err
	}
	members := map[string]string{}
	for part := range strings.SplitSeq(connectionString.Reveal(), ";") {
		if name, value, ok := strings.Cut(part, "="); ok {
			members[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
	a := &Account{container: container, http: &http.Client{Transport: rt, Timeout: accountTimeout}}
	// A redirect is not of the account's doing, and would take the token along.
	a.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a.account = members["accountname"]
	var err error
	if a.key, err = sas.NewKey(sas.NewSecret(members["accountkey"])); err != nil || a.account == "" {
		return nil, errors.New("blob: the connection string has not both AccountName and AccountKey (base64)")
	}
	endpoint := members["blobendpoint"]
	if endpoint == "" {
		suffix := members["endpointsuffix"]
		if suffix == "" {
			suffix = "core.windows.net"
		}
		endpoint = members["defaultendpointsprotocol"] + "://" + a.account + ".blob." + suffix
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return nil, errors.New("blob: the connection string names no blob endpoint of the form https://{host}")
	}
	a.host = u.Host + strings.TrimSuffix(u.EscapedPath(), "/")
	return a, nil
}

// Target implements [core.Storage].
func (a *Account) Target(_ context.Context, _, blob string, expires time.Time) (core.UploadTarget, error) {
	p := place{a.container, blob}
	return core.UploadTarget{HostName: a.host, ContainerName: p.container, BlobName: blob, SASToken: a.token(p, "rw", expires)}, nil
}

// Properties implements [core.Storage].
func (a *Account) Properties(ctx context.Context, blob string) (core.BlobProperties, error) {
	p := place{a.container, blob}
	uri := "https://" + a.host + p.path()
	fail := func(format string, args ...any) (core.BlobProperties, error) {
		return core.BlobProperties{}, fmt.Errorf("blob: asking the account %q: "+format, append([]any{a.account}, args...)...)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, uri+a.token(p, "r", time.Now().Add(5*time.Minute)).Reveal(), nil)
	if err != nil {
		return fail("the URL is none") // the error has the token
	}
	r.Header["x-ms-version"] = []string{sasVersion}
	res, err := a.http.Do(r)
	if err != nil {
		var e *url.Error // its text has the URL, and so the token
		if errors.As(err, &e) {
			err = e.Err
		}
		return fail("%w", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection serves again
	switch code := res.Header.Get("x-ms-error-code"); {
	case res.StatusCode == http.StatusNotFound:
		return fail("%w (%.60q)", core.ErrNoBlob, code)
	case res.StatusCode != http.StatusOK || res.ContentLength < 0:
		return fail("it answered %d, %.60q", res.StatusCode, code)
	}
	modified, err := http.ParseTime(res.Header.Get("Last-Modified"))
	if err != nil {
		return fail("Last-Modified is no time")
	}
	return core.BlobProperties{URI: uri, Size: res.ContentLength, LastModified: modified}, nil
}

// String names the account, and not its key.
func (a *Account) String() string { return "storage account " + a.account }
