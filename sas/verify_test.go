package sas_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire/sas"
)

type verifyVector struct {
	ID, Token    string
	Now          int64
	Skew         int64  `json:"skew_seconds"`
	Host         string `json:"hub_host"`
	Identity     *struct{ DeviceID, ModuleID string }
	IdentityKeys *pair `json:"identity_keys"`
	Policies     map[string]struct {
		pair
		Rights []string
	}
	Enabled  bool   `json:"identity_enabled"`
	Right    string `json:"required_permission"`
	Resource string
	Expect   string
	Reason   string
}

type pair struct{ Primary, Secondary *string }

func (p pair) keys() (k [2]*sas.Key) {
	for i, s := range []*string{p.Primary, p.Secondary} {
		if s != nil {
			k[i], _ = sas.NewKey(sas.NewSecret(*s)) // a key that is not base64 is no key
		}
	}
	return k
}

// verify is a hub's use of the package: the parts in the order in which their
// reasons are reported.
func verify(v *verifyVector) string {
	tok, err := sas.ParseToken(v.Token)
	if err != nil {
		return "malformed"
	}
	if errors.Is(tok.CheckExpiry(time.Unix(v.Now, 0), time.Duration(v.Skew)*time.Second), sas.ErrExpired) {
		return "expired"
	}
	var keys pair
	rights := []string{"DeviceConnect"}
	if tok.Policy != "" {
		p, ok := v.Policies[tok.Policy]
		if !ok {
			return "unknown-policy"
		}
		keys, rights = p.pair, p.Rights
	} else if v.Identity != nil {
		keys = *v.IdentityKeys
	}
	k := keys.keys()
	if _, err := tok.SignedBy(k[0], k[1]); errors.Is(err, sas.ErrSignature) {
		return "bad-signature"
	}
	if !slices.Contains(rights, v.Right) {
		return "no-permission"
	}
	path := []string{v.Host}
	if v.Identity != nil {
		path = append(path, "devices", v.Identity.DeviceID)
		if v.Identity.ModuleID != "" {
			path = append(path, "modules", v.Identity.ModuleID)
		}
	}
	for s := range strings.SplitSeq(v.Resource, "/") {
		if s != "" && v.Identity == nil {
			path = append(path, s)
		}
	}
	if errors.Is(tok.CheckResource(path...), sas.ErrWrongResource) {
		return "wrong-resource"
	}
	if !v.Enabled {
		return "disabled"
	}
	return ""
}

func TestVectorsOfVerification(t *testing.T) {
	for _, v := range load(t).Verification {
		want := v.Reason
		if v.Expect == "accept" {
			want = ""
		}
		if got := verify(&v); got != want {
			t.Errorf("%s: refused as %q, want %q", v.ID, got, want)
		}
	}
}
