package sas_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

func ExampleSecret() {
	s := sas.NewSecret("c2VjcmV0")
	fmt.Println(s, s.Reveal(), s.Equal(sas.NewSecret("other")))
	// Output: (secret) c2VjcmV0 false
}

func TestNothingShowsASecret(t *testing.T) {
	c, err := sas.ParseConnectionString("HostName=h.azure-devices.net;DeviceId=d;SharedAccessKey=" + key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := sas.ParseConnectionString("HostName=h.azure-devices.net;DeviceId=d;SharedAccessSignature=" + token)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := sas.ParseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	k := newKey(t, key, "base64", false)
	derived := sas.DeriveKey(k, "sn-007")
	if _, err := k.Sign(t.Context(), nil, []byte("so that it has a state")); err != nil {
		t.Fatal(err)
	}

	testkit.Hides(t, "a Secret", key, sas.NewSecret(key))
	testkit.Hides(t, "a connection string", key, *c)
	testkit.Hides(t, "a connection string with a token", signature, *signed)
	testkit.Hides(t, "a token", signature, tok)
	testkit.Hides(t, "a derived key", derived.Reveal(), derived)
	for form, raw := range map[string]string{"text": key, "bytes": rawKey} {
		testkit.Hides(t, "a key, "+form, raw, k)
		testkit.Hides(t, "a key by value, "+form, raw, *k)
		testkit.Hides(t, "a source, "+form, raw, sas.Source{Signer: k, Policy: "p"})
		testkit.Hides[sas.TokenSource](t, "a token source, "+form, raw, &sas.Source{Signer: k, Policy: "p"})
	}
}

func TestAnEmptySecretShowsThatItIsEmpty(t *testing.T) {
	if got := fmt.Sprintf("%v|%s|%+v", sas.Secret{}, sas.NewSecret(""), sas.NewSecret("x")); got != "||(secret)" {
		t.Errorf("printed: %s", got)
	}
	if !sas.NewSecret("").IsZero() || sas.NewSecret("x").IsZero() || sas.NewSecret("").Reveal() != "" {
		t.Error("IsZero is not true of the empty Secret, or not of it alone")
	}
}

func TestSecretsAreEqualWhenTheirTextsAre(t *testing.T) {
	texts := []string{"", "a", "b", "ab", "abcdefgh", "abcdefgH"}
	for i, a := range texts {
		for j, b := range texts {
			if got := sas.NewSecret(a).Equal(sas.NewSecret(b + "")); got != (i == j) {
				t.Errorf("%q equal to %q: %v", a, b, got)
			}
		}
	}
}

func TestSecretsAllocateNothing(t *testing.T) {
	text := string([]byte("a secret that is not a constant"))
	testkit.NoAllocs(t, "NewSecret and Reveal", func() {
		if s := sas.NewSecret(text); s.Reveal() != text {
			t.Fatal("another text")
		}
	})
}

func TestASecretReadsWhatJSONHas(t *testing.T) {
	var v struct{ Key, Other sas.Secret }
	if err := json.Unmarshal([]byte(`{"Key":"a\u0062c","Other":null}`), &v); err != nil {
		t.Fatal(err)
	}
	if v.Key.Reveal() != "abc" || !v.Other.IsZero() {
		t.Errorf("%q, %q", v.Key.Reveal(), v.Other.Reveal())
	}
	if err := json.Unmarshal([]byte(`{"Key":5}`), &v); err == nil {
		t.Error("a number is a secret")
	}
	if b, err := json.Marshal(v.Key); err != nil || string(b) != `"(secret)"` {
		t.Errorf("%s, %v", b, err)
	}
}
