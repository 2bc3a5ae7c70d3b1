package sas_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

type vectors struct {
	URLEncoding []map[string]any `json:"url_encoding"`
	Expiry      []struct {
		Start  time.Time
		TTL    int64 `json:"ttl_seconds"`
		Expiry string
	}
	HMAC []struct {
		ID, Key, Message, Signature string
	} `json:"hmac_raw"`
	Tokens  []tokenVector `json:"sas_tokens"`
	Compose []tokenVector `json:"sas_compose_only"`
	Derived []struct {
		ID, Derived string `json:"-"`
		Master      string `json:"master_key"`
		Reg         string `json:"registration_id"`
		Want        string `json:"derived_key"`
	} `json:"dps_derived_keys"`
	ConnectionStrings []struct {
		ID, Input, Kind, Error string
		Valid                  bool
		Fields                 map[string]any
		KeyOK                  *bool `json:"key_base64_strict_ok"`
	} `json:"connection_strings"`
	Parsing []struct {
		ID, Token, Error string
		Valid            bool
		Fields           struct {
			SR, Sig, SE, SKN string
			SRDecoded        string `json:"sr_decoded"`
		}
	} `json:"token_parsing"`
	Verification []verifyVector
}

type tokenVector struct {
	ID          string
	ResourceURI string `json:"resource_uri"`
	SREncoder   string `json:"sr_encoder"`
	SR          string
	Key         string
	KeyEncoding string `json:"key_encoding"`
	Lenient     bool   `json:"key_lenient_base64"`
	Expiry      string
	Policy      *string
	ToSign      string `json:"string_to_sign"`
	Signature   string
	SigEncoded  string   `json:"signature_encoded"`
	SigEncoder  string   `json:"sig_encoder"`
	SKNEncoder  string   `json:"skn_encoder"`
	FieldOrder  []string `json:"field_order"`
	Token       string
}

func load(t *testing.T) *vectors {
	t.Helper()
	var v vectors
	if err := json.Unmarshal(testkit.Vectors(t, "sas.json"), &v); err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]int{
		"url_encoding": len(v.URLEncoding), "sas_tokens": len(v.Tokens), "connection_strings": len(v.ConnectionStrings),
		"token_parsing": len(v.Parsing), "verification": len(v.Verification), "dps_derived_keys": len(v.Derived),
		"sas_compose_only": len(v.Compose), "hmac_raw": len(v.HMAC), "expiry": len(v.Expiry),
	} {
		if n == 0 {
			t.Fatalf("no vectors of %s: the test would pass for nothing", name)
		}
	}
	return &v
}

