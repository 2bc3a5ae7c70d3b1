package sas

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"sync"
)

// Errors of keys; match them with [errors.Is].
var (
	ErrKeyBase64 = errors.New("sas: key is not base64")
	ErrKeyEmpty  = errors.New("sas: key is empty")
)

// Signer makes the MAC of a token: a [Key] in memory, a hardware module, the
// workload API of IoT Edge.
type Signer interface {
	// Sign appends the 32-byte HMAC-SHA256 of data to dst. data may be a part
	// of dst; it must not be kept.
	Sign(ctx context.Context, dst, data []byte) ([]byte, error)
}

// Key is a key in memory. It keeps its keyed hash, so that signing costs one
// HMAC and allocates nothing, and may be used by any number of goroutines.
// It prints as "(secret)".
type Key struct {
	mu  sync.Mutex
	mac hash.Hash
}

// NewKey makes a key from the base64 text of a device, module, policy or DPS
// key: the standard alphabet, padded. The error is [ErrKeyBase64] or
// [ErrKeyEmpty] and does not hold the key.
func NewKey(text Secret) (*Key, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text.Reveal())
	if err != nil {
		return nil, ErrKeyBase64 // not err: it could quote the key
	}
	return newKey(raw)
}

// NewTextKey makes a key from the bytes of its text, as Event Hubs and Service Bus do.
func NewTextKey(text Secret) (*Key, error) { return newKey([]byte(text.Reveal())) }

func newKey(raw []byte) (*Key, error) {
	if len(raw) == 0 {
		return nil, ErrKeyEmpty
	}
	return &Key{mac: hmac.New(sha256.New, raw)}, nil
}

// Sign implements [Signer]. It looks at no context, since it does not wait.
func (k *Key) Sign(_ context.Context, dst, data []byte) ([]byte, error) {
	return k.sum(dst, data), nil
}

func (k *Key) sum(dst, data []byte) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mac.Reset()
	k.mac.Write(data)
	return k.mac.Sum(dst)
}

// Format implements [fmt.Formatter] for every verb.
func (k *Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// DeriveKey derives the key of one device from the key of its DPS enrollment
// group: base64(HMAC-SHA256(group key, registration id)). The id is taken byte
// by byte; use lower case, as DPS compares it without case.
// Source: "Symmetric key attestation", section "Group enrollments".
func DeriveKey(group *Key, registrationID string) Secret {
	return NewSecret(base64.StdEncoding.EncodeToString(group.sum(nil, []byte(registrationID))))
}
