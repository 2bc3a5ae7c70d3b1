package sas

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const scheme = "SharedAccessSignature"

// Errors of [ParseToken]; match them with [errors.Is].
var (
	ErrMalformed      = errors.New("sas: token is malformed")
	ErrDuplicateField = errors.New("sas: token has a field twice")
	ErrMissingSR      = errors.New("sas: token has no sr")
	ErrMissingSig     = errors.New("sas: token has no sig")
	ErrMissingSE      = errors.New("sas: token has no se")
	ErrBadSE          = errors.New("sas: se of the token is not a number of seconds")
)

// AppendToken appends a token for resource to dst, signed by s:
//
//	SharedAccessSignature sr={resource}&sig={mac}&se={expires}[&skn={policy}]
//
// resource is not yet encoded ([Audience] makes one). An empty policy leaves
// skn out. expires counts in whole seconds, rounded down. The error is the
// signer's, or says that its MAC has not 32 bytes. With a [Key] it allocates
// only to grow dst.
func AppendToken(ctx context.Context, dst []byte, s Signer, resource, policy string, expires time.Time) ([]byte, error) {
	whole := len(dst)
	dst = append(dst, scheme+" sr="...)
	sr := len(dst)
	dst = AppendEscape(dst, resource)
	end := len(dst)
	dst = append(dst, '\n')
	dst = strconv.AppendInt(dst, expires.Unix(), 10)

	// The string to sign is in place, where the token goes on: its MAC comes
	// behind it, and both give way to the rest of the token.
	signed := len(dst)
	dst, err := s.Sign(ctx, dst, dst[sr:signed:signed])
	if err != nil {
		return dst[:whole], fmt.Errorf("sas: sign: %w", err)
	}
	if n := len(dst) - signed; n != sha256.Size {
		return dst[:whole], fmt.Errorf("sas: sign: the MAC has %d bytes, not %d", n, sha256.Size)
	}
	var sig [44]byte // base64 of 32 bytes
	base64.StdEncoding.Encode(sig[:], dst[signed:])

	dst = append(dst[:end], "&sig="...)
	dst = AppendEscape(dst, sig[:])
	dst = append(dst, "&se="...)
	dst = strconv.AppendInt(dst, expires.Unix(), 10)
	if policy != "" {
		dst = append(dst, "&skn="...)
		dst = AppendEscape(dst, policy)
	}
	return dst, nil
}

// Token is a parsed token. Printed, its signature does not show.
type Token struct {
	Resource string    // sr as it stands in the token, still encoded
	Policy   string    // skn decoded; empty when absent or empty: an identity's own key signed
	Expires  time.Time // se, without a fraction; beyond the year 2262 it is capped there

	sig Secret // decoded from percent-encoding, still base64
	se  string // as it stands in the token, for the MAC
}

// ParseToken reads a token: the scheme, one white-space character, then the
// fields sr, sig, se and skn in any order, with names of any case; unknown
// fields are skipped. It checks neither signature nor expiry ([Token.Verify]).
// The error is one of this package's, and does not hold the token.
func ParseToken(s string) (Token, error) {
	rest, ok := strings.CutPrefix(s, scheme)
	if !ok || rest == "" || !isSpace(rest[0]) || strings.ContainsAny(rest[1:], " \t\r\n") {
		return Token{}, ErrMalformed
	}
	var sr, sig, se, skn string
	seen := map[string]bool{}
	for field := range strings.SplitSeq(rest[1:], "&") {
		name, value, ok := strings.Cut(field, "=")
		if !ok {
			return Token{}, ErrMalformed
		}
		name = strings.ToLower(name)
		if seen[name] {
			return Token{}, ErrDuplicateField
		}
		seen[name] = true
		switch name {
		case "sr":
			sr = value
		case "sig":
			sig = value
		case "se":
			se = value
		case "skn":
			skn = value
		}
	}
	switch {
	case sr == "":
		return Token{}, ErrMissingSR
	case sig == "":
		return Token{}, ErrMissingSig
	case se == "":
		return Token{}, ErrMissingSE
	}
	expires, ok := parseExpiry(unescape(se))
	if !ok {
		return Token{}, ErrBadSE
	}
	return Token{
		Resource: sr, Policy: unescape(skn), Expires: expires,
		sig: NewSecret(unescapeSig(sig)), se: se,
	}, nil
}

// unescapeSig decodes percent-encoding but leaves +, which base64 has and some
// send as it is.
func unescapeSig(s string) string {
	return unescape(strings.ReplaceAll(s, "+", "%2B"))
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func unescape(s string) string { return string(AppendUnescape(nil, s)) }

// parseExpiry reads decimal seconds, with a fraction that is dropped.
func parseExpiry(s string) (time.Time, bool) {
	whole, fraction, dotted := strings.Cut(s, ".")
	if !isDigits(whole) || dotted && !isDigits(fraction) {
		return time.Time{}, false
	}
	const last = math.MaxInt64 / int64(time.Second) // what a Duration still reaches
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > last {
		n = last
	}
	return time.Unix(n, 0).UTC(), true
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// Format implements [fmt.Formatter] for every verb: package fmt would else look
// into t and find the signature.
func (t Token) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "%s sr=%s&sig=%s&se=%d&skn=%s", scheme, t.Resource, redacted, t.Expires.Unix(), t.Policy)
}