// newKey makes the key of a vector; lenient ones lack what strict base64 asks for.
func newKey(t *testing.T, text, encoding string, lenient bool) *sas.Key {
	t.Helper()
	var k *sas.Key
	var err error
	switch {
	case encoding == "utf8":
		k, err = sas.NewTextKey(sas.NewSecret(text))
	default:
		k, err = sas.NewKey(sas.NewSecret(text))
	}
	if err == nil {
		return k
	}
	if !lenient || !errors.Is(err, sas.ErrKeyBase64) {
		t.Fatalf("key: %v", err)
	}
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		t.Fatal(err)
	}
	k, err = sas.NewTextKey(sas.NewSecret(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestVectorsOfPercentEncoding(t *testing.T) {
	for _, v := range load(t).URLEncoding {
		in := v["input"].(string)
		if got := string(sas.AppendEscape(nil, in)); got != v["rfc3986-upper"] {
			t.Errorf("AppendEscape(%q)\n got %s\nwant %v", in, got, v["rfc3986-upper"])
		}
	}
}

func TestVectorsOfMACs(t *testing.T) {
	v := load(t)
	for _, h := range v.HMAC {
		mac, err := newKey(t, h.Key, "base64", true).Sign(context.Background(), nil, []byte(h.Message))
		if got := base64.StdEncoding.EncodeToString(mac); err != nil || got != h.Signature {
			t.Errorf("%s: %s, %v; want %s", h.ID, got, err, h.Signature)
		}
	}
	for _, d := range v.Derived {
		if got := sas.DeriveKey(newKey(t, d.Master, "base64", false), d.Reg).Reveal(); got != d.Want {
			t.Errorf("DeriveKey(%q) = %s, want %s", d.Reg, got, d.Want)
		}
	}
	for _, e := range v.Expiry {
		if got := strconv.FormatInt(e.Start.Add(time.Duration(e.TTL)*time.Second).Unix(), 10); got != e.Expiry {
			t.Errorf("%v + %d s: %s, want %s", e.Start, e.TTL, got, e.Expiry)
		}
	}
}

// Every producer's token verifies; and where the producer encodes as we do, we make the same bytes.
func TestVectorsOfTokens(t *testing.T) {
	same := 0
	for _, v := range load(t).Tokens {
		key := newKey(t, v.Key, v.KeyEncoding, v.Lenient)
		tok, err := sas.ParseToken(v.Token)
		if err != nil {
			t.Errorf("%s: parse: %v", v.ID, err)
			continue
		}
		if by, err := tok.SignedBy(key, nil); by != 0 || err != nil {
			t.Errorf("%s: SignedBy = %d, %v", v.ID, by, err)
		}
		if tok.Resource != v.SR {
			t.Errorf("%s: resource %q, want %q", v.ID, tok.Resource, v.SR)
		}
		policy := ""
		if v.Policy != nil {
			policy = *v.Policy
		}
		if tok.Policy != policy {
			t.Errorf("%s: policy %q, want %q", v.ID, tok.Policy, policy)
		}
		sknEncoder := v.SigEncoder
		if v.SKNEncoder != "" {
			sknEncoder = v.SKNEncoder
		}
		if encoders[v.SREncoder](v.ResourceURI) != v.SR || encoders[v.SigEncoder](v.Signature) != v.SigEncoded {
			t.Errorf("%s: the vector's encoders give another text", v.ID)
		}
		if v.SigEncoded != encoders["rfc3986-upper"](v.Signature) || !cmp.Equal(v.FieldOrder, ourOrder(policy)) ||
			encoders[sknEncoder](policy) != encoders["rfc3986-upper"](policy) {
			continue // a token that no call of ours makes
		}
		se, err := strconv.ParseInt(v.Expiry, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(se, 0)
		got, err := sas.AppendEncodedToken(t.Context(), nil, key, v.SR, policy, at)
		if err != nil || string(got) != v.Token {
			t.Errorf("%s: of the encoded resource\n got %s, %v\nwant %s", v.ID, got, err, v.Token)
		}
		if v.SR != encoders["rfc3986-upper"](v.ResourceURI) {
			continue
		}
		got, err = sas.AppendToken(t.Context(), nil, key, v.ResourceURI, policy, at)
		if err != nil || string(got) != v.Token {
			t.Errorf("%s:\n got %s, %v\nwant %s", v.ID, got, err, v.Token)
		}
		same++
	}
	if same == 0 {
		t.Error("no vector is encoded as we encode: nothing was compared byte by byte")
	}
}

func ourOrder(policy string) []string {
	if policy == "" {
		return []string{"sr", "sig", "se"}
	}
	return []string{"sr", "sig", "se", "skn"}
}

func TestVectorsThatOnlyComposeParse(t *testing.T) {
	for _, v := range load(t).Compose {
		tok, err := sas.ParseToken(v.Token)
		if err != nil {
			t.Errorf("%s: %v", v.ID, err)
			continue
		}
		if got := tok.Resource + "\n" + strconv.FormatInt(tok.Expires.Unix(), 10); got != v.ToSign {
			t.Errorf("%s: string to sign %q, want %q", v.ID, got, v.ToSign)
		}
	}
}

func TestVectorsOfTokenParsing(t *testing.T) {
	reasons := map[string]error{
		"malformed": sas.ErrMalformed, "duplicate field": sas.ErrDuplicateField, "missing sr": sas.ErrMissingSR,
		"missing sig": sas.ErrMissingSig, "missing se": sas.ErrMissingSE, "bad se": sas.ErrBadSE,
	}
	for _, v := range load(t).Parsing {
		tok, err := sas.ParseToken(v.Token)
		if !v.Valid {
			if want := reasons[v.Error]; want == nil || !errors.Is(err, want) {
				t.Errorf("%s: %v, want %q", v.ID, err, v.Error)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", v.ID, err)
			continue
		}
		if tok.Resource != v.Fields.SR || tok.Policy != v.Fields.SKN {
			t.Errorf("%s: resource %q, policy %q; want %q, %q", v.ID, tok.Resource, tok.Policy, v.Fields.SR, v.Fields.SKN)
		}
		if got := string(sas.AppendUnescape(nil, tok.Resource)); got != v.Fields.SRDecoded {
			t.Errorf("%s: decoded %q, want %q", v.ID, got, v.Fields.SRDecoded)
		}
		whole, _, _ := strings.Cut(v.Fields.SE, ".")
		if want, err := strconv.ParseInt(whole, 10, 64); err != nil || tok.Expires.Unix() != want {
			t.Errorf("%s: expires %v, want %s", v.ID, tok.Expires.Unix(), v.Fields.SE)
		}
		if got := sas.SignatureOf(&tok); got != v.Fields.Sig {
			t.Errorf("%s: sig %q, want %q", v.ID, got, v.Fields.Sig)
		}
	}
}

func TestVectorsOfConnectionStrings(t *testing.T) {
	reasons := map[string]error{
		"empty": sas.ErrEmpty, "malformed": sas.ErrNotPairs, "duplicate key": sas.ErrDuplicateKey,
		"bad endpoint scheme": sas.ErrEndpointScheme, "missing HostName": sas.ErrMissingHostName,
		"bad host name": sas.ErrBadHostName, "incomplete": sas.ErrIncomplete, "mixed credentials": sas.ErrMixedCredentials,
		"no credentials": sas.ErrMissingCredentials, "bad SAS": sas.ErrBadSignature,
	}
	for _, v := range load(t).ConnectionStrings {
		c, err := sas.ParseConnectionString(v.Input)
		if !v.Valid {
			if want := reasons[v.Error]; want == nil || !errors.Is(err, want) {
				t.Errorf("%s: %v, want %q", v.ID, err, v.Error)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", v.ID, err)
			continue
		}
		if c.Kind.String() != v.Kind {
			t.Errorf("%s: kind %v, want %s", v.ID, c.Kind, v.Kind)
		}
		if diff := cmp.Diff(v.Fields, fields(c)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", v.ID, diff)
		}
		again, err := sas.ParseConnectionString(string(c.AppendTo(nil)))
		if err != nil || !cmp.Equal(again, c) {
			t.Errorf("%s: written and read again: %v, %s", v.ID, err, cmp.Diff(c, again))
		}
		if v.KeyOK != nil {
			if _, err := sas.NewKey(c.SharedAccessKey); (err == nil) != *v.KeyOK {
				t.Errorf("%s: NewKey: %v, want ok %v", v.ID, err, *v.KeyOK)
			}
		}
	}
}

// fields gives what c holds as the vectors write it.
func fields(c *sas.ConnectionString) map[string]any {
	m := map[string]any{}
	for name, value := range map[string]string{
		"HostName": c.HostName, "DeviceId": c.DeviceID, "ModuleId": c.ModuleID, "GatewayHostName": c.GatewayHostName,
		"SharedAccessKeyName": c.SharedAccessKeyName, "SharedAccessKey": c.SharedAccessKey.Reveal(),
		"SharedAccessSignature": c.SharedAccessSignature.Reveal(), "Endpoint": c.Endpoint,
		"EndpointHost": c.EndpointHost, "EntityPath": c.EntityPath,
	} {
		if value != "" {
			m[name] = value
		}
	}
	if c.X509 {
		m["x509"] = true
	}
	if c.UseProvisioning {
		m["UseProvisioning"] = true
	}
	return m
}
