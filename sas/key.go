package sas

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"
)

// Errors of keys; match them with [errors.Is].
var (
	ErrKeyBase64 = errors.New("sas: key is not base64")
	ErrKeyEmpty  = errors.New("sas: key is empty")
)

// strict is base64 with one text for each value.
var strict = base64.StdEncoding.Strict()

// Signer makes the MAC of a token: a [Key] in memory, a hardware module, the
// workload API of IoT Edge.
type Signer interface {
	// Sign appends the 32-byte HMAC-SHA256 of data to dst. data may be a part
	// of dst; it must not be kept.
	Sign(ctx context.Context, dst, data []byte) ([]byte, error)
}

// Key is a key in memory. It keeps its keyed hash, so that signing costs one
// HMAC and allocates nothing, and may be used by any number of goroutines.
// It prints as "(secret)". The zero Key has no key: it signs nothing.
type Key struct {
	hash *keyedHash // behind a pointer, where package fmt does not look
}

type keyedHash struct {
	mu  sync.Mutex
	mac hash.Hash
	buf []byte // what was signed last, when it came in pieces, and its MAC
}

// NewKey makes a key from the base64 text of a device, module, policy or DPS
// key: the standard alphabet, padded, with no line breaks. The error is
// [ErrKeyBase64] or [ErrKeyEmpty] and does not hold the key.
func NewKey(text Secret) (*Key, error) {
	s := text.Reveal()
	raw, err := strict.DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") { // which the decoder skips
		return nil, ErrKeyBase64 // not err: it could quote the key
	}
	return newKey(raw)
}

// NewTextKey makes a key from the bytes of its text, as Event Hubs and Service
// Bus do. The error is [ErrKeyEmpty].
func NewTextKey(text Secret) (*Key, error) { return newKey([]byte(text.Reveal())) }

func newKey(raw []byte) (*Key, error) {
	if len(raw) == 0 {
		return nil, ErrKeyEmpty
	}
	return &Key{&keyedHash{mac: hmac.New(sha256.New, raw)}}, nil
}

// Sign implements [Signer]. It looks at no context, since it does not wait. The
// error is [ErrKeyEmpty], of the zero Key. It allocates only to grow dst.
func (k *Key) Sign(_ context.Context, dst, data []byte) ([]byte, error) {
	if !k.usable() {
		return dst, ErrKeyEmpty
	}
	return k.hash.sum(dst, data), nil
}

func (k *Key) usable() bool { return k != nil && k.hash != nil }

// or returns other when k is no key.
func (k *Key) or(other *Key) *Key {
	if k.usable() {
		return k
	}
	return other
}

// signed returns 1 when sig is k's MAC for t, else 0, in constant time.
func (k *Key) signed(t *Token, sig *[sha256.Size]byte) int {
	h := k.hash
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf = append(append(append(h.buf[:0], t.Resource...), '\n'), t.se...)
	n := len(h.buf)
	h.mac.Reset()
	h.mac.Write(h.buf)
	h.buf = h.mac.Sum(h.buf)
	return subtle.ConstantTimeCompare(h.buf[n:], sig[:])
}

func (h *keyedHash) sum(dst, data []byte) []byte {
	h.mu.Lock()
	h.mac.Reset()
	h.mac.Write(data)
	dst = h.mac.Sum(dst)
	h.mu.Unlock()
	return dst
}

// Format implements [fmt.Formatter] for every verb.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// DeriveKey derives the key of one device from the key of its DPS enrollment
// group: base64(HMAC-SHA256(group key, registration id)). The id is taken byte
// by byte; use lower case, as DPS compares it without case. The zero Key derives
// the empty Secret.
// Source: "Symmetric key attestation", section "Group enrollments".
func DeriveKey(group *Key, registrationID string) Secret {
	if !group.usable() {
		return Secret{}
	}
	return NewSecret(base64.StdEncoding.EncodeToString(group.hash.sum(nil, []byte(registrationID))))
}
