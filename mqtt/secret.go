package mqtt

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"unsafe"
)

// Secret is a password, or none: [Secret.Reveal] gives its bytes, and whatever prints,
// logs or encodes it gives "[redacted]". The zero Secret is no password, which
// MQTT tells from an empty one.
//
// Package fmt calls no methods on what is in another struct's unexported field, but
// writes out all that it finds there. So a Secret holds no bytes, only where they
// are: such a field shows an address and a length. Secrets don't compare
// with ==: see [Secret.Equal].
type Secret struct {
	_    [0]func() // not comparable
	data *byte     // nil for no password
	size int
}

// NewSecret returns b as a Secret, which is a view of b: no copy is made. A nil b
// gives the zero Secret.
func NewSecret(b []byte) Secret { return Secret{data: unsafe.SliceData(b), size: len(b)} }

// Reveal returns the bytes that s is a view of; nil for no password. It does not allocate.
func (s Secret) Reveal() []byte { return unsafe.Slice(s.data, s.size) }

// IsZero reports whether s is no password at all.
func (s Secret) IsZero() bool { return s.data == nil }

// Equal reports whether s and t are the same password, or both none, in a time
// that depends on nothing but their lengths.
func (s Secret) Equal(t Secret) bool {
	return s.IsZero() == t.IsZero() && subtle.ConstantTimeCompare(s.Reveal(), t.Reveal()) == 1
}

const redacted = "[redacted]"

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// Format implements [fmt.Formatter]: every verb gives "[redacted]".
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText implements [encoding.TextMarshaler]: JSON gets "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements [slog.LogValuer] with "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
