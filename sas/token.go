package sas

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const scheme = "SharedAccessSignature"

// MaxToken is the longest token that is made or taken, in bytes. IoT Hub documents no
// limit; host and ids of the greatest length, encoded three times over, come to
// half of this.
const MaxToken = 8192

// sigLength is the length of a signature: base64 of 32 bytes.
const sigLength = 44

// ErrMAC is why no token is made when a [Signer] breaks its contract.
var ErrMAC = errors.New("sas: the signer appended no MAC of 32 bytes")

// ErrExpiry is why no token is made that expires before 1970: there is no way to
// write that.
var ErrExpiry = errors.New("sas: a token can't expire before 1970")

// AppendToken appends a token for resource to dst, signed by s:
//
//	SharedAccessSignature sr={resource}&sig={mac}&se={expires}[&skn={policy}]
//
// resource is not yet encoded ([Audience] makes one). An empty policy leaves
// skn out. expires counts in whole seconds, rounded down. The error is the
// signer's, or [ErrNoSigner], [ErrMAC], [ErrExpiry], or a [*SyntaxError]: the resource is empty,
// or the token would be longer than [MaxToken]. dst is returned as it was then. With a [Key] it allocates only to grow dst.
func AppendToken(ctx context.Context, dst []byte, s Signer, resource, policy string, expires time.Time) ([]byte, error) {
	b := AppendEscape(append(dst, scheme+" sr="...), resource)
	return appendSigned(ctx, dst, b, s, policy, expires)
}

// AppendEncodedToken is [AppendToken] for a resource that is encoded already, in
// whatever way: it stands in the token, and is signed, as it is. Spaces and "&" are
// refused in it, with a [*SyntaxError].
func AppendEncodedToken(ctx context.Context, dst []byte, s Signer, sr, policy string, expires time.Time) ([]byte, error) {
	if i := strings.IndexAny(sr, "& \t\r\n"); i >= 0 {
		return dst, &SyntaxError{Part: "sr", Offset: i, Err: ErrMalformed}
	}
	b := append(append(dst, scheme+" sr="...), sr...)
	return appendSigned(ctx, dst, b, s, policy, expires)
}

// appendSigned goes on with b, which is dst and the beginning of a token, up to
// the encoded resource.
func appendSigned(ctx context.Context, dst, b []byte, s Signer, policy string, expires time.Time) ([]byte, error) {
	sr, end := len(dst)+len(scheme+" sr="), len(b)
	switch {
	case s == nil:
		return dst, ErrNoSigner
	case sr == end:
		return dst, &SyntaxError{Part: "sr", Err: ErrMissingSR}
	case expires.Unix() < 0:
		return dst, ErrExpiry
	}
	var seconds [20]byte
	se := strconv.AppendInt(seconds[:0], expires.Unix(), 10)

	// The string to sign is in place, where the token goes on: its MAC comes
	// behind it, and both give way to the rest of the token.
	b = append(append(b, '\n'), se...)
	signed := len(b)
	b, err := s.Sign(ctx, b, b[sr:signed:signed])
	if err != nil {
		return dst, fmt.Errorf("sas: sign: %w", err)
	}
	if len(b)-signed != sha256.Size {
		return dst, ErrMAC
	}
	var sig [sigLength]byte
	base64.StdEncoding.Encode(sig[:], b[signed:])

	b = AppendEscape(append(b[:end], "&sig="...), sig[:])
	b = append(append(b, "&se="...), se...)
	if policy != "" {
		b = AppendEscape(append(b, "&skn="...), policy)
	}
	if len(b)-len(dst) > MaxToken {
		return dst, refuse(faultLength, MaxToken)
	}
	return b, nil
}
