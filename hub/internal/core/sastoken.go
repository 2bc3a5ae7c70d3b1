package core

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hubwire/hubwire/sas"
)

// Verification of shared access signatures imitates what IoT Edge's hub and
// the documentation have in common: the signature is over the resource as it
// was sent, the resource may be raw or encoded once or more, fields come in
// any order and any case.

var (
	errMalformed = errors.New("the token is malformed")
	errSignature = errors.New("the signature is of neither key")
)

// sasToken is a parsed token. It is not printed: it holds the signature.
type sasToken struct {
	resource string // as sent
	expiry   string // as sent
	mac      []byte
	policy   string
	expires  time.Time
}

func parseToken(s string) (*sasToken, error) {
	const scheme = "SharedAccessSignature"
	rest, ok := strings.CutPrefix(s, scheme)
	if !ok || rest == "" || !strings.ContainsRune(" \t\r\n", rune(rest[0])) || strings.ContainsAny(rest[1:], " \t\r\n") {
		return nil, errMalformed
	}
	fields := map[string]string{}
	for f := range strings.SplitSeq(rest[1:], "&") {
		name, value, _ := strings.Cut(f, "=")
		name = strings.ToLower(name)
		if _, dup := fields[name]; dup {
			return nil, errMalformed
		}
		fields[name] = value
	}
	t := &sasToken{resource: fields["sr"], policy: unescape(fields["skn"])}
	sig, err := base64.StdEncoding.DecodeString(unescape(fields["sig"]))
	if t.resource == "" || err != nil || len(sig) == 0 {
		return nil, errMalformed
	}
	t.mac, t.expiry = sig, fields["se"]
	if t.expires, err = parseExpiry(unescape(t.expiry)); err != nil {
		return nil, err
	}
	return t, nil
}

// parseExpiry reads seconds since 1970, with an optional fraction that is cut off.
func parseExpiry(s string) (time.Time, error) {
	whole, fraction, dotted := strings.Cut(s, ".")
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	if !digits(whole) || dotted && !digits(fraction) {
		return time.Time{}, errMalformed
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > math.MaxInt64/int64(time.Second) {
		n = math.MaxInt64 / int64(time.Second) // the year 2262, which is as good as never
	}
	return time.Unix(n, 0).UTC(), nil
}

func (t *sasToken) checkExpiry(now time.Time, skew time.Duration) error {
	if now.After(t.expires.Add(skew)) {
		return fmt.Errorf("the token expired at %v", t.expires)
	}
	return nil
}

// signedBy returns the key that made the signature, or nil. Both keys are
// always tried, and compared in constant time. A key that is not base64 signs nothing.
func (t *sasToken) signedBy(primary, secondary sas.Secret) *sas.Secret {
	var by *sas.Secret
	for _, key := range [...]sas.Secret{secondary, primary} {
		raw, err := base64.StdEncoding.DecodeString(key.Reveal())
		h := hmac.New(sha256.New, raw)
		h.Write([]byte(t.resource + "\n" + t.expiry))
		if hmac.Equal(h.Sum(nil), t.mac) && err == nil && len(raw) > 0 {
			by = &key
		}
	}
	return by
}

// covers reports whether a token's resource is the path or a beginning of it,
// by whole segments and without case. It may be percent-encoded several times.
func covers(resource string, path []string) bool {
	for range 4 {
		if coversDecoded(resource, path) {
			return true
		}
		decoded := unescape(resource)
		if decoded == resource {
			return false
		}
		resource = decoded
	}
	return false
}

func coversDecoded(resource string, path []string) bool {
	segments := strings.Split(resource, "/")
	if last := len(segments) - 1; strings.HasPrefix(segments[last], "api-version=") {
		segments = segments[:last] // as documented examples of old have it
	}
	if len(segments) == 0 || len(segments) > len(path) {
		return false
	}
	for i, s := range segments {
		if !strings.EqualFold(s, path[i]) {
			return false
		}
	}
	return true
}

// unescape decodes percent-encoding; text that is not is left as it is.
func unescape(s string) string {
	if d, err := url.PathUnescape(s); err == nil {
		return d
	}
	return s
}
