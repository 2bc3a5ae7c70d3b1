package device

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

const (
	testKey   = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	testToken = "SharedAccessSignature sr=h.example%2Fdevices%2Fd&sig=VxtxdkXdQfw5u5IyLBKYY92FXX7TEK26znIZ5guwzRM%3D&se=946771200" // 2000-01-02
)

func TestCredentialsFromConnectionStrings(t *testing.T) {
	for name, tt := range map[string]struct {
		s    string
		want string // of String
		err  error
	}{
		"a device":             {"HostName=h.example;DeviceId=d;SharedAccessKey=" + testKey, "d at h.example with tokens", nil},
		"a module":             {"HostName=h.example;DeviceId=d;ModuleId=m;SharedAccessKey=" + testKey, "d/m at h.example with tokens", nil},
		"a policy's key":       {"HostName=h.example;DeviceId=d;SharedAccessKeyName=device;SharedAccessKey=" + testKey, "d at h.example with tokens", nil},
		"a gateway":            {"HostName=h.example;DeviceId=d;SharedAccessKey=" + testKey + ";GatewayHostName=g", "d at h.example with tokens by way of g", nil},
		"a token":              {"HostName=h.example;DeviceId=d;SharedAccessSignature=" + testToken, "d at h.example with tokens", nil},
		"a certificate":        {"HostName=h.example;DeviceId=d;x509=true", "d at h.example with nothing", nil},
		"nothing":              {"", "", sas.ErrEmpty},
		"a service's":          {"HostName=h.example;SharedAccessKeyName=service;SharedAccessKey=" + testKey, "", hubwire.ArgumentInvalid},
		"an Event Hub's":       {"Endpoint=sb://h/;SharedAccessKeyName=p;SharedAccessKey=" + testKey + ";EntityPath=e", "", hubwire.ArgumentInvalid},
		"DPS":                  {"HostName=h.example;DeviceId=d;UseProvisioning=true", "", errors.ErrUnsupported},
		"a key that is none":   {"HostName=h.example;DeviceId=d;SharedAccessKey=secret!", "", sas.ErrKeyBase64},
		"a token that is none": {"HostName=h.example;DeviceId=d;SharedAccessSignature=secret!", "", sas.ErrBadSignature},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := CredentialsFromConnectionString(tt.s)
			if !errors.Is(err, tt.err) || tt.err != nil && !errors.Is(err, hubwire.ArgumentInvalid) {
				t.Fatalf("%v", err)
			}
			if err != nil {
				if strings.Contains(err.Error(), "secret!") {
					t.Errorf("the error shows the secret: %v", err)
				}
				return
			}
			if c.String() != tt.want {
				t.Errorf("%s, want %s", c, tt.want)
			}
		})
	}
}

func TestCredentialsDoNotPrint(t *testing.T) {
	for _, s := range []string{
		"HostName=h.example;DeviceId=d;SharedAccessKey=" + testKey,
		"HostName=h.example;DeviceId=d;SharedAccessSignature=" + testToken,
	} {
		c, err := CredentialsFromConnectionString(s)
		if err != nil {
			t.Fatal(err)
		}
		var all bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&all, verb+verb+verb, c, &c, struct{ c Credentials }{c})
		}
		slog.New(slog.NewTextHandler(&all, nil)).Info("x", "c", c)
		slog.New(slog.NewJSONHandler(&all, nil)).Info("x", "c", c)
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
		for _, secret := range []string{testKey, testToken, "VxtxdkXd", "AAECAw"} {
			for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%q", secret)} {
				if strings.Contains(all.String(), form) {
					t.Errorf("the secret shows: %s", &all)
				}
			}
		}
		if !strings.Contains(all.String(), "d at h.example") {
			t.Errorf("nothing shows: %s", &all)
		}
	}
}

