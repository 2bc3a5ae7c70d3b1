package sas_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

const sourceKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func TestTokensOfAConnectionString(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which begins on 2000-01-01
		for name, tt := range map[string]struct {
			s       string
			ttl     time.Duration
			expires time.Duration // of the token; 0 when it does not say
			policy  string
		}{
			"of a policy's key":          {"HostName=h;SharedAccessKeyName=service;SharedAccessKey=" + sourceKey, time.Minute, time.Minute, "service"},
			"of a device's key":          {"HostName=h;DeviceId=d;SharedAccessKey=" + sourceKey, 0, sas.DefaultTTL, ""},
			"of a token that it brought": {"HostName=h;SharedAccessKeyName=service;SharedAccessSignature=SharedAccessSignature sr=h&sig=AAAA&se=946771200&skn=own", 0, 0, "own"},
		} {
			cs, err := sas.ParseConnectionString(tt.s)
			if err != nil {
				t.Fatal(err)
			}
			source, err := cs.Tokens(tt.ttl)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			text, expires, err := source.Token(t.Context(), "h")
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if tt.expires == 0 != expires.IsZero() || tt.expires != 0 && time.Until(expires) != tt.expires {
				t.Errorf("%s: expires %v", name, expires)
			}
			if token, err := sas.ParseToken(text); err != nil || token.Policy != tt.policy {
				t.Errorf("%s: %v, %v", name, token.Policy, err)
			}
		}
	})
}

func TestNoTokensOfAConnectionString(t *testing.T) {
	for s, want := range map[string]error{
		"HostName=h;DeviceId=d;x509=true":              nil,
		"HostName=h;DeviceId=d;SharedAccessKey=secret": sas.ErrKeyBase64,
	} {
		cs, err := sas.ParseConnectionString(s)
		if err != nil {
			t.Fatal(err)
		}
		if source, err := cs.Tokens(0); source != nil || !errors.Is(err, want) {
			t.Errorf("%s: %v, %v", s, source, err)
		}
	}
}

func TestATokenWithoutAKeyIsGoodUntilTheHubRefusesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cs, err := sas.ParseConnectionString("HostName=h;DeviceId=d;SharedAccessSignature=SharedAccessSignature sr=h&sig=AAAA&se=946684860") // a minute from now
		if err != nil {
			t.Fatal(err)
		}
		source, err := cs.Tokens(0)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute + sas.DefaultSkew)
		if _, _, err := source.Token(t.Context(), "h"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		var e *hubwire.Error
		if _, _, err := source.Token(t.Context(), "h"); !errors.Is(err, sas.ErrExpired) || !errors.As(err, &e) || e.Code != hubwire.Unauthorized || e.Outcome != hubwire.NotSent || e.Retryable {
			t.Errorf("%v", err)
		}
	})
}
