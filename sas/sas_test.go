package sas_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

// the key of bytes 0x00 to 0x1f, and what it signs for dev-0001
const (
	key      = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	audience = "myhub.azure-devices.net/devices/dev-0001"
	token    = "SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices%2Fdev-0001&sig=VxtxdkXdQfw5u5IyLBKYY92FXX7TEK26znIZ5guwzRM%3D&se=1767225600"
)

// what must not show
const (
	signature = "VxtxdkXdQfw5u5IyLBKYY92FXX7TEK26znIZ5guwzRM"
	rawKey    = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"
)

var expires = time.Unix(1767225600, 0)

func ExampleAppendToken() {
	key, err := sas.NewKey(sas.NewSecret("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
	if err != nil {
		fmt.Println(err)
		return
	}
	id := hubwire.Identity{DeviceID: "dev-0001"}
	b, err := sas.AppendToken(context.Background(), nil, key, sas.Audience("myhub.azure-devices.net", id), "", time.Unix(1767225600, 0))
	fmt.Println(string(b), err)
	// Output: SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices%2Fdev-0001&sig=VxtxdkXdQfw5u5IyLBKYY92FXX7TEK26znIZ5guwzRM%3D&se=1767225600 <nil>
}

func TestSigningWithAReusedKeyAllocatesNothing(t *testing.T) {
	k := newKey(t, key, "base64", false)
	buf := make([]byte, 0, 512)
	testkit.NoAllocs(t, "AppendToken", func() {
		b, err := sas.AppendToken(context.Background(), buf, k, audience, "", expires)
		if err != nil || string(b) != token {
			t.Fatalf("%s, %v", b, err)
		}
	})
}

func TestASourceMakesTokensThatLast(t *testing.T) {
	k := newKey(t, key, "base64", false)
	before := time.Now().Truncate(time.Second)
	s, until, err := (&sas.Source{Signer: k, Policy: "my policy", TTL: 10 * time.Minute}).Token(context.Background(), audience)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := sas.ParseToken(s)
	if err != nil {
		t.Fatal(err)
	}
	if !tok.Expires.Equal(until) || until.Before(before.Add(10*time.Minute)) || tok.Policy != "my policy" {
		t.Errorf("expires %v and %v, policy %q", until, tok.Expires, tok.Policy)
	}
	if by, err := tok.SignedBy(nil, k); by != 1 || err != nil {
		t.Errorf("SignedBy = %d, %v, want the secondary", by, err)
	}
}

type badSigner struct {
	mac []byte
	err error
}

func (s badSigner) Sign(_ context.Context, dst, _ []byte) ([]byte, error) {
	return append(dst, s.mac...), s.err
}

func TestASignerThatFailsLeavesNoHalfAToken(t *testing.T) {
	broken := errors.New("the module is gone")
	for name, s := range map[string]badSigner{"error": {err: broken}, "short MAC": {mac: []byte("short")}} {
		b, err := sas.AppendToken(context.Background(), []byte("before"), s, audience, "", expires)
		if err == nil || string(b) != "before" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		if s.err != nil && !errors.Is(err, broken) {
			t.Errorf("%s: %v does not hold its cause", name, err)
		}
	}
}

func TestEveryPrefixOfATokenIsRefusedOrNotSigned(t *testing.T) {
	k := newKey(t, key, "base64", false)
	for i := range len(token) {
		tok, err := sas.ParseToken(token[:i])
		if err != nil {
			continue
		}
		if _, err := tok.SignedBy(k, nil); !errors.Is(err, sas.ErrSignature) {
			t.Errorf("%q passes: %v", token[:i], err)
		}
	}
}