func TestATokenWithoutAKeyIsGoodUntilTheHubRefusesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which begins on 2000-01-01
		c, err := CredentialsFromConnectionString("HostName=h.example;DeviceId=d;SharedAccessSignature=" + testToken)
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			at time.Duration
			ok bool
		}{{0, true}, {24 * time.Hour, true}, {24*time.Hour + 5*time.Minute, true}, {24*time.Hour + 5*time.Minute + time.Second, false}} {
			time.Sleep(tt.at - time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))
			token, expires, err := c.Tokens.Token(t.Context(), "anything")
			if tt.ok && (token != testToken || !expires.IsZero() || err != nil) {
				t.Errorf("at %v: %v, %v", tt.at, expires, err)
			}
			var e *hubwire.Error
			if !tt.ok && (token != "" || !errors.Is(err, hubwire.Unauthorized) || !errors.Is(err, sas.ErrExpired) || !errors.As(err, &e) || e.Retryable) {
				t.Errorf("at %v: %q, %v", tt.at, token, err)
			}
		}
	})
}

func TestCredentialsAreChecked(t *testing.T) {
	cert := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return nil, nil }
	for name, tt := range map[string]struct {
		change func(*Credentials)
		ok     bool
	}{
		"tokens":                   {func(*Credentials) {}, true},
		"a certificate":            {func(c *Credentials) { c.Tokens, c.GetClientCertificate = nil, cert }, true},
		"a gateway's IPv6 address": {func(c *Credentials) { c.GatewayHostName = "::1" }, true},
		"no host":                  {func(c *Credentials) { c.HostName = "" }, false},
		"a host with a port":       {func(c *Credentials) { c.HostName += ":443" }, false},
		"a gateway with a port":    {func(c *Credentials) { c.GatewayHostName = "g:443" }, false},
		"both":                     {func(c *Credentials) { c.GetClientCertificate = cert }, false},
		"neither":                  {func(c *Credentials) { c.Tokens = nil }, false},
		"no identity":              {func(c *Credentials) { c.Identity.DeviceID = "" }, false},
		"a slash in the id":        {func(c *Credentials) { c.Identity.DeviceID = "a/b" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := peerCredentials
			tt.change(&c)
			if err := c.check(); tt.ok != (err == nil) || err != nil && !errors.Is(err, hubwire.ArgumentInvalid) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestConfigOfAConnection(t *testing.T) {
	cert := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return nil, nil }
	base := &tls.Config{ServerName: "own", MinVersion: tls.VersionTLS13}
	for name, tt := range map[string]struct {
		cfg    config
		server string
		low    uint16
		addr   string
		asked  bool
	}{
		"the defaults":        {config{cred: Credentials{HostName: "h"}}, "h", tls.VersionTLS12, "h:8883", false},
		"a gateway":           {config{cred: Credentials{HostName: "h", GatewayHostName: "::1"}}, "::1", tls.VersionTLS12, "[::1]:8883", false},
		"a certificate":       {config{cred: Credentials{HostName: "h", GetClientCertificate: cert}}, "h", tls.VersionTLS12, "h:8883", true},
		"a base and a port":   {config{Options: Options{TLSConfig: base, Port: 1}, cred: Credentials{HostName: "h"}}, "own", tls.VersionTLS13, "h:1", false},
		"a base without name": {config{Options: Options{TLSConfig: &tls.Config{}}, cred: Credentials{HostName: "h"}}, "h", 0, "h:8883", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := tt.cfg.tls()
			if got.ServerName != tt.server || got.MinVersion != tt.low || (got.GetClientCertificate != nil) != tt.asked || got == tt.cfg.TLSConfig {
				t.Errorf("%+v", got)
			}
			if addr := tt.cfg.addr(8883); addr != tt.addr {
				t.Errorf("%s is dialled", addr)
			}
		})
	}
	if base.ServerName != "own" || base.GetClientCertificate != nil {
		t.Error("the caller's configuration was changed")
	}
}
