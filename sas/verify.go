package sas

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"time"
)

// DefaultSkew is how long after its expiry a token still passes, for clocks that differ.
const DefaultSkew = 5 * time.Minute

// Reasons why a token is refused; match them with [errors.Is]. They are for
// logs: tell a client no more than that it is not authorized.
var (
	ErrExpired       = errors.New("sas: token is expired")
	ErrSignature     = errors.New("sas: signature is of neither key")
	ErrWrongResource = errors.New("sas: token is for another resource")
)

// CheckExpiry returns [ErrExpired] when t expired more than skew before now.
func (t *Token) CheckExpiry(now time.Time, skew time.Duration) error {
	if now.After(t.Expires.Add(skew)) {
		return ErrExpired
	}
	return nil
}

// SignedBy returns which of the keys made t's signature: 0 the primary, 1 the
// secondary, or [ErrSignature]. Either may be nil. Both are always computed,
// and compared in constant time.
func (t *Token) SignedBy(primary, secondary *Key) (int, error) {
	sig, err := base64.StdEncoding.DecodeString(t.sig.Reveal())
	by := -1
	for i, key := range [...]*Key{secondary, primary} {
		if key.signed(t, sig) {
			by = 1 - i
		}
	}
	if err != nil || by < 0 {
		return -1, ErrSignature
	}
	return by, nil
}

func (k *Key) signed(t *Token, sig []byte) bool {
	if k == nil {
		return false
	}
	var sum [sha256.Size]byte
	return hmac.Equal(k.sum(sum[:0], []byte(t.Resource+"\n"+t.se)), sig)
}

// CheckResource returns [ErrWrongResource] unless t's resource is path, or a
// beginning of it by whole segments: {host}, {host}/devices/{id} and so on, as
// separate strings. Case does not matter. The resource may be raw or
// percent-encoded up to three times, as the official SDKs have it.
func (t *Token) CheckResource(path ...string) error {
	resource := t.Resource
	for range 4 {
		if isBeginning(resource, path) {
			return nil
		}
		decoded := unescape(resource)
		if decoded == resource {
			break
		}
		resource = decoded
	}
	return ErrWrongResource
}

func isBeginning(resource string, path []string) bool {
	segments := strings.Split(resource, "/")
	// A documented example of old ends its resource with the API version.
	if last := len(segments) - 1; strings.HasPrefix(segments[last], "api-version=") {
		segments = segments[:last]
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
