package sas

import (
	"fmt"
	"log/slog"
)

// Secret is a key or a token. It is an ordinary string for those who convert
// it, and "(secret)" for those who print it. An empty Secret prints as nothing.
type Secret string

const redacted = "(secret)"

// String returns "(secret)", or "" when s is empty.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format implements [fmt.Formatter] for every verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalText implements [encoding.TextMarshaler], for whoever logs as JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
