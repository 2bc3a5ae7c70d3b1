package blob

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"net/url"
	"strings"
	"time"

	"github.com/hubwire/hubwire/sas"
)

// sasVersion is the version of the tokens that the hub makes.
const sasVersion = "2020-12-06"

// signer makes and checks the service SAS of an account.
// Source: "Create a service SAS", section "Construct the string-to-sign", version 2020-12-06.
type signer struct {
	account string
	key     *sas.Key // which no verb of fmt shows
}

// place is a container, or with a name in it a blob.
type place struct{ container, blob string }

// resource is the sr of tokens for p.
func (p place) resource() string {
	if p.blob == "" {
		return "c"
	}
	return "b"
}

// token returns the query string of a SAS for p, from its question mark. permissions
// are in the order of the documentation: racwdl.
func (s *signer) token(p place, permissions string, expires time.Time) sas.Secret {
	se := expires.UTC().Format(time.RFC3339)
	sig := s.sign(p, p.resource(), permissions, se)
	return sas.NewSecret("?sv=" + sasVersion + "&sr=" + p.resource() + "&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(sig)) +
		"&se=" + url.QueryEscape(se) + "&spr=https&sp=" + permissions)
}

func (s *signer) sign(p place, resource, permissions, expires string) []byte {
	canonical := "/blob/" + s.account + "/" + p.container
	if resource == "b" {
		canonical += "/" + p.blob
	}
	text := strings.Join([]string{
		permissions,
		"", // signedStart
		expires,
		canonical,
		"",      // signedIdentifier
		"",      // signedIP
		"https", // signedProtocol
		sasVersion,
		resource,
		"",                 // signedSnapshotTime
		"",                 // signedEncryptionScope
		"", "", "", "", "", // rscc, rscd, rsce, rscl, rsct
	}, "\n")
	sig, _ := s.key.Sign(context.Background(), nil, []byte(text)) // the key is not empty
	return sig
}

// signed are the parameters of a SAS that [signer.sign] signs, each with what it must be,
// if that is fixed. A token with any other was not made by this hub.
var signed = map[string]string{"sv": sasVersion, "spr": "https", "sr": "", "sig": "", "se": "", "sp": ""}

// authorize checks the SAS of a request for p, which needs one of permissions.
func (s *signer) authorize(q url.Values, p place, permissions string, now time.Time) *fault {
	if !q.Has("sig") {
		return errNoAuthentication
	}
	for name, want := range signed {
		if values := q[name]; len(values) != 1 || want != "" && values[0] != want {
			return errAuthentication.because("the parameter %s is not as this account signs it", name)
		}
	}
	for _, name := range []string{"st", "si", "sip", "sdd", "ses", "skoid", "rscc", "rscd", "rsce", "rscl", "rsct"} {
		if q.Has(name) {
			return errAuthentication.because("this account signs no parameter %s", name)
		}
	}
	sr, se := q.Get("sr"), q.Get("se")
	sig, err := base64.StdEncoding.DecodeString(q.Get("sig"))
	if err != nil || sr != "b" && sr != "c" || !hmac.Equal(sig, s.sign(p, sr, q.Get("sp"), se)) {
		return errAuthentication.because("Signature did not match.")
	}
	// The text is one that token made.
	if until, err := time.Parse(time.RFC3339, se); err != nil || !now.Before(until) {
		return errAuthentication.because("Signature not valid in the specified time frame: Expiry [%s] - Current [%s]", se, now.UTC().Format(time.RFC3339))
	}
	if sr == "b" && p.blob == "" || !strings.ContainsAny(q.Get("sp"), permissions) {
		return errPermission
	}
	return nil
}
