package sas_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/hubwire/hubwire/sas"
)

// BenchmarkHMAC is the floor of AppendToken: one HMAC of the 55 bytes that it signs.
func BenchmarkHMAC(b *testing.B) {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		b.Fatal(err)
	}
	text := []byte("myhub.azure-devices.net%2Fdevices%2Fdev-0001\n1767225600")
	mac := hmac.New(sha256.New, raw)
	out := make([]byte, 0, sha256.Size)
	b.ReportAllocs()
	for b.Loop() {
		mac.Reset()
		mac.Write(text)
		out = mac.Sum(out[:0])
	}
}

func BenchmarkAppendToken(b *testing.B) {
	k, err := sas.NewKey(sas.NewSecret(key))
	if err != nil {
		b.Fatal(err)
	}
	ctx, buf := context.Background(), make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		if buf, err = sas.AppendToken(ctx, buf[:0], k, audience, "", expires); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseToken(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sas.ParseToken(token); err != nil {
			b.Fatal(err)
		}
	}
}

// Refusing a token has to be no slower than accepting one.
func BenchmarkParseTokenRefused(b *testing.B) {
	for name, s := range refusedTokens {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := sas.ParseToken(s); err == nil {
					b.Fatal("not refused")
				}
			}
		})
	}
}

// refusedTokens are the token of the benchmarks, made wrong at its beginning, in the
// middle and at its end.
var refusedTokens = map[string]string{
	"scheme":          "sharedAccessSignature" + token[len("SharedAccessSignature"):],
	"a blank at last": token + " ",
	"field at last":   token + "&",
	"no value":        strings.Replace(token, "sig=", "sig", 1),
	"sr twice":        token + "&sr=x",
	"unknown twice":   token + "&x=1&x=2",
	"no se":           strings.Replace(token, "se=", "ve=", 1),
	"bad se":          token + "x",
	"too long":        token + strings.Repeat("x", sas.MaxToken),
	"fields only":     "SharedAccessSignature " + strings.Repeat("&=", sas.MaxToken/2-11),
}

func BenchmarkSignedBy(b *testing.B) {
	k, err := sas.NewKey(sas.NewSecret(key))
	if err != nil {
		b.Fatal(err)
	}
	tok, err := sas.ParseToken(token)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tok.SignedBy(k, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckResource(b *testing.B) {
	tok, err := sas.ParseToken(token)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := tok.CheckResource("myhub.azure-devices.net", "devices", "dev-0001"); err != nil {
			b.Fatal(err)
		}
	}
}
