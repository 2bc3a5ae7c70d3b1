package sas_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
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

func ExampleToken_SignedBy() {
	key, err := sas.NewKey(sas.NewSecret("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
	if err != nil {
		fmt.Println(err)
		return
	}
	t, err := sas.ParseToken("SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices%2Fdev-0001&sig=VxtxdkXdQfw5u5IyLBKYY92FXX7TEK26znIZ5guwzRM%3D&se=1767225600")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(t.SignedBy(key, nil))
	fmt.Println(t.CheckExpiry(time.Unix(1767225600+301, 0), sas.DefaultSkew))
	fmt.Println(t.CheckResource("myhub.azure-devices.net", "devices", "dev-0002"))
	// Output:
	// 0 <nil>
	// sas: token is expired
	// sas: token is for another resource
}

func TestSignaturesThatPass(t *testing.T) {
	sig, se := "", ""
	k := newKey(t, key, "base64", false)
	for n := 0; !strings.Contains(sig, "+") || !strings.Contains(sig, "/"); n++ { // one with all that is to be escaped
		se = strconv.Itoa(n)
		mac, err := k.Sign(t.Context(), nil, []byte("h\n"+se))
		if err != nil {
			t.Fatal(err)
		}
		sig = base64.StdEncoding.EncodeToString(mac)
	}
	var all strings.Builder
	for i := range len(sig) {
		fmt.Fprintf(&all, "%%%02x", sig[i])
	}
	for name, tt := range map[string]struct {
		sig string
		by  error
	}{
		"as it is":                          {sig, nil},
		"in upper-case hex":                 {encoders["rfc3986-upper"](sig), nil},
		"in lower-case hex":                 {encoders["rfc3986-lower"](sig), nil},
		"with every character in an escape": {all.String(), nil},
		"encoded twice":                     {url.QueryEscape(url.QueryEscape(sig)), sas.ErrSignature},
		"without its padding":               {strings.TrimRight(sig, "="), sas.ErrSignature},
		"with more padding":                 {sig + "=", sas.ErrSignature},
		"in the alphabet of URLs":           {strings.NewReplacer("+", "-", "/", "_").Replace(sig), sas.ErrSignature},
		"with a blank for the plus":         {strings.ReplaceAll(sig, "+", "%20"), sas.ErrSignature},
		"with a line feed":                  {sig + "%0A", sas.ErrSignature},
		"with a line feed for a character":  {"%0A" + sig[1:], sas.ErrSignature},
		"with another first character":      {string(sig[0]^1) + sig[1:], sas.ErrSignature},
		"of 31 bytes":                       {base64.StdEncoding.EncodeToString(make([]byte, 31)), sas.ErrSignature},
		"of 33 bytes":                       {base64.StdEncoding.EncodeToString(make([]byte, 33)), sas.ErrSignature},
		"of a great many bytes":             {strings.Repeat("A", 4096), sas.ErrSignature},
		"that is no base64":                 {strings.Repeat("*", 44), sas.ErrSignature},
		"of zeros":                          {base64.StdEncoding.EncodeToString(make([]byte, 32)), sas.ErrSignature},
	} {
		tok, err := sas.ParseToken("SharedAccessSignature sr=h&sig=" + tt.sig + "&se=" + se)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if by, err := tok.SignedBy(k, nil); !errors.Is(err, tt.by) || (err == nil) != (by == 0) {
			t.Errorf("%s: SignedBy = %d, %v, want %v", name, by, err, tt.by)
		}
	}
}

func TestWhichKeySigned(t *testing.T) {
	good, bad := newKey(t, key, "base64", false), newKey(t, "c2VjcmV0", "base64", false)
	tok, err := sas.ParseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		primary, secondary *sas.Key
		by                 int
	}{
		"the primary": {good, bad, 0}, "the secondary": {bad, good, 1}, "both": {good, good, 0}, "neither": {bad, bad, -1},
		"the only one": {good, nil, 0}, "the only one, as a secondary": {nil, good, 1},
		"not the only one": {bad, nil, -1}, "not the only one, as a secondary": {nil, bad, -1}, "none at all": {nil, nil, -1},
	} {
		by, err := tok.SignedBy(tt.primary, tt.secondary)
		if by != tt.by || (err == nil) != (by >= 0) || err != nil && !errors.Is(err, sas.ErrSignature) {
			t.Errorf("%s: SignedBy = %d, %v, want %d", name, by, err, tt.by)
		}
	}
}

func TestAnyChangedCharacterBreaksTheSignature(t *testing.T) {
	k := newKey(t, key, "base64", false)
	for i := len("SharedAccessSignature sr="); i < len(token); i++ {
		for _, flip := range []byte{1, 2, 0x20} {
			changed := []byte(token)
			changed[i] ^= flip
			tok, err := sas.ParseToken(string(changed))
			if err != nil {
				continue
			}
			// The case of a field's name and of hex in sig is all that is free.
			if by, err := tok.SignedBy(k, nil); err == nil && !strings.EqualFold(string(changed), token) {
				t.Errorf("%s passes: %d", changed, by)
			}
		}
	}
}

func TestResources(t *testing.T) {
	device := []string{"hub.example", "devices", "d%41+"}
	for _, tt := range []struct {
		name, resource string
		ok             bool
	}{
		{"raw", "hub.example/devices/d%41+", true},
		{"encoded", "hub.example%2Fdevices%2Fd%2541%2B", true},
		{"encoded in lower case", "hub.example%2fdevices%2fd%2541%2b", true},
		{"with raw separators", "hub.example/devices/d%2541%2B", true},
		{"encoded twice", "hub.example%252Fdevices%252Fd%252541%252B", true},
		{"encoded three times", "hub.example%25252Fdevices%25252Fd%25252541%25252B", true},
		{"encoded four times", "hub.example%2525252Fdevices%2525252Fd%2525252541%2525252B", false},
		{"in capitals", "HUB.EXAMPLE/DEVICES/D%41+", true},
		{"all devices", "hub.example/devices", true},
		{"the hub", "hub.example", true},
		{"an API version at the end", "hub.example/devices/api-version=2016-11-14", true},
		{"an encoded API version at the end", "hub.example%2Fdevices%2Fapi-version%3D2016-11-14", true},
		{"an API version alone", "api-version=2016-11-14", false},
		{"two API versions", "hub.example/api-version=1/api-version=2", false},
		{"another device", "hub.example/devices/d", false},
		{"a device whose id begins so", "hub.example/devices/d%41+e", false},
		{"a module", "hub.example/devices/d%41+/modules/m", false},
		{"the beginning of a segment", "hub.example/device", false},
		{"a slash at the end", "hub.example/devices/", false},
		{"a slash at the beginning", "/hub.example/devices", false},
		{"two slashes", "hub.example//devices", false},
		{"a scheme", "https://hub.example/devices", false},
		{"another host", "hub.example.com", false},
		{"a Kelvin sign for a k", "hu\u212a.example", false},
	} {
		tok, err := sas.ParseToken("SharedAccessSignature sr=" + tt.resource + "&sig=s&se=1")
		if err != nil {
			t.Fatal(err)
		}
		if err := tok.CheckResource(device...); (err == nil) != tt.ok || err != nil && !errors.Is(err, sas.ErrWrongResource) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := tok.CheckResource(); err == nil {
			t.Errorf("%s: good for no path at all", tt.name)
		}
	}
}

func TestExpiry(t *testing.T) {
	tok, err := sas.ParseToken("SharedAccessSignature sr=h&sig=s&se=1000")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		now  time.Time
		skew time.Duration
		ok   bool
	}{
		{"before", time.Unix(999, 0), 0, true},
		{"at the second", time.Unix(1000, 0), 0, true},
		{"right after", time.Unix(1000, 1), 0, false},
		{"within the skew", time.Unix(1300, 0), sas.DefaultSkew, true},
		{"after the skew", time.Unix(1301, 0), sas.DefaultSkew, false},
	} {
		if err := tok.CheckExpiry(tt.now, tt.skew); (err == nil) != tt.ok || err != nil && !errors.Is(err, sas.ErrExpired) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
