package sas_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire/sas"
)

func ExampleNewKey() {
	_, err := sas.NewKey(sas.NewSecret("not base64"))
	fmt.Println(err)
	key, err := sas.NewKey(sas.NewSecret("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
	fmt.Println(key, err)
	// Output:
	// sas: key is not base64
	// (secret) <nil>
}

func ExampleNewTextKey() {
	key, err := sas.NewTextKey(sas.NewSecret("the text of an Event Hubs key"))
	fmt.Println(key, err)
	// Output: (secret) <nil>
}

func ExampleDeriveKey() {
	group, err := sas.NewKey(sas.NewSecret("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
	if err != nil {
		fmt.Println(err)
		return
	}
	device := sas.DeriveKey(group, "sn-007")
	fmt.Println(device, len(device.Reveal()))
	// Output: (secret) 44
}

func ExampleKey_Sign() {
	key, err := sas.NewTextKey(sas.NewSecret("key"))
	if err != nil {
		fmt.Println(err)
		return
	}
	mac, err := key.Sign(context.Background(), nil, []byte("The quick brown fox jumps over the lazy dog"))
	fmt.Printf("%x %v\n", mac, err)
	// Output: f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8 <nil>
}

func TestKeysThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		err        error
	}{
		{"nothing", "", sas.ErrKeyEmpty},
		{"another alphabet", strings.Replace(key, "AAEC", "_-EC", 1), sas.ErrKeyBase64},
		{"no padding", strings.TrimRight(key, "="), sas.ErrKeyBase64},
		{"too much padding", key + "=", sas.ErrKeyBase64},
		{"a bit too many in the last character", strings.Replace(key, "8=", "9=", 1), sas.ErrKeyBase64},
		{"a line feed at the end", key + "\n", sas.ErrKeyBase64},
		{"a carriage return within", key[:20] + "\r" + key[20:], sas.ErrKeyBase64},
		{"a line break within", key[:20] + "\r\n" + key[20:], sas.ErrKeyBase64},
		{"nothing but a line feed", "\n", sas.ErrKeyBase64},
		{"a blank", key[:20] + " " + key[20:], sas.ErrKeyBase64},
		{"text", "sesame, open yourself", sas.ErrKeyBase64},
	} {
		k, err := sas.NewKey(sas.NewSecret(tt.text))
		if k != nil || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
		if err != nil && len(tt.text) > 2 && strings.Contains(err.Error(), tt.text[:3]) {
			t.Errorf("%s: the error quotes the key: %v", tt.name, err)
		}
	}
	if _, err := sas.NewTextKey(sas.Secret{}); !errors.Is(err, sas.ErrKeyEmpty) {
		t.Errorf("NewTextKey of nothing: %v", err)
	}
}

func TestTheZeroKeySignsNothing(t *testing.T) {
	var none *sas.Key
	tok, err := sas.ParseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]*sas.Key{"the zero Key": {}, "no Key": none} {
		if b, err := sas.AppendToken(t.Context(), []byte("before"), k, audience, "", expires); !errors.Is(err, sas.ErrKeyEmpty) || string(b) != "before" {
			t.Errorf("%s: AppendToken = %q, %v", name, b, err)
		}
		if _, err := tok.SignedBy(k, k); !errors.Is(err, sas.ErrSignature) {
			t.Errorf("%s: SignedBy: %v", name, err)
		}
		if s := sas.DeriveKey(k, "d"); !s.IsZero() {
			t.Errorf("%s derives a key", name)
		}
	}
}

// A Key is one hash that everybody uses: each has to get the MAC of its own text.
func TestAKeySignsForManyAtOnce(t *testing.T) {
	k := newKey(t, key, "base64", false)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			at := time.Unix(int64(g), 0)
			want, err := sas.AppendToken(t.Context(), nil, newKey(t, key, "base64", false), audience, "", at)
			if err != nil {
				t.Error(err)
			}
			for range 500 {
				got, err := sas.AppendToken(t.Context(), nil, k, audience, "", at)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s, %v, want %s", got, err, want)
					return
				}
				tok, err := sas.ParseToken(string(got))
				if err != nil {
					t.Error(err)
				} else if by, err := tok.SignedBy(nil, k); by != 1 || err != nil {
					t.Errorf("SignedBy = %d, %v", by, err)
				}
			}
		})
	}
	wg.Wait()
}
