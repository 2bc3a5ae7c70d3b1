package sas_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

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

func TestSigningWithAReusedKeyAllocatesNothing(t *testing.T) {
	k := newKey(t, key, "base64", false)
	for name, size := range map[string]int{"room enough": 512, "just the room it needs": len(token)} {
		buf := make([]byte, 0, size)
		testkit.NoAllocs(t, name, func() {
			b, err := sas.AppendToken(context.Background(), buf, k, audience, "", expires)
			if err != nil || string(b) != token {
				t.Fatalf("%s, %v", b, err)
			}
		})
	}
}

func TestATokenIsAppendedAndNothingBehindItIsTouched(t *testing.T) {
	k := newKey(t, key, "base64", false)
	for _, room := range []int{0, 1, 30, 80, len(token) - 1, len(token), len(token) + 1, len(token) + 8} {
		whole := []byte("before" + strings.Repeat("-", room) + "behind")
		b, err := sas.AppendToken(t.Context(), whole[:len("before"):len("before")+room], k, audience, "", expires)
		if err != nil || string(b) != "before"+token {
			t.Errorf("room for %d: %s, %v", room, b, err)
		}
		if !strings.HasSuffix(string(whole), "behind") || room > len(token) && whole[len("before")+len(token)] != '-' {
			t.Errorf("room for %d: wrote too far: %s", room, whole)
		}
	}
}

func TestTokensThatAreNotMade(t *testing.T) {
	k := newKey(t, key, "base64", false)
	long := strings.Repeat("x", sas.MaxToken)
	for _, tt := range []struct {
		name, resource, policy string
		expires                time.Time
		err                    error
	}{
		{"of no resource", "", "p", expires, sas.ErrMissingSR},
		{"of the past", audience, "", time.Unix(-1, 0), sas.ErrExpiry},
		{"of no time", audience, "", time.Time{}, sas.ErrExpiry},
		{"of too long a resource", long, "", expires, sas.ErrTooLong},
		{"of too long a policy", audience, long, expires, sas.ErrTooLong},
	} {
		for form, f := range map[string]func() ([]byte, error){
			"raw": func() ([]byte, error) {
				return sas.AppendToken(t.Context(), []byte("before"), k, tt.resource, tt.policy, tt.expires)
			},
			"encoded": func() ([]byte, error) {
				return sas.AppendEncodedToken(t.Context(), []byte("before"), k, tt.resource, tt.policy, tt.expires)
			},
		} {
			if b, err := f(); !errors.Is(err, tt.err) || string(b) != "before" {
				t.Errorf("%s, %s: %.40q, %v, want %v", tt.name, form, b, err, tt.err)
			}
		}
	}
	for _, sr := range []string{"h&sig=x", "h d", "h\n"} {
		b, err := sas.AppendEncodedToken(t.Context(), []byte("before"), k, sr, "", expires)
		if !errors.Is(err, sas.ErrMalformed) || string(b) != "before" {
			t.Errorf("%q: %q, %v", sr, b, err)
		}
	}
	for name, appendTo := range map[string]func(context.Context, []byte, sas.Signer, string, string, time.Time) ([]byte, error){
		"raw": sas.AppendToken, "encoded": sas.AppendEncodedToken,
	} {
		if b, err := appendTo(t.Context(), []byte("before"), nil, audience, "", expires); !errors.Is(err, sas.ErrNoSigner) || string(b) != "before" {
			t.Errorf("without a Signer, %s: %q, %v", name, b, err)
		}
	}
	if _, _, err := (&sas.Source{}).Token(t.Context(), audience); !errors.Is(err, sas.ErrNoSigner) {
		t.Errorf("a Source without a Signer: %v", err)
	}
}

func TestASourceMakesTokensThatLast(t *testing.T) {
	k := newKey(t, key, "base64", false)
	before := time.Now()
	s, until, err := (&sas.Source{Signer: k, Policy: "my policy", TTL: 10 * time.Minute}).Token(context.Background(), audience)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := sas.ParseToken(s)
	if err != nil {
		t.Fatal(err)
	}
	if !tok.Expires.Equal(until) || until.Before(before.Add(10*time.Minute)) || until.After(time.Now().Add(10*time.Minute+time.Second)) || tok.Policy != "my policy" {
		t.Errorf("expires %v and %v, policy %q", until, tok.Expires, tok.Policy)
	}
	if by, err := tok.SignedBy(nil, k); by != 1 || err != nil {
		t.Errorf("SignedBy = %d, %v, want the secondary", by, err)
	}
}

type signerFunc func(ctx context.Context, dst, data []byte) ([]byte, error)

func (f signerFunc) Sign(ctx context.Context, dst, data []byte) ([]byte, error) {
	return f(ctx, dst, data)
}

func TestASignerThatFailsLeavesNoHalfAToken(t *testing.T) {
	broken := errors.New("the module is gone")
	for name, s := range map[string]signerFunc{
		"an error":             func(_ context.Context, dst, _ []byte) ([]byte, error) { return dst, broken },
		"an error and nothing": func(context.Context, []byte, []byte) ([]byte, error) { return nil, broken },
		"an error and a MAC": func(_ context.Context, dst, _ []byte) ([]byte, error) {
			return append(dst, make([]byte, 32)...), broken
		},
		"a short MAC":   func(_ context.Context, dst, _ []byte) ([]byte, error) { return append(dst, "short"...), nil },
		"a long MAC":    func(_ context.Context, dst, _ []byte) ([]byte, error) { return append(dst, make([]byte, 64)...), nil },
		"nothing":       func(context.Context, []byte, []byte) ([]byte, error) { return nil, nil },
		"the MAC alone": func(context.Context, []byte, []byte) ([]byte, error) { return make([]byte, 32), nil },
	} {
		b, err := sas.AppendToken(t.Context(), []byte("before"), s, audience, "", expires)
		if string(b) != "before" || !errors.Is(err, sas.ErrMAC) && !(strings.HasPrefix(name, "an error") && errors.Is(err, broken)) {
			t.Errorf("%s: %q, %v", name, b, err)
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
