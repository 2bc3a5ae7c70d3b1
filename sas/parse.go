package sas

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// maxFields bounds the work on a token made of nothing but unknown fields.
const maxFields = 32

// Token is a parsed token. Its signature does not show, whatever prints it.
type Token struct {
	Resource string    // sr as it stands in the token, still encoded
	Policy   string    // skn decoded; empty when absent or empty: an identity's own key signed
	Expires  time.Time // se, in UTC, without a fraction

	sig Secret // as it stands in the token: percent-encoded base64
	se  string // as it stands in the token, for the MAC
}

// The fields of a token.
const (
	fieldSR = iota
	fieldSig
	fieldSE
	fieldSKN
	fieldUnknown
)

// ParseToken reads a token of at most [MaxToken] bytes: the scheme, one
// white-space character, then the fields sr, sig, se and skn in any order, with
// names of any case. Unknown fields are skipped, with no more than 32 in all. It checks
// neither signature nor expiry: see [Token.CheckExpiry], [Token.SignedBy] and
// [Token.CheckResource].
//
// The Token shares the memory of s. It allocates only to decode a Policy with
// escapes, or for a new error, which is a [*SyntaxError].
func ParseToken(s string) (Token, error) {
	if len(s) > MaxToken {
		return Token{}, refuse(faultLength, MaxToken)
	}
	if at := formFault(s); at >= 0 {
		return Token{}, refuse(faultForm, at)
	}
	var values [fieldUnknown]string
	var seen [fieldUnknown]bool
	const first = len(scheme) + 1
	se := 0
	for at, n := first, 1; at <= len(s); n++ {
		field := s[at:]
		if end := strings.IndexByte(field, '&'); end >= 0 {
			field = field[:end]
		}
		name, value, ok := strings.Cut(field, "=")
		switch f := fieldOf(name); {
		case !ok:
			return Token{}, refuse(faultForm, at)
		case n > maxFields:
			return Token{}, refuse(faultFields, at)
		case f == fieldUnknown:
			if hasField(s[first:at], name) {
				return Token{}, refuse(faultDuplicate, at)
			}
		case seen[f]:
			return Token{}, refuse(faultDuplicate, at)
		default:
			seen[f], values[f] = true, value
			if f == fieldSE {
				se = at
			}
		}
		at += len(field) + 1
	}
	return newToken(s, &values, se)
}

// newToken makes a token of the fields of s; that of the expiry is at offset se.
func newToken(s string, values *[fieldUnknown]string, se int) (Token, error) {
	for f, fault := range [...]fault{fieldSR: faultSR, fieldSig: faultSig, fieldSE: faultSE} {
		if values[f] == "" {
			return Token{}, refuse(fault, len(s))
		}
	}
	expires, ok := parseExpiry(values[fieldSE])
	if !ok {
		return Token{}, refuse(faultSeconds, se)
	}
	return Token{
		Resource: values[fieldSR], Policy: unescape(values[fieldSKN]), Expires: expires,
		sig: NewSecret(values[fieldSig]), se: values[fieldSE],
	}, nil
}

// formFault returns the offset at which s stops to be two words, the first of
// which is the scheme; -1 when it is.
func formFault(s string) int {
	switch n := len(scheme); {
	case !strings.HasPrefix(s, scheme):
		return 0
	case len(s) == n || !isSpace(s[n]):
		return n
	}
	for _, c := range [...]byte{' ', '\t', '\r', '\n'} {
		if i := strings.IndexByte(s[len(scheme)+1:], c); i >= 0 {
			return len(scheme) + 1 + i
		}
	}
	return -1
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func fieldOf(name string) int {
	switch {
	case equalFold(name, "sr"):
		return fieldSR
	case equalFold(name, "sig"):
		return fieldSig
	case equalFold(name, "se"):
		return fieldSE
	case equalFold(name, "skn"):
		return fieldSKN
	}
	return fieldUnknown
}

func hasField(fields, name string) bool {
	for field := range strings.SplitSeq(fields, "&") {
		if other, _, ok := strings.Cut(field, "="); ok && equalFold(other, name) {
			return true
		}
	}
	return false
}

// parseExpiry reads decimal seconds, with a fraction that is dropped.
func parseExpiry(s string) (time.Time, bool) {
	whole, fraction, dotted := strings.Cut(unescape(s), ".")
	if !isDigits(whole) || dotted && !isDigits(fraction) {
		return time.Time{}, false
	}
	const last = math.MaxInt64 - 1<<36 // a time.Time counts from the year 1, not 1970
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > last {
		n = last
	}
	return time.Unix(n, 0).UTC(), true
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return s != ""
}

// Format implements [fmt.Formatter] for every verb.
func (t Token) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "%s sr=%s&sig=%s&se=%s&skn=%s", scheme, t.Resource, redacted, t.se, t.Policy)
}
