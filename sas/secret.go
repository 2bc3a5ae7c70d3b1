package sas

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"unsafe"
)

// Secret is a key or a token: [Secret.Reveal] gives its text, and whatever prints,
// logs or encodes it gives "(secret)". The zero Secret is empty, and prints as nothing.
//
// Package fmt calls no methods on what is in another struct's unexported field, but
// writes out all that it finds there. So a Secret holds no text, only where it
// is: such a field shows an address and a length.
//
// Secrets don't compare with ==, which would tell by its time how much of two
// keys agrees: see [Secret.Equal].
type Secret struct {
	_    [0]func() // not comparable
	data *byte     // of the text; nil when it is empty
	size int
}

// NewSecret returns text as a Secret. It does not allocate.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{data: unsafe.StringData(text), size: len(text)}
}

// Reveal returns the text of s. It does not allocate.
func (s Secret) Reveal() string { return unsafe.String(s.data, s.size) }

// IsZero reports whether s is empty.
func (s Secret) IsZero() bool { return s.size == 0 }

// Equal reports whether s and t are the same text, in a time that depends on
// nothing but their lengths.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare(unsafe.Slice(s.data, s.size), unsafe.Slice(t.data, t.size)) == 1
}

const redacted = "(secret)"

// String returns "(secret)", or "" when s is empty.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// Format implements [fmt.Formatter]: every verb gives what String returns.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText implements [encoding.TextMarshaler]: JSON gets what String returns.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]: s becomes the text itself, which
// MarshalText does not give back.
func (s *Secret) UnmarshalText(text []byte) error {
	if s != nil {
		*s = NewSecret(string(text))
	}
	return nil
}

// LogValue implements [slog.LogValuer] with what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
