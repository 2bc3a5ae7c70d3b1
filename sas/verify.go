package sas

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
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

// CheckExpiry returns [ErrExpired] when t expired more than skew before now. It
// does not allocate.
func (t *Token) CheckExpiry(now time.Time, skew time.Duration) error {
	if t == nil || now.After(t.Expires.Add(skew)) {
		return ErrExpired
	}
	return nil
}

// SignedBy returns which of the keys made t's signature: 0 the primary, 1 the
// secondary, or [ErrSignature]. Either may be nil, and signs nothing then. Two MACs are
// always computed, and compared in constant time, so that neither the time nor the
// error tells which key was close. It does not allocate once a key has verified a token
// of that length.
func (t *Token) SignedBy(primary, secondary *Key) (int, error) {
	if t == nil || !primary.usable() && !secondary.usable() {
		return -1, ErrSignature
	}
	sig, ok := t.mac()
	byPrimary := primary.or(secondary).signed(t, &sig) & bit(ok && primary.usable())
	bySecondary := secondary.or(primary).signed(t, &sig) & bit(ok && secondary.usable())
	by := subtle.ConstantTimeSelect(byPrimary, 0, subtle.ConstantTimeSelect(bySecondary, 1, -1))
	if by < 0 {
		return -1, ErrSignature
	}
	return by, nil
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// mac decodes the signature.
func (t *Token) mac() (mac [sha256.Size]byte, ok bool) {
	var text [3 * sigLength]byte
	if t.sig.size > len(text) {
		return mac, false
	}
	sig := t.signature(text[:0])
	if len(sig) != sigLength {
		return mac, false
	}
	var raw [sha256.Size + 1]byte // base64 counts in threes
	n, err := strict.Decode(raw[:], sig)
	copy(mac[:], raw[:])
	return mac, err == nil && n == len(mac)
}

// signature appends the signature in base64 to dst. A + is one of base64, also where
// it was sent as it is.
func (t *Token) signature(dst []byte) []byte { return appendUnescape(dst, t.sig.Reveal(), '+') }

// CheckResource returns [ErrWrongResource] unless t's resource is path, or a
// beginning of it by whole segments: {host}, {host}/devices/{id} and so on, as
// separate strings, not encoded. The case of ASCII letters does not matter. The resource
// may be raw or percent-encoded up to three times, as the official SDKs have it. It
// allocates only for a resource of more than 512 bytes.
func (t *Token) CheckResource(path ...string) error {
	if t == nil {
		return ErrWrongResource
	}
	var buf [512]byte
	resource := append(buf[:0], t.Resource...)
	for range 4 {
		if isBeginning(resource, path) {
			return nil
		}
		if !bytes.ContainsAny(resource, "%+") {
			break
		}
		resource = AppendUnescape(resource[:0], resource)
	}
	return ErrWrongResource
}

func isBeginning(resource []byte, path []string) bool {
	// A documented example of old ends its resource with the API version.
	if last := bytes.LastIndexByte(resource, '/'); last >= 0 && bytes.HasPrefix(resource[last+1:], []byte("api-version=")) {
		resource = resource[:last]
	}
	for _, segment := range path {
		first, rest, more := bytes.Cut(resource, []byte{'/'})
		if !equalFold(first, segment) {
			return false
		}
		if !more {
			return true
		}
		resource = rest
	}
	return false
}
